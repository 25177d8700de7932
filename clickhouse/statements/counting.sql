-- What keeps the numbers fast: see clickhouse/counting.py and docs/architecture.md, "Counting".

-- fragment: email_columns
lead,
sender,
recipient_domain,
sent_at,
delivered_at,
hard_bounced_at,
soft_bounced_at,
blocked_at,
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
-- From rows of `outcomes`: a row for each hour in which the email is said to have been sent, void in all but the first.
SELECT
    campaign,
    slot,
    step,
    variant,
    delivery_id,
    slot != toStartOfHour(assumeNotNull(sent_at)) AS void,
    unsubscribed_at AS first_unsubscribed_at,
    -- include: email_columns
FROM known
ARRAY JOIN
    arrayDistinct(arrayMap(at -> toStartOfHour(at), arrayPushBack(sent_ats, assumeNotNull(sent_at)))) AS slot
WHERE sent_at IS NOT NULL

-- fragment: into_emails
INSERT INTO emails
(
    campaign, slot, step, variant, delivery_id, void, first_unsubscribed_at,
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

-- name: hours_to_roll
-- Hours whose counts don't hold, and what `touched` says of them now; the newest first.
SELECT of, slot, times
FROM (SELECT of, slot, sum(times) AS times FROM touched GROUP BY of, slot) AS now
LEFT JOIN
(
    SELECT of, slot, max(seen) AS seen FROM rolled WHERE grain = 'hour' GROUP BY of, slot
) AS then USING (of, slot)
WHERE times != seen
ORDER BY slot DESC, of
LIMIT {most:UInt32}

-- name: days_to_roll
-- Days whose counts don't hold though those of all their hours do, and what these have seen together.
SELECT of, day, hours_seen
FROM
(
    SELECT of, toStartOfDay(slot) AS day, sum(times) AS day_times, sum(seen) AS hours_seen
    FROM (SELECT of, slot, sum(times) AS times FROM touched GROUP BY of, slot) AS now
    LEFT JOIN
    (
        SELECT of, slot, max(seen) AS seen FROM rolled WHERE grain = 'hour' GROUP BY of, slot
    ) AS then USING (of, slot)
    GROUP BY of, day
) AS hours
LEFT JOIN
(
    SELECT of, slot AS day, max(seen) AS seen FROM rolled WHERE grain = 'day' GROUP BY of, day
) AS days USING (of, day)
WHERE day_times = hours_seen AND hours_seen != days.seen
ORDER BY day DESC, of
LIMIT {most:UInt32}

-- name: roll_email_hours
-- Count the emails sent in these hours. `seen` is what `touched` said of each before.
INSERT INTO email_counts
SELECT
    'hour' AS grain,
    campaign,
    slot,
    step,
    variant,
    sender,
    {seen:Array(UInt64)}[indexOf({slots:Array(DateTime('UTC'))}, slot)] AS seen,
    -- include: counts
FROM v_sent
WHERE slot IN {slots:Array(DateTime('UTC'))}
GROUP BY campaign, slot, step, variant, sender

-- name: roll_email_days
-- Add up the hours of these days.
INSERT INTO email_counts
SELECT
    'day' AS grain,
    campaign,
    toStartOfDay(slot) AS day,
    step,
    variant,
    sender,
    {seen:Array(UInt64)}[indexOf({slots:Array(DateTime('UTC'))}, day)] AS seen,
    -- include: count_sums
FROM email_counts AS counted FINAL
WHERE counted.grain = 'hour' AND toStartOfDay(slot) IN {slots:Array(DateTime('UTC'))} AND (slot, counted.seen) IN
(
    SELECT slot, max(seen)
    FROM rolled
    WHERE of = 'email' AND grain = 'hour' AND toStartOfDay(slot) IN {slots:Array(DateTime('UTC'))}
    GROUP BY slot
)
GROUP BY campaign, day, step, variant, sender

-- name: roll_hit_hours
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
    {seen:Array(UInt64)}[indexOf({slots:Array(DateTime('UTC'))}, slot)] AS seen,
    count() AS hits
FROM judged_hits FINAL
WHERE slot IN {slots:Array(DateTime('UTC'))}
GROUP BY campaign, slot, step, variant, kind, verdict, reason

-- name: roll_hit_days
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
    {seen:Array(UInt64)}[indexOf({slots:Array(DateTime('UTC'))}, day)] AS seen,
    sum(counted.hits) AS hits
FROM hit_counts AS counted FINAL
WHERE counted.grain = 'hour' AND toStartOfDay(slot) IN {slots:Array(DateTime('UTC'))} AND (slot, counted.seen) IN
(
    SELECT slot, max(seen)
    FROM rolled
    WHERE of = 'hit' AND grain = 'hour' AND toStartOfDay(slot) IN {slots:Array(DateTime('UTC'))}
    GROUP BY slot
)
GROUP BY campaign, day, step, variant, kind, verdict, reason
