-- What each process measured of itself, every 10 s (SENDLENS_SAMPLE_SECONDS): a row is one figure of one process at one
-- moment, under the name that `/metrics` gives it. Counters and a histogram's buckets only grow from `started_at` on;
-- a process that begins anew has another `started_at`, so its counters are others and nothing ever falls.
-- `kind`, `result`, `stage`, `reason` and `le` are labels, empty or 0 where the figure has none.
-- These are no customer's numbers: what ClickHouse was away for is missing, and 14 days are kept, dropped day by day.
-- Sorted by name, because a panel asks for one or two, and by series, which is what the codecs live on: measured with
-- 60 figures every 10 s for 14 days (7.3 M rows), 11 MB on disk against 76 MB without codecs and with `at` first.
CREATE TABLE IF NOT EXISTS samples (
    at DateTime64(3, 'UTC') CODEC(DoubleDelta, ZSTD(1)),
    role LowCardinality(String),
    instance LowCardinality(String),
    started_at DateTime64(3, 'UTC') CODEC(DoubleDelta, ZSTD(1)),
    name LowCardinality(String),
    kind LowCardinality(String),
    result LowCardinality(String),
    stage LowCardinality(String),
    reason LowCardinality(String),
    le Float64 CODEC(ZSTD(1)),
    value Float64 CODEC(Gorilla, ZSTD(1)),
    CONSTRAINT names_a_figure CHECK role != '' AND instance != '' AND name != ''
)
ENGINE = MergeTree
PARTITION BY toYYYYMMDD(at)
ORDER BY (name, role, instance, started_at, kind, result, stage, reason, le, at)
TTL toDateTime(at) + INTERVAL 14 DAY
SETTINGS ttl_only_drop_parts = 1;
