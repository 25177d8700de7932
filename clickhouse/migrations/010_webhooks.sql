-- Who is told of events, and what could not be handed over yet: kept so that a lost broker is filled again.
CREATE TABLE IF NOT EXISTS webhooks (
    id UUID,
    url String,
    kinds Array(LowCardinality(String)),
    created_at DateTime64(3, 'UTC'),
    state LowCardinality(String),
    since DateTime64(3, 'UTC'),
    reason String,
    stored_at DateTime64(3, 'UTC') DEFAULT now64(3),
    CONSTRAINT names_an_endpoint CHECK url != ''
)
ENGINE = ReplacingMergeTree(stored_at)
ORDER BY id;

CREATE TABLE IF NOT EXISTS calls (
    endpoint UUID,
    event UUID,
    kind LowCardinality(String),
    partition UInt16,
    attempt UInt16,
    first_at DateTime64(3, 'UTC'),
    due_at DateTime64(3, 'UTC'),
    state LowCardinality(String),
    answer String,
    body String,
    stored_at DateTime64(3, 'UTC') DEFAULT now64(3),
    CONSTRAINT names_an_event CHECK kind != ''
)
ENGINE = ReplacingMergeTree(stored_at)
ORDER BY (endpoint, event)
TTL toDateTime(stored_at) + INTERVAL 30 DAY;

ALTER TABLE events ADD COLUMN IF NOT EXISTS endpoint String AFTER hard_bounced;
