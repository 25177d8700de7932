-- What analysts ask, as views: `SELECT * FROM v_campaigns`. Made of the fragments that the boards' queries are made of, anew at
-- every `sendlens migrate`, so a number is defined once and means the same everywhere. Where a fragment asks for a
-- period or a choice, a view asks for everything. What its columns mean stands in clickhouse/columns.py.

-- view: v_campaigns
-- Campaigns that sent something: counts and rates of all their emails, and whether they are paused.
SELECT
    campaign,
    if(known.name = '', campaign, known.name) AS name,
    if(pauses.paused, 'Paused', 'Active') AS state,
    first_sent_at,
    last_sent_at,
    -- include: count_names
    ,
    -- include: rates
FROM
(
    SELECT
        campaign,
        min(sent_at) AS first_sent_at,
        max(sent_at) AS last_sent_at,
        -- include: counts
    FROM v_outcomes
    WHERE sent_at IS NOT NULL
    GROUP BY campaign
) AS counted
LEFT JOIN (SELECT id, name FROM campaigns FINAL) AS known ON known.id = campaign
LEFT JOIN (SELECT campaign AS id, paused FROM pauses FINAL) AS pauses ON pauses.id = campaign

-- view: v_daily
-- Emails by campaign and the day (UTC) they were sent on, and what became of them, whenever. Add counts up; rates don't.
SELECT
    toDate(assumeNotNull(sent_at)) AS day,
    campaign,
    -- include: counts
    ,
    -- include: rates
FROM v_outcomes
WHERE sent_at IS NOT NULL
GROUP BY day, campaign

-- view: v_variants
-- Emails by campaign, step and variant, and what became of them.
SELECT
    campaign,
    step,
    variant,
    -- include: counts
    ,
    -- include: rates
FROM v_outcomes
WHERE sent_at IS NOT NULL
GROUP BY campaign, step, variant

-- view: v_ab
-- Variants compared with their step's baseline, by metric: reply, which decides, click and open. Only steps that were sent
-- in at least two variants.
WITH
    -- include: period
    ,
    -- include: each_by_itself
    ,
    -- include: held
SELECT
    campaign,
    step,
    variant,
    metric,
    baseline,
    -- include: ab_results
FROM
(
    -- include: ab_tests
)

-- view: v_senders
-- Senders: health now, counts and rates of all their emails.
WITH
    -- include: all_of_time
    ,
    -- include: all_together
    ,
    -- include: held
SELECT
    sender,
    if(is_folded, folded_health, 100) AS health,
    -- include: count_names
    ,
    -- include: rates
FROM
(
    SELECT
        sender,
        -- include: count_sums
    FROM
    (
        -- include: counted_by_sender
    ) AS counted
    WHERE sender != ''
    GROUP BY sender
) AS counted
LEFT JOIN
(
    -- include: healths
) AS healths USING (sender)

-- view: v_domains
-- Emails by the domain of the recipient's address, and what became of them. Bounces by provider show here.
SELECT
    recipient_domain,
    -- include: counts
    ,
    -- include: rates
FROM v_outcomes
WHERE sent_at IS NOT NULL
GROUP BY recipient_domain

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
        -- include: link_counts
    FROM events FINAL
    WHERE kind = 'click'
    GROUP BY campaign, link_id
) AS followed
LEFT JOIN (SELECT toString(link_id) AS link_id, url FROM links FINAL) AS links USING (link_id)

-- view: v_hits
-- Opens and clicks by whose they were and by the rule that said so.
SELECT
    kind,
    verdict,
    reason,
    count() AS hits,
    uniqExact(delivery_id) AS emails
FROM events FINAL
WHERE kind IN ('open', 'click')
GROUP BY kind, verdict, reason

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
