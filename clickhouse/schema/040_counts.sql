-- Rollups: counts of an hour or a day (UTC), made ahead by clickhouse/statements/. A row counts only where its version is
-- that of its hour or day in `slots`: an older one is stale and not used. Campaign '' is all campaigns together, so that a
-- question without a choice reads few rows. Read them FINAL: an older version may still be there.

-- What became of the emails sent in an hour or a day, by one of three dimensions. What the measures mean:
-- clickhouse/columns.py.
--
-- `place` comes before the slot, because the few domains that a board shows are looked up in all slots at once, and a sender's or
-- variant's are all 0. Each dimension is partitioned by itself: so `place`, of which nearly every value is another, does not make
-- ClickHouse leave the slot out of the index of the others. index_granularity 64: a domain has a row a day.
CREATE TABLE IF NOT EXISTS email_counts (
    by LowCardinality(String) COMMENT 'variant (and step), sender or domain',
    grain LowCardinality(String) COMMENT 'hour or day',
    campaign LowCardinality(String),
    place UInt64 COMMENT 'by domain cityHash64(key), else 0',
    slot DateTime('UTC') CODEC(DoubleDelta, ZSTD),
    key String COMMENT 'the sender, or the recipients'' domain in lower case; empty by variant',
    step UInt8 COMMENT 'by variant, else 0',
    variant LowCardinality(String) COMMENT 'by variant, else empty',
    version UInt64,
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
    complained UInt32,
    hit UInt32 COMMENT 'emails that anybody opened or clicked in',
    bot_hit UInt32 COMMENT 'emails that a robot opened or clicked in'
)
ENGINE = ReplacingMergeTree(version)
PARTITION BY (by, toYYYYMM(slot))
ORDER BY (by, grain, campaign, place, slot, key, step, variant)
SETTINGS index_granularity = 64
COMMENT 'Rollup: what became of the emails sent in an hour or a day, by variant, by sender or by domain.';

-- By network, agent and user agent only all campaigns together are kept by hours: each by itself would be about as many rows
-- as hits. By verdict alone, because days of other zones than UTC are added up of hours.
CREATE TABLE IF NOT EXISTS hit_counts (
    by LowCardinality(String) COMMENT 'reason, verdict, network, agent or user agent',
    grain LowCardinality(String) COMMENT 'hour or day',
    campaign LowCardinality(String),
    slot DateTime('UTC') CODEC(DoubleDelta, ZSTD),
    step UInt8,
    variant LowCardinality(String) COMMENT 'by reason, else empty',
    verdict LowCardinality(String),
    key LowCardinality(String) COMMENT 'the reason, or what the network, agent or user agent is called; empty by verdict',
    version UInt64,
    opens UInt32,
    clicks UInt32,
    agents Array(LowCardinality(String)) COMMENT 'by network and user agent: which agents they were',
    reasons Array(LowCardinality(String)) COMMENT 'by user agent: the rules that found it a robot'
)
ENGINE = ReplacingMergeTree(version)
PARTITION BY toYYYYMM(slot)
ORDER BY (by, grain, campaign, slot, step, variant, verdict, key)
SETTINGS index_granularity = 256
COMMENT 'Rollup: opens and clicks of an hour or a day, by reason, by verdict, or (of robots and machines) by where they came from.';

-- Hours have their quarters apart, for clocks that are half an hour off.
CREATE TABLE IF NOT EXISTS happened_counts (
    grain LowCardinality(String) COMMENT 'hour or day',
    campaign LowCardinality(String),
    slot DateTime('UTC') CODEC(DoubleDelta, ZSTD),
    quarter UInt8 COMMENT '0 to 3 of an hour; 0 of a day',
    step UInt8,
    version UInt64,
    sent UInt32,
    opened UInt32,
    clicked UInt32,
    replied UInt32,
    unsubscribed UInt32
)
ENGINE = ReplacingMergeTree(version)
PARTITION BY toYYYYMM(slot)
ORDER BY (grain, campaign, slot, quarter, step)
SETTINGS index_granularity = 256
COMMENT 'Rollup: what first happened to emails in an hour or a day, each at its own time, whenever the email was sent.';

CREATE TABLE IF NOT EXISTS link_counts (
    grain LowCardinality(String) COMMENT 'hour or day',
    campaign LowCardinality(String) COMMENT 'never empty: a link is of one campaign',
    slot DateTime('UTC') CODEC(DoubleDelta, ZSTD),
    step UInt8,
    link_id LowCardinality(String),
    version UInt64,
    clicked UInt32 COMMENT 'emails in which a person followed the link',
    raw_clicked UInt32 COMMENT 'emails in which anybody did'
)
ENGINE = ReplacingMergeTree(version)
PARTITION BY toYYYYMM(slot)
ORDER BY (grain, campaign, slot, step, link_id)
SETTINGS index_granularity = 256
COMMENT 'Rollup: the links followed in the emails sent in an hour or a day.';

CREATE TABLE IF NOT EXISTS rule_counts (
    grain LowCardinality(String) COMMENT 'hour or day',
    campaign LowCardinality(String),
    slot DateTime('UTC') CODEC(DoubleDelta, ZSTD),
    step UInt8,
    rule LowCardinality(String) COMMENT 'verdict and reason',
    version UInt64,
    emails UInt32 COMMENT 'emails on which the rule found a robot or a machine',
    more_opened UInt32 COMMENT 'of them, those that it opened and no person',
    more_clicked UInt32 COMMENT 'of them, those that it clicked in and no person'
)
ENGINE = ReplacingMergeTree(version)
PARTITION BY toYYYYMM(slot)
ORDER BY (grain, campaign, slot, step, rule)
SETTINGS index_granularity = 256
COMMENT 'Rollup: what rules found on the emails sent in an hour or a day.';

-- By days, and of all campaigns together by hours too: one campaign's are quickly read.
CREATE TABLE IF NOT EXISTS delay_counts (
    grain LowCardinality(String) COMMENT 'hour or day',
    campaign LowCardinality(String),
    bin UInt8 COMMENT 'one of 96, so that a quantile needs to look into one or two of them',
    slot DateTime('UTC') CODEC(DoubleDelta, ZSTD),
    step UInt8,
    version UInt64,
    opened UInt32,
    delays Array(UInt64) CODEC(Delta, ZSTD) COMMENT 'milliseconds from delivery to the first open, sorted'
)
ENGINE = ReplacingMergeTree(version)
PARTITION BY toYYYYMM(slot)
ORDER BY (grain, campaign, bin, slot, step)
SETTINGS index_granularity = 256
COMMENT 'Rollup: how long after delivery people opened the emails sent in an hour or a day, each delay.';

-- Tens of thousands of domains in a row, because to add up rows of a domain each, only to know which are the largest, takes
-- ten times as long.
CREATE TABLE IF NOT EXISTS domain_sizes (
    grain LowCardinality(String) COMMENT 'hour or day',
    campaign LowCardinality(String),
    slot DateTime('UTC') CODEC(DoubleDelta, ZSTD),
    version UInt64,
    places Array(UInt64) COMMENT 'cityHash64 of each domain',
    sizes Array(UInt32) COMMENT 'emails sent to it'
)
ENGINE = ReplacingMergeTree(version)
PARTITION BY toYYYYMM(slot)
ORDER BY (grain, campaign, slot)
SETTINGS index_granularity = 256
COMMENT 'Rollup: to which domains the emails of an hour or a day were sent, and how many to each.';

CREATE TABLE IF NOT EXISTS bounce_counts (
    grain LowCardinality(String) COMMENT 'hour or day',
    campaign LowCardinality(String),
    slot DateTime('UTC') CODEC(DoubleDelta, ZSTD),
    class LowCardinality(String) COMMENT 'hard, soft or block',
    category LowCardinality(String),
    status LowCardinality(String),
    domain String,
    version UInt64,
    emails UInt32 COMMENT 'each once for each class, by the first bounce that it met of it',
    delivery_id UUID COMMENT 'the first of them',
    words String COMMENT 'what the server said of that one, without addresses'
)
ENGINE = ReplacingMergeTree(version)
PARTITION BY toYYYYMM(slot)
ORDER BY (grain, campaign, slot, class, category, status, domain)
SETTINGS index_granularity = 256
COMMENT 'Rollup: of the emails sent in an hour or a day, those that bounced.';

-- There is no campaign: health is of all emails of a sender. See clickhouse/views/health.sql.
CREATE TABLE IF NOT EXISTS sender_runs (
    grain LowCardinality(String) COMMENT 'hour or day',
    slot DateTime('UTC') CODEC(DoubleDelta, ZSTD),
    sender LowCardinality(String),
    version UInt64,
    emails UInt32,
    before UInt32 COMMENT 'clean emails before the first that hurt; where none did, all',
    after UInt32 COMMENT 'clean emails after the last that hurt; where none did, all',
    shift Int32 COMMENT 'those between make of a health h: least(high, greatest(low, h + shift))',
    low UInt8,
    high UInt8
)
ENGINE = ReplacingMergeTree(version)
PARTITION BY toYYYYMM(slot)
ORDER BY (grain, slot, sender)
SETTINGS index_granularity = 256
COMMENT 'Rollup: what the emails of an hour or a day do to their sender''s health, whatever it was before.';
