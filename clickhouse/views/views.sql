-- What analysts ask of all time, without parameters: `SELECT * FROM v_campaigns`. What the columns mean stands in
-- clickhouse/columns.py. Of a period, the other views are asked, by the names that the boards call them by.

-- view: v_campaigns
-- Campaigns that sent something: counts and rates of all their emails, and whether they are paused.
SELECT
    campaign,
    if(known.name = '', campaign, known.name) AS name,
    if(pauses.paused, 'Paused', 'Active') AS state,
    times.first_sent_at AS first_sent_at,
    times.last_sent_at AS last_sent_at,
    results.* EXCEPT (period, time, campaign, step, variant, key)
FROM results(
    by = 'variant',
    per = ['campaign'],
    grains = ['day', 'hour'],
    together = 0,
    begin = toDateTime64('1971-01-01 00:00:00', 3, 'UTC'),
    since = toDateTime64('1971-01-01 00:00:00', 3, 'UTC'),
    until = toDateTime64('2100-01-01 00:00:00', 3, 'UTC'),
    campaigns = [],
    steps = [],
    senders = [],
    unit = 'day',
    timezone = 'UTC'
) AS results
LEFT JOIN
(
    SELECT toString(campaign) AS id, min(sent_at) AS first_sent_at, max(sent_at) AS last_sent_at
    FROM v_outcomes
    WHERE sent_at IS NOT NULL
    GROUP BY id
) AS times ON times.id = campaign
LEFT JOIN (SELECT id, name FROM campaigns FINAL) AS known ON known.id = campaign
LEFT JOIN (SELECT campaign AS id, paused FROM pauses FINAL) AS pauses ON pauses.id = campaign
WHERE sent > 0

-- view: v_daily
-- Emails by campaign and the day (UTC) they were sent on, and what became of them, whenever. Add counts up; rates don't.
SELECT toDate(time, 'UTC') AS day, campaign, results.* EXCEPT (period, time, campaign, step, variant, key)
FROM results(
    by = 'variant',
    per = ['campaign', 'time'],
    grains = ['day', 'hour'],
    together = 0,
    begin = toDateTime64('1971-01-01 00:00:00', 3, 'UTC'),
    since = toDateTime64('1971-01-01 00:00:00', 3, 'UTC'),
    until = toDateTime64('2100-01-01 00:00:00', 3, 'UTC'),
    campaigns = [],
    steps = [],
    senders = [],
    unit = 'day',
    timezone = 'UTC'
) AS results
WHERE sent > 0

-- view: v_variants
-- Emails by campaign, step and variant, and what became of them.
SELECT campaign, step, variant, results.* EXCEPT (period, time, campaign, step, variant, key)
FROM results(
    by = 'variant',
    per = ['campaign', 'step', 'variant'],
    grains = ['day', 'hour'],
    together = 0,
    begin = toDateTime64('1971-01-01 00:00:00', 3, 'UTC'),
    since = toDateTime64('1971-01-01 00:00:00', 3, 'UTC'),
    until = toDateTime64('2100-01-01 00:00:00', 3, 'UTC'),
    campaigns = [],
    steps = [],
    senders = [],
    unit = 'day',
    timezone = 'UTC'
) AS results
WHERE sent > 0

-- view: v_ab
-- Variants compared with their step's baseline, by metric: reply, which decides, click and open. Only steps that were sent
-- in at least two variants.
SELECT
    campaign,
    step,
    variant,
    metric,
    baseline,
    delivered,
    reached,
    rate,
    lift,
    difference,
    low,
    high,
    p_value,
    corrected_p,
    needed,
    needed_for,
    missing,
    outcome,
    finding
FROM ab_tests(
    since = toDateTime64('1971-01-01 00:00:00', 3, 'UTC'),
    until = toDateTime64('2100-01-01 00:00:00', 3, 'UTC'),
    campaigns = [],
    steps = []
)

-- view: v_senders
-- Senders: health now, counts and rates of all their emails.
SELECT
    key AS sender,
    if(is_folded, healths.health, 100) AS health,
    results.* EXCEPT (period, time, campaign, step, variant, key)
FROM results(
    by = 'sender',
    per = ['key'],
    grains = ['day', 'hour'],
    together = 1,
    begin = '1970-01-01 00:00:00',
    since = '1970-01-01 00:00:00',
    until = '2100-01-01 00:00:00',
    campaigns = [],
    steps = [],
    senders = [],
    unit = 'day',
    timezone = 'UTC'
) AS results
LEFT JOIN (SELECT sender, health, true AS is_folded FROM health_now()) AS healths ON healths.sender = key
WHERE key != ''

-- view: v_domains
-- Emails by the domain of the recipient's address, and what became of them. Bounces by provider show here.
SELECT key AS recipient_domain, results.* EXCEPT (period, time, campaign, step, variant, key)
FROM results(
    by = 'domain',
    per = ['key'],
    grains = ['wide', 'hour'],
    together = 1,
    begin = toDateTime64('1971-01-01 00:00:00', 3, 'UTC'),
    since = toDateTime64('1971-01-01 00:00:00', 3, 'UTC'),
    until = toDateTime64('2100-01-01 00:00:00', 3, 'UTC'),
    campaigns = [],
    steps = [],
    senders = [],
    unit = 'day',
    timezone = 'UTC'
) AS results
WHERE sent > 0

-- view: v_links
-- Links that were followed, by campaign: in how many emails, and how often.
SELECT
    campaign,
    link_id,
    links.url AS url,
    clicked,
    raw_clicked,
    clicks,
    raw_clicks
FROM
(
    SELECT
        campaign,
        link_id,
        uniqExactIf(delivery_id, verdict = 'human') AS clicked,
        uniqExact(delivery_id) AS raw_clicked,
        countIf(verdict = 'human') AS clicks,
        count() AS raw_clicks
    FROM events FINAL
    WHERE kind = 'click'
    GROUP BY campaign, link_id
) AS followed
LEFT JOIN (SELECT toString(link_id) AS link_id, url FROM links FINAL) AS links USING (link_id)

-- view: v_hits
-- The click log: every open and click, a row each, with the verdict on it and where it came from. `ip` is what
-- SENDLENS_CLIENT_IP keeps of the address; it and `user_agent` are empty once SENDLENS_BLANK_AFTER_DAYS has blanked them.
SELECT
    at,
    kind,
    campaign,
    step,
    variant,
    lead,
    delivery_id,
    link_id,
    links.url AS url,
    verdict,
    reason,
    client,
    device,
    country,
    agent,
    network,
    ip,
    user_agent
FROM
(
    SELECT * FROM events FINAL WHERE kind IN ('open', 'click')
) AS events
LEFT JOIN (SELECT toString(link_id) AS link_id, url FROM links FINAL) AS links USING (link_id)

-- view: v_leads_timeline
-- Everything that happened to every lead, a row each. Say which: `WHERE lead = 'lead-4711' ORDER BY at`.
SELECT
    lead,
    at,
    kind,
    campaign,
    step,
    variant,
    delivery_id,
    verdict,
    reason,
    client,
    device,
    country,
    links.url AS url,
    bounce_class,
    status,
    subject,
    text
FROM
(
    SELECT * FROM events FINAL WHERE lead != ''
) AS events
LEFT JOIN (SELECT toString(link_id) AS link_id, url FROM links FINAL) AS links USING (link_id)
