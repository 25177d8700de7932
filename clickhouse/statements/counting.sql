-- What keeps the numbers fast: see clickhouse/counting.py and docs/architecture.md, "Counting".

-- fragment: email_columns
-- Columns of `outcomes` that `emails` has as they are.
lead,
sender,
recipient_domain,
sent_at,
delivered_at,
hard_bounced_at,
soft_bounced_at,
blocked_at,
put_off_at,
first_open_at,
first_click_at,
first_machine_open_at,
first_raw_open_at,
first_raw_click_at,
replied_at,
last_unsubscribed_at,
resubscribed_at,
complained_at,
auto_replied_at

-- fragment: as_emails
-- From rows of `outcomes`: a row for each hour in which something happened to the email.
SELECT
    campaign,
    slot,
    step,
    variant,
    delivery_id,
    unsubscribed_at AS first_unsubscribed_at,
    if(slot = toStartOfHour(assumeNotNull(sent_at)), known.robots, []) AS robots,
    if(slot = toStartOfHour(assumeNotNull(sent_at)), known.links, []) AS links,
    if(slot = toStartOfHour(assumeNotNull(sent_at)), known.raw_links, []) AS raw_links,
    -- include: email_columns
FROM known
ARRAY JOIN hours AS slot

-- fragment: into_emails
INSERT INTO emails
(
    campaign, slot, step, variant, delivery_id, first_unsubscribed_at, robots, links, raw_links,
    -- include: email_columns
)

-- name: carry_emails
-- Bring the emails of a batch of events from `outcomes` to `emails`. Done again, it changes nothing.
-- include: into_emails
WITH known AS
(
    SELECT *
    FROM outcomes FINAL
    WHERE (campaign, step, variant, delivery_id) IN
    (
        SELECT campaign, step, variant, delivery_id FROM arrivals WHERE batch = {batch:String}
    )
)
-- include: as_emails

-- name: carry_campaign
-- Bring all emails of a campaign.
-- include: into_emails
WITH known AS (SELECT * FROM outcomes FINAL WHERE campaign = {campaign:String})
-- include: as_emails

-- name: carry_some
-- Bring these emails.
-- include: into_emails
WITH known AS (SELECT * FROM outcomes FINAL WHERE delivery_id IN {deliveries:Array(UUID)})
-- include: as_emails

-- name: note_slots
-- Note which hours these emails stand in, to be touched once they have changed.
INSERT INTO carried (batch, slot)
SELECT DISTINCT {batch:String} AS batch, slot FROM emails WHERE delivery_id IN {deliveries:Array(UUID)}

-- name: touch_hits
-- Say that all hours of a campaign's hits were written to.
INSERT INTO touched (of, slot, times)
SELECT 'hit' AS of, slot, 1 AS times FROM judged_hits WHERE campaign = {campaign:String} GROUP BY slot

-- name: touch
-- Say which hours a batch changed something in, once everything of it is readable.
INSERT INTO touched (of, slot, times)
SELECT 'email' AS of, slot, 1 AS times FROM carried WHERE batch = {batch:String} GROUP BY slot
UNION ALL
SELECT 'hit' AS of, hit_slot AS slot, 1 AS times FROM arrivals WHERE batch = {batch:String} AND hit_slot > 0 GROUP BY slot

-- fragment: said
-- What `touched` says of every hour now, and what it had said of those that are counted.
SELECT of, slot, sum(said) AS times, max(of_hour) AS hour_seen
FROM
(
    SELECT toString(of) AS of, slot, times AS said, 0 AS of_hour FROM touched
    UNION ALL
    SELECT toString(of), slot, 0, seen FROM rolled WHERE grain = 'hour'
)
GROUP BY of, slot

-- name: hours_to_roll
-- Hours whose counts don't hold, and what `touched` says of them now; the newest first.
SELECT of, slot, times
FROM
(
    -- include: said
)
WHERE times > hour_seen
ORDER BY slot DESC, of
LIMIT {most:UInt32}

-- name: days_to_roll
-- Days whose counts don't hold though those of all their hours do, and what these have seen together.
SELECT of, day, hours_seen
FROM
(
    SELECT of, toStartOfDay(slot) AS day, sum(times) AS day_times, sum(hour_seen) AS hours_seen
    FROM
    (
        -- include: said
    )
    GROUP BY of, day
) AS hours
LEFT JOIN
(
    SELECT toString(of) AS of, slot AS day, max(seen) AS day_seen
    FROM rolled
    WHERE grain = 'day'
    GROUP BY of, day
) AS days USING (of, day)
WHERE day_times = hours_seen AND hours_seen > day_seen
ORDER BY day DESC, of
LIMIT {most:UInt32}

-- name: wides_to_roll
-- Days whose wide counts don't hold though their others do, and what these have seen; those of them that were counted in
-- the last minutes wait, for they cost more.
SELECT of, slot, day_seen
FROM
(
    SELECT
        of,
        slot,
        maxIf(seen, grain = 'day') AS day_seen,
        maxIf(seen, grain = 'wide') AS wide_seen,
        maxIf(rolled_at, grain = 'wide') AS wide_at
    FROM rolled
    WHERE grain IN ('day', 'wide')
    GROUP BY of, slot
)
WHERE day_seen > wide_seen AND wide_at < subtractMinutes(now(), {minutes:UInt32})
ORDER BY slot DESC, of
LIMIT {most:UInt32}

-- What follows is found by its name: OF_GRAIN_into_TABLE counts emails or hits of `slots` into a table of counts, by
-- hours, adds hours up to days, or counts by days at once (`wide`). The days' and hours' `seen` is alike long.

-- fragment: seen_of_slot
-- What `touched` said of the slot before.
{seen:Array(UInt64)}[indexOf({slots:Array(DateTime('UTC'))}, slot)] AS seen

-- fragment: seen_of_day
{seen:Array(UInt64)}[indexOf({slots:Array(DateTime('UTC'))}, day)] AS seen

-- fragment: email_hours_of_days
-- The counted hours of these days, and what they have seen.
SELECT slot, max(seen)
FROM rolled
WHERE of = 'email' AND grain = 'hour' AND toStartOfDay(slot) IN {slots:Array(DateTime('UTC'))}
GROUP BY slot

-- fragment: hit_hours_of_days
SELECT slot, max(seen)
FROM rolled
WHERE of = 'hit' AND grain = 'hour' AND toStartOfDay(slot) IN {slots:Array(DateTime('UTC'))}
GROUP BY slot

-- name: email_hours_into_email_counts
-- Count the emails sent in these hours.
INSERT INTO email_counts
SELECT
    'hour' AS grain,
    campaign,
    slot,
    step,
    variant,
    -- include: seen_of_slot
    ,
    -- include: counts
FROM v_sent
WHERE slot IN {slots:Array(DateTime('UTC'))}
GROUP BY GROUPING SETS ((campaign, slot, step, variant), (slot, step, variant))

-- name: email_days_into_email_counts
-- Add up the hours of these days.
INSERT INTO email_counts
SELECT
    'day' AS grain,
    campaign,
    toStartOfDay(slot) AS day,
    step,
    variant,
    -- include: seen_of_day
    ,
    -- include: count_sums
FROM email_counts AS counted FINAL
WHERE counted.grain = 'hour' AND (slot, counted.seen) IN
(
    -- include: email_hours_of_days
)
GROUP BY campaign, day, step, variant

-- name: email_hours_into_sender_counts
-- Count the emails sent in these hours, by sender.
INSERT INTO sender_counts
SELECT
    'hour' AS grain,
    campaign,
    slot,
    sender,
    -- include: seen_of_slot
    ,
    -- include: counts
FROM v_sent
WHERE slot IN {slots:Array(DateTime('UTC'))}
GROUP BY GROUPING SETS ((campaign, slot, sender), (slot, sender))

-- name: email_days_into_sender_counts
-- Add up the hours of these days.
INSERT INTO sender_counts
SELECT
    'day' AS grain,
    campaign,
    toStartOfDay(slot) AS day,
    sender,
    -- include: seen_of_day
    ,
    -- include: count_sums
FROM sender_counts AS counted FINAL
WHERE counted.grain = 'hour' AND (slot, counted.seen) IN
(
    -- include: email_hours_of_days
)
GROUP BY campaign, day, sender

-- name: hit_hours_into_hit_counts
-- Count the hits of these hours.
INSERT INTO hit_counts
SELECT
    'hour' AS grain,
    campaign,
    slot,
    step,
    variant,
    kind,
    verdict,
    reason,
    -- include: seen_of_slot
    ,
    count() AS hits
FROM judged_hits FINAL
WHERE slot IN {slots:Array(DateTime('UTC'))}
GROUP BY GROUPING SETS ((campaign, slot, step, variant, kind, verdict, reason), (slot, step, variant, kind, verdict, reason))

-- name: hit_days_into_hit_counts
-- Add up the hours of these days.
INSERT INTO hit_counts
SELECT
    'day' AS grain,
    campaign,
    toStartOfDay(slot) AS day,
    step,
    variant,
    kind,
    verdict,
    reason,
    -- include: seen_of_day
    ,
    sum(counted.hits) AS hits
FROM hit_counts AS counted FINAL
WHERE counted.grain = 'hour' AND (slot, counted.seen) IN
(
    -- include: hit_hours_of_days
)
GROUP BY campaign, day, step, variant, kind, verdict, reason
