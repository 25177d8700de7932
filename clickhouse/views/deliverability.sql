-- What mail servers said of the emails sent in a period, and what waits to be said. An email counts once. `senders`: none
-- chosen means all; counts by domains are of all senders, so with some chosen every email of the period is read row by row,
-- which takes seconds for millions of them.

-- view: domains_counted
-- The emails sent in the period as counts, of which there may be many rows; add them up. `by` says what of: 'domain' is those
-- of a domain, and 'variant' of any, which are the same once more; '' is one email, which is in neither. `place` is cityHash64
-- of the domain, by which counts are found.
WITH
    (
        SELECT groupUniqArray(rollup)
        FROM chosen_rollups(
            of = 'email',
            grains = if(empty({senders:Array(String)}), ['wide', 'hour'], []),
            begin = {since:DateTime64(3, 'UTC')},
            since = {since:DateTime64(3, 'UTC')},
            until = {until:DateTime64(3, 'UTC')},
            unit = 'day',
            timezone = 'UTC',
            piece = 3600
        )
    ) AS rollups
SELECT
    by,
    place,
    key AS domain,
    sent,
    hard_bounced,
    soft_bounced,
    blocked,
    delivered,
    opened,
    raw_opened,
    machine_opened,
    clicked,
    raw_clicked,
    unsubscribed,
    replied,
    raw_replied,
    complained,
    pixel_opened,
    opened_with_pixel,
    raw_opened_with_pixel,
    delivered_with_pixel,
    delivered_with_links
FROM email_counts FINAL
WHERE by IN ('domain', 'variant') AND (grain, slot, version) IN (SELECT arrayJoin(rollups))
    AND slot >= toStartOfDay({since:DateTime64(3, 'UTC')}) AND slot < {until:DateTime64(3, 'UTC')}
    AND (notEmpty({campaigns:Array(String)}) OR campaign = '')
    AND (empty({campaigns:Array(String)}) OR has({campaigns:Array(String)}, campaign))
UNION ALL
SELECT
    toLowCardinality('') AS by,
    cityHash64(lower(recipient_domain)) AS place,
    lower(recipient_domain) AS domain,
    sent,
    hard_bounced,
    soft_bounced,
    blocked,
    delivered,
    opened,
    raw_opened,
    machine_opened,
    clicked,
    raw_clicked,
    unsubscribed,
    replied,
    raw_replied,
    complained,
    pixel_opened,
    opened_with_pixel,
    raw_opened_with_pixel,
    delivered_with_pixel,
    delivered_with_links
FROM emails FINAL
WHERE slot IN (SELECT rollup.2 FROM (SELECT arrayJoin(rollups) AS rollup) WHERE rollup.1 = 'raw')
    AND slot = toStartOfHour(assumeNotNull(sent_at))
    AND sent_at >= {since:DateTime64(3, 'UTC')} AND sent_at < {until:DateTime64(3, 'UTC')}
    AND (empty({campaigns:Array(String)}) OR has({campaigns:Array(String)}, campaign))
    AND (empty({senders:Array(String)}) OR has({senders:Array(String)}, sender))

-- view: domain_sizes_counted
-- To which domains the emails of the period were sent, and how many to each: `places` and `sizes`, in some rows; add them up.
WITH
    (
        SELECT groupUniqArray(rollup)
        FROM chosen_rollups(
            of = 'email',
            grains = if(empty({senders:Array(String)}), ['wide', 'hour'], []),
            begin = {since:DateTime64(3, 'UTC')},
            since = {since:DateTime64(3, 'UTC')},
            until = {until:DateTime64(3, 'UTC')},
            unit = 'day',
            timezone = 'UTC',
            piece = 3600
        )
    ) AS rollups
SELECT places, sizes
FROM domain_sizes FINAL
WHERE (grain, slot, version) IN (SELECT arrayJoin(rollups))
    AND slot >= toStartOfDay({since:DateTime64(3, 'UTC')}) AND slot < {until:DateTime64(3, 'UTC')}
    AND (notEmpty({campaigns:Array(String)}) OR campaign = '')
    AND (empty({campaigns:Array(String)}) OR has({campaigns:Array(String)}, campaign))
UNION ALL
SELECT groupArray(place) AS places, groupArray(size) AS sizes
FROM
(
    SELECT cityHash64(lower(recipient_domain)) AS place, toUInt32(count()) AS size
    FROM emails FINAL
    WHERE slot IN (SELECT rollup.2 FROM (SELECT arrayJoin(rollups) AS rollup) WHERE rollup.1 = 'raw')
        AND slot = toStartOfHour(assumeNotNull(sent_at))
        AND sent_at >= {since:DateTime64(3, 'UTC')} AND sent_at < {until:DateTime64(3, 'UTC')}
        AND (empty({campaigns:Array(String)}) OR has({campaigns:Array(String)}, campaign))
        AND (empty({senders:Array(String)}) OR has({senders:Array(String)}, sender))
    GROUP BY place
)

-- view: domain_results
-- Counts and rates of the emails sent in the period, for each domain of the `places` (`per` = 'domain') or for each mailbox
-- provider of theirs ('provider'): then what was sent to no domain of them is all without theirs, so that a company's own
-- domain costs nothing. `Other domains` are those of which only the MX tells who hosts them. Rates as in `results`.
SELECT
    *,
    delivered / nullIf(sent, 0) AS delivery_rate,
    hard_bounced / nullIf(sent, 0) AS hard_bounce_rate,
    soft_bounced / nullIf(sent, 0) AS soft_bounce_rate,
    blocked / nullIf(sent, 0) AS block_rate,
    opened_with_pixel / nullIf(delivered_with_pixel, 0) AS open_rate,
    raw_opened_with_pixel / nullIf(delivered_with_pixel, 0) AS raw_open_rate,
    machine_opened / nullIf(delivered_with_pixel, 0) AS machine_open_rate,
    clicked / nullIf(delivered_with_links, 0) AS click_rate,
    raw_clicked / nullIf(delivered_with_links, 0) AS raw_click_rate,
    clicked / nullIf(opened, 0) AS click_to_open_rate,
    raw_clicked / nullIf(raw_opened, 0) AS raw_click_to_open_rate,
    unsubscribed / nullIf(delivered, 0) AS unsubscribe_rate,
    replied / nullIf(delivered, 0) AS reply_rate,
    raw_replied / nullIf(delivered, 0) AS raw_reply_rate,
    complained / nullIf(delivered, 0) AS complaint_rate
FROM
(
    SELECT
        any(if(known.provider = '' OR sign < 0, 'Other domains', toString(known.provider))) AS provider_name,
        uniqExactIf(counted.place, known.provider != '' AND sign > 0) AS named,
        sum(sign * counted.sent) AS sent,
        sum(sign * counted.hard_bounced) AS hard_bounced,
        sum(sign * counted.soft_bounced) AS soft_bounced,
        sum(sign * counted.blocked) AS blocked,
        sum(sign * counted.delivered) AS delivered,
        sum(sign * counted.opened) AS opened,
        sum(sign * counted.raw_opened) AS raw_opened,
        sum(sign * counted.machine_opened) AS machine_opened,
        sum(sign * counted.clicked) AS clicked,
        sum(sign * counted.raw_clicked) AS raw_clicked,
        sum(sign * counted.unsubscribed) AS unsubscribed,
        sum(sign * counted.replied) AS replied,
        sum(sign * counted.raw_replied) AS raw_replied,
        sum(sign * counted.complained) AS complained,
        sum(sign * counted.pixel_opened) AS pixel_opened,
        sum(sign * counted.opened_with_pixel) AS opened_with_pixel,
        sum(sign * counted.raw_opened_with_pixel) AS raw_opened_with_pixel,
        sum(sign * counted.delivered_with_pixel) AS delivered_with_pixel,
        sum(sign * counted.delivered_with_links) AS delivered_with_links,
        if(
            {per:String} = 'domain',
            counted.domain,
            if(known.provider = '' OR sign < 0, 'Other domains', toString(known.provider))
        ) AS name
    FROM domains_counted(
        since = {since:DateTime64(3, 'UTC')},
        until = {until:DateTime64(3, 'UTC')},
        campaigns = {campaigns:Array(String)},
        senders = {senders:Array(String)}
    ) AS counted
    LEFT JOIN (SELECT domain, provider FROM providers FINAL) AS known ON known.domain = counted.domain
    ARRAY JOIN if({per:String} = 'provider' AND counted.by = 'domain', [1, -1], [1])::Array(Int8) AS sign
    WHERE (counted.by != 'variant' AND counted.place IN (SELECT arrayJoin({places:Array(UInt64)})))
        OR ({per:String} = 'provider' AND counted.by != 'domain')
    GROUP BY name
)
WHERE sent > 0

-- view: by_provider
-- Counts and rates of the emails sent in the period, for each mailbox provider of their recipients, the largest first.
-- `refusal_rate` is the share, of sent, that bounced in any way.
-- `Other domains` are those of which only the MX tells who hosts them.
SELECT
    provider_name,
    if(
        provider_name = 'Other domains',
        (
            SELECT uniqExactArray(places)
            FROM domain_sizes_counted(
                since = {since:DateTime64(3, 'UTC')},
                until = {until:DateTime64(3, 'UTC')},
                campaigns = {campaigns:Array(String)},
                senders = {senders:Array(String)}
            )
        ) - sum(named) OVER (),
        named
    ) AS domains,
    results.* EXCEPT (name, provider_name),
    1 - delivery_rate AS refusal_rate
FROM domain_results(
    per = 'provider',
    places = (SELECT groupUniqArray(cityHash64(domain)) FROM providers),
    since = {since:DateTime64(3, 'UTC')},
    until = {until:DateTime64(3, 'UTC')},
    campaigns = {campaigns:Array(String)},
    senders = {senders:Array(String)}
) AS results
ORDER BY sent DESC, provider_name
LIMIT 100

-- view: refusals_by_provider
-- The share of the emails sent in the period to each mailbox provider that bounced in any way, the largest first.
SELECT provider_name, sent, refusal_rate
FROM by_provider(
    since = {since:DateTime64(3, 'UTC')},
    until = {until:DateTime64(3, 'UTC')},
    campaigns = {campaigns:Array(String)},
    senders = {senders:Array(String)}
)
ORDER BY refusal_rate DESC, provider_name

-- view: by_domain
-- Counts and rates of the emails sent in the period, for each domain of their recipients, the largest first.
SELECT
    if(name = '', 'not known', name) AS domain_name,
    results.* EXCEPT (name, named)
FROM domain_results(
    per = 'domain',
    places = (
        -- Where more than 50 are among the largest, all of them, for their names to decide.
        SELECT groupArray(place)
        FROM
        (
            SELECT place
            FROM domain_sizes_counted(
                since = {since:DateTime64(3, 'UTC')},
                until = {until:DateTime64(3, 'UTC')},
                campaigns = {campaigns:Array(String)},
                senders = {senders:Array(String)}
            )
            ARRAY JOIN places AS place, sizes AS size
            GROUP BY place
            ORDER BY sum(size) DESC
            LIMIT 50 WITH TIES
        )
    ),
    since = {since:DateTime64(3, 'UTC')},
    until = {until:DateTime64(3, 'UTC')},
    campaigns = {campaigns:Array(String)},
    senders = {senders:Array(String)}
) AS results
ORDER BY sent DESC, domain_name
LIMIT 50

-- view: met_bounces
-- Of the emails sent in these hours of the period that bounced, a row for each email and class, by the first bounce that it
-- met of the class. The class is as headline counts it: hard, soft (and unknown), or block.
WITH bounced AS
(
    SELECT campaign, slot, lower(recipient_domain) AS domain, delivery_id
    FROM emails FINAL
    WHERE slot IN {hours:Array(DateTime('UTC'))} AND slot = toStartOfHour(assumeNotNull(sent_at)) AND NOT delivered
        AND sent_at >= {since:DateTime64(3, 'UTC')} AND sent_at < {until:DateTime64(3, 'UTC')}
        AND (empty({campaigns:Array(String)}) OR has({campaigns:Array(String)}, campaign))
        AND (empty({senders:Array(String)}) OR has({senders:Array(String)}, sender))
)
SELECT
    campaign,
    slot,
    domain,
    delivery_id,
    class,
    category,
    status,
    words
FROM
(
    SELECT
        delivery_id,
        multiIf(bounce_class = 'hard', 'hard', bounce_class = 'block', 'block', 'soft') AS class,
        toString(argMin(rare_events.category, (at, id))) AS category,
        toString(argMin(rare_events.status, (at, id))) AS status,
        argMin(rare_events.words, (at, id)) AS words
    FROM rare_events
    WHERE kind = 'bounce' AND (campaign, delivery_id) IN (SELECT campaign, delivery_id FROM bounced)
    GROUP BY delivery_id, class
) AS met
INNER JOIN bounced USING (delivery_id)

-- view: bounces_counted
-- The emails sent in the period that bounced, as counts, of which there may be many rows; add them up. Each email once for
-- each class. `words` is what the server said of the email `delivery_id`, an example.
WITH
    (
        SELECT groupUniqArray(rollup)
        FROM chosen_rollups(
            of = 'email',
            grains = if(empty({senders:Array(String)}), ['wide', 'hour'], []),
            begin = {since:DateTime64(3, 'UTC')},
            since = {since:DateTime64(3, 'UTC')},
            until = {until:DateTime64(3, 'UTC')},
            unit = 'day',
            timezone = 'UTC',
            piece = 3600
        )
    ) AS rollups
SELECT
    class,
    category,
    status,
    domain,
    emails,
    delivery_id,
    words
FROM bounce_counts FINAL
WHERE (grain, slot, version) IN (SELECT arrayJoin(rollups))
    AND slot >= toStartOfDay({since:DateTime64(3, 'UTC')}) AND slot < {until:DateTime64(3, 'UTC')}
    AND (notEmpty({campaigns:Array(String)}) OR campaign = '')
    AND (empty({campaigns:Array(String)}) OR has({campaigns:Array(String)}, campaign))
UNION ALL
SELECT
    class,
    category,
    status,
    domain,
    1 AS emails,
    delivery_id,
    words
FROM met_bounces(
    hours = (
        SELECT groupArray(rollup.2) FROM (SELECT arrayJoin(rollups) AS rollup) WHERE rollup.1 = 'raw'
    ),
    since = {since:DateTime64(3, 'UTC')},
    until = {until:DateTime64(3, 'UTC')},
    campaigns = {campaigns:Array(String)},
    senders = {senders:Array(String)}
)

-- view: bounces_by_category
-- Emails sent in the period that bounced, by what was wrong, once for each class; the classes add up to the headline's.
-- `share` is of all emails sent.
SELECT
    if(category = '', 'not said', category) AS wrong,
    sumIf(counted.emails, class = 'hard') AS hard,
    sumIf(counted.emails, class = 'soft') AS soft,
    sumIf(counted.emails, class = 'block') AS blocked,
    sum(counted.emails) AS emails,
    emails / nullIf((
        SELECT sum(arraySum(sizes))
        FROM domain_sizes_counted(
            since = {since:DateTime64(3, 'UTC')},
            until = {until:DateTime64(3, 'UTC')},
            campaigns = {campaigns:Array(String)},
            senders = {senders:Array(String)}
        )
    ), 0) AS share
FROM bounces_counted(
    since = {since:DateTime64(3, 'UTC')},
    until = {until:DateTime64(3, 'UTC')},
    campaigns = {campaigns:Array(String)},
    senders = {senders:Array(String)}
) AS counted
GROUP BY wrong
ORDER BY emails DESC, wrong
LIMIT 50

-- view: bounces_by_provider
-- What mail servers said of the emails sent in the period that bounced, by the recipients' provider, class, category and
-- status: each email once for each class. `share` is of the emails sent to that provider; `words` is an example.
SELECT
    bounces.provider_name AS provider_name,
    class,
    wrong,
    status,
    emails,
    emails / sent AS share,
    words
FROM
(
    SELECT
        if(known.provider = '', 'Other domains', toString(known.provider)) AS provider_name,
        class,
        if(category = '', 'not said', category) AS wrong,
        status,
        sum(counted.emails) AS emails,
        argMin(counted.words, counted.delivery_id) AS words
    FROM bounces_counted(
        since = {since:DateTime64(3, 'UTC')},
        until = {until:DateTime64(3, 'UTC')},
        campaigns = {campaigns:Array(String)},
        senders = {senders:Array(String)}
    ) AS counted
    LEFT JOIN (SELECT domain, provider FROM providers FINAL) AS known ON known.domain = counted.domain
    GROUP BY provider_name, class, wrong, status
) AS bounces
INNER JOIN
(
    SELECT provider_name, sent
    FROM domain_results(
        per = 'provider',
        places = (SELECT groupUniqArray(cityHash64(domain)) FROM providers),
        since = {since:DateTime64(3, 'UTC')},
        until = {until:DateTime64(3, 'UTC')},
        campaigns = {campaigns:Array(String)},
        senders = {senders:Array(String)}
    )
) AS results ON results.provider_name = bounces.provider_name
ORDER BY emails DESC, provider_name, class, wrong, status
LIMIT 100

-- view: delivery_headline
-- Counts and rates of the emails sent in the period, and of those sent in the period of equal length before it, of the
-- campaigns and by the senders chosen. Always two rows: `period` 0 is the one before, 1 is the one asked for.
SELECT
    * EXCEPT (time, campaign, step, variant, key),
    hard_bounced + soft_bounced + blocked AS refusals
FROM results(
    by = 'sender',
    per = ['period'],
    grains = ['day', 'hour'],
    together = 1,
    begin = subtractMilliseconds(
        {since:DateTime64(3, 'UTC')}, dateDiff('millisecond', {since:DateTime64(3, 'UTC')}, {until:DateTime64(3, 'UTC')})
    ),
    since = {since:DateTime64(3, 'UTC')},
    until = {until:DateTime64(3, 'UTC')},
    campaigns = {campaigns:Array(String)},
    steps = [],
    senders = {senders:Array(String)},
    unit = 'day',
    timezone = 'UTC'
)
ORDER BY period WITH FILL FROM 0 TO 2

-- view: delivery_over_time
-- Rates of the emails sent in each hour (ranges up to 3 days) or day of {timezone}, whenever they bounced: bounces of
-- sent, complaints of delivered. Unknown where nothing was sent.
SELECT
    time,
    sum(counted.sent) AS sent,
    any(counted.hard_bounce_rate) AS hard_bounce_rate,
    any(counted.soft_bounce_rate) AS soft_bounce_rate,
    any(counted.block_rate) AS block_rate,
    any(counted.complaint_rate) AS complaint_rate
FROM
(
    SELECT time, sent, hard_bounce_rate, soft_bounce_rate, block_rate, complaint_rate
    FROM results(
        by = 'sender',
        per = ['time'],
        grains = ['day', 'hour'],
        together = 1,
        begin = {since:DateTime64(3, 'UTC')},
        since = {since:DateTime64(3, 'UTC')},
        until = {until:DateTime64(3, 'UTC')},
        campaigns = {campaigns:Array(String)},
        steps = [],
        senders = {senders:Array(String)},
        unit = if(dateDiff('second', {since:DateTime64(3, 'UTC')}, {until:DateTime64(3, 'UTC')}) <= 259200, 'hour', 'day'),
        timezone = {timezone:String}
    )
    UNION ALL
    SELECT time, 0, NULL, NULL, NULL, NULL
    FROM times(
        since = {since:DateTime64(3, 'UTC')},
        until = {until:DateTime64(3, 'UTC')},
        unit = if(dateDiff('second', {since:DateTime64(3, 'UTC')}, {until:DateTime64(3, 'UTC')}) <= 259200, 'hour', 'day'),
        timezone = {timezone:String}
    )
) AS counted
GROUP BY time
ORDER BY time

-- view: list_health
-- What the list lost in each day (of periods over half a year: each week, from Monday) of {timezone}, at the time that it
-- happened, whenever the email was sent: emails unsubscribed from, refused for good and reported as spam, each once, and
-- what operators suppressed by hand or by an import, whatever the campaign: leads, addresses and domains that are still on
-- the list. Beside them `sent`. Counts, without a denominator.
SELECT
    if(
        dateDiff('day', {since:DateTime64(3, 'UTC')}, {until:DateTime64(3, 'UTC')}) > 183,
        toDateTime(dateTrunc('week', lost.time, {timezone:String}), {timezone:String}),
        lost.time
    ) AS time,
    sum(lost.sent) AS sent,
    sum(lost.unsubscribed) AS unsubscribed,
    sum(lost.hard_bounced) AS hard_bounced,
    sum(lost.complained) AS complained,
    sum(lost.suppressed) AS suppressed
FROM
(
    SELECT time, sent, unsubscribed, 0 AS hard_bounced, 0 AS complained, 0 AS suppressed
    FROM happened_counted(
        since = {since:DateTime64(3, 'UTC')},
        until = {until:DateTime64(3, 'UTC')},
        campaigns = {campaigns:Array(String)},
        unit = 'day',
        timezone = {timezone:String}
    )
    UNION ALL
    SELECT time, 0, 0, 0, 0, 0
    FROM times(
        since = {since:DateTime64(3, 'UTC')},
        until = {until:DateTime64(3, 'UTC')},
        unit = 'day',
        timezone = {timezone:String}
    )
    UNION ALL
    SELECT toDateTime(dateTrunc('day', first, {timezone:String}), {timezone:String}), 0, 0, kind = 'bounce', kind = 'complaint', 0
    FROM
    (
        SELECT kind, delivery_id, min(at) AS first
        FROM rare_events
        WHERE (kind = 'complaint' OR kind = 'bounce' AND bounce_class = 'hard')
            AND (empty({campaigns:Array(String)}) OR has({campaigns:Array(String)}, campaign))
            AND (kind, delivery_id) IN (
                SELECT kind, delivery_id
                FROM rare_events
                WHERE kind IN ('bounce', 'complaint')
                    AND at >= {since:DateTime64(3, 'UTC')} AND at < {until:DateTime64(3, 'UTC')}
            )
        GROUP BY kind, delivery_id
    )
    WHERE first >= {since:DateTime64(3, 'UTC')} AND first < {until:DateTime64(3, 'UTC')}
    UNION ALL
    SELECT toDateTime(dateTrunc('day', at, {timezone:String}), {timezone:String}), 0, 0, 0, 0, 1
    FROM lead_facts FINAL
    WHERE holds AND of IN ('lead', 'address', 'domain')
        -- Other sources are of events, which are counted above.
        AND (
            fact = 'suppressed'
            OR source NOT IN ('', 'bounce', 'complaint', 'reply', 'page', 'one-click', 'mail', 'provider')
        )
        AND at >= {since:DateTime64(3, 'UTC')} AND at < {until:DateTime64(3, 'UTC')}
) AS lost
GROUP BY time
ORDER BY time

-- view: sender_health_over_time
-- Health (see health.sql) at the end of each day of {timezone}, of the senders of the emails sent in the period: the
-- lowest, the middle and the highest of them; `lowest_of` is who has the lowest, the first by name of several. As it follows from what is known now: an email that was taken and came
-- back later counts where it came back. All of a sender's emails count, whatever the campaign.
SELECT
    toDateTime(day, {timezone:String}) AS time,
    min(health) AS lowest,
    quantileExactLow(0.5)(health) AS middle,
    max(health) AS highest,
    argMin(sender, (health, sender)) AS lowest_of,
    count() AS senders
FROM health_by_day(
    since = {since:DateTime64(3, 'UTC')},
    until = {until:DateTime64(3, 'UTC')},
    timezone = {timezone:String}
)
WHERE sender IN
(
    SELECT key
    FROM emails_counted(
        by = 'sender',
        grains = ['day', 'hour'],
        together = 1,
        begin = {since:DateTime64(3, 'UTC')},
        since = {since:DateTime64(3, 'UTC')},
        until = {until:DateTime64(3, 'UTC')},
        campaigns = {campaigns:Array(String)},
        unit = 'day',
        timezone = 'UTC'
    )
    WHERE empty({senders:Array(String)}) OR has({senders:Array(String)}, key)
)
GROUP BY day
ORDER BY day

-- view: senders_in_period
-- Each sender of the emails sent in the period: its health at the end of the period and the lowest at the end of a day
-- of it (see sender_health_over_time), and what became of these emails. Bounces are shares of sent.
SELECT
    key AS sender,
    if(is_folded, end_health, 100) AS health,
    if(is_folded, lowest_health, 100) AS lowest,
    sent,
    delivered,
    delivery_rate,
    hard_bounce_rate,
    soft_bounce_rate,
    block_rate,
    complaint_rate
FROM results(
    by = 'sender',
    per = ['key'],
    grains = ['day', 'hour'],
    together = 1,
    begin = {since:DateTime64(3, 'UTC')},
    since = {since:DateTime64(3, 'UTC')},
    until = {until:DateTime64(3, 'UTC')},
    campaigns = {campaigns:Array(String)},
    steps = [],
    senders = {senders:Array(String)},
    unit = 'day',
    timezone = 'UTC'
) AS results
LEFT JOIN
(
    SELECT sender, argMax(health, day) AS end_health, min(health) AS lowest_health, true AS is_folded
    FROM health_by_day(
        since = {since:DateTime64(3, 'UTC')},
        until = {until:DateTime64(3, 'UTC')},
        timezone = {timezone:String}
    )
    WHERE empty({senders:Array(String)}) OR has({senders:Array(String)}, sender)
    GROUP BY sender
) AS healths ON healths.sender = key
ORDER BY health, sent DESC, sender
LIMIT 200

-- view: pause_list
-- Each time that a campaign stood still in the period, if only for a part of it: since when, why, and when it was
-- resumed; of the campaigns chosen, whoever their senders are. `seconds` until it was resumed, or until the period's end.
SELECT
    paused.campaign AS campaign_id,
    if(known.name = '', paused.campaign, known.name) AS campaign_name,
    paused.at AS paused_at,
    resumed.resumed_at AS resumed_at,
    if(resumed_at IS NULL, 'Paused', 'Resumed') AS state,
    multiIf(reason = 'bounces', 'too many hard bounces', reason = 'operator', 'by an operator', toString(reason)) AS why,
    detail,
    dateDiff('second', paused_at, ifNull(resumed_at, {until:DateTime64(3, 'UTC')})) AS seconds
FROM (SELECT campaign, at, reason, detail FROM rare_events FINAL WHERE kind = 'campaign_paused') AS paused
ASOF LEFT JOIN
(
    SELECT campaign, at, toNullable(at) AS resumed_at
    FROM rare_events FINAL
    WHERE kind = 'campaign_resumed'
) AS resumed ON resumed.campaign = paused.campaign AND resumed.at >= paused.at
LEFT JOIN (SELECT id, name FROM campaigns FINAL) AS known ON known.id = paused.campaign
WHERE paused_at < {until:DateTime64(3, 'UTC')} AND (resumed_at IS NULL OR resumed_at >= {since:DateTime64(3, 'UTC')})
    AND (empty({campaigns:Array(String)}) OR has({campaigns:Array(String)}, paused.campaign))
ORDER BY paused_at DESC, campaign_id
LIMIT 200

-- view: put_off
-- The answers of "not now" that came in the period, a row each.
SELECT *, words
FROM rare_events FINAL
WHERE kind = 'deferred' AND at >= {since:DateTime64(3, 'UTC')} AND at < {until:DateTime64(3, 'UTC')}
    AND (empty({campaigns:Array(String)}) OR has({campaigns:Array(String)}, campaign))
    AND (empty({senders:Array(String)}) OR has({senders:Array(String)}, sender))

-- view: deferrals
-- Answers of "not now" that came in the period, by their status: how many, to how many emails, and of these how many were
-- sent since and how many wait still. `words` is the newest. Counts of what happened, without a denominator.
SELECT
    if(status = '', 'not said', toString(status)) AS said,
    count() AS deferrals,
    uniqExact(delivery_id) AS emails,
    uniqExactIf(delivery_id, delivery_id IN (
        SELECT delivery_id
        FROM outcomes
        WHERE sent_at IS NOT NULL AND (campaign, delivery_id) IN (
            SELECT campaign, delivery_id
            FROM put_off(
                since = {since:DateTime64(3, 'UTC')},
                until = {until:DateTime64(3, 'UTC')},
                campaigns = {campaigns:Array(String)},
                senders = {senders:Array(String)}
            )
        )
    )) AS sent_since,
    uniqExactIf(delivery_id, delivery_id IN (SELECT delivery_id FROM emails_waiting())) AS waiting_still,
    argMax(deferred.words, (at, id)) AS words,
    max(at) AS last_at
FROM put_off(
    since = {since:DateTime64(3, 'UTC')},
    until = {until:DateTime64(3, 'UTC')},
    campaigns = {campaigns:Array(String)},
    senders = {senders:Array(String)}
) AS deferred
GROUP BY said
ORDER BY emails DESC, deferrals DESC, said
LIMIT 50

-- view: waiting_by_state
-- Emails that wait now, whatever the period, by why: since when the longest does, and when the next is due. Always five
-- rows. Counts, without a denominator.
SELECT
    ['deferred', 'away', 'over-limit', 'again', 'unanswered'][row] AS state,
    [
        'Put off by the server', 'Server not reached', 'Account over its limit', 'To be sent again', 'No answer: decide'
    ][row] AS why,
    countIf(is_email) AS emails,
    minIf(toNullable(first_at), is_email) AS oldest,
    minIf(toNullable(due_at), is_email AND state != 'unanswered') AS next_due
FROM
(
    SELECT
        indexOf(['deferred', 'away', 'over-limit', 'again', 'unanswered'], toString(state)) AS row,
        first_at,
        due_at,
        true AS is_email
    FROM emails_waiting()
    WHERE (empty({campaigns:Array(String)}) OR has({campaigns:Array(String)}, campaign))
        AND (empty({senders:Array(String)}) OR has({senders:Array(String)}, sender))
    UNION ALL
    SELECT number + 1, NULL, NULL, false
    FROM numbers(5)
)
GROUP BY row
ORDER BY row

-- view: waiting_list
-- The emails that wait now, whatever the period, those that wait longest first, at most 100; `total` says how many there
-- are. An unanswered one is never due by itself.
SELECT
    toString(delivery_id) AS email,
    lead,
    campaign AS campaign_id,
    if(known.name = '', campaign, known.name) AS campaign_name,
    step,
    sender,
    state,
    attempt AS attempts,
    first_at,
    if(state = 'unanswered', NULL, due_at) AS next_due,
    count() OVER () AS total
FROM emails_waiting() AS waiting
LEFT JOIN (SELECT id, name FROM campaigns FINAL) AS known ON known.id = waiting.campaign
WHERE (empty({campaigns:Array(String)}) OR has({campaigns:Array(String)}, campaign))
    AND (empty({senders:Array(String)}) OR has({senders:Array(String)}, sender))
ORDER BY state = 'unanswered' DESC, first_at, email
LIMIT 100
