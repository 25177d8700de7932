-- What the board Robots is counted from: see `robots_counted` in clickhouse/views/robots.sql.

-- name: hit_hours_into_hit_counts_by_source
-- Count the hits that were not people's of these hours, of all campaigns together.
INSERT INTO hit_counts
SELECT
    by,
    'hour' AS grain,
    '' AS campaign,
    slot,
    step,
    '' AS variant,
    verdict,
    key,
    '' AS device,
    {versions:Array(UInt64)}[indexOf({slots:Array(DateTime('UTC'))}, slot)] AS version,
    countIf(kind = 'open') AS opens,
    countIf(kind = 'click') AS clicks,
    groupUniqArrayIf(agent, by != 'agent' AND agent != '') AS agents,
    groupUniqArrayIf(reason, by = 'user agent') AS reasons
FROM judged_hits FINAL
ARRAY JOIN ['network', 'agent', 'user agent'] AS by, [network, agent, user_agent] AS key
WHERE slot IN {slots:Array(DateTime('UTC'))} AND verdict != 'human' AND (verdict = 'bot' OR by != 'user agent')
GROUP BY by, slot, step, verdict, key

-- name: hit_wide_into_hit_counts_by_source
-- The same of these days, of each campaign too.
INSERT INTO hit_counts
SELECT
    by,
    'day' AS grain,
    campaign,
    toStartOfDay(slot) AS day,
    step,
    '' AS variant,
    verdict,
    key,
    '' AS device,
    {versions:Array(UInt64)}[indexOf({slots:Array(DateTime('UTC'))}, day)] AS version,
    countIf(kind = 'open') AS opens,
    countIf(kind = 'click') AS clicks,
    groupUniqArrayIf(agent, by != 'agent' AND agent != '') AS agents,
    groupUniqArrayIf(reason, by = 'user agent') AS reasons
FROM judged_hits FINAL
ARRAY JOIN ['network', 'agent', 'user agent'] AS by, [network, agent, user_agent] AS key
WHERE toStartOfDay(slot) IN {slots:Array(DateTime('UTC'))}
    AND verdict != 'human' AND (verdict = 'bot' OR by != 'user agent')
GROUP BY GROUPING SETS ((campaign, by, day, step, verdict, key), (by, day, step, verdict, key))
