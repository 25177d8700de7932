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

-- fragment: hits_of_steps
-- Hits of the period, of the campaigns and steps chosen. FINAL, because the same event may have been delivered twice, and
-- a hit that was judged again is the later judgement's.
FROM events FINAL
WHERE kind IN ('open', 'click') AND at >= since AND at < until AND (empty(chosen) OR has(chosen, campaign))
    AND (empty(chosen_steps) OR has(chosen_steps, step))

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

-- fragment: hit_counts
-- Of hits, whose they were; shares are of all hits.
count() AS hits,
countIf(verdict = 'human') AS human_hits,
countIf(verdict = 'machine') AS machine_hits,
countIf(verdict = 'bot') AS bot_hits,
human_hits / nullIf(hits, 0) AS human_share,
machine_hits / nullIf(hits, 0) AS machine_share,
bot_hits / nullIf(hits, 0) AS bot_share,
uniqExact(delivery_id) AS emails,
uniqExactIf(delivery_id, verdict = 'bot') AS bot_emails,
bot_emails / nullIf(emails, 0) AS bot_email_share

-- name: robot_headline
-- Whose the hits of the period were, and those of the period of equal length before it: shares are of all hits, and
-- `bot_email_share` of the emails that were hit at all. Always two rows: `period` 0 is the one before.
WITH
    -- include: period_of_steps
    , subtractMilliseconds(since, dateDiff('millisecond', since, until)) AS before
SELECT
    at >= since AS period,
    -- include: hit_counts
FROM judged_hits FINAL
WHERE slot >= toStartOfHour(before) AND slot < until AND at >= before AND at < until AND
    -- include: of_chosen
    AND (empty(chosen_steps) OR has(chosen_steps, step))
GROUP BY period
ORDER BY period WITH FILL FROM 0 TO 2

-- name: robots_over_time
-- Hits by whose they were, in each hour (ranges up to 3 days) or day of {timezone}; quiet times are zeros.
WITH
    -- include: period_of_steps
    , {timezone:String} AS timezone
    -- include: hour_or_day
SELECT
    time,
    countIf(verdict = 'human') AS human_hits,
    countIf(verdict = 'machine') AS machine_hits,
    countIf(verdict = 'bot') AS bot_hits,
    bot_hits / nullIf(human_hits + machine_hits + bot_hits, 0) AS bot_share
FROM
(
    SELECT toDateTime(dateTrunc(unit, at, timezone), timezone) AS time, toString(verdict) AS verdict
    FROM judged_hits FINAL
    WHERE slot >= toStartOfHour(since) AND slot < until AND at >= since AND at < until AND
        -- include: of_chosen
        AND (empty(chosen_steps) OR has(chosen_steps, step))
    UNION ALL
    SELECT time, '' AS verdict
    FROM
    -- include: hours_or_days
)
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

-- name: robots_by_network
-- Networks whence robots or machines came in the period, those with most of their hits first: by name where the rules
-- know the network, else the addresses' first 24 bits (IPv4) or 48 (IPv6). `bot_share` is of the network's hits.
WITH
    -- include: period_of_steps
SELECT
    multiIf(
        network != '', toString(network),
        isIPv4String(ip), concat(IPv4NumToString(bitAnd(IPv4StringToNumOrDefault(ip), 4294967040)), '/24'),
        isIPv6String(ip), concat(IPv6NumToString(IPv6CIDRToRange(toIPv6OrDefault(ip), 48).1), '/48'),
        ip = '', 'Not recorded',
        'Address not kept whole'
    ) AS network_name,
    network != '' AS is_known,
    -- include: hit_counts
    , arrayStringConcat(arraySlice(arraySort(groupUniqArrayIf(toString(agent), verdict != 'human' AND agent != '')), 1, 3), ', ')
        AS agents
-- include: hits_of_steps
GROUP BY network_name, is_known
HAVING bot_hits + machine_hits > 0
ORDER BY bot_hits + machine_hits DESC, network_name
LIMIT 50

-- name: robots_by_agent
-- Robots and machines of the period by what their user agent is known as, those with most hits first. `share` is of all
-- hits by robots and machines.
WITH
    -- include: period_of_steps
SELECT
    if(agent = '', 'Not recorded', toString(agent)) AS agent_name,
    verdict,
    countIf(kind = 'open') AS opens,
    countIf(kind = 'click') AS clicks,
    count() AS hits,
    hits / sum(hits) OVER () AS share,
    uniqExact(delivery_id) AS emails,
    uniqExactIf(ip, ip != '') AS addresses
-- include: hits_of_steps
AND verdict != 'human'
GROUP BY agent_name, verdict
ORDER BY hits DESC, agent_name, verdict
LIMIT 50

-- name: robots_by_user_agent
-- The user agents of robots in the period as they were sent, at most 300 characters of each, those with most hits first.
-- `share` is of all hits by robots.
WITH
    -- include: period_of_steps
SELECT
    if(user_agent = '', 'none', left(toString(user_agent), 300)) AS sent_as,
    any(toString(agent)) AS agent_name,
    arrayStringConcat(arraySort(groupUniqArray(toString(reason))), ', ') AS reasons,
    count() AS hits,
    hits / sum(hits) OVER () AS share,
    uniqExact(delivery_id) AS emails
-- include: hits_of_steps
AND verdict = 'bot'
GROUP BY sent_as
ORDER BY hits DESC, sent_as
LIMIT 30
