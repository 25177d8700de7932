-- Counts by recipients' domains (migration 044): found by their names, see counting.sql. `wide` are whole days.

-- name: email_hours_into_domain_counts
-- Count the emails sent in these hours, by domain.
INSERT INTO domain_counts
SELECT
    'hour' AS grain,
    campaign,
    cityHash64(domain) AS place,
    lower(recipient_domain) AS domain,
    slot,
    -- include: seen_of_slot
    ,
    -- include: counts
FROM v_sent
WHERE slot IN {slots:Array(DateTime('UTC'))}
GROUP BY GROUPING SETS ((campaign, slot, domain), (slot, domain))

-- name: email_wide_into_domain_counts
-- Count the emails sent in these days, by domain.
INSERT INTO domain_counts
SELECT
    'wide' AS grain,
    campaign,
    cityHash64(domain) AS place,
    lower(recipient_domain) AS domain,
    toStartOfDay(slot) AS day,
    -- include: seen_of_day
    ,
    -- include: counts
FROM v_sent
WHERE slot >= arrayMin({slots:Array(DateTime('UTC'))}) AND slot < addDays(arrayMax({slots:Array(DateTime('UTC'))}), 1)
    AND toStartOfDay(slot) IN {slots:Array(DateTime('UTC'))}
GROUP BY GROUPING SETS ((campaign, day, domain), (day, domain))

-- name: email_hours_into_domain_sizes
-- How many of them went to which domain, and what became of all of them.
INSERT INTO domain_sizes
SELECT
    'hour' AS grain,
    campaign,
    slot,
    -- include: seen_of_slot
    ,
    groupArray(place) AS places,
    groupArray(counted.sent) AS sizes,
    -- include: count_sums
FROM
(
    SELECT
        campaign,
        slot,
        cityHash64(lower(recipient_domain)) AS place,
        -- include: counts
    FROM v_sent
    WHERE slot IN {slots:Array(DateTime('UTC'))}
    GROUP BY GROUPING SETS ((campaign, slot, place), (slot, place))
) AS counted
GROUP BY campaign, slot

-- name: email_wide_into_domain_sizes
-- How many of them went to which domain, and what became of all of them.
INSERT INTO domain_sizes
SELECT
    'wide' AS grain,
    campaign,
    day,
    -- include: seen_of_day
    ,
    groupArray(place) AS places,
    groupArray(counted.sent) AS sizes,
    -- include: count_sums
FROM
(
    SELECT
        campaign,
        toStartOfDay(slot) AS day,
        cityHash64(lower(recipient_domain)) AS place,
        -- include: counts
    FROM v_sent
    WHERE slot >= arrayMin({slots:Array(DateTime('UTC'))}) AND slot < addDays(arrayMax({slots:Array(DateTime('UTC'))}), 1)
        AND toStartOfDay(slot) IN {slots:Array(DateTime('UTC'))}
    GROUP BY GROUPING SETS ((campaign, day, place), (day, place))
) AS counted
GROUP BY campaign, day

-- name: email_hours_into_bounce_counts
-- Count those that bounced.
INSERT INTO bounce_counts
WITH bounced AS
(
    SELECT campaign, slot, lower(recipient_domain) AS domain, delivery_id
    FROM v_sent
    WHERE slot IN {slots:Array(DateTime('UTC'))}
    AND
    -- include: has_bounced
)
SELECT
    'hour' AS grain,
    campaign,
    slot,
    class,
    category,
    status,
    domain,
    -- include: seen_of_slot
    ,
    -- include: bounce_counts_of
FROM
-- include: bounces_met
GROUP BY GROUPING SETS
(
    (campaign, slot, class, category, status, domain),
    (slot, class, category, status, domain)
)

-- name: email_wide_into_bounce_counts
-- Count those that bounced.
INSERT INTO bounce_counts
WITH bounced AS
(
    SELECT campaign, slot, lower(recipient_domain) AS domain, delivery_id
    FROM v_sent
    WHERE slot >= arrayMin({slots:Array(DateTime('UTC'))}) AND slot < addDays(arrayMax({slots:Array(DateTime('UTC'))}), 1)
        AND toStartOfDay(slot) IN {slots:Array(DateTime('UTC'))}
    AND
    -- include: has_bounced
)
SELECT
    'wide' AS grain,
    campaign,
    toStartOfDay(slot) AS day,
    class,
    category,
    status,
    domain,
    -- include: seen_of_day
    ,
    -- include: bounce_counts_of
FROM
-- include: bounces_met
GROUP BY GROUPING SETS
(
    (campaign, day, class, category, status, domain),
    (day, class, category, status, domain)
)
