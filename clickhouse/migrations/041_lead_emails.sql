-- Emails by lead, so that one lead's are found without reading every email's lead: a bloom filter over `outcomes` cost
-- 0.45 s of processor among 14 million emails, and this costs 0.01. Columns are minima, maxima and sets: the same event
-- again, or in another order, changes nothing. `address` is what the email's lead is known by in other lists (its keyed
-- hash, of the `sent` event), `links` are those followed in it, by anybody.
--
-- Verdicts may be given anew, and a minimum can't be taken back: clickhouse/rebuild.py makes these rows anew as it does
-- those of `outcomes`. The lead stands in the sorting key, so clickhouse/erasing.py writes rows under the pseudonym and
-- deletes the others.
CREATE TABLE IF NOT EXISTS lead_emails (
    lead String,
    campaign LowCardinality(String),
    step UInt8,
    variant LowCardinality(String),
    delivery_id UUID,
    address SimpleAggregateFunction(max, String),
    links SimpleAggregateFunction(groupUniqArrayArray, Array(String)),
    sent_at SimpleAggregateFunction(min, Nullable(DateTime64(3, 'UTC'))),
    first_open_at SimpleAggregateFunction(min, Nullable(DateTime64(3, 'UTC'))),
    first_click_at SimpleAggregateFunction(min, Nullable(DateTime64(3, 'UTC'))),
    replied_at SimpleAggregateFunction(min, Nullable(DateTime64(3, 'UTC')))
)
ENGINE = AggregatingMergeTree
ORDER BY (lead, campaign, step, variant, delivery_id)
SETTINGS index_granularity = 256;

CREATE MATERIALIZED VIEW IF NOT EXISTS lead_emails_from_events TO lead_emails AS
SELECT
    lead,
    campaign,
    step,
    variant,
    delivery_id,
    maxIf(toString(address), kind = 'sent') AS address,
    groupUniqArrayIf(link_id, kind = 'click') AS links,
    minOrNullIf(at, kind = 'sent') AS sent_at,
    minOrNullIf(at, kind = 'open' AND verdict = 'human') AS first_open_at,
    minOrNullIf(at, kind = 'click' AND verdict = 'human') AS first_click_at,
    minOrNullIf(at, kind = 'reply') AS replied_at
FROM events
WHERE lead != '' AND delivery_id != toUUID('00000000-0000-0000-0000-000000000000')
GROUP BY lead, campaign, step, variant, delivery_id;

-- When something last happened to each lead, and what: a row a lead, by which leads are listed, the latest first.
-- Whatever its verdict, so no judging changes it.
CREATE TABLE IF NOT EXISTS last_events (
    lead String,
    last SimpleAggregateFunction(max, Tuple(at DateTime64(3, 'UTC'), kind String))
)
ENGINE = AggregatingMergeTree
ORDER BY lead
SETTINGS index_granularity = 1024;

CREATE MATERIALIZED VIEW IF NOT EXISTS last_events_from_events TO last_events AS
SELECT lead, max((at, toString(kind))) AS last
FROM events
WHERE lead != '' AND delivery_id != toUUID('00000000-0000-0000-0000-000000000000')
GROUP BY lead;

INSERT INTO rebuilding (campaign) SELECT '' FROM events LIMIT 1;

-- Nothing asks `outcomes` for a lead any more, but an erasure, which reads every table.
ALTER TABLE outcomes DROP INDEX IF EXISTS by_lead;
