-- Counts ahead of what Campaign and Robots ask beside the plain numbers: links, rules, delays.

-- name: email_hours_into_link_counts
-- Count the links followed in the emails sent in these hours.
INSERT INTO link_counts
SELECT
    'hour' AS grain,
    campaign,
    slot,
    step,
    link_id,
    {versions:Array(UInt64)}[indexOf({slots:Array(DateTime('UTC'))}, slot)] AS version
    ,
    countIf(has(links, link_id)) AS clicked,
    count() AS raw_clicked
FROM emails FINAL
ARRAY JOIN raw_links AS link_id
WHERE slot IN {slots:Array(DateTime('UTC'))} AND slot = toStartOfHour(assumeNotNull(sent_at))
GROUP BY campaign, slot, step, link_id

-- name: email_days_into_link_counts
-- Add up the hours of these days.
INSERT INTO link_counts
SELECT
    'day' AS grain,
    campaign,
    toStartOfDay(slot) AS day,
    step,
    link_id,
    {versions:Array(UInt64)}[indexOf({slots:Array(DateTime('UTC'))}, day)] AS version
    ,
    sum(counted.clicked) AS clicked,
    sum(counted.raw_clicked) AS raw_clicked
FROM link_counts AS counted FINAL
WHERE counted.grain = 'hour' AND (slot, counted.version) IN
(
    SELECT slot, counted
    FROM slots FINAL
    WHERE of = 'email' AND toStartOfDay(slot) IN {slots:Array(DateTime('UTC'))}
)
GROUP BY campaign, day, step, link_id

-- name: email_hours_into_rule_counts
-- Count what rules found on the emails sent in these hours.
INSERT INTO rule_counts
SELECT
    'hour' AS grain,
    campaign,
    slot,
    step,
    rule,
    {versions:Array(UInt64)}[indexOf({slots:Array(DateTime('UTC'))}, slot)] AS version
    ,
    count() AS emails,
    countIf(
        NOT no_pixel AND opened_at IS NULL AND hasAny(robots, [concat('open ', rule), concat('click ', rule)])
    ) AS more_opened,
    countIf(first_click_at IS NULL AND has(robots, concat('click ', rule))) AS more_clicked
FROM emails FINAL
ARRAY JOIN arrayDistinct(arrayMap(robot -> substring(robot, position(robot, ' ') + 1), robots)) AS rule
WHERE slot IN {slots:Array(DateTime('UTC'))} AND slot = toStartOfHour(assumeNotNull(sent_at))
GROUP BY GROUPING SETS ((campaign, slot, step, rule), (slot, step, rule))

-- name: email_days_into_rule_counts
-- Add up the hours of these days.
INSERT INTO rule_counts
SELECT
    'day' AS grain,
    campaign,
    toStartOfDay(slot) AS day,
    step,
    rule,
    {versions:Array(UInt64)}[indexOf({slots:Array(DateTime('UTC'))}, day)] AS version
    ,
    sum(counted.emails) AS emails,
    sum(counted.more_opened) AS more_opened,
    sum(counted.more_clicked) AS more_clicked
FROM rule_counts AS counted FINAL
WHERE counted.grain = 'hour' AND (slot, counted.version) IN
(
    SELECT slot, counted
    FROM slots FINAL
    WHERE of = 'email' AND toStartOfDay(slot) IN {slots:Array(DateTime('UTC'))}
)
GROUP BY campaign, day, step, rule

-- name: email_hours_into_delay_counts
-- The delays of the emails sent in these hours, of all campaigns together.
INSERT INTO delay_counts
SELECT
    'hour' AS grain,
    '' AS campaign,
    open_delay_bin AS bin,
    slot,
    step,
    {versions:Array(UInt64)}[indexOf({slots:Array(DateTime('UTC'))}, slot)] AS version
    ,
    count() AS opened,
    arraySort(groupArray(open_delay)) AS delays
FROM emails FINAL
WHERE slot IN {slots:Array(DateTime('UTC'))} AND slot = toStartOfHour(assumeNotNull(sent_at)) AND opened_at IS NOT NULL
GROUP BY bin, slot, step

-- name: email_wide_into_delay_counts
-- The delays of the emails sent on these days.
INSERT INTO delay_counts
SELECT
    'day' AS grain,
    campaign,
    open_delay_bin AS bin,
    toStartOfDay(slot) AS day,
    step,
    {versions:Array(UInt64)}[indexOf({slots:Array(DateTime('UTC'))}, day)] AS version
    ,
    count() AS opened,
    arraySort(groupArray(open_delay)) AS delays
FROM emails FINAL
WHERE slot >= arrayMin({slots:Array(DateTime('UTC'))}) AND slot < addDays(arrayMax({slots:Array(DateTime('UTC'))}), 1)
    AND toStartOfDay(slot) IN {slots:Array(DateTime('UTC'))} AND slot = toStartOfHour(assumeNotNull(sent_at))
    AND opened_at IS NOT NULL
GROUP BY GROUPING SETS ((campaign, bin, day, step), (bin, day, step))
