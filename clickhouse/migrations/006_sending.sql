-- Emails on their way: what the topics `attempts` and `retries` hold, kept here because ClickHouse is the system of
-- record. The newest row of a delivery wins.

-- An attempt without an outcome was at its mail server when its worker died: nobody knows whether it went out.
CREATE TABLE IF NOT EXISTS attempts (
    delivery_id UUID,
    request_id UUID,
    attempt UInt8,
    at DateTime64(3, 'UTC'),
    sender LowCardinality(String),
    message_id String,
    outcome LowCardinality(String),
    stored_at DateTime64(3, 'UTC') DEFAULT now64(3),
    CONSTRAINT names_a_delivery CHECK delivery_id != toUUID('00000000-0000-0000-0000-000000000000')
)
ENGINE = ReplacingMergeTree(stored_at)
ORDER BY delivery_id
TTL toDateTime(at) + INTERVAL 90 DAY;

-- `send` is the whole request as JSON, empty once settled. All rows expire alike, so that no older one comes back.
CREATE TABLE IF NOT EXISTS retries (
    delivery_id UUID,
    request_id UUID,
    campaign LowCardinality(String),
    step UInt8,
    lead String,
    sender LowCardinality(String),
    state LowCardinality(String),
    attempt UInt8,
    first_at DateTime64(3, 'UTC'),
    due_at DateTime64(3, 'UTC'),
    at DateTime64(3, 'UTC'),
    message_id String,
    send String CODEC(ZSTD(3)),
    stored_at DateTime64(3, 'UTC') DEFAULT now64(3),
    CONSTRAINT names_a_delivery CHECK delivery_id != toUUID('00000000-0000-0000-0000-000000000000')
)
ENGINE = ReplacingMergeTree(stored_at)
ORDER BY delivery_id
TTL toDateTime(stored_at) + INTERVAL 90 DAY;
