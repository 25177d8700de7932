-- name: campaigns
-- The campaigns to choose from: id and what to call it, by name.
SELECT id, if(name = '', id, name) AS label
FROM campaigns FINAL
ORDER BY label, id
LIMIT 5000

-- name: any_emails
-- Whether anything was ever sent: 1 or 0.
SELECT count() > 0 AS any_emails FROM outcomes

-- name: steps
-- The steps to choose from, of the campaigns chosen (none chosen means all): place in the sequence and what to call it.
SELECT DISTINCT step AS id, concat('Step ', toString(step)) AS label
FROM outcomes
WHERE empty({campaigns:Array(String)}) OR has({campaigns:Array(String)}, campaign)
ORDER BY id

-- name: sender_names
-- The senders to choose from, by name.
SELECT DISTINCT sender AS id, sender AS label
FROM outcomes
WHERE sender != ''
ORDER BY id
LIMIT 5000
