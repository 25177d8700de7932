-- Counts by recipients' domains: found by their names, see counting.sql. `wide` are whole days, counted at once.

-- name: email_hours_into_email_counts_by_domain
-- Count the emails sent in these hours, by domain.
INSERT INTO email_counts
SELECT
    'domain' AS by,
    'hour' AS grain,
    campaign,
    cityHash64(domain) AS place,
    slot,
    lower(recipient_domain) AS domain,
    0 AS step,
    '' AS variant,
    {versions:Array(UInt64)}[indexOf({slots:Array(DateTime('UTC'))}, slot)] AS version,
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
GROUP BY GROUPING SETS ((campaign, slot, domain), (slot, domain))

-- name: email_wide_into_email_counts_by_domain
-- Count the emails sent in these days, by domain.
INSERT INTO email_counts
SELECT
    'domain' AS by,
    'day' AS grain,
    campaign,
    cityHash64(domain) AS place,
    toStartOfDay(slot) AS day,
    lower(recipient_domain) AS domain,
    0 AS step,
    '' AS variant,
    {versions:Array(UInt64)}[indexOf({slots:Array(DateTime('UTC'))}, day)] AS version,
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
WHERE slot >= arrayMin({slots:Array(DateTime('UTC'))}) AND slot < addDays(arrayMax({slots:Array(DateTime('UTC'))}), 1)
    AND toStartOfDay(slot) IN {slots:Array(DateTime('UTC'))} AND slot = toStartOfHour(assumeNotNull(sent_at))
GROUP BY GROUPING SETS ((campaign, day, domain), (day, domain))

-- name: email_hours_into_domain_sizes
-- How many of them went to which domain.
INSERT INTO domain_sizes
SELECT
    'hour' AS grain,
    campaign,
    slot,
    {versions:Array(UInt64)}[indexOf({slots:Array(DateTime('UTC'))}, slot)] AS version,
    groupArray(place) AS places,
    groupArray(size) AS sizes
FROM
(
    SELECT
        campaign,
        slot,
        cityHash64(lower(recipient_domain)) AS place,
        count() AS size
    FROM emails FINAL
    WHERE slot IN {slots:Array(DateTime('UTC'))} AND slot = toStartOfHour(assumeNotNull(sent_at))
    GROUP BY GROUPING SETS ((campaign, slot, place), (slot, place))
)
GROUP BY campaign, slot

-- name: email_wide_into_domain_sizes
-- How many of them went to which domain.
INSERT INTO domain_sizes
SELECT
    'day' AS grain,
    campaign,
    day,
    {versions:Array(UInt64)}[indexOf({slots:Array(DateTime('UTC'))}, day)] AS version,
    groupArray(place) AS places,
    groupArray(size) AS sizes
FROM
(
    SELECT
        campaign,
        toStartOfDay(slot) AS day,
        cityHash64(lower(recipient_domain)) AS place,
        count() AS size
    FROM emails FINAL
    WHERE slot >= arrayMin({slots:Array(DateTime('UTC'))}) AND slot < addDays(arrayMax({slots:Array(DateTime('UTC'))}), 1)
        AND toStartOfDay(slot) IN {slots:Array(DateTime('UTC'))} AND slot = toStartOfHour(assumeNotNull(sent_at))
    GROUP BY GROUPING SETS ((campaign, day, place), (day, place))
)
GROUP BY campaign, day

-- name: email_hours_into_bounce_counts
-- Count those that bounced.
INSERT INTO bounce_counts
SELECT
    'hour' AS grain,
    campaign,
    slot,
    class,
    category,
    status,
    domain,
    {versions:Array(UInt64)}[indexOf({slots:Array(DateTime('UTC'))}, slot)] AS version,
    count() AS emails,
    min(met.delivery_id) AS delivery_id,
    argMin(met.words, met.delivery_id) AS words
FROM met_bounces(
    hours = {slots:Array(DateTime('UTC'))},
    since = '1970-01-01 00:00:00',
    until = '2100-01-01 00:00:00',
    campaigns = [],
    senders = []
) AS met
GROUP BY GROUPING SETS
(
    (campaign, slot, class, category, status, domain),
    (slot, class, category, status, domain)
)

-- name: email_wide_into_bounce_counts
-- Count those that bounced.
INSERT INTO bounce_counts
SELECT
    'day' AS grain,
    campaign,
    toStartOfDay(slot) AS day,
    class,
    category,
    status,
    domain,
    {versions:Array(UInt64)}[indexOf({slots:Array(DateTime('UTC'))}, day)] AS version,
    count() AS emails,
    min(met.delivery_id) AS delivery_id,
    argMin(met.words, met.delivery_id) AS words
FROM met_bounces(
    hours = (SELECT groupArray(addHours(arrayJoin({slots:Array(DateTime('UTC'))}), number)) FROM numbers(24)),
    since = '1970-01-01 00:00:00',
    until = '2100-01-01 00:00:00',
    campaigns = [],
    senders = []
) AS met
GROUP BY GROUPING SETS
(
    (campaign, day, class, category, status, domain),
    (day, class, category, status, domain)
)
