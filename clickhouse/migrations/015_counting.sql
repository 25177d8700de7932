-- What makes numbers fast (docs/architecture.md, "Counting"). All of it is derived from `events`, by materialised views and by
-- clickhouse/counting.py; `sendlens rebuild` makes it anew.

-- Of which emails, and of which quarter of an hour's hits, each insert into `events` was. The store names its insert
-- (log_comment) and asks for it once it is done, so nobody else's insert, done or half done, is ever taken for it.
CREATE TABLE IF NOT EXISTS arrivals (
    batch String,
    campaign LowCardinality(String),
    step UInt8,
    variant LowCardinality(String),
    delivery_id UUID,
    hit_slot DateTime('UTC') COMMENT 'of an open or a click, else 1970',
    arrived_at DateTime('UTC') DEFAULT now()
)
ENGINE = MergeTree
PARTITION BY toStartOfHour(arrived_at)
ORDER BY batch
TTL arrived_at + INTERVAL 1 HOUR
SETTINGS ttl_only_drop_parts = 1, index_granularity = 1024;

CREATE MATERIALIZED VIEW IF NOT EXISTS arrivals_from_events TO arrivals AS
SELECT
    getSetting('log_comment') AS batch,
    campaign,
    step,
    variant,
    delivery_id,
    if(kind IN ('open', 'click'), toStartOfHour(at), toDateTime(0)) AS hit_slot
FROM events
WHERE delivery_id != toUUID('00000000-0000-0000-0000-000000000000');

-- `outcomes` by the time of sending: what became of the emails of an hour lies together. Written by counting.py
-- for the emails of each batch, from `outcomes`; columns are minima and maxima, so that an older state of an email never
-- hides a newer one. An email that was first said to be sent at ten and is then said to be sent at nine has a row in
-- both hours, and in the wrong one it is void.
CREATE TABLE IF NOT EXISTS emails (
    campaign LowCardinality(String),
    slot DateTime('UTC') CODEC(DoubleDelta, ZSTD),
    step UInt8,
    variant LowCardinality(String),
    delivery_id UUID,
    void SimpleAggregateFunction(max, UInt8),
    lead SimpleAggregateFunction(max, String),
    sender SimpleAggregateFunction(max, LowCardinality(String)),
    recipient_domain SimpleAggregateFunction(max, String),
    sent_at SimpleAggregateFunction(min, DateTime64(3, 'UTC')),
    delivered_at SimpleAggregateFunction(min, Nullable(DateTime64(3, 'UTC'))),
    hard_bounced_at SimpleAggregateFunction(min, Nullable(DateTime64(3, 'UTC'))),
    soft_bounced_at SimpleAggregateFunction(min, Nullable(DateTime64(3, 'UTC'))),
    blocked_at SimpleAggregateFunction(min, Nullable(DateTime64(3, 'UTC'))),
    first_open_at SimpleAggregateFunction(min, Nullable(DateTime64(3, 'UTC'))),
    first_click_at SimpleAggregateFunction(min, Nullable(DateTime64(3, 'UTC'))),
    first_machine_open_at SimpleAggregateFunction(min, Nullable(DateTime64(3, 'UTC'))),
    first_raw_open_at SimpleAggregateFunction(min, Nullable(DateTime64(3, 'UTC'))),
    first_raw_click_at SimpleAggregateFunction(min, Nullable(DateTime64(3, 'UTC'))),
    replied_at SimpleAggregateFunction(min, Nullable(DateTime64(3, 'UTC'))),
    first_unsubscribed_at SimpleAggregateFunction(min, Nullable(DateTime64(3, 'UTC'))),
    last_unsubscribed_at SimpleAggregateFunction(max, Nullable(DateTime64(3, 'UTC'))),
    resubscribed_at SimpleAggregateFunction(max, Nullable(DateTime64(3, 'UTC'))),
    complained_at SimpleAggregateFunction(min, Nullable(DateTime64(3, 'UTC'))),
    auto_replied_at SimpleAggregateFunction(min, Nullable(DateTime64(3, 'UTC')))
)
ENGINE = AggregatingMergeTree
PARTITION BY toYYYYMM(slot)
ORDER BY (campaign, slot, step, variant, delivery_id)
SETTINGS index_granularity = 256;

-- Opens and clicks as they were judged, by their own time. Judged again, the newer row wins.
CREATE TABLE IF NOT EXISTS judged_hits (
    campaign LowCardinality(String),
    slot DateTime('UTC') CODEC(DoubleDelta, ZSTD),
    kind LowCardinality(String),
    id UUID,
    at DateTime64(3, 'UTC'),
    step UInt8,
    variant LowCardinality(String),
    delivery_id UUID,
    verdict LowCardinality(String),
    reason LowCardinality(String),
    link_id LowCardinality(String),
    stored_at DateTime64(3, 'UTC')
)
ENGINE = ReplacingMergeTree(stored_at)
PARTITION BY toYYYYMM(slot)
ORDER BY (campaign, slot, kind, id)
SETTINGS index_granularity = 256;

CREATE MATERIALIZED VIEW IF NOT EXISTS judged_hits_from_events TO judged_hits AS
SELECT
    campaign,
    toStartOfHour(at) AS slot,
    kind,
    id,
    at,
    step,
    variant,
    delivery_id,
    verdict,
    reason,
    link_id,
    stored_at
FROM events
WHERE kind IN ('open', 'click');

-- How often what happened in an hour was written to: of what is 'email' (by the time of sending) or 'hit'. Raised
-- after each write, by any number.
CREATE TABLE IF NOT EXISTS touched (
    of LowCardinality(String),
    slot DateTime('UTC'),
    times SimpleAggregateFunction(sum, UInt64)
)
ENGINE = AggregatingMergeTree
ORDER BY (of, slot);

-- Which hours each write to `emails` was of; what `touched` is raised by.
CREATE TABLE IF NOT EXISTS carried (
    batch String,
    slot DateTime('UTC'),
    carried_at DateTime('UTC') DEFAULT now()
)
ENGINE = MergeTree
PARTITION BY toStartOfHour(carried_at)
ORDER BY batch
TTL carried_at + INTERVAL 1 HOUR
SETTINGS ttl_only_drop_parts = 1;

CREATE MATERIALIZED VIEW IF NOT EXISTS carried_from_emails TO carried AS
SELECT DISTINCT getSetting('log_comment') AS batch, slot
FROM emails;

-- Counts of the emails sent in an hour or a day (UTC), and of the hits of one. `seen` is what `touched` said before they
-- were counted. They hold while it says so still: a count is never wrong, it only ends to be used.
CREATE TABLE IF NOT EXISTS rolled (
    of LowCardinality(String),
    grain LowCardinality(String),
    slot DateTime('UTC'),
    seen SimpleAggregateFunction(max, UInt64)
)
ENGINE = AggregatingMergeTree
ORDER BY (of, grain, slot);

CREATE TABLE IF NOT EXISTS email_counts (
    grain LowCardinality(String),
    campaign LowCardinality(String),
    slot DateTime('UTC') CODEC(DoubleDelta, ZSTD),
    step UInt8,
    variant LowCardinality(String),
    sender LowCardinality(String),
    seen UInt64,
    sent UInt32,
    hard_bounced UInt32,
    soft_bounced UInt32,
    blocked UInt32,
    delivered UInt32,
    opened UInt32,
    raw_opened UInt32,
    machine_opened UInt32,
    clicked UInt32,
    raw_clicked UInt32,
    unsubscribed UInt32,
    replied UInt32,
    raw_replied UInt32,
    complained UInt32
)
ENGINE = ReplacingMergeTree(seen)
PARTITION BY toYYYYMM(slot)
ORDER BY (grain, campaign, slot, step, variant, sender)
SETTINGS index_granularity = 256;

CREATE TABLE IF NOT EXISTS hit_counts (
    grain LowCardinality(String),
    campaign LowCardinality(String),
    slot DateTime('UTC') CODEC(DoubleDelta, ZSTD),
    step UInt8,
    variant LowCardinality(String),
    kind LowCardinality(String),
    verdict LowCardinality(String),
    reason LowCardinality(String),
    seen UInt64,
    hits UInt32
)
ENGINE = ReplacingMergeTree(seen)
PARTITION BY toYYYYMM(slot)
ORDER BY (grain, campaign, slot, step, variant, kind, verdict, reason)
SETTINGS index_granularity = 256;

-- Emails to which something rare came back, by anybody's doing but a machine's open or click: few enough to be read
-- whole, so that what happened when, each email once, can be counted at any range.
CREATE TABLE IF NOT EXISTS reactions (
    campaign LowCardinality(String),
    step UInt8,
    variant LowCardinality(String),
    delivery_id UUID,
    replied_at SimpleAggregateFunction(min, Nullable(DateTime64(3, 'UTC'))),
    first_unsubscribed_at SimpleAggregateFunction(min, Nullable(DateTime64(3, 'UTC'))),
    last_unsubscribed_at SimpleAggregateFunction(max, Nullable(DateTime64(3, 'UTC'))),
    resubscribed_at SimpleAggregateFunction(max, Nullable(DateTime64(3, 'UTC'))),
    complained_at SimpleAggregateFunction(min, Nullable(DateTime64(3, 'UTC')))
)
ENGINE = AggregatingMergeTree
ORDER BY (campaign, step, variant, delivery_id);

CREATE MATERIALIZED VIEW IF NOT EXISTS reactions_from_events TO reactions AS
SELECT
    campaign,
    step,
    variant,
    delivery_id,
    minOrNullIf(at, kind = 'reply') AS replied_at,
    minOrNullIf(at, kind = 'unsubscribe') AS first_unsubscribed_at,
    maxOrNullIf(at, kind = 'unsubscribe') AS last_unsubscribed_at,
    maxOrNullIf(at, kind = 'resubscribe') AS resubscribed_at,
    minOrNullIf(at, kind = 'complaint') AS complained_at
FROM events
WHERE kind IN ('reply', 'unsubscribe', 'resubscribe', 'complaint')
    AND delivery_id != toUUID('00000000-0000-0000-0000-000000000000')
GROUP BY campaign, step, variant, delivery_id;

-- `emails` with the rows of each email merged, as v_outcomes shows `outcomes`. Say `slot >= toStartOfHour(since) AND slot < until`
-- besides what you ask of `sent_at`: by that it finds them.
CREATE OR REPLACE VIEW v_sent AS
SELECT
    * EXCEPT (void, first_unsubscribed_at, last_unsubscribed_at, resubscribed_at),
    if(resubscribed_at >= last_unsubscribed_at, NULL, first_unsubscribed_at) AS unsubscribed_at
FROM emails FINAL
WHERE NOT void;

CREATE OR REPLACE VIEW v_reactions AS
SELECT
    * EXCEPT (first_unsubscribed_at, last_unsubscribed_at, resubscribed_at),
    if(resubscribed_at >= last_unsubscribed_at, NULL, first_unsubscribed_at) AS unsubscribed_at
FROM reactions FINAL;

-- How far a `sendlens rebuild` has come: '' once it has begun, then the campaigns that are done.
CREATE TABLE IF NOT EXISTS rebuilding (campaign String) ENGINE = MergeTree ORDER BY campaign;
