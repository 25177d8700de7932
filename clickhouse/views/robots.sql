-- Who fetched pixels and followed links: counted hit by hit, by the time of the hit.

-- view: hit_emails_counted
-- The emails sent in the period as counts, of which there may be many rows; add them up: `hit` are those that anybody
-- opened or clicked in, whenever that was, and `bot_hit` those in which a robot did. `period` as in base.sql.
WITH
    (
        SELECT groupUniqArray(rollup)
        FROM chosen_rollups(
            of = 'email',
            grains = ['day', 'hour'],
            begin = {begin:DateTime64(3, 'UTC')},
            since = {since:DateTime64(3, 'UTC')},
            until = {until:DateTime64(3, 'UTC')},
            unit = 'day',
            timezone = 'UTC',
            piece = 3600
        )
    ) AS rollups
SELECT slot >= {since:DateTime64(3, 'UTC')} AS period, step, hit, bot_hit
FROM email_counts FINAL
WHERE by = 'variant' AND (grain, slot, version) IN (SELECT arrayJoin(rollups))
    AND slot >= toStartOfDay({begin:DateTime64(3, 'UTC')}) AND slot < {until:DateTime64(3, 'UTC')}
    AND (notEmpty({campaigns:Array(String)}) OR campaign = '')
    AND (empty({campaigns:Array(String)}) OR has({campaigns:Array(String)}, campaign))
UNION ALL
SELECT sent_at >= {since:DateTime64(3, 'UTC')} AS period, step, hit, bot_hit
FROM emails FINAL
WHERE slot IN (SELECT rollup.2 FROM (SELECT arrayJoin(rollups) AS rollup) WHERE rollup.1 = 'raw')
    AND slot = toStartOfHour(assumeNotNull(sent_at))
    AND sent_at >= {begin:DateTime64(3, 'UTC')} AND sent_at < {until:DateTime64(3, 'UTC')}
    AND (empty({campaigns:Array(String)}) OR has({campaigns:Array(String)}, campaign))

-- view: rules_counted
-- What rules found on the emails sent in the period, whenever they were hit, as counts, of which there may be many rows;
-- add them up. A `rule` is verdict and reason. `emails` are those on which it found a robot or a machine; of them,
-- `more_opened` (of emails with a pixel) and `more_clicked` are those that it opened or clicked in, and no person did.
WITH
    (
        SELECT groupUniqArray(rollup)
        FROM chosen_rollups(
            of = 'email',
            grains = ['day', 'hour'],
            begin = {since:DateTime64(3, 'UTC')},
            since = {since:DateTime64(3, 'UTC')},
            until = {until:DateTime64(3, 'UTC')},
            unit = 'day',
            timezone = 'UTC',
            piece = 3600
        )
    ) AS rollups
SELECT step, toString(rule) AS rule, emails, more_opened, more_clicked
FROM rule_counts FINAL
WHERE (grain, slot, version) IN (SELECT arrayJoin(rollups))
    AND slot >= toStartOfDay({since:DateTime64(3, 'UTC')}) AND slot < {until:DateTime64(3, 'UTC')}
    AND (notEmpty({campaigns:Array(String)}) OR campaign = '')
    AND (empty({campaigns:Array(String)}) OR has({campaigns:Array(String)}, campaign))
UNION ALL
SELECT
    step,
    rule,
    1 AS emails,
    NOT no_pixel AND NOT opened AS more_opened,
    NOT clicked AND has(robots, concat('click ', rule)) AS more_clicked
FROM emails FINAL
ARRAY JOIN arrayDistinct(arrayMap(robot -> substring(robot, position(robot, ' ') + 1), robots)) AS rule
WHERE slot IN (SELECT rollup.2 FROM (SELECT arrayJoin(rollups) AS rollup) WHERE rollup.1 = 'raw')
    AND slot = toStartOfHour(assumeNotNull(sent_at))
    AND sent_at >= {since:DateTime64(3, 'UTC')} AND sent_at < {until:DateTime64(3, 'UTC')}
    AND (empty({campaigns:Array(String)}) OR has({campaigns:Array(String)}, campaign))

-- view: robots_counted
-- The opens and clicks of the period that were not people's, as counts, of which there may be many rows; add them up.
-- `by` says what the `name` is: of a robot's or machine's 'network' or 'agent', or a robot's 'user agent'. Of a single
-- campaign there are no rollups by hours, and the hours at both ends are read hit by hit.
WITH
    (
        SELECT groupUniqArray(rollup)
        FROM chosen_rollups(
            of = 'hit',
            grains = if(empty({campaigns:Array(String)}), ['wide', 'hour'], ['wide']),
            begin = {since:DateTime64(3, 'UTC')},
            since = {since:DateTime64(3, 'UTC')},
            until = {until:DateTime64(3, 'UTC')},
            unit = 'day',
            timezone = 'UTC',
            piece = 3600
        )
    ) AS rollups
SELECT
    step,
    toString(verdict) AS verdict,
    toString(key) AS name,
    opens,
    clicks,
    agents::Array(String) AS agents,
    reasons::Array(String) AS reasons
FROM hit_counts FINAL
WHERE by = {by:String} AND (grain, slot, version) IN (SELECT arrayJoin(rollups))
    AND slot >= toStartOfDay({since:DateTime64(3, 'UTC')}) AND slot < {until:DateTime64(3, 'UTC')}
    AND (notEmpty({campaigns:Array(String)}) OR campaign = '')
    AND (empty({campaigns:Array(String)}) OR has({campaigns:Array(String)}, campaign))
UNION ALL
SELECT
    step,
    toString(verdict) AS verdict,
    multiIf({by:String} = 'network', toString(network), {by:String} = 'agent', toString(agent), toString(user_agent)) AS name,
    kind = 'open' AS opens,
    kind = 'click' AS clicks,
    if(agent = '', [], [toString(agent)]) AS agents,
    [toString(reason)] AS reasons
FROM judged_hits FINAL
WHERE slot IN (SELECT rollup.2 FROM (SELECT arrayJoin(rollups) AS rollup) WHERE rollup.1 = 'raw')
    AND at >= {since:DateTime64(3, 'UTC')} AND at < {until:DateTime64(3, 'UTC')}
    AND (empty({campaigns:Array(String)}) OR has({campaigns:Array(String)}, campaign))
    AND verdict != 'human' AND (verdict = 'bot' OR {by:String} != 'user agent')

-- view: hit_results
-- Hits of the period and whose they were, of the steps chosen: a row for each of what `per` names, 'period' or 'time' (see
-- base.sql). Shares are of all hits.
SELECT
    *,
    human_hits / nullIf(hits, 0) AS human_share,
    machine_hits / nullIf(hits, 0) AS machine_share,
    bot_hits / nullIf(hits, 0) AS bot_share
FROM
(
    SELECT
        if(has({per:Array(String)}, 'period'), counted.period, 1) AS period,
        if(has({per:Array(String)}, 'time'), counted.time, toDateTime(0, {timezone:String})) AS time,
        sum(counted.opens + counted.clicks) AS hits,
        sumIf(counted.opens + counted.clicks, verdict = 'human') AS human_hits,
        sumIf(counted.opens + counted.clicks, verdict = 'machine') AS machine_hits,
        sumIf(counted.opens + counted.clicks, verdict = 'bot') AS bot_hits
    FROM hits_counted(
        by = 'verdict',
        begin = {begin:DateTime64(3, 'UTC')},
        since = {since:DateTime64(3, 'UTC')},
        until = {until:DateTime64(3, 'UTC')},
        campaigns = {campaigns:Array(String)},
        unit = {unit:String},
        timezone = {timezone:String}
    ) AS counted
    WHERE empty({steps:Array(UInt8)}) OR has({steps:Array(UInt8)}, step)
    GROUP BY period, time
)

-- view: hit_headline
-- Hits of the period and whose they were, and of the period of equal length before it. `bot_share` and `machine_share`
-- are of all hits. Always two rows: `period` 0 is the one before, 1 is the one asked for.
SELECT * EXCEPT (time, human_share)
FROM hit_results(
    per = ['period'],
    begin = subtractMilliseconds(
        {since:DateTime64(3, 'UTC')}, dateDiff('millisecond', {since:DateTime64(3, 'UTC')}, {until:DateTime64(3, 'UTC')})
    ),
    since = {since:DateTime64(3, 'UTC')},
    until = {until:DateTime64(3, 'UTC')},
    campaigns = {campaigns:Array(String)},
    steps = [],
    unit = 'day',
    timezone = 'UTC'
)
ORDER BY period WITH FILL FROM 0 TO 2

-- view: hits_by_verdict
-- Hits of the period by kind and by whose they were. Always three rows: opens, clicks, and both together.
SELECT row.1 AS hit, row.2 AS human, row.3 AS machine, row.4 AS bot
FROM
(
    SELECT
        sumIf(counted.opens, verdict = 'human') AS human_opens,
        sumIf(counted.opens, verdict = 'machine') AS machine_opens,
        sumIf(counted.opens, verdict = 'bot') AS bot_opens,
        sumIf(counted.clicks, verdict = 'human') AS human_clicks,
        sumIf(counted.clicks, verdict = 'machine') AS machine_clicks,
        sumIf(counted.clicks, verdict = 'bot') AS bot_clicks
    FROM hits_counted(
        by = 'verdict',
        begin = {since:DateTime64(3, 'UTC')},
        since = {since:DateTime64(3, 'UTC')},
        until = {until:DateTime64(3, 'UTC')},
        campaigns = {campaigns:Array(String)},
        unit = 'day',
        timezone = 'UTC'
    ) AS counted
)
ARRAY JOIN [
    ('Opens', human_opens, machine_opens, bot_opens),
    ('Clicks', human_clicks, machine_clicks, bot_clicks),
    ('All hits', human_opens + human_clicks, machine_opens + machine_clicks, bot_opens + bot_clicks)
] AS row

-- view: hits_by_reason
-- Hits of the period by verdict and by the rule that gave it. `share` is of all hits, so the shares add up to 1.
SELECT
    verdict,
    reason,
    opens,
    clicks,
    opens + clicks AS hits,
    hits / sum(hits) OVER () AS share
FROM
(
    SELECT
        verdict,
        key AS reason,
        sum(counted.opens) AS opens,
        sum(counted.clicks) AS clicks
    FROM hits_counted(
        by = 'reason',
        begin = {since:DateTime64(3, 'UTC')},
        since = {since:DateTime64(3, 'UTC')},
        until = {until:DateTime64(3, 'UTC')},
        campaigns = {campaigns:Array(String)},
        unit = 'day',
        timezone = 'UTC'
    ) AS counted
    GROUP BY verdict, reason
)
ORDER BY hits DESC, verdict, reason
LIMIT 100

-- view: robot_headline
-- Whose the hits of the period were, and those of the period of equal length before it: shares are of all hits, by their
-- own time. `emails` are those sent in the period that anybody opened or clicked in, whenever that was; `bot_emails` of
-- them those in which a robot did, and `bot_email_share` is their share. Always two rows: `period` 0 is the one before.
SELECT
    periods.period AS period,
    hits.* EXCEPT (period, time),
    emails,
    bot_emails,
    bot_emails / nullIf(emails, 0) AS bot_email_share
FROM (SELECT arrayJoin([0, 1])::UInt8 AS period) AS periods
LEFT JOIN hit_results(
    per = ['period'],
    begin = subtractMilliseconds(
        {since:DateTime64(3, 'UTC')}, dateDiff('millisecond', {since:DateTime64(3, 'UTC')}, {until:DateTime64(3, 'UTC')})
    ),
    since = {since:DateTime64(3, 'UTC')},
    until = {until:DateTime64(3, 'UTC')},
    campaigns = {campaigns:Array(String)},
    steps = {steps:Array(UInt8)},
    unit = 'day',
    timezone = 'UTC'
) AS hits ON hits.period = periods.period
LEFT JOIN
(
    SELECT period, sum(hit) AS emails, sum(bot_hit) AS bot_emails
    FROM hit_emails_counted(
        begin = subtractMilliseconds(
            {since:DateTime64(3, 'UTC')},
            dateDiff('millisecond', {since:DateTime64(3, 'UTC')}, {until:DateTime64(3, 'UTC')})
        ),
        since = {since:DateTime64(3, 'UTC')},
        until = {until:DateTime64(3, 'UTC')},
        campaigns = {campaigns:Array(String)}
    )
    WHERE empty({steps:Array(UInt8)}) OR has({steps:Array(UInt8)}, step)
    GROUP BY period
) AS hit_emails ON hit_emails.period = periods.period
ORDER BY period

-- view: robots_over_time
-- Hits by whose they were, in each hour (ranges up to 3 days) or day of {timezone}; quiet times are zeros. `bot_share` is
-- of all hits.
SELECT time, human_hits, machine_hits, bot_hits, bot_share
FROM times(
    since = {since:DateTime64(3, 'UTC')},
    until = {until:DateTime64(3, 'UTC')},
    unit = if(dateDiff('second', {since:DateTime64(3, 'UTC')}, {until:DateTime64(3, 'UTC')}) <= 259200, 'hour', 'day'),
    timezone = {timezone:String}
) AS times
LEFT JOIN hit_results(
    per = ['time'],
    begin = {since:DateTime64(3, 'UTC')},
    since = {since:DateTime64(3, 'UTC')},
    until = {until:DateTime64(3, 'UTC')},
    campaigns = {campaigns:Array(String)},
    steps = {steps:Array(UInt8)},
    unit = if(dateDiff('second', {since:DateTime64(3, 'UTC')}, {until:DateTime64(3, 'UTC')}) <= 259200, 'hour', 'day'),
    timezone = {timezone:String}
) AS hits USING (time)
ORDER BY time

-- view: removed_by_rule
-- What each rule that speaks of robots or machines took out of the numbers. `hits` are those of the period, whenever their
-- emails were sent, and `share` is of all hits that a rule removed. All else is of the emails sent in the period, whenever
-- they were hit: those with such a hit, and what the open and click rate would be if the rule's hits had
-- counted as a person's and the other rules' had not. `more_opened` and `more_clicked` are the emails by which it would be more.
SELECT
    substring(rule, position(rule, ' ') + 1) AS reason,
    substringIndex(rule, ' ', 1) AS verdict,
    hits,
    hits / nullIf(sum(hits) OVER (), 0) AS share,
    emails,
    more_opened,
    more_clicked,
    opened,
    clicked,
    delivered,
    (opened_with_pixel + more_opened) / nullIf(delivered_with_pixel, 0) AS open_rate_without,
    (clicked + more_clicked) / nullIf(delivered_with_links, 0) AS click_rate_without,
    open_rate,
    click_rate
FROM
(
    SELECT
        rule,
        sum(removed.hits) AS hits,
        sum(removed.emails) AS emails,
        sum(removed.more_opened) AS more_opened,
        sum(removed.more_clicked) AS more_clicked
    FROM
    (
        SELECT step, rule, 0 AS hits, emails, more_opened, more_clicked
        FROM rules_counted(
            since = {since:DateTime64(3, 'UTC')},
            until = {until:DateTime64(3, 'UTC')},
            campaigns = {campaigns:Array(String)}
        )
        UNION ALL
        SELECT step, concat(verdict, ' ', key) AS rule, opens + clicks AS hits, 0, 0, 0
        FROM hits_counted(
            by = 'reason',
            begin = {since:DateTime64(3, 'UTC')},
            since = {since:DateTime64(3, 'UTC')},
            until = {until:DateTime64(3, 'UTC')},
            campaigns = {campaigns:Array(String)},
            unit = 'day',
            timezone = 'UTC'
        )
        WHERE verdict != 'human'
    ) AS removed
    WHERE empty({steps:Array(UInt8)}) OR has({steps:Array(UInt8)}, step)
    GROUP BY rule
) AS removed
CROSS JOIN
(
    -- One row, without emails too.
    SELECT
        opened,
        clicked,
        delivered,
        opened_with_pixel,
        delivered_with_pixel,
        delivered_with_links,
        open_rate,
        click_rate
    FROM results(
        by = 'variant',
        per = ['period'],
        grains = ['day', 'hour'],
        together = 1,
        begin = {since:DateTime64(3, 'UTC')},
        since = {since:DateTime64(3, 'UTC')},
        until = {until:DateTime64(3, 'UTC')},
        campaigns = {campaigns:Array(String)},
        steps = {steps:Array(UInt8)},
        senders = [],
        unit = 'day',
        timezone = 'UTC'
    )
    ORDER BY period WITH FILL FROM 1 TO 2
) AS totals
ORDER BY hits DESC, reason, verdict
LIMIT 100

-- view: robots_by_network
-- Networks whence robots or machines came in the period, those with most of their hits first: by name where the rules
-- know the network, else the addresses' first 24 bits (IPv4) or 48 (IPv6). `share` is of all hits by robots and machines.
SELECT
    network_name,
    bot_hits,
    machine_hits,
    bot_hits + machine_hits AS hits,
    hits / sum(hits) OVER () AS share,
    opens,
    clicks,
    arrayStringConcat(arraySlice(arraySort(found), 1, 3), ', ') AS agents
FROM
(
    SELECT
        name AS network_name,
        sumIf(counted.opens + counted.clicks, verdict = 'bot') AS bot_hits,
        sumIf(counted.opens + counted.clicks, verdict = 'machine') AS machine_hits,
        sum(counted.opens) AS opens,
        sum(counted.clicks) AS clicks,
        groupUniqArrayArray(agents) AS found
    FROM robots_counted(
        by = 'network',
        since = {since:DateTime64(3, 'UTC')},
        until = {until:DateTime64(3, 'UTC')},
        campaigns = {campaigns:Array(String)}
    ) AS counted
    WHERE empty({steps:Array(UInt8)}) OR has({steps:Array(UInt8)}, step)
    GROUP BY network_name
)
ORDER BY hits DESC, network_name
LIMIT 50

-- view: robots_by_agent
-- Robots and machines of the period by what their user agent is known as, those with most hits first. `share` is of all
-- hits by robots and machines.
SELECT
    agent_name,
    verdict,
    opens,
    clicks,
    opens + clicks AS hits,
    hits / sum(hits) OVER () AS share
FROM
(
    SELECT
        if(name = '', 'Not recorded', name) AS agent_name,
        verdict,
        sum(counted.opens) AS opens,
        sum(counted.clicks) AS clicks
    FROM robots_counted(
        by = 'agent',
        since = {since:DateTime64(3, 'UTC')},
        until = {until:DateTime64(3, 'UTC')},
        campaigns = {campaigns:Array(String)}
    ) AS counted
    WHERE empty({steps:Array(UInt8)}) OR has({steps:Array(UInt8)}, step)
    GROUP BY agent_name, verdict
)
ORDER BY hits DESC, agent_name, verdict
LIMIT 50

-- view: robots_by_user_agent
-- The user agents of robots in the period as they were sent, at most 300 characters of each, those with most hits first.
-- `share` is of all hits by robots.
SELECT
    sent_as,
    arrayStringConcat(arraySort(agents), ', ') AS agent_name,
    arrayStringConcat(arraySort(found_by), ', ') AS reasons,
    opens,
    clicks,
    opens + clicks AS hits,
    hits / sum(hits) OVER () AS share
FROM
(
    SELECT
        if(name = '', 'none', name) AS sent_as,
        groupUniqArrayArray(counted.agents) AS agents,
        groupUniqArrayArray(counted.reasons) AS found_by,
        sum(counted.opens) AS opens,
        sum(counted.clicks) AS clicks
    FROM robots_counted(
        by = 'user agent',
        since = {since:DateTime64(3, 'UTC')},
        until = {until:DateTime64(3, 'UTC')},
        campaigns = {campaigns:Array(String)}
    ) AS counted
    WHERE empty({steps:Array(UInt8)}) OR has({steps:Array(UInt8)}, step)
    GROUP BY sent_as
)
ORDER BY hits DESC, sent_as
LIMIT 30
