-- How counting ahead knows which rollups are fresh (docs/reference/counting.md, clickhouse/counting.py).

-- Of which emails, and of which hour's hits, each insert into `events` was. The store names its insert (log_comment) and asks
-- for it once it is done, so nobody else's insert, done or half done, is ever taken for it.
CREATE TABLE IF NOT EXISTS arrivals (
    batch String COMMENT 'the log_comment of the insert',
    campaign LowCardinality(String),
    step UInt8,
    variant LowCardinality(String),
    delivery_id UUID,
    hit_slot DateTime('UTC') COMMENT 'the hour of an open or a click, else 1970',
    arrived_at DateTime('UTC') DEFAULT now()
)
ENGINE = MergeTree
PARTITION BY toStartOfHour(arrived_at)
ORDER BY batch
TTL arrived_at + INTERVAL 1 HOUR
SETTINGS ttl_only_drop_parts = 1, index_granularity = 1024
COMMENT 'The emails of each insert into events, kept for an hour.';

CREATE MATERIALIZED VIEW IF NOT EXISTS arrivals_from_events TO arrivals AS
SELECT
    getSetting('log_comment') AS batch,
    campaign,
    step,
    variant,
    delivery_id,
    if(kind IN ('open', 'click'), toStartOfHour(at), toDateTime(0)) AS hit_slot
FROM events
WHERE delivery_id != toUUID('00000000-0000-0000-0000-000000000000');

CREATE TABLE IF NOT EXISTS written_hours (
    batch String COMMENT 'the log_comment of the insert',
    slot DateTime('UTC'),
    written_at DateTime('UTC') DEFAULT now()
)
ENGINE = MergeTree
PARTITION BY toStartOfHour(written_at)
ORDER BY batch
TTL written_at + INTERVAL 1 HOUR
SETTINGS ttl_only_drop_parts = 1
COMMENT 'The hours of each insert into emails, kept for an hour: written is raised in slots by them.';

CREATE MATERIALIZED VIEW IF NOT EXISTS written_hours_from_emails TO written_hours AS
SELECT DISTINCT getSetting('log_comment') AS batch, slot
FROM emails;

-- A rollup of an hour or a day is fresh while its version is what is written of it here; else it is stale, and not used. One
-- insert writes all 24 rows of a day, so a reader finds an hour and its day changed together or not at all. Narrow, and a row
-- an hour: a query that asks which rollups of a year are fresh reads 8,760 rows for each `of`.
CREATE TABLE IF NOT EXISTS slots (
    of LowCardinality(String) COMMENT 'email (by the hours of emails) or hit (by the hours of judged_hits)',
    slot DateTime('UTC') COMMENT 'the hour',
    written SimpleAggregateFunction(sum, UInt64) COMMENT 'raised after every write to the hour: the version of its rollup',
    counted SimpleAggregateFunction(max, UInt64) COMMENT 'the version that the hour''s rollup has',
    day_written SimpleAggregateFunction(sum, UInt64)
        COMMENT 'raised after every write to the hour''s day (UTC), alike in its 24 rows',
    day_counted SimpleAggregateFunction(max, UInt64) COMMENT 'the version that the day''s rollup has, alike in 24 rows',
    wide_counted SimpleAggregateFunction(max, UInt64)
        COMMENT 'the version of what is counted by whole days at once, because it is too fine to be kept by hours',
    wide_counted_at SimpleAggregateFunction(max, DateTime('UTC'))
)
ENGINE = AggregatingMergeTree
ORDER BY (of, slot)
COMMENT 'Which rollups are fresh: an hour''s is while counted = written, a day''s while day_counted = day_written.';

CREATE TABLE IF NOT EXISTS rebuilding (campaign String)
ENGINE = MergeTree
ORDER BY campaign
COMMENT 'How far a sendlens rebuild has come: an empty name once it has begun, then the campaigns that are done.';
