-- One campaign, or a few: its steps and variants, links, replies and the limit of its bounces. Emails are those of the
-- cohort (emails.sql), of the steps chosen; whatever is counted of an email is counted whenever it happened.

-- view: campaign_headline
-- Counts and rates of the emails sent in the period, and of those sent in the period of equal length before it. Always
-- two rows: `period` 0 is the one before, 1 is the one asked for. `bounce_limit` is the share of hard bounces, of
-- emails sent, beyond which the campaign is paused: the lowest where several are chosen, NULL where none is declared.
SELECT
    * EXCEPT (time, campaign, step, variant, key),
    (
        SELECT minOrNull(bounce_limit)
        FROM campaigns FINAL
        WHERE empty({campaigns:Array(String)}) OR has({campaigns:Array(String)}, id)
    ) AS bounce_limit
FROM
(
    SELECT *
    FROM results(
        by = 'variant',
        per = ['period'],
        grains = ['day', 'hour'],
        together = 1,
        begin = subtractMilliseconds(
            {since:DateTime64(3, 'UTC')}, dateDiff('millisecond', {since:DateTime64(3, 'UTC')}, {until:DateTime64(3, 'UTC')})
        ),
        since = {since:DateTime64(3, 'UTC')},
        until = {until:DateTime64(3, 'UTC')},
        campaigns = {campaigns:Array(String)},
        steps = {steps:Array(UInt8)},
        senders = [],
        unit = 'day',
        timezone = 'UTC'
    )
    ORDER BY period WITH FILL FROM 0 TO 2
)
ORDER BY period

-- view: campaign_activity
-- As `activity`, of the steps chosen.
SELECT
    time,
    sum(counted.sent) AS sent,
    sum(counted.opened) AS opened,
    sum(counted.clicked) AS clicked,
    sum(counted.replied) AS replied,
    sum(counted.unsubscribed) AS unsubscribed
FROM
(
    SELECT *
    FROM happened_counted(
        since = {since:DateTime64(3, 'UTC')},
        until = {until:DateTime64(3, 'UTC')},
        campaigns = {campaigns:Array(String)},
        unit = multiIf(
            dateDiff('second', {since:DateTime64(3, 'UTC')}, {until:DateTime64(3, 'UTC')}) <= 10800, 'minute',
            dateDiff('second', {since:DateTime64(3, 'UTC')}, {until:DateTime64(3, 'UTC')}) <= 259200, 'hour',
            'day'
        ),
        timezone = {timezone:String}
    )
    WHERE empty({steps:Array(UInt8)}) OR has({steps:Array(UInt8)}, step)
    UNION ALL
    SELECT time, 0, 0, 0, 0, 0, 0
    FROM times(
        since = {since:DateTime64(3, 'UTC')},
        until = {until:DateTime64(3, 'UTC')},
        unit = multiIf(
            dateDiff('second', {since:DateTime64(3, 'UTC')}, {until:DateTime64(3, 'UTC')}) <= 10800, 'minute',
            dateDiff('second', {since:DateTime64(3, 'UTC')}, {until:DateTime64(3, 'UTC')}) <= 259200, 'hour',
            'day'
        ),
        timezone = {timezone:String}
    )
) AS counted
GROUP BY time
ORDER BY time

-- view: by_variant
-- Counts and rates of the emails sent in the period, for each variant of each step of each campaign.
SELECT
    campaign AS campaign_id,
    if(known.name = '', campaign, known.name) AS campaign_name,
    results.step AS step,
    concat('Step ', toString(step)) AS step_name,
    results.variant AS variant,
    results.* EXCEPT (period, time, campaign, step, variant, key)
FROM results(
    by = 'variant',
    per = ['campaign', 'step', 'variant'],
    grains = ['day', 'hour'],
    together = 0,
    begin = {since:DateTime64(3, 'UTC')},
    since = {since:DateTime64(3, 'UTC')},
    until = {until:DateTime64(3, 'UTC')},
    campaigns = {campaigns:Array(String)},
    steps = {steps:Array(UInt8)},
    senders = [],
    unit = 'day',
    timezone = 'UTC'
) AS results
LEFT JOIN (SELECT id, name FROM campaigns FINAL) AS known ON known.id = campaign
WHERE sent > 0
ORDER BY campaign_name, campaign_id, step, variant
LIMIT 500

-- view: links_counted
-- The links followed in the emails sent in the period, as counts, of which there may be many rows; add them up. `clicked` are
-- emails in which a person followed the link, `raw_clicked` those in which anybody did.
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
SELECT campaign, step, toString(link_id) AS link_id, clicked, raw_clicked
FROM link_counts FINAL
WHERE (grain, slot, version) IN (SELECT arrayJoin(rollups))
    AND slot >= toStartOfDay({since:DateTime64(3, 'UTC')}) AND slot < {until:DateTime64(3, 'UTC')}
    AND (empty({campaigns:Array(String)}) OR has({campaigns:Array(String)}, campaign))
    AND (empty({steps:Array(UInt8)}) OR has({steps:Array(UInt8)}, step))
UNION ALL
SELECT campaign, step, link_id, has(links, link_id) AS clicked, 1 AS raw_clicked
FROM emails FINAL
ARRAY JOIN raw_links AS link_id
WHERE slot IN (SELECT rollup.2 FROM (SELECT arrayJoin(rollups) AS rollup) WHERE rollup.1 = 'raw')
    AND slot = toStartOfHour(assumeNotNull(sent_at)) AND sent_at >= {since:DateTime64(3, 'UTC')} AND sent_at < {until:DateTime64(3, 'UTC')}
    AND (empty({campaigns:Array(String)}) OR has({campaigns:Array(String)}, campaign))
    AND (empty({steps:Array(UInt8)}) OR has({steps:Array(UInt8)}, step))

-- view: followed_links
-- The links of the emails sent in the period that were followed, by whom the most people followed first. `clicked` are
-- emails in which a person followed the link, `raw_clicked` those in which anybody did, however often. `click_rate` is
-- `clicked` of the emails of the campaign (and of the steps chosen) that were delivered with any link, this one or others.
SELECT
    followed.campaign AS campaign_id,
    if(known.name = '', followed.campaign, known.name) AS campaign_name,
    -- What no person ever followed and leads to our own /hidden is the link that stands in emails as a trap.
    multiIf(
        url = '', concat('Unknown link ', substring(link_id, 1, 12)),
        followed.clicked = 0 AND endsWith(url, '/hidden'), 'Trap for robots, which no person sees',
        url
    ) AS link,
    followed.link_id AS link_id,
    followed.clicked AS clicked,
    followed.raw_clicked AS raw_clicked,
    clicked / nullIf(emails.delivered_with_links, 0) AS click_rate,
    raw_clicked / nullIf(emails.delivered_with_links, 0) AS raw_click_rate
FROM
(
    SELECT campaign, link_id, sum(counted.clicked) AS clicked, sum(counted.raw_clicked) AS raw_clicked
    FROM links_counted(
        since = {since:DateTime64(3, 'UTC')},
        until = {until:DateTime64(3, 'UTC')},
        campaigns = {campaigns:Array(String)},
        steps = {steps:Array(UInt8)}
    ) AS counted
    GROUP BY campaign, link_id
) AS followed
LEFT JOIN totals(
    by = 'variant',
    per = ['campaign'],
    grains = ['day', 'hour'],
    together = 0,
    begin = {since:DateTime64(3, 'UTC')},
    since = {since:DateTime64(3, 'UTC')},
    until = {until:DateTime64(3, 'UTC')},
    campaigns = {campaigns:Array(String)},
    steps = {steps:Array(UInt8)},
    senders = [],
    unit = 'day',
    timezone = 'UTC'
) AS emails ON emails.campaign = followed.campaign
LEFT JOIN (SELECT toString(link_id) AS id, url FROM links FINAL) AS known_links ON known_links.id = followed.link_id
LEFT JOIN (SELECT id, name FROM campaigns FINAL) AS known ON known.id = followed.campaign
ORDER BY clicked DESC, raw_clicked DESC, link, link_id
LIMIT 100

-- view: delays_counted
-- How long after delivery people opened the emails sent in the period, or before it: each delay, by bins, of which there may
-- be many rows. By hours only those of all campaigns together are kept.
WITH
    (
        SELECT groupUniqArray(rollup)
        FROM chosen_rollups(
            of = 'email',
            grains = if(empty({campaigns:Array(String)}), ['wide', 'hour'], ['wide']),
            begin = {begin:DateTime64(3, 'UTC')},
            since = {since:DateTime64(3, 'UTC')},
            until = {until:DateTime64(3, 'UTC')},
            unit = 'day',
            timezone = 'UTC',
            piece = 3600
        )
    ) AS rollups
SELECT slot >= {since:DateTime64(3, 'UTC')} AS period, bin, opened, delays
FROM delay_counts FINAL
WHERE (grain, slot, version) IN (SELECT arrayJoin(rollups))
    AND slot >= toStartOfDay({begin:DateTime64(3, 'UTC')}) AND slot < {until:DateTime64(3, 'UTC')}
    AND (notEmpty({campaigns:Array(String)}) OR campaign = '')
    AND (empty({campaigns:Array(String)}) OR has({campaigns:Array(String)}, campaign))
    AND (empty({steps:Array(UInt8)}) OR has({steps:Array(UInt8)}, step))
UNION ALL
SELECT sent_at >= {since:DateTime64(3, 'UTC')} AS period, open_delay_bin AS bin, 1 AS opened, [open_delay] AS delays
FROM emails FINAL
WHERE slot IN (SELECT rollup.2 FROM (SELECT arrayJoin(rollups) AS rollup) WHERE rollup.1 = 'raw')
    AND slot = toStartOfHour(assumeNotNull(sent_at)) AND opened_at IS NOT NULL
    AND sent_at >= {begin:DateTime64(3, 'UTC')} AND sent_at < {until:DateTime64(3, 'UTC')}
    AND (empty({campaigns:Array(String)}) OR has({campaigns:Array(String)}, campaign))
    AND (empty({steps:Array(UInt8)}) OR has({steps:Array(UInt8)}, step))

-- view: open_delays
-- How long after delivery people first opened the emails sent in the period. `share` is of the emails that a person
-- opened. Always twelve rows, the shortest first; a bound belongs to the longer one.
SELECT
    [
        '< 1 min', '1–5 min', '5–15 min', '15–30 min', '30–60 min', '1–3 h', '3–6 h', '6–12 h', '12–24 h', '1–2 d',
        '2–7 d', '> 7 d'
    ][place] AS delay,
    sum(emails) AS opened,
    opened / nullIf(sum(opened) OVER (), 0) AS share
FROM
(
    SELECT 1 + intDiv(bin, 8) AS place, sum(counted.opened) AS emails
    FROM delays_counted(
        begin = {since:DateTime64(3, 'UTC')},
        since = {since:DateTime64(3, 'UTC')},
        until = {until:DateTime64(3, 'UTC')},
        campaigns = {campaigns:Array(String)},
        steps = {steps:Array(UInt8)}
    ) AS counted
    GROUP BY place
    UNION ALL
    SELECT number + 1, 0 FROM numbers(12)
)
GROUP BY place
ORDER BY place

-- view: time_to_open
-- Within how many seconds of delivery half (`p50`) and 90 % (`p90`) of the emails that a person opened were first
-- opened: exact, between two emails in proportion. Of the emails sent in the period, and in the period of equal length
-- before it. Always two rows: `period` 0 is the one before, 1 is the one asked for.
WITH
    -- Where the emails stand that a quantile lies between: in which bin, at which place in it.
    (
        SELECT groupArray((period, bin, which, toUInt64(rank - (up_to - emails) + 1), of_period))
        FROM
        (
            SELECT
                period,
                bin,
                sum(counted.opened) AS emails,
                sum(emails) OVER (PARTITION BY period ORDER BY bin ROWS UNBOUNDED PRECEDING) AS up_to,
                toInt64(sum(emails) OVER (PARTITION BY period)) AS of_period,
                [0.5, 0.9] AS levels_asked,
                arrayMap(level -> toInt64(floor(level * (of_period - 1))), levels_asked) AS below,
                arrayConcat(below, arrayMap(rank -> least(rank + 1, of_period - 1), below)) AS ranks
            FROM delays_counted(
                begin = subtractMilliseconds(
                    {since:DateTime64(3, 'UTC')}, dateDiff('millisecond', {since:DateTime64(3, 'UTC')}, {until:DateTime64(3, 'UTC')})
                ),
                since = {since:DateTime64(3, 'UTC')},
                until = {until:DateTime64(3, 'UTC')},
                campaigns = {campaigns:Array(String)},
                steps = {steps:Array(UInt8)}
            ) AS counted
            GROUP BY period, bin
        )
        ARRAY JOIN ranks AS rank, [1, 2, 3, 4] AS which
        WHERE rank >= up_to - emails AND rank < up_to
    ) AS places
SELECT
    period,
    max(found.3) AS opened,
    0.5 * (opened - 1) - floor(0.5 * (opened - 1)) AS beyond_half,
    0.9 * (opened - 1) - floor(0.9 * (opened - 1)) AS beyond_most,
    sumIf(found.2, found.1 = 1) AS half,
    sumIf(found.2, found.1 = 2) AS most,
    if(opened = 0, NULL, (half + beyond_half * (sumIf(found.2, found.1 = 3) - half)) / 1000) AS p50,
    if(opened = 0, NULL, (most + beyond_most * (sumIf(found.2, found.1 = 4) - most)) / 1000) AS p90
FROM
(
    SELECT period, bin, arraySort(groupArrayArray(counted.delays)) AS delays_of_bin
    FROM delays_counted(
        begin = subtractMilliseconds(
            {since:DateTime64(3, 'UTC')}, dateDiff('millisecond', {since:DateTime64(3, 'UTC')}, {until:DateTime64(3, 'UTC')})
        ),
        since = {since:DateTime64(3, 'UTC')},
        until = {until:DateTime64(3, 'UTC')},
        campaigns = {campaigns:Array(String)},
        steps = {steps:Array(UInt8)}
    ) AS counted
    WHERE has(arrayMap(place -> (place.1, place.2), places), (period, bin))
    GROUP BY period, bin
)
ARRAY JOIN
    arrayMap(
        place -> (place.3, delays_of_bin[place.4], place.5),
        arrayFilter(place -> place.1 = period AND place.2 = bin, places)
    ) AS found
GROUP BY period
ORDER BY period WITH FILL FROM 0 TO 2

-- view: open_hours
-- When in the week people opened: the emails that a person first opened in the period, whenever they were sent, by the
-- weekday and hour of {timezone}, as `activity` counts them. `share` is of all of these. Always 168 rows: Monday to Sunday,
-- hour 0 to 23.
SELECT
    ['Monday', 'Tuesday', 'Wednesday', 'Thursday', 'Friday', 'Saturday', 'Sunday'][day] AS weekday,
    hour,
    sum(emails) AS opened,
    opened / nullIf(sum(opened) OVER (), 0) AS share
FROM
(
    SELECT
        toDayOfWeek(time, 0, {timezone:String}) AS day,
        toHour(time, {timezone:String}) AS hour,
        counted.opened AS emails
    FROM happened_counted(
        since = {since:DateTime64(3, 'UTC')},
        until = {until:DateTime64(3, 'UTC')},
        campaigns = {campaigns:Array(String)},
        unit = 'hour',
        timezone = {timezone:String}
    ) AS counted
    WHERE empty({steps:Array(UInt8)}) OR has({steps:Array(UInt8)}, step)
    UNION ALL
    SELECT intDiv(number, 24) + 1, number % 24, 0 FROM numbers(168)
)
GROUP BY day, hour
ORDER BY day, hour

-- view: open_hours_by_weekday
-- `open_hours` as a table: a row for each weekday, Monday first, and a column for each hour, with the emails opened in it.
SELECT
    weekday,
    sumIf(opened, hour = 0) AS `0`,
    sumIf(opened, hour = 1) AS `1`,
    sumIf(opened, hour = 2) AS `2`,
    sumIf(opened, hour = 3) AS `3`,
    sumIf(opened, hour = 4) AS `4`,
    sumIf(opened, hour = 5) AS `5`,
    sumIf(opened, hour = 6) AS `6`,
    sumIf(opened, hour = 7) AS `7`,
    sumIf(opened, hour = 8) AS `8`,
    sumIf(opened, hour = 9) AS `9`,
    sumIf(opened, hour = 10) AS `10`,
    sumIf(opened, hour = 11) AS `11`,
    sumIf(opened, hour = 12) AS `12`,
    sumIf(opened, hour = 13) AS `13`,
    sumIf(opened, hour = 14) AS `14`,
    sumIf(opened, hour = 15) AS `15`,
    sumIf(opened, hour = 16) AS `16`,
    sumIf(opened, hour = 17) AS `17`,
    sumIf(opened, hour = 18) AS `18`,
    sumIf(opened, hour = 19) AS `19`,
    sumIf(opened, hour = 20) AS `20`,
    sumIf(opened, hour = 21) AS `21`,
    sumIf(opened, hour = 22) AS `22`,
    sumIf(opened, hour = 23) AS `23`
FROM open_hours(
    since = {since:DateTime64(3, 'UTC')},
    until = {until:DateTime64(3, 'UTC')},
    campaigns = {campaigns:Array(String)},
    timezone = {timezone:String},
    steps = {steps:Array(UInt8)}
)
GROUP BY weekday
ORDER BY indexOf(['Monday', 'Tuesday', 'Wednesday', 'Thursday', 'Friday', 'Saturday', 'Sunday'], weekday)

-- view: campaign_stop_requests
-- Of the emails sent in the period that a person replied to, those in a reply to which the person asks for no more mail.
-- One row.
SELECT
    1 AS period,
    (
        SELECT countIf(
            sent_at >= {since:DateTime64(3, 'UTC')} AND sent_at < {until:DateTime64(3, 'UTC')}
            AND (empty({steps:Array(UInt8)}) OR has({steps:Array(UInt8)}, step))
        )
        FROM emails_told_of(outcome = 'asked_to_stop', campaigns = {campaigns:Array(String)})
    ) AS asked_to_stop,
    (
        SELECT sum(counted.replied)
        FROM totals(
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
        ) AS counted
    ) AS replied

-- view: replies
-- What people answered in the period, newest first, whenever the email was sent: each reply is a row, so an email may have
-- several. `after` is in seconds since the email was delivered. Words, so no denominator.
WITH
    -- Of all replies nothing is read but times and ids, and of those listed the rest. An event that came twice stands there
    -- twice until it is merged.
    (
        SELECT (min(at), max(at), groupArray(id))
        FROM
        (
            SELECT id, at
            FROM rare_events
            WHERE kind = 'reply' AND at >= {since:DateTime64(3, 'UTC')} AND at < {until:DateTime64(3, 'UTC')}
                AND (empty({campaigns:Array(String)}) OR has({campaigns:Array(String)}, campaign))
                AND (empty({steps:Array(UInt8)}) OR has({steps:Array(UInt8)}, step))
            ORDER BY at DESC, id
            LIMIT 1 BY id
            LIMIT 200
        )
    ) AS listed
SELECT
    at AS time,
    lead,
    campaign AS campaign_id,
    if(known.name = '', campaign, known.name) AS campaign_name,
    concat('Step ', toString(step)) AS step_name,
    variant,
    greatest(0, dateDiff('second', coalesce(delivered_at, sent_at), at)) AS after,
    subject,
    substringUTF8(text, 1, 300) AS words,
    if(asks_to_stop, concat('"', stop_phrase, '"'), '') AS asks_to_stop
FROM
(
    SELECT id AS event_id, at, campaign, step, variant, delivery_id, lead, subject, text, asks_to_stop, stop_phrase
    FROM rare_events FINAL
    WHERE kind = 'reply' AND at >= listed.1 AND at <= listed.2 AND has(listed.3, id)
) AS answers
-- An email stands under the hours of its replies too.
LEFT JOIN
(
    SELECT campaign, delivery_id, min(sent_at) AS sent_at, min(delivered_at) AS delivered_at
    FROM emails
    WHERE (campaign, slot, step, variant, delivery_id) IN
    (
        SELECT campaign, toStartOfHour(at), step, variant, delivery_id
        FROM rare_events
        WHERE kind = 'reply' AND at >= listed.1 AND at <= listed.2 AND has(listed.3, id)
    )
    GROUP BY campaign, delivery_id
) AS emails USING (campaign, delivery_id)
LEFT JOIN (SELECT id, name FROM campaigns FINAL) AS known ON known.id = campaign
ORDER BY time DESC, event_id
LIMIT 200

-- view: bounce_limits
-- How near each campaign of the emails sent in the period is to being paused for its hard bounces. Counted as the guard
-- counts, whatever the period: emails sent since the campaign was last resumed (`since_at`, NULL for ever) and those of
-- them that bounced hard, of sent. It is paused beyond `bounce_limit` once `bounce_min_sends` were sent; `spare` is how
-- many more hard bounces it stands, at the emails sent so far or at that minimum. What nobody declared has no limit.
WITH runs AS
(
    SELECT campaign AS id, maxOrNull(at) AS resumed_at
    FROM rare_events
    WHERE kind = 'campaign_resumed'
        AND (empty({campaigns:Array(String)}) OR has({campaigns:Array(String)}, campaign))
    GROUP BY campaign
)
SELECT
    campaign AS campaign_id,
    if(any(known.name) = '', campaign, any(known.name)) AS campaign_name,
    if(any(pauses.paused), 'Paused', 'Active') AS state,
    any(resumed_at) AS since_at,
    sumIf(counted.sent, is_counted) AS sent,
    sumIf(counted.hard_bounced, is_counted) AS hard_bounced,
    hard_bounced / nullIf(sent, 0) AS hard_bounce_rate,
    any(known.bounce_limit) AS bounce_limit,
    any(known.bounce_min_sends) AS bounce_min_sends,
    toInt64(floor(toDecimal64(bounce_limit, 9) * if(sent < bounce_min_sends, bounce_min_sends, sent)))
        - toInt64(hard_bounced) AS left,
    if(left < 0, 0, left) AS spare
FROM
(
    -- Of a campaign that was resumed, the days after that one; the emails of that day itself follow.
    SELECT
        ever.campaign AS campaign,
        runs.resumed_at AS resumed_at,
        ever.sent AS sent,
        ever.hard_bounced AS hard_bounced,
        isNull(runs.resumed_at) OR toDate(ever.time, 'UTC') > toDate(runs.resumed_at) AS is_counted
    FROM emails_counted(
        by = 'variant',
        grains = ['day', 'hour'],
        together = 0,
        begin = toDateTime64('1971-01-01 00:00:00', 3, 'UTC'),
        since = toDateTime64('1971-01-01 00:00:00', 3, 'UTC'),
        until = toDateTime64('2100-01-01 00:00:00', 3, 'UTC'),
        campaigns = {campaigns:Array(String)},
        unit = 'day',
        timezone = 'UTC'
    ) AS ever
    LEFT JOIN runs ON runs.id = ever.campaign
    UNION ALL
    SELECT emails.campaign, runs.resumed_at, emails.sent, emails.hard_bounced, emails.sent_at >= runs.resumed_at
    FROM (SELECT campaign, slot, sent_at, sent, hard_bounced FROM emails FINAL) AS emails
    INNER JOIN runs ON runs.id = emails.campaign
    WHERE emails.slot = toStartOfHour(assumeNotNull(emails.sent_at)) AND (emails.campaign, emails.slot) IN
    (
        SELECT id, arrayJoin(arrayMap(hour -> addHours(toStartOfDay(assumeNotNull(resumed_at)), hour), range(24))) FROM runs
    )
) AS counted
LEFT JOIN
(
    SELECT id, name, toNullable(bounce_limit) AS bounce_limit, toNullable(bounce_min_sends) AS bounce_min_sends
    FROM campaigns FINAL
) AS known ON known.id = campaign
LEFT JOIN (SELECT campaign AS id, paused FROM pauses FINAL) AS pauses ON pauses.id = campaign
WHERE campaign IN
(
    SELECT campaign
    FROM emails_counted(
        by = 'variant',
        grains = ['day', 'hour'],
        together = 0,
        begin = {since:DateTime64(3, 'UTC')},
        since = {since:DateTime64(3, 'UTC')},
        until = {until:DateTime64(3, 'UTC')},
        campaigns = {campaigns:Array(String)},
        unit = 'day',
        timezone = 'UTC'
    )
    WHERE sent > 0
)
GROUP BY campaign
ORDER BY hard_bounce_rate DESC, sent DESC, campaign_name, campaign_id
LIMIT 100

-- view: pause_marks
-- When campaigns were paused and resumed in the period, and why. No denominator.
SELECT
    at AS time,
    campaign AS campaign_id,
    if(known.name = '', campaign, known.name) AS campaign_name,
    concat(campaign_name, multiIf(
        kind = 'campaign_resumed', ' resumed',
        detail != '', concat(' paused: ', detail),
        reason = 'operator', ' paused by an operator',
        ' paused'
    )) AS text,
    kind = 'campaign_resumed' AS is_resumed
FROM rare_events FINAL
LEFT JOIN (SELECT id, name FROM campaigns FINAL) AS known ON known.id = campaign
WHERE kind IN ('campaign_paused', 'campaign_resumed') AND at >= {since:DateTime64(3, 'UTC')} AND at < {until:DateTime64(3, 'UTC')}
    AND (empty({campaigns:Array(String)}) OR has({campaigns:Array(String)}, campaign))
ORDER BY time, text
LIMIT 500
