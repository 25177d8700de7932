-- Counts ahead of what Campaign and Robots ask beside the plain numbers: links, rules, delays (migration 043).

-- name: email_hours_into_link_counts
-- Count the links followed in the emails sent in these hours.
INSERT INTO link_counts
SELECT
    'hour' AS grain,
    campaign,
    slot,
    step,
    link_id,
    -- include: seen_of_slot
    ,
    -- include: link_numbers
FROM v_sent
ARRAY JOIN raw_links AS link_id
WHERE slot IN {slots:Array(DateTime('UTC'))}
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
    -- include: seen_of_day
    ,
    sum(counted.clicked) AS clicked,
    sum(counted.raw_clicked) AS raw_clicked
FROM link_counts AS counted FINAL
WHERE counted.grain = 'hour' AND (slot, counted.seen) IN
(
    -- include: email_hours_of_days
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
    -- include: seen_of_slot
    ,
    -- include: rule_numbers
FROM v_sent
ARRAY JOIN
    -- include: rules
    AS rule
WHERE slot IN {slots:Array(DateTime('UTC'))}
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
    -- include: seen_of_day
    ,
    sum(counted.emails) AS emails,
    sum(counted.more_opened) AS more_opened,
    sum(counted.more_clicked) AS more_clicked
FROM rule_counts AS counted FINAL
WHERE counted.grain = 'hour' AND (slot, counted.seen) IN
(
    -- include: email_hours_of_days
)
GROUP BY campaign, day, step, rule

-- name: email_hours_into_delay_counts
-- The delays of the emails sent in these hours, of all campaigns together.
INSERT INTO delay_counts
WITH
    -- include: delay_bins
SELECT
    'hour' AS grain,
    '' AS campaign,
    bin,
    slot,
    step,
    -- include: seen_of_slot
    ,
    -- include: delay_numbers
FROM v_sent
WHERE slot IN {slots:Array(DateTime('UTC'))} AND first_open_at IS NOT NULL
GROUP BY bin, slot, step

-- name: email_wide_into_delay_counts
-- The delays of the emails sent on these days.
INSERT INTO delay_counts
WITH
    -- include: delay_bins
SELECT
    'wide' AS grain,
    campaign,
    bin,
    toStartOfDay(slot) AS day,
    step,
    -- include: seen_of_day
    ,
    -- include: delay_numbers
FROM v_sent
WHERE slot >= arrayMin({slots:Array(DateTime('UTC'))}) AND slot < addDays(arrayMax({slots:Array(DateTime('UTC'))}), 1)
    AND toStartOfDay(slot) IN {slots:Array(DateTime('UTC'))} AND first_open_at IS NOT NULL
GROUP BY GROUPING SETS ((campaign, bin, day, step), (bin, day, step))
