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

-- fragment: link_numbers
-- Of an email's `raw_links`, one by one: emails in which a person followed the link, and in which anybody did.
countIf(has(links, link_id)) AS clicked,
count() AS raw_clicked

-- fragment: counted_links
-- The links followed in the emails sent in the period, as counts: of each campaign, step and link there may be many rows.
SELECT campaign, step, link_id, clicked, raw_clicked
FROM link_counts FINAL
WHERE
    -- include: held_emails
    AND
    -- include: of_levels
UNION ALL
SELECT
    campaign,
    step,
    link_id,
    -- include: link_numbers
FROM v_sent
ARRAY JOIN raw_links AS link_id
WHERE
    -- include: raw_emails
    AND sent_at >= begin AND sent_at < until
GROUP BY campaign, step, link_id

-- name: links
-- The links of the emails sent in the period that were followed, by whom the most people followed first. `clicked` are
-- emails in which a person followed the link, `raw_clicked` those in which anybody did, however often. `click_rate` is
-- `clicked` of the emails of the campaign (and of the steps chosen) that were delivered, with the link or without.
WITH
    -- include: period
    ,
    -- include: each_by_itself
    ,
    -- include: held
    ,
    followed AS
    (
        SELECT campaign, link_id, sum(counted.clicked) AS clicked, sum(counted.raw_clicked) AS raw_clicked
        FROM
        (
            -- include: counted_links
        ) AS counted
        WHERE
            -- include: of_steps
        GROUP BY campaign, link_id
    )
SELECT
    followed.campaign AS campaign_id,
    if(known.name = '', followed.campaign, known.name) AS campaign_name,
    -- What no person ever followed and leads to our own /hidden is the link that stands in emails as a trap.
    multiIf(
        url = '', concat('Unknown link ', substring(link_id, 1, 12)),
        clicked = 0 AND endsWith(url, '/hidden'), 'Trap for robots, which no person sees',
        url
    ) AS link,
    link_id,
    clicked,
    raw_clicked,
    clicked / nullIf(delivered, 0) AS click_rate,
    raw_clicked / nullIf(delivered, 0) AS raw_click_rate
FROM followed
LEFT JOIN
(
    SELECT campaign, sum(counted.delivered) AS delivered
    FROM
    (
        -- include: counted_emails
    ) AS counted
    WHERE
        -- include: of_steps
    GROUP BY campaign
) AS emails ON emails.campaign = followed.campaign
LEFT JOIN (SELECT toString(link_id) AS id, url FROM links FINAL) AS known_links ON known_links.id = followed.link_id
LEFT JOIN
(
    -- include: names
) AS known ON known.id = followed.campaign
ORDER BY clicked DESC, raw_clicked DESC, link, link_id
LIMIT 100

-- fragment: delay_bins
-- `delay` is how many milliseconds after the mail server's yes (where nobody told of it: after sending) a person first
-- opened; `bin` is which of `bins` it lies in: twelve delays that people read, in eight parts each. The last has no end.
[0, 60, 300, 900, 1800, 3600, 10800, 21600, 43200, 86400, 172800, 604800, 1209600] AS bounds,
arrayFlatten(arrayMap(
    (low, high) -> arrayMap(part -> 1000 * low + 125 * part * (high - low), range(8)),
    arrayPopBack(bounds),
    arrayPopFront(bounds)
)) AS bins,
toUInt64(greatest(
    0, dateDiff('millisecond', assumeNotNull(coalesce(delivered_at, sent_at)), assumeNotNull(first_open_at))
)) AS delay,
toUInt8(arrayCount(begins -> delay >= begins, bins) - 1) AS bin

-- fragment: delay_numbers
count() AS opened,
arraySort(groupArray(delay)) AS delays

-- fragment: held_delays
-- `held`, of counts that are kept by days, and of all campaigns together by hours too.
(one, next) -> one >= begin AND next <= until AND NOT (one < since AND next > since)
    AND (empty(chosen) OR next > addHours(one, 1)) AS whole,
'wide' AS grain_of_days,
-- include: held_slots

-- fragment: counted_delays
-- The delays of the emails sent in the period, by bins: of each bin there may be many rows. `period` is 1 for emails sent
-- at `since` or later.
SELECT bin, slot >= since AS period, opened, delays
FROM delay_counts FINAL
WHERE
    -- include: held_emails
    AND
    -- include: of_levels
    AND
    -- include: of_steps
UNION ALL
WITH
    -- include: delay_bins
SELECT
    bin,
    sent_at >= since AS period,
    -- include: delay_numbers
FROM v_sent
WHERE
    -- include: raw_emails
    AND sent_at >= begin AND sent_at < until AND first_open_at IS NOT NULL
    AND
    -- include: of_steps
GROUP BY bin, period

-- name: open_delays
-- How long after delivery people first opened the emails sent in the period. `share` is of the emails that a person
-- opened. Always twelve rows, the shortest first; a bound belongs to the longer one.
WITH
    -- include: period
    ,
    -- include: all_together
    ,
    -- include: held_delays
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
    FROM
    (
        -- include: counted_delays
    ) AS counted
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
    -- include: period_and_before
    ,
    -- include: all_together
    ,
    -- include: held_delays
    ,
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
            FROM
            (
                -- include: counted_delays
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
    FROM
    (
        -- include: counted_delays
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
-- What people answered in the period, newest first, whenever the email was sent: each reply is a row, so an email may have
-- several. `after` is in seconds since the email was delivered. Words, so no denominator.
WITH
    -- include: period
    ,
    -- Of all replies nothing is read but times and ids, and of those listed the rest. An event that came twice stands there
    -- twice until it is merged.
    (
        SELECT (min(at), max(at), groupArray(id))
        FROM
        (
            SELECT id, at
            FROM rare_events
            WHERE kind = 'reply' AND at >= since AND at < until AND
                -- include: of_chosen
                AND
                -- include: of_steps
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
    substringUTF8(text, 1, 300) AS words
FROM
(
    SELECT id AS event_id, at, campaign, step, variant, delivery_id, lead, subject, text
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
LEFT JOIN
(
    -- include: names
) AS known ON known.id = campaign
ORDER BY time DESC, event_id
LIMIT 200

-- fragment: emails_ever
-- All emails ever sent, as counts, and when: of each campaign and hour (or day) there may be many rows.
SELECT campaign, slot, sent, hard_bounced, slot >= since AND slot < ended AS is_of_period
FROM email_counts FINAL
WHERE
    -- include: held_emails
    AND
    -- include: of_levels
UNION ALL
SELECT
    campaign,
    slot,
    count() AS sent,
    countIf(hard_bounced_at IS NOT NULL) AS hard_bounced,
    sent_at >= since AND sent_at < ended AS is_of_period
FROM v_sent
WHERE
    -- include: raw_emails
GROUP BY campaign, slot, is_of_period

-- name: bounce_limits
-- How near each campaign of the emails sent in the period is to being paused for its hard bounces. Counted as the guard
-- counts, whatever the period: emails sent since the campaign was last resumed (`since_at`, NULL for ever) and those of
-- them that bounced hard, of sent. It is paused beyond `bounce_limit` once `bounce_min_sends` were sent; `spare` is how
-- many more hard bounces it stands, at the emails sent so far or at that minimum. What nobody declared has no limit.
WITH
    {since:DateTime64(3, 'UTC')} AS since,
    {until:DateTime64(3, 'UTC')} AS ended,
    {campaigns:Array(String)} AS chosen,
    -- Whatever was sent, in counts of which none lies in the period in part.
    toDateTime64(0, 3, 'UTC') AS begin,
    toDateTime64('2100-01-01 00:00:00', 3, 'UTC') AS until,
    -- include: each_by_itself
    ,
    (one, next) -> NOT (one < since AND next > since) AND NOT (one < ended AND next > ended) AS whole,
    'day' AS grain_of_days,
    -- include: held_slots
    ,
    runs AS
    (
        SELECT campaign AS id, maxOrNull(at) AS resumed_at
        FROM rare_events
        WHERE kind = 'campaign_resumed' AND
            -- include: of_chosen
        GROUP BY campaign
    )
SELECT
    campaign AS campaign_id,
    if(any(known.name) = '', campaign, any(known.name)) AS campaign_name,
    if(any(pauses.paused), 'Paused', 'Active') AS state,
    any(resumed_at) AS since_at,
    sumIf(emails.sent, is_counted) AS sent,
    sumIf(emails.hard_bounced, is_counted) AS hard_bounced,
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
        campaign, resumed_at, sent, hard_bounced, is_of_period, isNull(resumed_at) OR toDate(slot) > toDate(resumed_at) AS is_counted
    FROM
    (
        -- include: emails_ever
    ) AS ever
    LEFT JOIN runs ON runs.id = campaign
    UNION ALL
    SELECT campaign, resumed_at, 1, hard_bounced_at IS NOT NULL, false, sent_at >= resumed_at
    FROM v_sent
    INNER JOIN runs ON runs.id = campaign
    WHERE (campaign, slot) IN
    (
        SELECT id, arrayJoin(arrayMap(hour -> addHours(toStartOfDay(assumeNotNull(resumed_at)), hour), range(24))) FROM runs
    )
) AS emails
LEFT JOIN
(
    SELECT id, name, toNullable(bounce_limit) AS bounce_limit, toNullable(bounce_min_sends) AS bounce_min_sends
    FROM campaigns FINAL
) AS known ON known.id = campaign
LEFT JOIN (SELECT campaign AS id, paused FROM pauses FINAL) AS pauses ON pauses.id = campaign
GROUP BY campaign
HAVING sumIf(emails.sent, is_of_period) > 0
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
