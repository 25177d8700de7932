-- Who clicked which link of a variant, drawn on the HTML that the platform declared for it.

-- view: declared_emails
-- The variants whose HTML the platform declared for the click map, the newest step first, and since when it stands so. None
-- of `campaigns` and `steps` chosen means all.
SELECT
    campaign AS campaign_id,
    if(known.name = '', campaign, known.name) AS campaign_name,
    step,
    concat('Step ', toString(step)) AS step_name,
    variant,
    at AS declared_at
FROM (SELECT campaign, step, variant, at FROM previews FINAL WHERE html != '') AS declared
LEFT JOIN (SELECT id, name FROM campaigns FINAL) AS known ON known.id = campaign
WHERE (empty({campaigns:Array(String)}) OR has({campaigns:Array(String)}, campaign))
    AND (empty({steps:Array(UInt8)}) OR has({steps:Array(UInt8)}, step))
ORDER BY campaign_name, campaign_id, step, variant
LIMIT 200

-- view: variant_links
-- The links that were followed in the emails sent in the period, of the variants chosen, by whom the most people followed
-- first. `clicked` are emails in which a person followed the link, `raw_clicked` those in which anybody did, however often.
-- `click_rate` is `clicked` of these variants' emails that were delivered with any link, this one or others; the trap for
-- robots, which no person followed, is left out.
SELECT
    followed.link_id AS link_id,
    if(url = '', concat('Unknown link ', substring(link_id, 1, 12)), url) AS link,
    followed.clicked AS clicked,
    followed.raw_clicked AS raw_clicked,
    clicked / nullIf(
        (
            SELECT sum(delivered_with_links)
            FROM results(
                by = 'variant',
                per = ['campaign', 'step', 'variant'],
                grains = ['day', 'hour'],
                together = 0,
                begin = {since:DateTime64(3, 'UTC')},
                since = {since:DateTime64(3, 'UTC')},
                until = {until:DateTime64(3, 'UTC')},
                campaigns = {campaigns:Array(String)},
                steps = {steps:Array(UInt8)},
                senders = [],
                unit = 'day',
                timezone = 'UTC'
            )
            WHERE empty({variants:Array(String)}) OR has({variants:Array(String)}, variant)
        ),
        0
    ) AS click_rate
FROM
(
    SELECT link_id, sum(has(links, link_id)) AS clicked, count() AS raw_clicked
    FROM emails FINAL
    ARRAY JOIN raw_links AS link_id
    WHERE slot = toStartOfHour(assumeNotNull(emails.sent_at))
        AND slot >= toStartOfHour({since:DateTime64(3, 'UTC')}) AND slot < {until:DateTime64(3, 'UTC')}
        AND emails.sent_at >= {since:DateTime64(3, 'UTC')} AND emails.sent_at < {until:DateTime64(3, 'UTC')}
        AND (empty({campaigns:Array(String)}) OR has({campaigns:Array(String)}, emails.campaign))
        AND (empty({steps:Array(UInt8)}) OR has({steps:Array(UInt8)}, step))
        AND (empty({variants:Array(String)}) OR has({variants:Array(String)}, emails.variant))
    GROUP BY link_id
) AS followed
LEFT JOIN (SELECT toString(link_id) AS id, url FROM links FINAL) AS known_links ON known_links.id = followed.link_id
WHERE NOT (clicked = 0 AND endsWith(url, '/hidden'))
ORDER BY clicked DESC, raw_clicked DESC, link, link_id
LIMIT 5000
