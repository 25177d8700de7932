-- Links, rules and delays, counted ahead (docs/architecture.md, "Counting"; clickhouse/statements/campaign.sql). Campaign ''
-- is all of them.

-- Emails in which a link was followed, by a person and by anybody. A link is of one campaign: there is no campaign ''.
CREATE TABLE IF NOT EXISTS link_counts (
    grain LowCardinality(String),
    campaign LowCardinality(String),
    slot DateTime('UTC') CODEC(DoubleDelta, ZSTD),
    step UInt8,
    link_id LowCardinality(String),
    seen UInt64,
    clicked UInt32,
    raw_clicked UInt32
)
ENGINE = ReplacingMergeTree(seen)
PARTITION BY toYYYYMM(slot)
ORDER BY (grain, campaign, slot, step, link_id)
SETTINGS index_granularity = 256;

-- Emails on which a rule found a robot or a machine (`rule` is verdict and reason), and those of them that it alone opened
-- or clicked in: no person did.
CREATE TABLE IF NOT EXISTS rule_counts (
    grain LowCardinality(String),
    campaign LowCardinality(String),
    slot DateTime('UTC') CODEC(DoubleDelta, ZSTD),
    step UInt8,
    rule LowCardinality(String),
    seen UInt64,
    emails UInt32,
    more_opened UInt32,
    more_clicked UInt32
)
ENGINE = ReplacingMergeTree(seen)
PARTITION BY toYYYYMM(slot)
ORDER BY (grain, campaign, slot, step, rule)
SETTINGS index_granularity = 256;

-- How long after delivery people opened, in milliseconds: each delay, sorted, in 96 bins, so that a quantile needs to look
-- into one or two of them. By days, and of all campaigns together by hours too: one campaign's are quickly read.
CREATE TABLE IF NOT EXISTS delay_counts (
    grain LowCardinality(String),
    campaign LowCardinality(String),
    bin UInt8,
    slot DateTime('UTC') CODEC(DoubleDelta, ZSTD),
    step UInt8,
    seen UInt64,
    opened UInt32,
    delays Array(UInt64) CODEC(Delta, ZSTD)
)
ENGINE = ReplacingMergeTree(seen)
PARTITION BY toYYYYMM(slot)
ORDER BY (grain, campaign, bin, slot, step)
SETTINGS index_granularity = 256;

INSERT INTO rebuilding (campaign) SELECT '' FROM events LIMIT 1;
