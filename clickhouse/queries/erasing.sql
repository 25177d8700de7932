-- Who is to be erased, and where it stands (clickhouse/erasing.py). Never logged: a person is named.

-- name: erasing_leads
-- Leads that were mailed, or wait to be, at an address: its keyed hashes, and as it is written.
SELECT DISTINCT lead FROM events
WHERE kind = 'sent' AND address IN {addresses:Array(String)} AND NOT startsWith(lead, 'erased:')
UNION DISTINCT
SELECT DISTINCT lead FROM retries WHERE lower(JSONExtractString(send, 'to')) = {address:String}

-- name: erasing_every_lead
-- All leads of all tables, but those that were erased.
SELECT DISTINCT lead FROM
(
    SELECT lead FROM outcomes UNION ALL SELECT lead FROM events UNION ALL SELECT lead FROM hits
    UNION ALL SELECT lead FROM lead_emails UNION ALL SELECT lead FROM last_events
    UNION ALL SELECT lead FROM retries UNION ALL SELECT lead FROM lead_facts WHERE of = 'lead'
)
WHERE lead != '' AND NOT startsWith(lead, 'erased:')

-- name: erasing_emails
-- The emails of leads, wherever one is known.
SELECT DISTINCT lead, campaign, toString(delivery_id) FROM
(
    SELECT lead, campaign, delivery_id FROM events WHERE lead IN {leads:Array(String)}
    UNION ALL SELECT lead, campaign, delivery_id FROM hits WHERE lead IN {leads:Array(String)}
    UNION ALL SELECT lead, campaign, delivery_id FROM outcomes WHERE lead IN {leads:Array(String)}
    UNION ALL SELECT lead, campaign, delivery_id FROM retries WHERE lead IN {leads:Array(String)}
)

-- name: erasing_left
-- The facts that leads or addresses left a list.
SELECT lead, of, campaign FROM lead_facts FINAL WHERE fact = 'left' AND lead IN {whose:Array(String)}

-- name: erasing_erased
-- The keyed hashes of the leads that were erased.
SELECT lead FROM lead_facts FINAL WHERE of = 'hashed-lead' AND fact = 'erased' AND holds

-- name: erasing_own_domains
-- Domains in which nobody else was mailed: each tells who it was.
SELECT recipient_domain FROM events WHERE recipient_domain != ''
GROUP BY recipient_domain HAVING countIf(delivery_id NOT IN {emails:Array(UUID)}) = 0
    AND countIf(delivery_id IN {emails:Array(UUID)}) > 0

-- name: erasing_links
-- Links whose destination names an address, at most percent-encoded once.
SELECT toString(link_id), url FROM links FINAL
WHERE positionCaseInsensitive(decodeURLComponent(url), {address:String}) > 0

-- name: erasing_calls
-- Webhook calls that wait for these emails.
SELECT DISTINCT endpoint, event FROM calls
WHERE event IN (SELECT id FROM events WHERE delivery_id IN {emails:Array(UUID)})

-- name: erasing_written
-- Of these hours and their days, what is written: rollups of an older version are stale.
SELECT 'hour' AS grain, slot, written FROM slots FINAL
WHERE of = {of:String} AND slot IN {slots:Array(DateTime('UTC'))}
UNION ALL
SELECT 'day', slot, day_written FROM slots FINAL
WHERE of = {of:String} AND slot IN (SELECT toStartOfDay(arrayJoin({slots:Array(DateTime('UTC'))})))
