-- The suppression list: the facts for which leads, addresses and domains get no mail, as operators read it.

-- name: suppressions
-- A page of what holds now, in the table's own order, after the row that :after_ names; of these names alone when there are
-- some (:ids), of one kind, reason or source when one is given. `list` is the one that was left, of `left` alone.
SELECT
    toString(of) AS of,
    lead AS id,
    toString(fact) AS reason,
    toString(campaign) AS list,
    source,
    at AS since,
    until
FROM lead_facts FINAL
WHERE holds AND fact IN ('unsubscribed', 'invalid', 'complained', 'suppressed', 'snoozed', 'erased', 'left')
    AND (until IS NULL OR until > now64(3, 'UTC'))
    AND lead >= {after_id:String}
    AND (lead, toString(fact), toString(of), toString(campaign))
        > ({after_id:String}, {after_reason:String}, {after_of:String}, {after_list:String})
    AND (empty({ids:Array(String)}) OR lead IN {ids:Array(String)})
    AND (empty({of:Array(String)}) OR of IN {of:Array(String)})
    AND ({reason:String} = '' OR fact = {reason:String})
    AND ({source:String} = '' OR lead_facts.source = {source:String})
ORDER BY lead, fact, of, campaign
LIMIT {limit:UInt32}

-- name: every_suppression
-- All that holds now, in the table's own order, for `sendlens suppressions export`: who gets no mail at all, so not `left`.
SELECT
    toString(of) AS of,
    lead AS id,
    toString(fact) AS reason,
    source,
    at AS since,
    until
FROM lead_facts FINAL
WHERE holds AND fact IN ('unsubscribed', 'invalid', 'complained', 'suppressed', 'snoozed', 'erased')
    AND (until IS NULL OR until > now64(3, 'UTC'))

-- name: suppressed_leads_of
-- Of the leads that were mailed at an address, given by its keyed hashes, those of which a fact of their own holds.
SELECT DISTINCT lead
FROM lead_facts FINAL
WHERE of = 'lead' AND holds AND fact IN ('unsubscribed', 'invalid', 'complained', 'suppressed', 'snoozed')
    AND lead IN (SELECT lead FROM events WHERE kind = 'sent' AND address IN {addresses:Array(String)})
