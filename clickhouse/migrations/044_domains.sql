-- What becomes of emails by their recipients' domains, counted ahead (docs/architecture.md, "Counting"). By hours and by
-- whole days (`wide`); campaign '' is all of them. Who runs the mailboxes of a domain is not written here: `providers` is
-- read when a board asks, for a row may be added to it at any time.

-- Counts of each domain, in lower case. `place` is cityHash64 of it: an even spread, and eight bytes to look for.
CREATE TABLE IF NOT EXISTS domain_counts (
    grain LowCardinality(String),
    campaign LowCardinality(String),
    place UInt64,
    domain String,
    slot DateTime('UTC') CODEC(DoubleDelta, ZSTD),
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
ORDER BY (grain, campaign, place, domain, slot)
SETTINGS index_granularity = 64;

-- The counts of all domains together, and how many emails went to which of them (`places`, `sizes`): tens of thousands of
-- domains in a row, because to add up rows of a domain each, only to know which are the largest, takes ten times as long.
CREATE TABLE IF NOT EXISTS domain_sizes (
    grain LowCardinality(String),
    campaign LowCardinality(String),
    slot DateTime('UTC') CODEC(DoubleDelta, ZSTD),
    seen UInt64,
    places Array(UInt64),
    sizes Array(UInt32),
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
ORDER BY (grain, campaign, slot)
SETTINGS index_granularity = 256;

-- Of the emails sent in an hour or a day, those that bounced: each once for each class, by the first that it met. `words` is
-- what the server said of `delivery_id`, the first of them, without addresses.
CREATE TABLE IF NOT EXISTS bounce_counts (
    grain LowCardinality(String),
    campaign LowCardinality(String),
    slot DateTime('UTC') CODEC(DoubleDelta, ZSTD),
    class LowCardinality(String),
    category LowCardinality(String),
    status LowCardinality(String),
    domain String,
    seen UInt64,
    emails UInt32,
    delivery_id UUID,
    words String
)
ENGINE = ReplacingMergeTree(seen)
PARTITION BY toYYYYMM(slot)
ORDER BY (grain, campaign, slot, class, category, status, domain)
SETTINGS index_granularity = 256;

INSERT INTO rebuilding (campaign) SELECT '' FROM events LIMIT 1;
