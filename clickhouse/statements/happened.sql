-- What happened when, counted ahead (clickhouse/statements/counting.sql).

-- name: email_hours_into_happened_counts
-- Count what first happened to emails in the quarters of these hours.
INSERT INTO happened_counts
SELECT
    'hour' AS grain,
    campaign,
    slot,
    intDiv(toMinute(assumeNotNull(one.1)), 15) AS quarter,
    step,
    {versions:Array(UInt64)}[indexOf({slots:Array(DateTime('UTC'))}, slot)] AS version
    ,
    countIf(one.2 = 'sent') AS sent,
    countIf(one.2 = 'opened') AS opened,
    countIf(one.2 = 'clicked') AS clicked,
    countIf(one.2 = 'replied') AS replied,
    countIf(one.2 = 'unsubscribed') AS unsubscribed
FROM emails FINAL
ARRAY JOIN happened AS one
WHERE slot IN {slots:Array(DateTime('UTC'))} AND one.1 IS NOT NULL AND slot = toStartOfHour(assumeNotNull(one.1))
GROUP BY GROUPING SETS ((campaign, slot, quarter, step), (slot, quarter, step))

-- name: email_days_into_happened_counts
-- Add up the hours of these days.
INSERT INTO happened_counts
SELECT
    'day' AS grain,
    campaign,
    toStartOfDay(slot) AS day,
    0 AS quarter,
    step,
    {versions:Array(UInt64)}[indexOf({slots:Array(DateTime('UTC'))}, day)] AS version
    ,
    sum(counted.sent) AS sent,
    sum(counted.opened) AS opened,
    sum(counted.clicked) AS clicked,
    sum(counted.replied) AS replied,
    sum(counted.unsubscribed) AS unsubscribed
FROM happened_counts AS counted FINAL
WHERE counted.grain = 'hour' AND (slot, counted.version) IN
(
    SELECT slot, counted
    FROM slots FINAL
    WHERE of = 'email' AND toStartOfDay(slot) IN {slots:Array(DateTime('UTC'))}
)
GROUP BY campaign, day, step
