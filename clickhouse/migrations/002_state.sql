-- What the state topics hold, kept here because ClickHouse is the system of record: a lost or restarted broker is
-- filled again from these (`sendlens migrate`). The newest row of a key wins.
CREATE TABLE IF NOT EXISTS campaigns (
    id String,
    name String,
    created_at DateTime64(3, 'UTC'),
    paused Bool,
    stored_at DateTime64(3, 'UTC') DEFAULT now64(3),
    CONSTRAINT names_a_campaign CHECK id != ''
)
ENGINE = ReplacingMergeTree(stored_at)
ORDER BY id;

CREATE TABLE IF NOT EXISTS links (
    link_id FixedString(64),
    campaign LowCardinality(String),
    url String,
    stored_at DateTime64(3, 'UTC') DEFAULT now64(3),
    CONSTRAINT names_a_link CHECK url != ''
)
ENGINE = ReplacingMergeTree(stored_at)
ORDER BY link_id;

CREATE TABLE IF NOT EXISTS leads (
    lead String,
    unsubscribed_at Nullable(DateTime64(3, 'UTC')),
    stored_at DateTime64(3, 'UTC') DEFAULT now64(3),
    CONSTRAINT names_a_lead CHECK lead != ''
)
ENGINE = ReplacingMergeTree(stored_at)
ORDER BY lead;
