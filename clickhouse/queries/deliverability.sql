-- What mail servers said of the emails sent in a period, and what waits to be said. An email counts once.

-- fragment: period_of_senders
-- As `period`, and senders: none chosen means all.
-- include: period
, {senders:Array(String)} AS chosen_senders

-- fragment: cohort_of_senders
-- The cohort: emails sent in the period, of the campaigns and by the senders chosen.
-- include: cohort
AND (empty(chosen_senders) OR has(chosen_senders, sender))

-- fragment: known_providers
-- Who runs the mailboxes of a domain. A company's own domain is not among them: only its MX tells who hosts it.
(SELECT domain, provider FROM providers FINAL)

-- fragment: held_by_domain
-- Counts by domains hold for all senders alone: with senders chosen, every email of the period is read row by row, which
-- takes seconds for millions of them.
(one, next) -> empty(chosen_senders) AND one >= begin AND next <= until AS whole,
'wide' AS grain_of_days,
-- include: held_slots

-- fragment: raw_of_senders
-- Emails of the period that are read row by row.
-- include: raw_emails
AND sent_at >= begin AND sent_at < until AND (empty(chosen_senders) OR has(chosen_senders, sender))

-- fragment: has_bounced
(hard_bounced_at IS NOT NULL OR soft_bounced_at IS NOT NULL OR blocked_at IS NOT NULL)

-- fragment: bounces_met
-- Of the emails `bounced`, a row for each email and class, by the first bounce that it met of the class. The class is as
-- headline counts it: hard, soft (and unknown), or block.
(
    SELECT
        campaign,
        slot,
        domain,
        delivery_id AS email,
        class,
        category,
        status,
        -- include: words_of_server
        AS said
    FROM
    (
        SELECT
            delivery_id,
            multiIf(bounce_class = 'hard', 'hard', bounce_class = 'block', 'block', 'soft') AS class,
            toString(argMin(rare_events.category, (at, id))) AS category,
            toString(argMin(rare_events.status, (at, id))) AS status,
            argMin(rare_events.diagnostic, (at, id)) AS diagnostic
        FROM rare_events
        WHERE kind = 'bounce' AND (campaign, delivery_id) IN (SELECT campaign, delivery_id FROM bounced)
        GROUP BY delivery_id, class
    ) AS met
    INNER JOIN bounced USING (delivery_id)
)

-- fragment: bounce_counts_of
count() AS emails,
min(email) AS delivery_id,
argMin(said, email) AS words

-- fragment: counted_bounces
-- The emails sent in the period that bounced, as counts: of each class, category, status and domain maybe many rows.
SELECT class, category, status, domain, emails, delivery_id, words
FROM bounce_counts FINAL
WHERE
    -- include: held_emails
    AND
    -- include: of_levels
UNION ALL
SELECT
    class,
    category,
    status,
    domain,
    -- include: bounce_counts_of
FROM
-- include: bounces_met
GROUP BY class, category, status, domain

-- fragment: bounced_raw
bounced AS
(
    SELECT campaign, slot, lower(recipient_domain) AS domain, delivery_id
    FROM v_sent
    WHERE
        -- include: raw_of_senders
        AND
        -- include: has_bounced
)

-- fragment: counted_by_known_domain
-- The emails sent in the period, as counts that add up, of each provider: what is not known is all without what is, so
-- that a company's own domain costs nothing. `place` is of a domain that is known.
SELECT
    if(known.provider = '' OR sign < 0, 'Other domains', toString(known.provider)) AS provider_name,
    if(provider = '' OR sign < 0, NULL, counted.place) AS place,
    sign * toInt64(counted.sent) AS sent,
    sign * toInt64(counted.hard_bounced) AS hard_bounced,
    sign * toInt64(counted.soft_bounced) AS soft_bounced,
    sign * toInt64(counted.blocked) AS blocked,
    sign * toInt64(counted.delivered) AS delivered,
    sign * toInt64(counted.opened) AS opened,
    sign * toInt64(counted.raw_opened) AS raw_opened,
    sign * toInt64(counted.machine_opened) AS machine_opened,
    sign * toInt64(counted.clicked) AS clicked,
    sign * toInt64(counted.raw_clicked) AS raw_clicked,
    sign * toInt64(counted.unsubscribed) AS unsubscribed,
    sign * toInt64(counted.replied) AS replied,
    sign * toInt64(counted.raw_replied) AS raw_replied,
    sign * toInt64(counted.complained) AS complained
FROM
(
    SELECT
        true AS is_known,
        domain,
        place,
        -- include: count_names
    FROM domain_counts FINAL
    WHERE
        -- include: held_emails
        AND
        -- include: of_levels
        AND place IN (SELECT cityHash64(domain) FROM providers) AND domain IN (SELECT domain FROM providers)
    UNION ALL
    SELECT
        false AS is_known,
        '' AS domain,
        0 AS place,
        -- include: count_names
    FROM domain_sizes FINAL
    WHERE
        -- include: held_emails
        AND
        -- include: of_levels
    UNION ALL
    SELECT
        false AS is_known,
        lower(recipient_domain) AS domain,
        cityHash64(domain) AS place,
        -- include: counts
    FROM v_sent
    WHERE
        -- include: raw_of_senders
    GROUP BY domain
) AS counted
LEFT JOIN
-- include: known_providers
AS known ON known.domain = counted.domain
ARRAY JOIN if(is_known, [1, -1], [1])::Array(Int8) AS sign

-- fragment: words_of_server
-- What a mail server said, without the addresses in it and short enough for a table.
left(replaceRegexpAll(diagnostic, '[^\\s<>"\'(),;:]+@[^\\s<>"\'(),;:]+', '…'), 160)

-- name: delivery_headline
-- Counts and rates of the emails sent in the period, and of those sent in the period of equal length before it, of the
-- campaigns and by the senders chosen. Always two rows: `period` 0 is the one before, 1 is the one asked for.
WITH
    -- include: period_and_before
    , {senders:Array(String)} AS chosen_senders
    ,
    -- include: all_together
    ,
    -- include: held
SELECT
    period,
    -- include: count_sums
    ,
    hard_bounced + soft_bounced + blocked AS refusals,
    -- include: rates
FROM
(
    -- include: counted_by_sender
) AS counted
WHERE empty(chosen_senders) OR has(chosen_senders, sender)
GROUP BY period
ORDER BY period WITH FILL FROM 0 TO 2

-- name: delivery_over_time
-- Rates of the emails sent in each hour (ranges up to 3 days) or day of {timezone}, whenever they bounced: bounces of
-- sent, complaints of delivered. Unknown where nothing was sent.
WITH
    -- include: period_of_senders
    , {timezone:String} AS timezone
    -- include: hour_or_day
    ,
    -- include: all_together
    ,
    -- include: held_of_times
SELECT
    time,
    sum(emails) AS sent,
    any(hard) AS hard_bounce_rate,
    any(soft) AS soft_bounce_rate,
    any(block) AS block_rate,
    any(complaint) AS complaint_rate
FROM
(
    SELECT
        time,
        sent AS emails,
        hard_bounce_rate AS hard,
        soft_bounce_rate AS soft,
        block_rate AS block,
        complaint_rate AS complaint
    FROM
    (
        SELECT
            time,
            -- include: count_sums
            ,
            -- include: rates
        FROM
        (
            -- include: counted_by_sender_and_time
        ) AS counted
        WHERE empty(chosen_senders) OR has(chosen_senders, sender)
        GROUP BY time
    )
    UNION ALL
    SELECT time, 0, NULL, NULL, NULL, NULL
    FROM
    -- include: hours_or_days
)
GROUP BY time
ORDER BY time

-- name: by_provider
-- Counts and rates of the emails sent in the period, for each mailbox provider of their recipients, the largest first.
-- `refusal_rate` is the share, of sent, that bounced in any way.
-- `Other domains` are those of which only the MX tells who hosts them.
WITH
    -- include: period_of_senders
    ,
    -- include: all_together
    ,
    -- include: held_by_domain
    ,
    (
        SELECT uniqExactArray(places)
        FROM
        (
            SELECT places
            FROM domain_sizes FINAL
            WHERE
                -- include: held_emails
                AND
                -- include: of_levels
            UNION ALL
            SELECT groupUniqArray(cityHash64(lower(recipient_domain)))
            FROM v_sent
            WHERE
                -- include: raw_of_senders
        )
    ) AS all_domains
SELECT
    provider_name,
    uniqExact(place) AS named,
    if(provider_name = 'Other domains', all_domains - (sum(named) OVER () - named), named) AS domains,
    -- include: count_sums
    ,
    -- include: rates
    , 1 - delivery_rate AS refusal_rate
FROM
(
    -- include: counted_by_known_domain
) AS counted
GROUP BY provider_name
HAVING sent > 0
ORDER BY sent DESC, provider_name
LIMIT 100

-- name: by_domain
-- Counts and rates of the emails sent in the period, for each domain of their recipients, the largest first.
WITH
    -- include: period_of_senders
    ,
    -- include: all_together
    ,
    -- include: held_by_domain
    ,
    -- Where more than 50 are among the largest, all of them, for their names to decide.
    (
        SELECT groupArray(place)
        FROM
        (
            SELECT place
            FROM
            (
                SELECT place, size
                FROM
                (
                    SELECT places, sizes
                    FROM domain_sizes FINAL
                    WHERE
                        -- include: held_emails
                        AND
                        -- include: of_levels
                )
                ARRAY JOIN places AS place, sizes AS size
                UNION ALL
                SELECT cityHash64(lower(recipient_domain)) AS place, count() AS size
                FROM v_sent
                WHERE
                    -- include: raw_of_senders
                GROUP BY place
            )
            GROUP BY place
            ORDER BY sum(size) DESC
            LIMIT 50 WITH TIES
        )
    ) AS largest
SELECT
    if(counted.domain = '', 'not known', counted.domain) AS domain_name,
    if(any(known.provider) = '', 'Other domains', toString(any(known.provider))) AS provider_name,
    -- include: count_sums
    ,
    -- include: rates
FROM
(
    SELECT
        domain,
        -- include: count_names
    FROM domain_counts FINAL
    WHERE
        -- include: held_emails
        AND
        -- include: of_levels
        AND place IN (SELECT arrayJoin(largest))
    UNION ALL
    SELECT
        lower(recipient_domain) AS domain,
        -- include: counts
    FROM v_sent
    WHERE
        -- include: raw_of_senders
        AND cityHash64(domain) IN (SELECT arrayJoin(largest))
    GROUP BY domain
) AS counted
LEFT JOIN
-- include: known_providers
AS known ON known.domain = counted.domain
GROUP BY domain_name
ORDER BY sent DESC, domain_name
LIMIT 50

-- name: bounces_by_category
-- Emails sent in the period that bounced, by what was wrong, once for each class; the classes add up to the headline's.
-- `share` is of all emails sent.
WITH
    -- include: period_of_senders
    ,
    -- include: all_together
    ,
    -- include: held_by_domain
    ,
    -- include: bounced_raw
SELECT
    if(category = '', 'not said', category) AS wrong,
    sumIf(counted.emails, class = 'hard') AS hard,
    sumIf(counted.emails, class = 'soft') AS soft,
    sumIf(counted.emails, class = 'block') AS blocked,
    sum(counted.emails) AS emails,
    emails / nullIf((
        SELECT sum(sent)
        FROM
        (
            SELECT sent
            FROM domain_sizes FINAL
            WHERE
                -- include: held_emails
                AND
                -- include: of_levels
            UNION ALL
            SELECT count()
            FROM v_sent
            WHERE
                -- include: raw_of_senders
        )
    ), 0) AS share
FROM
(
    -- include: counted_bounces
) AS counted
GROUP BY wrong
ORDER BY emails DESC, wrong
LIMIT 50

-- name: bounces_by_provider
-- What mail servers said of the emails sent in the period that bounced, by the recipients' provider, class, category and
-- status: each email once for each class. `share` is of the emails sent to that provider; `words` is an example.
WITH
    -- include: period_of_senders
    ,
    -- include: all_together
    ,
    -- include: held_by_domain
    ,
    -- include: bounced_raw
SELECT
    bounces.provider_name AS provider_name,
    class,
    wrong,
    status,
    emails,
    emails / sent_to_provider AS share,
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
    FROM
    (
        -- include: counted_bounces
    ) AS counted
    LEFT JOIN
    -- include: known_providers
    AS known ON known.domain = counted.domain
    GROUP BY provider_name, class, wrong, status
) AS bounces
INNER JOIN
(
    SELECT provider_name, sum(sent) AS sent_to_provider
    FROM
    (
        -- include: counted_by_known_domain
    )
    GROUP BY provider_name
) AS sent_to ON sent_to.provider_name = bounces.provider_name
ORDER BY emails DESC, provider_name, class, wrong, status
LIMIT 100

-- name: sender_health_over_time
-- Health (see `healths`) at the end of each day of {timezone}, of the senders of the emails sent in the period: the
-- lowest, the middle and the highest of them. As it follows from what is known now: an email that was taken and came
-- back later counts where it came back. All of a sender's emails count, whatever the campaign.
WITH
    -- include: period_of_senders
    ,
    -- include: all_together
    ,
    -- include: held
    , {timezone:String} AS timezone
SELECT
    toDateTime(day, timezone) AS time,
    min(health) AS lowest,
    quantileExactLow(0.5)(health) AS middle,
    max(health) AS highest,
    count() AS senders
FROM
-- include: health_days
WHERE sender IN
(
    -- include: senders_of_period
)
GROUP BY day
ORDER BY day

-- name: senders_in_period
-- Each sender of the emails sent in the period: its health at the end of the period and the lowest at the end of a day
-- of it (see sender_health_over_time), and what became of these emails. Bounces are shares of sent.
WITH
    -- include: period_of_senders
    ,
    -- include: all_together
    ,
    -- include: held
    , {timezone:String} AS timezone
SELECT
    sender,
    if(is_folded, end_health, 100) AS health,
    if(is_folded, lowest_health, 100) AS lowest,
    sent,
    delivered,
    delivery_rate,
    hard_bounce_rate,
    soft_bounce_rate,
    block_rate,
    complaint_rate
FROM
(
    SELECT
        sender,
        -- include: count_sums
        ,
        -- include: rates
    FROM
    (
        -- include: counted_by_sender
    ) AS counted
    WHERE empty(chosen_senders) OR has(chosen_senders, sender)
    GROUP BY sender
) AS counted
LEFT JOIN
(
    SELECT sender, argMax(health, day) AS end_health, min(health) AS lowest_health, true AS is_folded
    FROM
    -- include: health_days
    GROUP BY sender
) AS healths USING (sender)
ORDER BY health, sent DESC, sender
LIMIT 200

-- fragment: pauses_of_campaigns
-- Each time that a campaign was paused, and when it was resumed after that, NULL when it still is paused.
(
    SELECT
        paused.campaign AS campaign,
        paused.at AS paused_at,
        arrayMin(arrayFilter(moment -> moment >= paused_at, resumed.moments)) AS first_after,
        if(first_after < paused_at, NULL, first_after) AS resumed_at,
        paused.reason AS reason,
        paused.detail AS detail
    FROM (SELECT * FROM rare_events FINAL WHERE kind = 'campaign_paused') AS paused
    LEFT JOIN
    (
        SELECT campaign, groupArray(at) AS moments
        FROM rare_events FINAL
        WHERE kind = 'campaign_resumed'
        GROUP BY campaign
    ) AS resumed ON resumed.campaign = paused.campaign
    WHERE empty({campaigns:Array(String)}) OR has({campaigns:Array(String)}, paused.campaign)
)

-- name: pause_list
-- Each time that a campaign stood still in the period, if only for a part of it: since when, why, and when it was
-- resumed; of the campaigns chosen, whoever their senders are. `seconds` until it was resumed, or until the period's end.
WITH
    {since:DateTime64(3, 'UTC')} AS since,
    {until:DateTime64(3, 'UTC')} AS until
SELECT
    campaign AS campaign_id,
    if(known.name = '', campaign, known.name) AS campaign_name,
    paused_at,
    resumed_at,
    if(resumed_at IS NULL, 'Paused', 'Resumed') AS state,
    if(reason = 'bounces', 'too many hard bounces', if(reason = 'operator', 'by an operator', toString(reason))) AS why,
    detail,
    dateDiff('second', paused_at, ifNull(resumed_at, until)) AS seconds
FROM
-- include: pauses_of_campaigns
AS pauses
LEFT JOIN (SELECT id, name FROM campaigns FINAL) AS known ON known.id = pauses.campaign
WHERE paused_at < until AND (resumed_at IS NULL OR resumed_at >= since)
ORDER BY paused_at DESC, campaign_id
LIMIT 200

-- fragment: put_off
-- The answers of "not now" that came in the period.
FROM rare_events FINAL
WHERE kind = 'deferred' AND at >= since AND at < until AND
    -- include: of_chosen
    AND (empty(chosen_senders) OR has(chosen_senders, sender))

-- name: deferrals
-- Answers of "not now" that came in the period, by their status: how many, to how many emails, and of these how many were
-- sent since and how many wait still. `words` is the newest. Counts of what happened, without a denominator.
WITH
    -- include: period_of_senders
SELECT
    if(status = '', 'not said', toString(status)) AS said,
    count() AS deferrals,
    uniqExact(delivery_id) AS emails,
    uniqExactIf(delivery_id, delivery_id IN (
        SELECT delivery_id
        FROM outcomes
        WHERE sent_at IS NOT NULL AND (campaign, delivery_id) IN (
            SELECT campaign, delivery_id
            -- include: put_off
        )
    )) AS sent_since,
    uniqExactIf(delivery_id, delivery_id IN (
        SELECT delivery_id
        -- include: waiting_emails
    )) AS waiting_still,
    argMax(
        -- include: words_of_server
        , (at, id)
    ) AS words,
    max(at) AS last_at
-- include: put_off
GROUP BY said
ORDER BY emails DESC, deferrals DESC, said
LIMIT 50

-- name: waiting_by_state
-- Emails that wait now, whatever the period, by why: since when the longest does, and when the next is due. Always five
-- rows. Counts, without a denominator.
WITH
    -- include: period_of_senders
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
    FROM
    (
        SELECT *
        -- include: waiting_emails
    )
    WHERE
        -- include: of_chosen
        AND (empty(chosen_senders) OR has(chosen_senders, sender))
    UNION ALL
    SELECT number + 1, NULL, NULL, false
    FROM numbers(5)
)
GROUP BY row
ORDER BY row

-- name: waiting_list
-- The emails that wait now, whatever the period, those that wait longest first, at most 100; `total` says how many there
-- are. An unanswered one is never due by itself.
WITH
    -- include: period_of_senders
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
FROM
(
    SELECT *
    -- include: waiting_emails
) AS waiting
LEFT JOIN (SELECT id, name FROM campaigns FINAL) AS known ON known.id = waiting.campaign
WHERE
    -- include: of_chosen
    AND (empty(chosen_senders) OR has(chosen_senders, sender))
ORDER BY state = 'unanswered' DESC, first_at, email
LIMIT 100
