-- What the guard and the reader ask of the emails that were sent. Both see events sooner than ClickHouse does, so what
-- they have just seen they say themselves.

-- name: campaign_bounces
-- Emails of a campaign sent at :since or later, and those of them that bounced hard, each counted once however often
-- its events came. To what is stored are added the emails that the asker saw sent (`seen_sent`) and saw bounce hard
-- (`seen_hard`); the last two columns are those of them that are stored by now and need not be said again.
WITH
    saw_sent AS (SELECT arrayJoin({seen_sent:Array(UUID)}) AS delivery_id),
    saw_hard AS (SELECT arrayJoin({seen_hard:Array(UUID)}) AS delivery_id),
    bounced AS
    (
        SELECT delivery_id
        FROM outcomes
        WHERE campaign = {campaign:String} AND hard_bounced_at IS NOT NULL
    )
SELECT
    uniqExact(delivery_id) AS sent,
    uniqExactIf(delivery_id, delivery_id IN bounced OR delivery_id IN saw_hard) AS hard_bounced,
    groupUniqArrayIf(delivery_id, is_stored AND delivery_id IN saw_sent) AS sent_stored,
    (SELECT groupUniqArray(delivery_id) FROM bounced WHERE delivery_id IN saw_hard) AS hard_stored
FROM
(
    SELECT delivery_id, true AS is_stored
    FROM outcomes
    WHERE campaign = {campaign:String} AND sent_at >= {since:DateTime64(3, 'UTC')}
    UNION ALL
    SELECT delivery_id, false AS is_stored
    FROM saw_sent
)

-- name: campaigns_bouncing
-- Campaigns in which an email bounced hard at :since or later: those that a guard looks at when it starts.
SELECT DISTINCT campaign
FROM rare_events
WHERE kind = 'bounce' AND bounce_class = 'hard' AND at >= {since:DateTime64(3, 'UTC')}

-- name: campaign_sender
-- The From address of the campaign's email that bounced last.
SELECT sender
FROM rare_events
WHERE campaign = {campaign:String} AND kind = 'bounce'
ORDER BY at DESC
LIMIT 1

-- name: addresses
-- The address that each of these emails went to, as a keyed hash; an email that is not stored yet has no row.
SELECT delivery_id, any(address) AS address
FROM events
WHERE campaign IN {campaigns:Array(String)} AND delivery_id IN {deliveries:Array(UUID)} AND kind = 'sent'
GROUP BY delivery_id
