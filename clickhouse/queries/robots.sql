-- Who fetched pixels and followed links: counted hit by hit, by the time of the hit.

-- name: hits
-- Hits of the period and whose they were, and of the period of equal length before it. `bot_share` and `machine_share`
-- are of all hits. Always two rows: `period` 0 is the one before, 1 is the one asked for.
WITH
    -- include: period_and_before
    ,
    -- include: all_together
    ,
    -- include: held
SELECT
    period,
    sum(counted.hits) AS hits,
    sumIf(counted.hits, verdict = 'human') AS human_hits,
    sumIf(counted.hits, verdict = 'machine') AS machine_hits,
    sumIf(counted.hits, verdict = 'bot') AS bot_hits,
    bot_hits / nullIf(hits, 0) AS bot_share,
    machine_hits / nullIf(hits, 0) AS machine_share
FROM
(
    -- include: counted_hits
) AS counted
GROUP BY period
ORDER BY period WITH FILL FROM 0 TO 2

-- name: hits_by_verdict
-- Hits of the period by kind and by whose they were. Always three rows: opens, clicks, and both together.
WITH
    -- include: period
    ,
    -- include: all_together
    ,
    -- include: held
SELECT
    ['Opens', 'Clicks', 'All hits'][row] AS hit,
    sumIf(hits, verdict = 'human') AS human,
    sumIf(hits, verdict = 'machine') AS machine,
    sumIf(hits, verdict = 'bot') AS bot
FROM
(
    SELECT arrayJoin(if(kind = 'open', [1, 3], [2, 3])) AS row, verdict, hits
    FROM
    (
        -- include: counted_hits
    )
    UNION ALL
    SELECT arrayJoin([1, 2, 3]), '', 0
)
GROUP BY row
ORDER BY row

-- name: hits_by_reason
-- Hits of the period by verdict and by the rule that gave it. `share` is of all hits, so the shares add up to 1.
WITH
    -- include: period
    ,
    -- include: all_together
    ,
    -- include: held
SELECT
    verdict,
    reason,
    sumIf(counted.hits, kind = 'open') AS opens,
    sumIf(counted.hits, kind = 'click') AS clicks,
    sum(counted.hits) AS hits,
    hits / sum(hits) OVER () AS share
FROM
(
    -- include: counted_hits
) AS counted
GROUP BY verdict, reason
ORDER BY hits DESC, verdict, reason
LIMIT 100

-- fragment: hour_or_day
-- By hour up to 3 days, else by day of the timezone; both begin with the one in which the period does.
, if(dateDiff('second', since, until) <= 259200, 'hour', 'day') AS unit
, toDateTime(dateTrunc(unit, since, timezone), timezone) AS start

-- fragment: hours_or_days
-- Every hour or day of the period. Days are added as days, because a day is not always 24 hours.
(
    SELECT if(unit = 'hour', addHours(start, number), addDays(start, number)) AS time
    FROM numbers(5000)
    WHERE time < until
)

-- fragment: period_of_steps
-- As `period`, and steps: none chosen means all.
-- include: period
, {steps:Array(UInt8)} AS chosen_steps

-- fragment: hits_of_cohort
-- Hits on the emails sent in the period, whenever they came, one row each. A scanner's may be seconds before the email
-- was said to be sent.
FROM judged_hits FINAL
WHERE slot >= toStartOfHour(subtractDays(since, 1)) AND (campaign, delivery_id) IN (
    SELECT campaign, delivery_id
    FROM v_sent
    WHERE
        -- include: cohort
        AND (empty(chosen_steps) OR has(chosen_steps, step))
)

-- fragment: hit_emails
-- Of emails sent: those that anybody opened or clicked in, and those in which a robot did.
countIf(first_raw_open_at IS NOT NULL OR first_raw_click_at IS NOT NULL) AS hit,
countIf(arrayExists(one -> startsWith(one, 'open bot ') OR startsWith(one, 'click bot '), robots)) AS bot_hit

-- name: robot_headline
-- Whose the hits of the period were, and those of the period of equal length before it: shares are of all hits, by their
-- own time. `emails` are those sent in the period that anybody opened or clicked in, whenever that was; `bot_emails` of
-- them those in which a robot did, and `bot_email_share` is their share. Always two rows: `period` 0 is the one before.
WITH
    -- include: period_and_before
    ,
    -- include: all_together
    ,
    -- include: held
SELECT
    period,
    sum(counted.hits) AS hits,
    sumIf(counted.hits, verdict = 'human') AS human_hits,
    sumIf(counted.hits, verdict = 'machine') AS machine_hits,
    sumIf(counted.hits, verdict = 'bot') AS bot_hits,
    human_hits / nullIf(hits, 0) AS human_share,
    machine_hits / nullIf(hits, 0) AS machine_share,
    bot_hits / nullIf(hits, 0) AS bot_share,
    sum(counted.hit) AS emails,
    sum(counted.bot_hit) AS bot_emails,
    bot_emails / nullIf(emails, 0) AS bot_email_share
FROM
(
    SELECT slot >= since AS period, toString(verdict) AS verdict, hits, 0 AS hit, 0 AS bot_hit
    FROM verdict_counts FINAL
    WHERE
        -- include: held_hits
        AND
        -- include: of_levels
        AND
        -- include: of_steps
    UNION ALL
    SELECT at >= since AS period, toString(verdict) AS verdict, count() AS hits, 0 AS hit, 0 AS bot_hit
    FROM judged_hits FINAL
    WHERE
        -- include: raw_hits
        AND at >= begin AND at < until AND
        -- include: of_steps
    GROUP BY period, verdict
    UNION ALL
    SELECT slot >= since AS period, '' AS verdict, 0 AS hits, hit, bot_hit
    FROM hit_email_counts FINAL
    WHERE
        -- include: held_emails
        AND
        -- include: of_levels
        AND
        -- include: of_steps
    UNION ALL
    SELECT
        sent_at >= since AS period,
        '' AS verdict,
        0 AS hits,
        -- include: hit_emails
    FROM v_sent
    WHERE
        -- include: raw_emails
        AND sent_at >= begin AND sent_at < until AND
        -- include: of_steps
    GROUP BY period
) AS counted
GROUP BY period
ORDER BY period WITH FILL FROM 0 TO 2

-- name: robots_over_time
-- Hits by whose they were, in each hour (ranges up to 3 days) or day of {timezone}; quiet times are zeros.
WITH
    -- include: period
    , {timezone:String} AS timezone
    -- include: hour_or_day
    ,
    -- include: all_together
    ,
    -- include: held_of_times
SELECT
    time,
    sumIf(counted.hits, verdict = 'human') AS human_hits,
    sumIf(counted.hits, verdict = 'machine') AS machine_hits,
    sumIf(counted.hits, verdict = 'bot') AS bot_hits,
    bot_hits / nullIf(human_hits + machine_hits + bot_hits, 0) AS bot_share
FROM
(
    SELECT toDateTime(dateTrunc(unit, slot, timezone), timezone) AS time, toString(verdict) AS verdict, sum(hits) AS hits
    FROM verdict_counts FINAL
    WHERE
        -- include: held_hits
        AND
        -- include: of_levels
        AND
        -- include: of_steps
    GROUP BY time, verdict
    UNION ALL
    SELECT toDateTime(dateTrunc(unit, at, timezone), timezone) AS time, toString(verdict) AS verdict, count() AS hits
    FROM judged_hits FINAL
    WHERE
        -- include: raw_hits
        AND at >= begin AND at < until AND
        -- include: of_steps
    GROUP BY time, verdict
    UNION ALL
    SELECT time, '' AS verdict, 0 AS hits
    FROM
    -- include: hours_or_days
) AS counted
GROUP BY time
ORDER BY time

-- fragment: rules
-- Of an email, the rules that found a robot or a machine on it, each once: verdict and reason.
arrayDistinct(arrayMap(robot -> substring(robot, position(robot, ' ') + 1), robots))

-- fragment: rule_numbers
-- Of an email's `rules`, one by one: emails that the rule found something on, and those that it alone opened or clicked in:
-- it did, and no person.
count() AS emails,
countIf(first_open_at IS NULL AND has(robots, concat('open ', rule))) AS more_opened,
countIf(first_click_at IS NULL AND has(robots, concat('click ', rule))) AS more_clicked

-- fragment: counted_rules
-- What rules found on the emails sent in the period, as counts: of each rule there may be many rows.
SELECT step, rule, emails, more_opened, more_clicked
FROM rule_counts FINAL
WHERE
    -- include: held_emails
    AND
    -- include: of_levels
UNION ALL
SELECT
    step,
    rule,
    -- include: rule_numbers
FROM v_sent
ARRAY JOIN
    -- include: rules
    AS rule
WHERE
    -- include: raw_emails
    AND sent_at >= begin AND sent_at < until
GROUP BY step, rule

-- name: removed_by_rule
-- What each rule that speaks of robots or machines took out of the numbers. `hits` are those of the period, whenever their
-- emails were sent, and `share` is of all hits that a rule removed. All else is of the emails sent in the period, whenever
-- they were hit: those with such a hit, and what the open and click rate (of delivered) would be if the rule's hits had
-- counted as a person's and the other rules' had not. `more_opened` and `more_clicked` are the emails by which it would be more.
WITH
    -- include: period
    ,
    -- include: all_together
    ,
    -- include: held
    ,
    totals AS
    (
        SELECT
            -- include: count_sums
        FROM
        (
            -- include: counted_emails
        ) AS counted
        WHERE
            -- include: of_steps
    )
SELECT
    substring(rule, position(rule, ' ') + 1) AS reason,
    substringIndex(rule, ' ', 1) AS verdict,
    sum(removed.hits) AS hits,
    hits / nullIf(sum(hits) OVER (), 0) AS share,
    sum(removed.emails) AS emails,
    sum(removed.more_opened) AS more_opened,
    sum(removed.more_clicked) AS more_clicked,
    any(totals.opened) AS opened,
    any(totals.clicked) AS clicked,
    any(totals.delivered) AS delivered,
    (opened + more_opened) / nullIf(delivered, 0) AS open_rate_without,
    (clicked + more_clicked) / nullIf(delivered, 0) AS click_rate_without,
    opened / nullIf(delivered, 0) AS open_rate,
    clicked / nullIf(delivered, 0) AS click_rate
FROM
(
    SELECT step, rule, 0 AS hits, emails, more_opened, more_clicked
    FROM
    (
        -- include: counted_rules
    )
    UNION ALL
    SELECT step, concat(verdict, ' ', reason), hits, 0, 0, 0
    FROM
    (
        -- include: counted_hits
    )
    WHERE verdict != 'human'
) AS removed
CROSS JOIN totals
WHERE
    -- include: of_steps
GROUP BY rule
ORDER BY hits DESC, reason, verdict
LIMIT 100

-- fragment: held_robots
-- Which counts of robots hold: by days, and at both ends by hours, where all campaigns are asked for together. One by one
-- they are not kept by hours, so these are read hit by hit.
(one, next) -> one >= begin AND next <= until AS whole,
'wide' AS grain_of_days,
-- include: held_slots
,
arrayMap(
    one -> one.3, arrayFilter(one -> one.1 = 'hit' AND (one.2 = 'raw' OR one.2 = 'hour' AND notEmpty(chosen)), held)
) AS robot_hours_raw

-- fragment: robots_by_name
-- A robot's or machine's hit by each of its names.
SELECT
    campaign,
    slot,
    arrayJoin([('network', toString(network)), ('agent', toString(agent)), ('user agent', toString(user_agent))]) AS named,
    step,
    verdict,
    kind,
    agent,
    reason
FROM judged_hits FINAL
WHERE verdict != 'human'

-- fragment: counted_robots
-- Hits of the period that were not people's, as counts by the `name` of what `asked` says: network, agent or user agent.
SELECT name, toString(verdict) AS verdict, opens, clicks, agents, reasons
FROM robot_counts FINAL
WHERE
    -- include: held_hits
    AND
    -- include: of_levels
    AND
    -- include: of_steps
    AND known_by = asked
UNION ALL
SELECT
    named.2 AS name,
    toString(verdict) AS verdict,
    countIf(kind = 'open') AS opens,
    countIf(kind = 'click') AS clicks,
    groupUniqArrayIf(agent, agent != '') AS agents,
    groupUniqArray(reason) AS reasons
FROM
(
    -- include: robots_by_name
    AND slot IN (SELECT arrayJoin(robot_hours_raw)) AND at >= begin AND at < until AND
    -- include: of_chosen
    AND
    -- include: of_steps
)
WHERE named.1 = asked AND (asked != 'user agent' OR verdict = 'bot')
GROUP BY name, verdict

-- name: robots_by_network
-- Networks whence robots or machines came in the period, those with most of their hits first: by name where the rules
-- know the network, else the addresses' first 24 bits (IPv4) or 48 (IPv6). `share` is of all hits by robots and machines.
WITH
    -- include: period
    , 'network' AS asked,
    -- include: all_together
    ,
    -- include: held_robots
SELECT
    name AS network_name,
    sumIf(counted.opens + counted.clicks, verdict = 'bot') AS bot_hits,
    sumIf(counted.opens + counted.clicks, verdict = 'machine') AS machine_hits,
    bot_hits + machine_hits AS hits,
    hits / sum(hits) OVER () AS share,
    sum(counted.opens) AS opens,
    sum(counted.clicks) AS clicks,
    arrayStringConcat(arraySlice(arraySort(groupUniqArrayArray(counted.agents)), 1, 3), ', ') AS agents
FROM
(
    -- include: counted_robots
) AS counted
GROUP BY network_name
ORDER BY hits DESC, network_name
LIMIT 50

-- name: robots_by_agent
-- Robots and machines of the period by what their user agent is known as, those with most hits first. `share` is of all
-- hits by robots and machines.
WITH
    -- include: period
    , 'agent' AS asked,
    -- include: all_together
    ,
    -- include: held_robots
SELECT
    if(name = '', 'Not recorded', toString(name)) AS agent_name,
    verdict,
    sum(counted.opens) AS opens,
    sum(counted.clicks) AS clicks,
    opens + clicks AS hits,
    hits / sum(hits) OVER () AS share
FROM
(
    -- include: counted_robots
) AS counted
GROUP BY agent_name, verdict
ORDER BY hits DESC, agent_name, verdict
LIMIT 50

-- name: robots_by_user_agent
-- The user agents of robots in the period as they were sent, at most 300 characters of each, those with most hits first.
-- `share` is of all hits by robots.
WITH
    -- include: period
    , 'user agent' AS asked,
    -- include: all_together
    ,
    -- include: held_robots
SELECT
    if(name = '', 'none', toString(name)) AS sent_as,
    arrayStringConcat(arraySort(groupUniqArrayArray(counted.agents)), ', ') AS agent_name,
    arrayStringConcat(arraySort(groupUniqArrayArray(counted.reasons)), ', ') AS reasons,
    sum(counted.opens) AS opens,
    sum(counted.clicks) AS clicks,
    opens + clicks AS hits,
    hits / sum(hits) OVER () AS share
FROM
(
    -- include: counted_robots
) AS counted
GROUP BY sent_as
ORDER BY hits DESC, sent_as
LIMIT 30
