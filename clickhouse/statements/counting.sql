-- What keeps the numbers fast: see clickhouse/counting.py and docs/reference/counting.md.

-- name: propagate
-- Bring emails from `outcomes` to `emails`, a row for each hour in which something happened to the email: those of a batch of
-- events, of a campaign, or these deliveries ('' and [] are none). Done again, it changes nothing.
INSERT INTO emails
(
    campaign,
    slot,
    step,
    variant,
    delivery_id,
    first_unsubscribed_at,
    robots,
    links,
    raw_links,
    lead,
    sender,
    recipient_domain,
    no_pixel,
    no_links,
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
)
WITH known AS
(
    SELECT *
    FROM outcomes FINAL
    WHERE campaign = {campaign:String} OR delivery_id IN {deliveries:Array(UUID)}
        OR (campaign, step, variant, delivery_id) IN
        (
            SELECT campaign, step, variant, delivery_id FROM arrivals WHERE batch = {batch:String} AND batch != ''
        )
)
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
    lead,
    sender,
    recipient_domain,
    no_pixel,
    no_links,
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
FROM known
ARRAY JOIN hours AS slot

-- name: note_hours
-- Note which hours these emails stand in, to be marked as written once they have changed.
INSERT INTO written_hours (batch, slot)
SELECT DISTINCT {batch:String} AS batch, slot FROM emails WHERE delivery_id IN {deliveries:Array(UUID)}

-- name: mark
-- Say which hours were written to, once everything of it is readable: those of a batch of events, of a campaign's hits, and
-- these `slots`. All rows of it, and of their days, in one insert, which is one block and there as a whole or not at all:
-- ClickHouse makes blocks of a million rows, and a day has 24.
INSERT INTO slots (of, slot, written, day_written)
SELECT
    of,
    arrayJoin(arrayMap(number -> addHours(day, number), range(24))) AS slot,
    has(slots_of_day, slot) AS written,
    1 AS day_written
FROM
(
    SELECT of, toStartOfDay(slot) AS day, groupUniqArray(slot) AS slots_of_day
    FROM
    (
        SELECT 'email' AS of, slot FROM written_hours WHERE {batch:String} != '' AND batch = {batch:String}
        UNION ALL
        SELECT 'hit', hit_slot FROM arrivals WHERE {batch:String} != '' AND batch = {batch:String} AND hit_slot > 0
        UNION ALL
        SELECT 'hit', slot FROM judged_hits WHERE {campaign:String} != '' AND campaign = {campaign:String}
        UNION ALL
        SELECT {of:String}, arrayJoin({slots:Array(DateTime('UTC'))})
    )
    GROUP BY of, day
)

-- name: mark_everything
-- Say that every hour was written to that ever was: no rollup is fresh.
INSERT INTO slots (of, slot, written, day_written)
SELECT of, slot, max(written) > 0 AS is_written, 1 AS day_written
FROM slots
GROUP BY of, slot

-- name: hours_to_roll
-- Hours whose rollups are stale, and what is written of them now; the newest first.
SELECT of, slot, written AS version
FROM slots FINAL
WHERE written > counted
ORDER BY slot DESC, of
LIMIT {most:UInt32}

-- name: days_to_roll
-- Days whose rollups are stale though those of all their hours are fresh, in one look at the table.
SELECT of, toStartOfDay(slot) AS day, any(day_written) AS version
FROM slots FINAL
GROUP BY of, day
HAVING countIf(written > counted) = 0 AND version > any(day_counted)
ORDER BY day DESC, of
LIMIT {most:UInt32}

-- name: wides_to_roll
-- Days whose wide rollups are stale though their others are fresh; those of them that were counted in the last minutes wait,
-- for they cost more.
SELECT of, slot AS day, day_written AS version
FROM slots FINAL
WHERE slot = toStartOfDay(slot) AND day_counted >= day_written AND day_written > wide_counted
    AND wide_counted_at < subtractMinutes(now(), {minutes:UInt32})
ORDER BY day DESC, of
LIMIT {most:UInt32}

-- What follows is found by its name: OF_GRAIN_into_TABLE counts emails or hits of `slots` into a table of counts, by
-- hours, adds hours up to days, or counts by days at once (`wide`). There are as many `versions` as `slots`.

-- name: email_hours_into_email_counts
-- Count the emails sent in these hours, by step and variant.
INSERT INTO email_counts
SELECT
    'variant' AS by,
    'hour' AS grain,
    campaign,
    0 AS place,
    slot,
    '' AS key,
    step,
    variant,
    {versions:Array(UInt64)}[indexOf({slots:Array(DateTime('UTC'))}, slot)] AS version
    ,
    sum(emails.sent) AS sent,
    sum(emails.hard_bounced) AS hard_bounced,
    sum(emails.soft_bounced) AS soft_bounced,
    sum(emails.blocked) AS blocked,
    sum(emails.delivered) AS delivered,
    sum(emails.opened) AS opened,
    sum(emails.raw_opened) AS raw_opened,
    sum(emails.machine_opened) AS machine_opened,
    sum(emails.clicked) AS clicked,
    sum(emails.raw_clicked) AS raw_clicked,
    sum(emails.unsubscribed) AS unsubscribed,
    sum(emails.replied) AS replied,
    sum(emails.raw_replied) AS raw_replied,
    sum(emails.complained) AS complained,
    sum(emails.pixel_opened) AS pixel_opened,
    sum(emails.opened_with_pixel) AS opened_with_pixel,
    sum(emails.raw_opened_with_pixel) AS raw_opened_with_pixel,
    sum(emails.delivered_with_pixel) AS delivered_with_pixel,
    sum(emails.delivered_with_links) AS delivered_with_links,
    sum(emails.not_opened) AS not_opened,
    sum(emails.not_clicked) AS not_clicked,
    sum(emails.not_replied) AS not_replied,
    sum(emails.hit) AS hit,
    sum(emails.bot_hit) AS bot_hit
FROM emails FINAL
WHERE slot IN {slots:Array(DateTime('UTC'))} AND slot = toStartOfHour(assumeNotNull(sent_at))
GROUP BY GROUPING SETS ((campaign, slot, step, variant), (slot, step, variant))

-- name: email_hours_into_email_counts_by_sender
-- Count the emails sent in these hours, by sender.
INSERT INTO email_counts
SELECT
    'sender' AS by,
    'hour' AS grain,
    campaign,
    0 AS place,
    slot,
    sender AS key,
    0 AS step,
    '' AS variant,
    {versions:Array(UInt64)}[indexOf({slots:Array(DateTime('UTC'))}, slot)] AS version
    ,
    sum(emails.sent) AS sent,
    sum(emails.hard_bounced) AS hard_bounced,
    sum(emails.soft_bounced) AS soft_bounced,
    sum(emails.blocked) AS blocked,
    sum(emails.delivered) AS delivered,
    sum(emails.opened) AS opened,
    sum(emails.raw_opened) AS raw_opened,
    sum(emails.machine_opened) AS machine_opened,
    sum(emails.clicked) AS clicked,
    sum(emails.raw_clicked) AS raw_clicked,
    sum(emails.unsubscribed) AS unsubscribed,
    sum(emails.replied) AS replied,
    sum(emails.raw_replied) AS raw_replied,
    sum(emails.complained) AS complained,
    sum(emails.pixel_opened) AS pixel_opened,
    sum(emails.opened_with_pixel) AS opened_with_pixel,
    sum(emails.raw_opened_with_pixel) AS raw_opened_with_pixel,
    sum(emails.delivered_with_pixel) AS delivered_with_pixel,
    sum(emails.delivered_with_links) AS delivered_with_links,
    sum(emails.not_opened) AS not_opened,
    sum(emails.not_clicked) AS not_clicked,
    sum(emails.not_replied) AS not_replied,
    sum(emails.hit) AS hit,
    sum(emails.bot_hit) AS bot_hit
FROM emails FINAL
WHERE slot IN {slots:Array(DateTime('UTC'))} AND slot = toStartOfHour(assumeNotNull(sent_at))
GROUP BY GROUPING SETS ((campaign, slot, sender), (slot, sender))

-- name: email_days_into_email_counts
-- Add up the hours of these days, by variant and by sender. Domains are counted by whole days: statements/domains.sql.
INSERT INTO email_counts
SELECT
    by,
    'day' AS grain,
    campaign,
    0 AS place,
    toStartOfDay(slot) AS day,
    key,
    step,
    variant,
    {versions:Array(UInt64)}[indexOf({slots:Array(DateTime('UTC'))}, day)] AS version
    ,
    sum(counted.sent) AS sent,
    sum(counted.hard_bounced) AS hard_bounced,
    sum(counted.soft_bounced) AS soft_bounced,
    sum(counted.blocked) AS blocked,
    sum(counted.delivered) AS delivered,
    sum(counted.opened) AS opened,
    sum(counted.raw_opened) AS raw_opened,
    sum(counted.machine_opened) AS machine_opened,
    sum(counted.clicked) AS clicked,
    sum(counted.raw_clicked) AS raw_clicked,
    sum(counted.unsubscribed) AS unsubscribed,
    sum(counted.replied) AS replied,
    sum(counted.raw_replied) AS raw_replied,
    sum(counted.complained) AS complained,
    sum(counted.pixel_opened) AS pixel_opened,
    sum(counted.opened_with_pixel) AS opened_with_pixel,
    sum(counted.raw_opened_with_pixel) AS raw_opened_with_pixel,
    sum(counted.delivered_with_pixel) AS delivered_with_pixel,
    sum(counted.delivered_with_links) AS delivered_with_links,
    sum(counted.not_opened) AS not_opened,
    sum(counted.not_clicked) AS not_clicked,
    sum(counted.not_replied) AS not_replied,
    sum(counted.hit) AS hit,
    sum(counted.bot_hit) AS bot_hit
FROM email_counts AS counted FINAL
WHERE counted.by IN ('variant', 'sender') AND counted.grain = 'hour' AND (slot, counted.version) IN
(
    SELECT slot, counted
    FROM slots FINAL
    WHERE of = 'email' AND toStartOfDay(slot) IN {slots:Array(DateTime('UTC'))}
)
GROUP BY by, campaign, day, key, step, variant

-- name: hit_hours_into_hit_counts
-- Count the hits of these hours, by reason and variant.
INSERT INTO hit_counts
SELECT
    'reason' AS by,
    'hour' AS grain,
    campaign,
    slot,
    step,
    variant,
    verdict,
    reason AS key,
    '' AS device,
    {versions:Array(UInt64)}[indexOf({slots:Array(DateTime('UTC'))}, slot)] AS version
    ,
    countIf(kind = 'open') AS opens,
    countIf(kind = 'click') AS clicks,
    [] AS agents,
    [] AS reasons
FROM judged_hits FINAL
WHERE slot IN {slots:Array(DateTime('UTC'))}
GROUP BY GROUPING SETS ((campaign, slot, step, variant, verdict, reason), (slot, step, variant, verdict, reason))

-- name: hit_hours_into_hit_counts_by_verdict
-- Count the hits of these hours, by whose they were and nothing else.
INSERT INTO hit_counts
SELECT
    'verdict' AS by,
    'hour' AS grain,
    campaign,
    slot,
    step,
    '' AS variant,
    verdict,
    '' AS key,
    '' AS device,
    {versions:Array(UInt64)}[indexOf({slots:Array(DateTime('UTC'))}, slot)] AS version
    ,
    countIf(kind = 'open') AS opens,
    countIf(kind = 'click') AS clicks,
    [] AS agents,
    [] AS reasons
FROM judged_hits FINAL
WHERE slot IN {slots:Array(DateTime('UTC'))}
GROUP BY GROUPING SETS ((campaign, slot, step, verdict), (slot, step, verdict))

-- name: hit_hours_into_hit_counts_by_client
-- Count people's hits of these hours, by mail client or browser (and device), and by country.
INSERT INTO hit_counts
SELECT
    by,
    'hour' AS grain,
    campaign,
    slot,
    step,
    '' AS variant,
    verdict,
    key,
    if(by = 'client', device, '') AS device_of_client,
    {versions:Array(UInt64)}[indexOf({slots:Array(DateTime('UTC'))}, slot)] AS version
    ,
    countIf(kind = 'open') AS opens,
    countIf(kind = 'click') AS clicks,
    [] AS agents,
    [] AS reasons
FROM judged_hits FINAL
ARRAY JOIN ['client', 'country'] AS by, [client, country] AS key
WHERE slot IN {slots:Array(DateTime('UTC'))} AND verdict = 'human'
GROUP BY GROUPING SETS (
    (campaign, by, slot, step, verdict, key, device_of_client), (by, slot, step, verdict, key, device_of_client)
)

-- name: hit_days_into_hit_counts
-- Add up the hours of these days, by reason, by verdict and by what people came with. Where robots came from is counted by
-- whole days: statements/robots.sql.
INSERT INTO hit_counts
SELECT
    by,
    'day' AS grain,
    campaign,
    toStartOfDay(slot) AS day,
    step,
    variant,
    verdict,
    key,
    device,
    {versions:Array(UInt64)}[indexOf({slots:Array(DateTime('UTC'))}, day)] AS version
    ,
    sum(counted.opens) AS opens,
    sum(counted.clicks) AS clicks,
    [] AS agents,
    [] AS reasons
FROM hit_counts AS counted FINAL
WHERE counted.by IN ('reason', 'verdict', 'client', 'country') AND counted.grain = 'hour' AND (slot, counted.version) IN
(
    SELECT slot, counted
    FROM slots FINAL
    WHERE of = 'hit' AND toStartOfDay(slot) IN {slots:Array(DateTime('UTC'))}
)
GROUP BY by, campaign, day, step, variant, verdict, key, device
