-- What webhooks ask.

-- name: events_to_redeliver
-- The events from :start until before :end of these kinds, all where none is named.
SELECT * FROM events FINAL
WHERE at >= {start:DateTime64(3, 'UTC')} AND at < {end:DateTime64(3, 'UTC')}
    AND (empty({kinds:Array(String)}) OR has({kinds:Array(String)}, kind))
ORDER BY at, id

-- name: recipient_addresses
-- The address that each of these emails went to, '' where it is not kept or was erased; an email that is not stored yet
-- has no row.
SELECT toString(delivery_id), max(recipient)
FROM events
WHERE campaign IN {campaigns:Array(String)} AND delivery_id IN {deliveries:Array(UUID)} AND kind = 'sent'
GROUP BY delivery_id
