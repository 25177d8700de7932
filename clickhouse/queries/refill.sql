-- What `sendlens migrate` fills the state topics of a new broker with: a query for each topic, its columns the fields of the
-- topic's struct in their order.

-- name: refill_campaigns
-- Campaigns, as the platform declared them.
SELECT
    id, name, created_at, check_reply, track_opens, track_clicks, wrap_text_links, pixel,
    bounce_limit, bounce_min_sends, unsubscribe_on_reply, utm_source, utm_medium, utm_campaign, utm_content,
    tracking_url
FROM campaigns FINAL

-- name: refill_pauses
-- Pauses, the newest of each campaign.
SELECT campaign, paused, at, reason
FROM pauses FINAL

-- name: refill_leads
-- Facts for which leads get no mail.
SELECT lead, fact, at, of, campaign, holds, source, until
FROM lead_facts FINAL

-- name: refill_links
-- Where wrapped links lead.
SELECT toString(link_id), campaign, url
FROM links FINAL

-- name: refill_previews
-- The HTML of variants, as the platform declared it.
SELECT campaign, step, variant, html, at
FROM previews FINAL

-- name: refill_webhooks
-- Endpoints of webhooks.
SELECT toString(id), url, kinds, created_at, state, since, reason, with_to
FROM webhooks FINAL

-- name: refill_calls
-- Calls of webhooks that wait for their next attempt.
SELECT
    toString(endpoint), toString(event), kind, partition, attempt, first_at, due_at, state, answer, body
FROM calls FINAL
WHERE state = 'waiting'

-- name: refill_deliveries
-- Emails that were delivered in the last two days, which is as long as the topic has them.
SELECT toString(delivery_id), any(request_id), min(at)
FROM events
WHERE kind = 'delivered' AND at > now() - INTERVAL 2 DAY
GROUP BY delivery_id

-- name: refill_attempts
-- Attempts of two days, from which accounts' limits are counted, and all without an outcome.
SELECT toString(delivery_id), toString(request_id), attempt, at, sender, message_id, outcome, pixel, wrapped_links
FROM attempts FINAL
WHERE outcome = '' OR at > now() - INTERVAL 2 DAY

-- name: refill_retries
-- Emails that wait for their next attempt, or for an operator.
SELECT
    toString(delivery_id), toString(request_id), campaign, step, lead, sender, state, attempt,
    first_at, due_at, at, message_id, send
FROM retries FINAL
WHERE state != 'settled'
