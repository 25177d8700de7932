-- Senders, and what became of their emails. Their health is in health.sql.

-- view: sender_health
-- Each sender's health now, 0 to 100, and what became of all its emails; bounces count emails, of sent.
SELECT
    key AS sender,
    if(is_folded, healths.health, 100) AS health,
    sent,
    hard_bounced,
    soft_bounced,
    blocked
FROM totals(
    by = 'sender',
    per = ['key'],
    grains = ['day', 'hour'],
    together = 1,
    begin = '1970-01-01 00:00:00',
    since = '1970-01-01 00:00:00',
    until = '2100-01-01 00:00:00',
    campaigns = [],
    steps = [],
    senders = [],
    unit = 'day',
    timezone = 'UTC'
) AS totals
LEFT JOIN (SELECT sender, health, true AS is_folded FROM health_now()) AS healths ON healths.sender = key
WHERE key != ''
ORDER BY health, sender

-- view: senders
-- Each sender of the emails sent in the period: its health now, 0 to 100, and what became of these emails. Bounces are
-- shares of sent.
SELECT
    key AS sender,
    if(is_folded, healths.health, 100) AS health,
    sent,
    hard_bounced,
    soft_bounced,
    blocked,
    hard_bounce_rate,
    soft_bounce_rate,
    block_rate
FROM results(
    by = 'sender',
    per = ['key'],
    grains = ['day', 'hour'],
    together = 1,
    begin = {since:DateTime64(3, 'UTC')},
    since = {since:DateTime64(3, 'UTC')},
    until = {until:DateTime64(3, 'UTC')},
    campaigns = {campaigns:Array(String)},
    steps = [],
    senders = [],
    unit = 'day',
    timezone = 'UTC'
) AS results
LEFT JOIN (SELECT sender, health, true AS is_folded FROM health_now()) AS healths ON healths.sender = key
ORDER BY health, sent DESC, sender
LIMIT 200
