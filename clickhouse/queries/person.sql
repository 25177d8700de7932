-- Everything that is stored of a person, for `sendlens lead export`: of the leads that are theirs, and of the keyed hashes
-- of their address. What is counted ahead is made of these rows and has nothing else.

-- name: person_facts
-- For what they get no mail, or get it again.
SELECT *
FROM lead_facts FINAL
WHERE (of = 'lead' AND lead IN {leads:Array(String)})
    OR (of = 'address' AND lead IN {addresses:Array(String)})
    OR (of = 'domain' AND lead IN {domains:Array(String)})
ORDER BY at

-- name: person_events
-- What happened to their emails.
SELECT *
FROM events FINAL
WHERE lead IN {leads:Array(String)}
ORDER BY at, id

-- name: person_hits
-- Requests of pixels and links of their emails, as they came in.
SELECT *
FROM hits FINAL
WHERE lead IN {leads:Array(String)}
ORDER BY at, id

-- name: person_attempts
-- The last attempt to hand each of their emails to its mail server.
SELECT *
FROM attempts FINAL
WHERE delivery_id IN {emails:Array(UUID)}
ORDER BY at

-- name: person_waiting
-- Emails to them that wait, whole, and those that waited.
SELECT *
FROM retries FINAL
WHERE delivery_id IN {emails:Array(UUID)}
ORDER BY at

-- name: person_calls
-- What waits to be told of them to webhooks, and what was told at a later attempt.
SELECT *
FROM calls FINAL
WHERE event IN (SELECT id FROM events WHERE lead IN {leads:Array(String)})
ORDER BY first_at

-- name: person_links
-- Links whose destination names their address.
SELECT *
FROM links FINAL
WHERE toString(link_id) IN {links:Array(String)}
ORDER BY link_id
