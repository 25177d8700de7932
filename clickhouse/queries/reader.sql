-- Which email a mail that came back belongs to: what the reader asks.

-- name: sent_emails
-- These emails as they were sent, one row each; one that is not stored has none. None of them was sent before :since,
-- so older months are not looked at.
SELECT
    delivery_id,
    any(campaign) AS campaign,
    any(step) AS step,
    any(variant) AS variant,
    any(lead) AS lead,
    any(sender) AS sender,
    any(address) AS address
FROM events
WHERE kind = 'sent' AND delivery_id IN {deliveries:Array(UUID)} AND at >= {since:DateTime64(3, 'UTC')}
GROUP BY delivery_id

-- name: last_email_to
-- The last email that a mailbox sent to one of these addresses (keyed hashes of one address) from :since on and before
-- :until. At most one row.
SELECT delivery_id, campaign, step, variant, lead, sender, address
FROM events
WHERE kind = 'sent' AND address IN {addresses:Array(String)} AND lower(sender) = {mailbox:String}
    AND at >= {since:DateTime64(3, 'UTC')} AND at < {until:DateTime64(3, 'UTC')}
ORDER BY at DESC, delivery_id
LIMIT 1
