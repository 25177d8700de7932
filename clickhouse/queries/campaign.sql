-- One campaign, or a few: its steps and variants, links, replies and the limit of its bounces. Emails are those of the
-- cohort (emails.sql), of the steps chosen; whatever is counted of an email is counted whenever it happened.

-- fragment: cohort_of_steps
-- include: cohort
AND
-- include: of_steps

-- fragment: names
-- What campaigns are called.
SELECT id, name FROM campaigns FINAL

-- name: campaign_headline
-- Counts and rates of the emails sent in the period, and of those sent in the period of equal length before it. Always
-- two rows: `period` 0 is the one before, 1 is the one asked for. `bounce_limit` is the share of hard bounces, of
-- emails sent, beyond which the campaign is paused: the lowest where several are chosen, NULL where none is declared.
WITH
    -- include: period_and_before
    ,
    -- include: all_together
    ,
    -- include: held
SELECT
    *,
    (SELECT minOrNull(bounce_limit) FROM campaigns FINAL WHERE empty(chosen) OR has(chosen, id)) AS bounce_limit
FROM
(
    SELECT
        period,
        -- include: count_sums
        ,
        -- include: rates
    FROM
    (
        -- include: counted_emails
    ) AS counted
    WHERE
        -- include: of_steps
    GROUP BY period
    ORDER BY period WITH FILL FROM 0 TO 2
)
ORDER BY period

-- name: campaign_activity
-- As `activity`, of the steps chosen.
WITH
    -- include: period
    ,
    -- include: unit
    ,
    -- include: all_together
    ,
    -- include: held_of_quarters
SELECT
    time,
    -- include: first_sums
FROM
(
    SELECT *
    FROM
    (
        -- include: counted_firsts
    )
    WHERE
        -- include: of_steps
    UNION ALL
    -- include: quiet_times
) AS counted
GROUP BY time
ORDER BY time

-- name: by_variant
-- Counts and rates of the emails sent in the period, for each variant of each step of each campaign.
WITH
    -- include: period
    ,
    -- include: each_by_itself
    ,
    -- include: held
SELECT
    campaign AS campaign_id,
    if(any(known.name) = '', campaign, any(known.name)) AS campaign_name,
    step,
    concat('Step ', toString(step)) AS step_name,
    variant,
    -- include: count_sums
    ,
    -- include: rates
FROM
(
    -- include: counted_emails
) AS counted
LEFT JOIN
(
    -- include: names
) AS known ON known.id = campaign
WHERE
    -- include: of_steps
GROUP BY campaign, step, variant
HAVING sent > 0
ORDER BY campaign_name, campaign_id, step, variant
LIMIT 500

-- fragment: link_counts
-- Of a link: emails in which it was followed, and how often it was. `raw_` is by anybody, without it by a person.
uniqExactIf(delivery_id, verdict = 'human') AS clicked,
uniqExact(delivery_id) AS raw_clicked,
countIf(verdict = 'human') AS clicks,
count() AS raw_clicks

-- name: links
-- The links of the emails sent in the period that were followed, by whom the most people followed first. `clicked` are
-- emails in which a person followed the link, `clicks` how often people did; raw is by anybody. `click_rate` is
-- `clicked` of the emails of the campaign (and of the steps chosen) that were delivered, with the link or without.
WITH
    -- include: period
    ,
    -- include: each_by_itself
    ,
    -- include: held
SELECT
    followed.campaign AS campaign_id,
    if(known.name = '', followed.campaign, known.name) AS campaign_name,
    -- What no person ever followed and leads to our own /hidden is the link that stands in emails as a trap.
    multiIf(
        url = '', concat('Unknown link ', substring(link_id, 1, 12)),
        clicks = 0 AND endsWith(url, '/hidden'), 'Trap for robots, which no person sees',
        url
    ) AS link,
    link_id,
    clicked,
    raw_clicked,
    clicks,
    raw_clicks,
    clicked / nullIf(delivered, 0) AS click_rate,
    raw_clicked / nullIf(delivered, 0) AS raw_click_rate
FROM
(
    SELECT
        campaign,
        link_id,
        -- include: link_counts
    FROM judged_hits FINAL
    -- A click comes after its email was sent, but for a scanner's, which may be seconds sooner.
    WHERE kind = 'click' AND slot >= toStartOfHour(subtractDays(since, 1)) AND (empty(chosen) OR has(chosen, campaign))
    AND delivery_id IN
    (
        SELECT delivery_id
        FROM v_sent
        WHERE first_raw_click_at IS NOT NULL AND
            -- include: cohort_of_steps
    )
    GROUP BY campaign, link_id
) AS followed
LEFT JOIN
(
    SELECT campaign, delivered
    FROM
    (
        SELECT
            campaign,
            -- include: count_sums
        FROM
        (
            -- include: counted_emails
        ) AS counted
        WHERE
            -- include: of_steps
        GROUP BY campaign
    )
) AS emails ON emails.campaign = followed.campaign
LEFT JOIN (SELECT toString(link_id) AS id, url FROM links FINAL) AS known_links ON known_links.id = followed.link_id
LEFT JOIN
(
    -- include: names
) AS known ON known.id = followed.campaign
ORDER BY clicked DESC, clicks DESC, raw_clicks DESC, link, link_id
LIMIT 100

-- fragment: open_delay
-- Seconds from the mail server's yes (where nobody told of it: from sending) to the first time that a person opened.
greatest(
    0, dateDiff('millisecond', assumeNotNull(coalesce(delivered_at, sent_at)), assumeNotNull(first_open_at))
) / 1000

-- name: open_delays
-- How long after delivery people first opened the emails sent in the period. `share` is of the emails that a person
-- opened. Always twelve rows, the shortest first; a bound belongs to the longer one.
WITH
    -- include: period
    , [60, 300, 900, 1800, 3600, 10800, 21600, 43200, 86400, 172800, 604800] AS bounds
SELECT
    [
        '< 1 min', '1–5 min', '5–15 min', '15–30 min', '30–60 min', '1–3 h', '3–6 h', '6–12 h', '12–24 h', '1–2 d',
        '2–7 d', '> 7 d'
    ][place] AS delay,
    sum(emails) AS opened,
    opened / nullIf(sum(opened) OVER (), 0) AS share
FROM
(
    SELECT
        1 + arrayCount(bound ->
            -- include: open_delay
            >= bound, bounds) AS place,
        count() AS emails
    FROM v_sent
    WHERE first_open_at IS NOT NULL AND
        -- include: cohort_of_steps
    GROUP BY place
    UNION ALL
    SELECT number + 1, 0 FROM numbers(12)
)
GROUP BY place
ORDER BY place

-- name: time_to_open
-- Within how many seconds of delivery half (`p50`) and 90 % (`p90`) of the emails that a person opened were first
-- opened: exact, between two emails in proportion. Of the emails sent in the period, and in the period of equal length
-- before it. Always two rows: `period` 0 is the one before, 1 is the one asked for.
WITH
    -- include: period
    ,
    -- include: period_before
SELECT
    period,
    opened,
    if(opened = 0, NULL, quantiles[1]) AS p50,
    if(opened = 0, NULL, quantiles[2]) AS p90
FROM
(
    SELECT
        sent_at >= since AS period,
        count() AS opened,
        quantilesExactInclusive(0.5, 0.9)(
            -- include: open_delay
        ) AS quantiles
    FROM v_sent
    WHERE first_open_at IS NOT NULL AND
        -- include: cohorts
        AND
        -- include: of_steps
    GROUP BY period
    ORDER BY period WITH FILL FROM 0 TO 2
)
ORDER BY period

-- name: open_hours
-- When in the week people opened: the emails that a person first opened in the period, whenever they were sent, by the
-- weekday and hour of {timezone}, as `activity` counts them. `share` is of all of these. Always 168 rows: Monday to Sunday,
-- hour 0 to 23.
WITH
    -- include: period
    ,
    {timezone:String} AS timezone,
    'hour' AS unit,
    -- include: all_together
    ,
    -- include: held_of_quarters
SELECT
    ['Monday', 'Tuesday', 'Wednesday', 'Thursday', 'Friday', 'Saturday', 'Sunday'][day] AS weekday,
    hour,
    sum(emails) AS opened,
    opened / nullIf(sum(opened) OVER (), 0) AS share
FROM
(
    SELECT toDayOfWeek(time, 0, timezone) AS day, toHour(time, timezone) AS hour, counted.opened AS emails
    FROM
    (
        -- include: counted_firsts
    ) AS counted
    WHERE
        -- include: of_steps
    UNION ALL
    SELECT intDiv(number, 24) + 1, number % 24, 0 FROM numbers(168)
)
GROUP BY day, hour
ORDER BY day, hour

-- name: replies
-- What people answered to the emails sent in the period, newest first: each reply is a row, so an email may have
-- several. `after` is in seconds since the email was delivered. Words, so no denominator.
WITH
    -- include: period
SELECT
    at AS time,
    lead,
    campaign AS campaign_id,
    if(known.name = '', campaign, known.name) AS campaign_name,
    concat('Step ', toString(step)) AS step_name,
    variant,
    greatest(0, dateDiff('second', assumeNotNull(coalesce(delivered_at, sent_at)), at)) AS after,
    subject,
    substringUTF8(text, 1, 300) AS words
FROM
(
    SELECT id AS event_id, at, delivery_id, subject, text
    FROM rare_events FINAL
    WHERE kind = 'reply' AND at >= since AND (empty(chosen) OR has(chosen, campaign))
) AS answers
INNER JOIN
(
    SELECT delivery_id, lead, campaign, step, variant, sent_at, delivered_at
    FROM v_sent
    WHERE replied_at IS NOT NULL AND
        -- include: cohort_of_steps
) AS emails USING (delivery_id)
LEFT JOIN
(
    -- include: names
) AS known ON known.id = campaign
ORDER BY time DESC, event_id
LIMIT 200

-- name: bounce_limits
-- How near each campaign of the emails sent in the period is to being paused for its hard bounces. Counted as the guard
-- counts, whatever the period: emails sent since the campaign was last resumed (`since_at`, NULL for ever) and those of
-- them that bounced hard, of sent. It is paused beyond `bounce_limit` once `bounce_min_sends` were sent; `spare` is how
-- many more hard bounces it stands, at the emails sent so far or at that minimum. What nobody declared has no limit.
WITH
    -- include: period
SELECT
    campaign AS campaign_id,
    if(any(known.name) = '', campaign, any(known.name)) AS campaign_name,
    if(any(pauses.paused), 'Paused', 'Active') AS state,
    any(resumed_at) AS since_at,
    countIf(is_counted) AS sent,
    countIf(is_counted AND hard_bounced_at IS NOT NULL) AS hard_bounced,
    hard_bounced / nullIf(sent, 0) AS hard_bounce_rate,
    any(known.bounce_limit) AS bounce_limit,
    any(known.bounce_min_sends) AS bounce_min_sends,
    toInt64(floor(toDecimal64(bounce_limit, 9) * if(sent < bounce_min_sends, bounce_min_sends, sent)))
        - toInt64(hard_bounced) AS left,
    if(left < 0, 0, left) AS spare
FROM
(
    SELECT campaign, sent_at, hard_bounced_at, resumed_at, resumed_at IS NULL OR sent_at >= resumed_at AS is_counted
    FROM v_sent
    LEFT JOIN
    (
        SELECT campaign AS id, maxOrNull(at) AS resumed_at
        FROM rare_events
        WHERE kind = 'campaign_resumed'
        GROUP BY campaign
    ) AS runs ON runs.id = campaign
    WHERE sent_at IS NOT NULL AND (empty(chosen) OR has(chosen, campaign))
) AS emails
LEFT JOIN
(
    SELECT id, name, toNullable(bounce_limit) AS bounce_limit, toNullable(bounce_min_sends) AS bounce_min_sends
    FROM campaigns FINAL
) AS known ON known.id = campaign
LEFT JOIN (SELECT campaign AS id, paused FROM pauses FINAL) AS pauses ON pauses.id = campaign
GROUP BY campaign
HAVING countIf(sent_at >= since AND sent_at < until) > 0
ORDER BY hard_bounce_rate DESC, sent DESC, campaign_name, campaign_id
LIMIT 100

-- name: pauses
-- When campaigns were paused and resumed in the period, and why. No denominator.
WITH
    -- include: period
SELECT
    at AS time,
    campaign AS campaign_id,
    if(known.name = '', campaign, known.name) AS campaign_name,
    concat(campaign_name, multiIf(
        kind = 'campaign_resumed', ' resumed',
        detail != '', concat(' paused: ', detail),
        reason = 'operator', ' paused by an operator',
        ' paused'
    )) AS text
FROM rare_events FINAL
LEFT JOIN
(
    -- include: names
) AS known ON known.id = campaign
WHERE kind IN ('campaign_paused', 'campaign_resumed') AND at >= since AND at < until AND
    -- include: of_chosen
ORDER BY time, text
LIMIT 500
