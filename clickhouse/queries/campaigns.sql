-- name: campaigns
-- The campaigns to choose from: id and what to call it, by name.
SELECT id, if(name = '', id, name) AS label
FROM campaigns FINAL
ORDER BY label, id
LIMIT 5000

-- name: any_emails
-- Whether anything was ever sent: 1 or 0.
SELECT count() > 0 AS any_emails FROM outcomes
