-- What Grafana's alert rules ask, once a minute. Each gives texts, which tell its alerts apart, and exactly one number,
-- which is compared; no row, no alert. They know a period and nothing else.

-- view: alert_hard_bounces
-- Hard bounces, of sent, of each campaign of which at least 100 emails were sent in the period: fewer say nothing, and
-- the guard, which counts since a campaign was last resumed, stops one at 20.
SELECT
    campaign AS campaign_id,
    if(known.name = '', campaign, known.name) AS campaign_name,
    hard_bounced / sent AS hard_bounce_rate
FROM totals(
    by = 'variant',
    per = ['campaign'],
    grains = ['day', 'hour'],
    together = 0,
    begin = {since:DateTime64(3, 'UTC')},
    since = {since:DateTime64(3, 'UTC')},
    until = {until:DateTime64(3, 'UTC')},
    campaigns = [],
    steps = [],
    senders = [],
    unit = 'day',
    timezone = 'UTC'
) AS totals
LEFT JOIN (SELECT id, name FROM campaigns FINAL) AS known ON known.id = campaign
WHERE sent >= 100
ORDER BY campaign_id

-- view: alert_hits
-- Hits of the period that are in no number: lost (they were in hand, and neither Kafka nor the disk had them when their
-- process ended) or refused (not recorded: too much waited for Kafka, or the spool was full). A row for each of the two
-- of which an ingest reported. Counts, without a denominator.
SELECT if(name = 'sendlens_hits_lost_total', 'lost', 'refused') AS fate, sum(increase)::UInt64 AS hits
FROM counter_increases(
    names = ['sendlens_hits_lost_total', 'sendlens_hits_total'],
    since = {since:DateTime64(3, 'UTC')},
    until = {until:DateTime64(3, 'UTC')},
    before = 1,
    cell = 20000
)
WHERE period = 1 AND (name = 'sendlens_hits_lost_total' OR result = 'refused')
GROUP BY fate
ORDER BY fate

-- view: last_gauges
-- The last figure of the period's last minute, of each process that reported it, for these gauges.
SELECT name, instance, argMax(value, at) AS latest
FROM samples
WHERE name IN {names:Array(String)}
    AND at >= greatest({since:DateTime64(3, 'UTC')}, subtractMinutes({until:DateTime64(3, 'UTC')}, 1))
    AND at < {until:DateTime64(3, 'UTC')}
GROUP BY name, instance

-- view: alert_spool
-- How long the oldest hit of each ingest's spool has waited for Kafka, in seconds, at the end of the period; 0 without one.
SELECT instance, latest AS seconds
FROM last_gauges(
    names = ['sendlens_spool_age_seconds'], since = {since:DateTime64(3, 'UTC')}, until = {until:DateTime64(3, 'UTC')}
)
ORDER BY instance

-- view: alert_inbox
-- How many mailboxes can't be read at the end of the period, by the process that reads them. A count, of the mailboxes of
-- senders.toml.
SELECT instance, latest AS mailboxes
FROM last_gauges(
    names = ['sendlens_inbox_away_mailboxes'], since = {since:DateTime64(3, 'UTC')}, until = {until:DateTime64(3, 'UTC')}
)
ORDER BY instance

-- view: alert_unanswered
-- Emails whose outcome nobody knows and that wait for an operator's decision now, whatever the period, by the sender they
-- are from. A count, without a denominator.
SELECT toString(sender) AS sender_address, count() AS emails
FROM emails_waiting()
WHERE state = 'unanswered'
GROUP BY sender_address
ORDER BY sender_address

-- view: alert_webhooks
-- Endpoints that are told of nothing because they took nothing for 24 hours, or are gone, now, whatever the period: 1 for
-- each. Of an address only the host is shown: the rest may be a secret.
SELECT toString(id) AS endpoint, domain(url) AS host, 1 AS disabled
FROM webhooks FINAL
WHERE state = 'disabled'
ORDER BY endpoint
