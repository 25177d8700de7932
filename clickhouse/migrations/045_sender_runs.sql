-- Sender health, counted ahead (docs/architecture.md, "Counting"): what the emails of an hour or a day (UTC) do to their
-- sender's health, whatever it was before. See clickhouse/queries/health.sql.
--
-- `before` clean emails, then those from the first hurt to the last, which make of a health h
-- least(high, greatest(low, h + shift)), then `after` clean ones; `emails` are all of them. Where none hurt, `before` and
-- `after` are all. There is no campaign: health is of all emails of a sender.
CREATE TABLE IF NOT EXISTS sender_runs (
    grain LowCardinality(String),
    slot DateTime('UTC') CODEC(DoubleDelta, ZSTD),
    sender LowCardinality(String),
    seen UInt64,
    emails UInt32,
    before UInt32,
    after UInt32,
    shift Int32,
    low UInt8,
    high UInt8
)
ENGINE = ReplacingMergeTree(seen)
PARTITION BY toYYYYMM(slot)
ORDER BY (grain, slot, sender)
SETTINGS index_granularity = 256;

INSERT INTO rebuilding (campaign) SELECT '' FROM events LIMIT 1;
