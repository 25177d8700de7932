-- What first happened to emails in an hour or a day (UTC), each at its own time and whenever the email was sent. Hours have
-- their quarters apart (0 to 3), for clocks that are half an hour off; a day's `quarter` is 0. Campaign '' is all of them.
CREATE TABLE IF NOT EXISTS happened_counts (
    grain LowCardinality(String),
    campaign LowCardinality(String),
    slot DateTime('UTC') CODEC(DoubleDelta, ZSTD),
    quarter UInt8,
    step UInt8,
    seen UInt64,
    sent UInt32,
    opened UInt32,
    clicked UInt32,
    replied UInt32,
    unsubscribed UInt32
)
ENGINE = ReplacingMergeTree(seen)
PARTITION BY toYYYYMM(slot)
ORDER BY (grain, campaign, slot, quarter, step)
SETTINGS index_granularity = 256;

INSERT INTO rebuilding (campaign) SELECT '' FROM events LIMIT 1;
