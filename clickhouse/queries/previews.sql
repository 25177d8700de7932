-- name: preview_html
-- The HTML that the platform declared for the first of the variants chosen, and the tags that its campaign's links get.
SELECT html, utm_source, utm_medium, utm_campaign, utm_content
FROM (SELECT campaign, step, variant, html FROM previews FINAL) AS declared
LEFT JOIN (SELECT * FROM campaigns FINAL) AS known ON known.id = campaign
WHERE campaign = {campaigns:Array(String)}[1] AND step = {steps:Array(UInt8)}[1] AND variant = {variants:Array(String)}[1]
