-- What happened when, counted ahead (clickhouse/statements/counting.sql).

-- name: email_hours_into_happened_counts
-- Count what first happened to emails in the quarters of these hours.
INSERT INTO happened_counts
SELECT
    'hour' AS grain,
    campaign,
    slot,
    intDiv(toMinute(assumeNotNull(at)), 15) AS quarter,
    step,
    -- include: seen_of_slot
    ,
    -- include: first_counts
-- include: firsts
AND slot IN {slots:Array(DateTime('UTC'))}
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
    -- include: seen_of_day
    ,
    -- include: first_sums
FROM happened_counts AS counted FINAL
WHERE counted.grain = 'hour' AND (slot, counted.seen) IN
(
    -- include: email_hours_of_days
)
GROUP BY campaign, day, step
