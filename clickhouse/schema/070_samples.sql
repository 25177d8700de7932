-- What each process measured of itself, every 10 s (SENDLENS_SAMPLE_SECONDS): a row is one figure of one process at one
-- moment, under the name that `/metrics` gives it. Counters and a histogram's buckets only grow from `started_at` on;
-- a process that starts again has another `started_at`, so its counters are others and nothing ever falls.
-- `kind`, `result`, `stage`, `reason` and `le` are labels, empty or 0 where the figure has none.
-- These are no customer's numbers: what ClickHouse was away for is missing, and 14 days are kept, dropped day by day.
-- Sorted by name and hour, because a panel asks for a figure or two of some hours, and then by series, which is what
-- the codecs live on. Measured with 14 days of two processes (7.1 M rows): 16 MB, against 41 MB sorted by time without
-- codecs; the half hours below take 0.3 MB.
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
    le Float64 CODEC(ZSTD(1)) COMMENT 'the upper bound of a histogram''s bucket',
    value Float64 CODEC(Gorilla, ZSTD(1)),
    CONSTRAINT names_a_figure CHECK role != '' AND instance != '' AND name != ''
)
ENGINE = MergeTree
PARTITION BY toYYYYMMDD(at)
ORDER BY (name, toStartOfHour(at), role, instance, started_at, kind, result, stage, reason, le, at)
TTL toDateTime(at) + INTERVAL 14 DAY
SETTINGS ttl_only_drop_parts = 1
COMMENT 'What each process measured of itself, every 10 s: a row is one figure at one moment, named as on /metrics.';

-- The same by the half hour, for long periods: of a counter `lowest` is its first value and `highest` its last, all
-- that its growth is counted from. Minima and maxima, so it is the same however the rows of a half hour come in.
CREATE TABLE IF NOT EXISTS samples_by_half_hour (
    half_hour DateTime('UTC') CODEC(DoubleDelta, ZSTD(1)),
    role LowCardinality(String),
    instance LowCardinality(String),
    started_at DateTime64(3, 'UTC') CODEC(DoubleDelta, ZSTD(1)),
    name LowCardinality(String),
    kind LowCardinality(String),
    result LowCardinality(String),
    stage LowCardinality(String),
    reason LowCardinality(String),
    le Float64 CODEC(ZSTD(1)),
    first_at SimpleAggregateFunction(min, DateTime64(3, 'UTC')),
    last_at SimpleAggregateFunction(max, DateTime64(3, 'UTC')),
    lowest SimpleAggregateFunction(min, Float64) COMMENT 'of a counter, its first value',
    highest SimpleAggregateFunction(max, Float64) COMMENT 'of a counter, its last value'
)
ENGINE = AggregatingMergeTree
PARTITION BY toYYYYMM(half_hour)
ORDER BY (name, half_hour, role, instance, started_at, kind, result, stage, reason, le)
TTL half_hour + INTERVAL 90 DAY
COMMENT 'The samples by the half hour, for long periods.';

CREATE MATERIALIZED VIEW IF NOT EXISTS half_hours_from_samples TO samples_by_half_hour AS
SELECT
    toDateTime(toStartOfInterval(at, INTERVAL 30 MINUTE), 'UTC') AS half_hour,
    role,
    instance,
    started_at,
    name,
    kind,
    result,
    stage,
    reason,
    le,
    min(at) AS first_at,
    max(at) AS last_at,
    min(value) AS lowest,
    max(value) AS highest
FROM samples
GROUP BY half_hour, role, instance, started_at, name, kind, result, stage, reason, le;
