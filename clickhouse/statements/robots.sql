-- What the board Robots is counted from: see clickhouse/queries/robots.sql.

-- name: hit_hours_into_verdict_counts
-- Count the hits of these hours by whose they were.
INSERT INTO verdict_counts
SELECT
    'hour' AS grain,
    campaign,
    slot,
    step,
    verdict,
    -- include: seen_of_slot
    ,
    count() AS hits
FROM judged_hits FINAL
WHERE slot IN {slots:Array(DateTime('UTC'))}
GROUP BY GROUPING SETS ((campaign, slot, step, verdict), (slot, step, verdict))

-- name: hit_days_into_verdict_counts
-- Add up the hours of these days.
INSERT INTO verdict_counts
SELECT
    'day' AS grain,
    campaign,
    toStartOfDay(slot) AS day,
    step,
    verdict,
    -- include: seen_of_day
    ,
    sum(counted.hits) AS hits
FROM verdict_counts AS counted FINAL
WHERE counted.grain = 'hour' AND (slot, counted.seen) IN
(
    -- include: hit_hours_of_days
)
GROUP BY campaign, day, step, verdict

-- name: email_hours_into_hit_email_counts
-- Count the emails sent in these hours that were hit.
INSERT INTO hit_email_counts
SELECT
    'hour' AS grain,
    campaign,
    slot,
    step,
    -- include: seen_of_slot
    ,
    -- include: hit_emails
FROM v_sent
WHERE slot IN {slots:Array(DateTime('UTC'))}
GROUP BY GROUPING SETS ((campaign, slot, step), (slot, step))

-- name: email_days_into_hit_email_counts
-- Add up the hours of these days.
INSERT INTO hit_email_counts
SELECT
    'day' AS grain,
    campaign,
    toStartOfDay(slot) AS day,
    step,
    -- include: seen_of_day
    ,
    sum(counted.hit) AS hit,
    sum(counted.bot_hit) AS bot_hit
FROM hit_email_counts AS counted FINAL
WHERE counted.grain = 'hour' AND (slot, counted.seen) IN
(
    -- include: email_hours_of_days
)
GROUP BY campaign, day, step

-- fragment: robot_counts
countIf(kind = 'open') AS opens,
countIf(kind = 'click') AS clicks,
groupUniqArrayIf(agent, known_by != 'agent' AND agent != '') AS agents,
groupUniqArrayIf(reason, known_by = 'user agent') AS reasons

-- name: hit_hours_into_robot_counts
-- Count the hits that were not people's of these hours, of all campaigns together.
INSERT INTO robot_counts
SELECT
    'hour' AS grain,
    '' AS campaign,
    named.1 AS known_by,
    slot,
    step,
    verdict,
    named.2 AS name,
    -- include: seen_of_slot
    ,
    -- include: robot_counts
FROM
(
    -- include: robots_by_name
    AND slot IN {slots:Array(DateTime('UTC'))}
)
WHERE known_by != 'user agent' OR verdict = 'bot'
GROUP BY known_by, slot, step, verdict, name

-- name: hit_wide_into_robot_counts
-- The same of these days, of each campaign too.
INSERT INTO robot_counts
SELECT
    'wide' AS grain,
    campaign,
    named.1 AS known_by,
    toStartOfDay(slot) AS day,
    step,
    verdict,
    named.2 AS name,
    -- include: seen_of_day
    ,
    -- include: robot_counts
FROM
(
    -- include: robots_by_name
    AND toStartOfDay(slot) IN {slots:Array(DateTime('UTC'))}
)
WHERE known_by != 'user agent' OR verdict = 'bot'
GROUP BY GROUPING SETS ((campaign, known_by, day, step, verdict, name), (known_by, day, step, verdict, name))
