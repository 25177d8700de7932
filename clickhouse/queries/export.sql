-- Rows as they are, for other systems: `GET /v1/export`. Streamed in the tables' own order, so that nothing is sorted or
-- held. Every column is text, a number or a time, so that CSV, NDJSON and Parquet say the same.
-- {guarded:Bool} is for spreadsheets: a cell that they would take for a formula gets an apostrophe before it.

-- fragment: guarded
-- What a spreadsheet would run is told as text: https://owasp.org/www-community/attacks/CSV_Injection
(cell -> if({guarded:Bool} AND match(cell, '^[-=+@\t\r\n＝＋－＠]'), concat('''', cell), cell)) AS told

-- name: export_emails
-- One row for each email sent in the period: when each thing first happened to it, empty for never.
WITH
    -- include: period
    ,
    -- include: guarded
SELECT
    toString(delivery_id) AS delivery_id,
    told(toString(campaign)) AS campaign,
    step,
    told(toString(variant)) AS variant,
    told(lead) AS lead,
    told(sender) AS sender,
    told(recipient_domain) AS recipient_domain,
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
    auto_replied_at,
    unsubscribed_at,
    complained_at
FROM v_sent
WHERE
    -- include: cohort

-- name: export_events
-- One row for each event of the period, duplicates merged.
WITH
    -- include: period
    ,
    -- include: guarded
SELECT
    toString(id) AS id,
    toString(kind) AS kind,
    at,
    toString(delivery_id) AS delivery_id,
    told(toString(campaign)) AS campaign,
    step,
    told(toString(variant)) AS variant,
    told(lead) AS lead,
    told(toString(sender)) AS sender,
    told(toString(recipient_domain)) AS recipient_domain,
    told(message_id) AS message_id,
    attempt,
    toString(bounce_class) AS bounce_class,
    toString(category) AS category,
    told(toString(status)) AS status,
    told(diagnostic) AS diagnostic,
    told(toString(reason)) AS reason,
    toString(verdict) AS verdict,
    toString(rules_version) AS rules_version,
    told(toString(user_agent)) AS user_agent,
    told(ip) AS ip,
    told(link_id) AS link_id,
    toString(via) AS via,
    toString(matched_by) AS matched_by,
    told(subject) AS subject,
    told(text) AS text,
    told(detail) AS detail
FROM events FINAL
WHERE at >= since AND at < until AND
    -- include: of_chosen

-- name: export_hits
-- One row for each hit of the period as it came in, before any judgement, duplicates merged. Kept for 90 days.
WITH
    -- include: period
    ,
    -- include: guarded
SELECT
    toString(id) AS id,
    toString(kind) AS kind,
    at,
    toString(delivery_id) AS delivery_id,
    told(toString(campaign)) AS campaign,
    step,
    told(toString(variant)) AS variant,
    told(lead) AS lead,
    minted_at,
    told(link_id) AS link_id,
    told(toString(method)) AS method,
    told(toString(user_agent)) AS user_agent,
    told(ip) AS ip,
    toJSONString(headers) AS headers
FROM hits FINAL
WHERE at >= since AND at < until AND
    -- include: of_chosen
