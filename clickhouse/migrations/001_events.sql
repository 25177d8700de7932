-- The truth: one row per event, as it came from the topic `events`. An event's id is derived from its cause, so a
-- record delivered twice is the same row twice, and merges away. Ask it with FINAL, or count uniqExact(id).
-- Sorted by delivery because that is how it is asked row by row (a lead's timeline, a rebuild of outcomes).
CREATE TABLE IF NOT EXISTS events (
    id UUID,
    kind LowCardinality(String),
    at DateTime64(3, 'UTC'),
    delivery_id UUID,
    campaign LowCardinality(String),
    step UInt8,
    variant LowCardinality(String),
    lead String,
    sender LowCardinality(String),
    recipient_domain LowCardinality(String),
    message_id String,
    request_id String,
    attempt UInt8,
    bounce_class LowCardinality(String),
    category LowCardinality(String),
    status LowCardinality(String),
    diagnostic String,
    reason LowCardinality(String),
    verdict LowCardinality(String),
    rules_version LowCardinality(String),
    user_agent LowCardinality(String),
    ip String,
    link_id String,
    via LowCardinality(String),
    stored_at DateTime64(3, 'UTC') DEFAULT now64(3),
    INDEX at_range at TYPE minmax GRANULARITY 1,
    -- JSONEachRow fills what a row leaves out: a row that names no event is refused instead.
    CONSTRAINT names_an_event CHECK id != toUUID('00000000-0000-0000-0000-000000000000') AND kind != '' AND campaign != ''
)
ENGINE = ReplacingMergeTree(stored_at)
PARTITION BY toYYYYMM(at)
ORDER BY (campaign, delivery_id, kind, id);

-- Hits as they came in, kept so that the past can be judged again under new rules.
CREATE TABLE IF NOT EXISTS hits (
    id UUID,
    kind LowCardinality(String),
    at DateTime64(3, 'UTC'),
    delivery_id UUID,
    campaign LowCardinality(String),
    step UInt8,
    variant LowCardinality(String),
    lead String,
    minted_at DateTime('UTC'),
    link_id String,
    method LowCardinality(String),
    user_agent LowCardinality(String),
    ip String,
    headers Map(LowCardinality(String), String),
    CONSTRAINT names_a_hit CHECK id != toUUID('00000000-0000-0000-0000-000000000000') AND kind != '' AND campaign != ''
)
ENGINE = ReplacingMergeTree
PARTITION BY toYYYYMM(at)
ORDER BY (campaign, delivery_id, id)
TTL toDateTime(at) + INTERVAL 90 DAY;

-- One row per delivery: when each thing first happened to it, NULL for never. Every column is a min or max, so a
-- duplicate changes nothing and counts are exact. Rows of one delivery merge in the background: read v_outcomes.
CREATE TABLE IF NOT EXISTS outcomes (
    campaign LowCardinality(String),
    step UInt8,
    variant LowCardinality(String),
    delivery_id UUID,
    lead SimpleAggregateFunction(max, String),
    sender SimpleAggregateFunction(max, String),
    recipient_domain SimpleAggregateFunction(max, String),
    sent_at SimpleAggregateFunction(min, Nullable(DateTime64(3, 'UTC'))),
    delivered_at SimpleAggregateFunction(min, Nullable(DateTime64(3, 'UTC'))),
    skipped_at SimpleAggregateFunction(min, Nullable(DateTime64(3, 'UTC'))),
    hard_bounced_at SimpleAggregateFunction(min, Nullable(DateTime64(3, 'UTC'))),
    soft_bounced_at SimpleAggregateFunction(min, Nullable(DateTime64(3, 'UTC'))),
    blocked_at SimpleAggregateFunction(min, Nullable(DateTime64(3, 'UTC'))),
    first_open_at SimpleAggregateFunction(min, Nullable(DateTime64(3, 'UTC'))),
    first_click_at SimpleAggregateFunction(min, Nullable(DateTime64(3, 'UTC'))),
    first_machine_open_at SimpleAggregateFunction(min, Nullable(DateTime64(3, 'UTC'))),
    first_raw_open_at SimpleAggregateFunction(min, Nullable(DateTime64(3, 'UTC'))),
    first_raw_click_at SimpleAggregateFunction(min, Nullable(DateTime64(3, 'UTC'))),
    replied_at SimpleAggregateFunction(min, Nullable(DateTime64(3, 'UTC'))),
    unsubscribed_at SimpleAggregateFunction(min, Nullable(DateTime64(3, 'UTC'))),
    complained_at SimpleAggregateFunction(min, Nullable(DateTime64(3, 'UTC')))
)
ENGINE = AggregatingMergeTree
ORDER BY (campaign, step, variant, delivery_id);

CREATE MATERIALIZED VIEW IF NOT EXISTS outcomes_from_events TO outcomes AS
SELECT
    campaign,
    step,
    variant,
    delivery_id,
    max(lead) AS lead,
    max(sender) AS sender,
    max(recipient_domain) AS recipient_domain,
    minOrNullIf(at, kind = 'sent') AS sent_at,
    minOrNullIf(at, kind = 'delivered') AS delivered_at,
    minOrNullIf(at, kind = 'skipped') AS skipped_at,
    minOrNullIf(at, kind = 'bounce' AND bounce_class = 'hard') AS hard_bounced_at,
    minOrNullIf(at, kind = 'bounce' AND bounce_class IN ('soft', 'unknown')) AS soft_bounced_at,
    minOrNullIf(at, kind = 'bounce' AND bounce_class = 'block') AS blocked_at,
    minOrNullIf(at, kind = 'open' AND verdict = 'human') AS first_open_at,
    minOrNullIf(at, kind = 'click' AND verdict = 'human') AS first_click_at,
    minOrNullIf(at, kind = 'open' AND verdict = 'machine') AS first_machine_open_at,
    minOrNullIf(at, kind = 'open') AS first_raw_open_at,
    minOrNullIf(at, kind = 'click') AS first_raw_click_at,
    minOrNullIf(at, kind = 'reply') AS replied_at,
    minOrNullIf(at, kind = 'unsubscribe') AS unsubscribed_at,
    minOrNullIf(at, kind = 'complaint') AS complained_at
FROM events
GROUP BY campaign, step, variant, delivery_id;

-- outcomes with the rows of each delivery merged: what every number on a dashboard is counted from.
CREATE VIEW IF NOT EXISTS v_outcomes AS SELECT * FROM outcomes FINAL;
