-- view: campaign_names
-- The campaigns to choose from: id and what to call it, by name.
SELECT id, if(name = '', id, name) AS label
FROM campaigns FINAL
ORDER BY label, id
LIMIT 5000

-- view: any_emails
-- Whether anything was ever sent: 1 or 0.
SELECT count() > 0 AS any_emails FROM outcomes

-- view: step_names
-- The steps to choose from, of the campaigns chosen (none chosen means all): place in the sequence and what to call it.
SELECT DISTINCT step AS id, concat('Step ', toString(step)) AS label
FROM outcomes
WHERE empty({campaigns:Array(String)}) OR has({campaigns:Array(String)}, campaign)
ORDER BY id

-- view: sender_names
-- The senders to choose from, by name.
SELECT DISTINCT sender::String AS id, sender::String AS label
FROM outcomes
WHERE sender != ''
ORDER BY id
LIMIT 5000

-- view: campaigns_page
-- The campaigns that were declared, by id: at most {limit}, those after the one that `after_campaign` names ('' is before
-- the first).
SELECT
    id,
    campaigns.name AS name,
    created_at,
    if(pauses.paused, 'Paused', 'Active') AS state
FROM campaigns FINAL
LEFT JOIN (SELECT campaign AS id, paused FROM pauses FINAL) AS pauses ON pauses.id = campaigns.id
WHERE id > {after_campaign:String}
ORDER BY id
LIMIT {limit:UInt32}
