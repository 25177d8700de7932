-- Rows as they are, for other systems: `GET /v1/export`. Streamed in the tables' own order, so that nothing is sorted or
-- held. Every column is text, a number or a time, so that CSV, NDJSON and Parquet say the same.

-- view: export_emails
-- One row for each email sent in the period: when each thing first happened to it, empty for never.
SELECT
    toString(delivery_id) AS delivery_id,
    toString(campaign) AS campaign,
    step,
    toString(variant) AS variant,
    lead,
    toString(sender) AS sender,
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
    auto_replied_at,
    unsubscribed_at,
    complained_at
FROM v_sent
WHERE slot >= toStartOfHour({since:DateTime64(3, 'UTC')}) AND slot < {until:DateTime64(3, 'UTC')}
    AND sent_at >= {since:DateTime64(3, 'UTC')} AND sent_at < {until:DateTime64(3, 'UTC')}
    AND (empty({campaigns:Array(String)}) OR has({campaigns:Array(String)}, campaign))

-- view: export_events
-- One row for each event of the period, duplicates merged.
SELECT
    toString(id) AS id,
    toString(kind) AS kind,
    at,
    toString(delivery_id) AS delivery_id,
    toString(campaign) AS campaign,
    step,
    toString(variant) AS variant,
    lead,
    toString(sender) AS sender,
    toString(recipient_domain) AS recipient_domain,
    message_id,
    attempt,
    toString(bounce_class) AS bounce_class,
    toString(category) AS category,
    toString(status) AS status,
    diagnostic,
    toString(reason) AS reason,
    toString(verdict) AS verdict,
    toString(rules_version) AS rules_version,
    toString(user_agent) AS user_agent,
    ip,
    toString(client) AS client,
    toString(device) AS device,
    toString(country) AS country,
    link_id,
    toString(via) AS via,
    until,
    toString(list_name) AS list_name,
    toUInt8(back) AS back,
    toString(matched_by) AS matched_by,
    subject,
    text,
    toUInt8(asks_to_stop) AS asks_to_stop,
    stop_phrase,
    stop_line,
    detail
FROM events FINAL
WHERE at >= {since:DateTime64(3, 'UTC')} AND at < {until:DateTime64(3, 'UTC')}
    AND (empty({campaigns:Array(String)}) OR has({campaigns:Array(String)}, campaign))

-- view: export_hits
-- One row for each hit of the period as it came in, before any judgement, duplicates merged. Kept for 90 days.
SELECT
    toString(id) AS id,
    toString(kind) AS kind,
    at,
    toString(delivery_id) AS delivery_id,
    toString(campaign) AS campaign,
    step,
    toString(variant) AS variant,
    lead,
    minted_at,
    link_id,
    toString(method) AS method,
    toString(user_agent) AS user_agent,
    ip,
    toJSONString(headers) AS headers
FROM hits FINAL
WHERE at >= {since:DateTime64(3, 'UTC')} AND at < {until:DateTime64(3, 'UTC')}
    AND (empty({campaigns:Array(String)}) OR has({campaigns:Array(String)}, campaign))

-- view: export_recipients
-- The rows of `recipients`, `links` being the ids of those that a person followed, with a blank between them.
SELECT
    lead,
    campaign_id AS campaign,
    step,
    variant,
    toString(delivery_id) AS delivery_id,
    sender,
    recipient_domain,
    sent_at,
    skipped_at,
    delivered_at,
    opened_at,
    clicked_at,
    replied_at,
    bounced_at,
    unsubscribed_at,
    complained_at,
    arrayStringConcat(followed, ' ') AS links
FROM recipients(
    since = {since:DateTime64(3, 'UTC')},
    until = {until:DateTime64(3, 'UTC')},
    campaigns = {campaigns:Array(String)},
    steps = {steps:Array(UInt8)},
    variants = {variants:Array(String)},
    links = {links:Array(String)},
    outcomes = {outcomes:Array(String)}
)
