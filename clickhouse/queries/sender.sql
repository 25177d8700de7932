-- What the sender asks of emails that were sent before: what its topics have forgotten.

-- name: already_sent
-- Which of these emails were sent, and by which request.
SELECT toString(delivery_id), toString(any(request_id))
FROM events
WHERE kind = 'sent' AND delivery_id IN {deliveries:Array(UUID)}
GROUP BY delivery_id

-- name: attempts_open_for_long
-- Attempts on these emails without an outcome that the topic has forgotten. Of newer ones the topic knows more than the
-- store has inserted.
SELECT toString(delivery_id), toString(request_id), attempt, at, sender, message_id
FROM attempts FINAL
WHERE delivery_id IN {deliveries:Array(UUID)} AND outcome = '' AND at < now() - INTERVAL 2 DAY
