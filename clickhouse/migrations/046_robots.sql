-- The board Robots, counted ahead (docs/architecture.md, "Counting").
--
-- Whence robots and machines came, and as what, stands beside their hits, and nothing of people's: `agent` as the rules
-- know it, `network` by its name where they know that, else the first 24 bits (IPv6: 48) of the address. `user_agent` is of
-- robots alone, as it was sent, at most 300 characters.
--
-- Made anew below, by the hour first (as `emails` is, see 040), and filled by the rebuild that this migration begins.
DROP VIEW IF EXISTS judged_hits_from_events;

DROP TABLE IF EXISTS judged_hits;

CREATE TABLE IF NOT EXISTS judged_hits (
    campaign LowCardinality(String),
    slot DateTime('UTC') CODEC(DoubleDelta, ZSTD),
    kind LowCardinality(String),
    id UUID,
    at DateTime64(3, 'UTC'),
    step UInt8,
    variant LowCardinality(String),
    delivery_id UUID,
    verdict LowCardinality(String),
    reason LowCardinality(String),
    link_id LowCardinality(String),
    stored_at DateTime64(3, 'UTC'),
    agent LowCardinality(String),
    network LowCardinality(String),
    user_agent LowCardinality(String)
)
ENGINE = ReplacingMergeTree(stored_at)
PARTITION BY toYYYYMM(slot)
ORDER BY (slot, campaign, kind, id)
SETTINGS index_granularity = 256;

CREATE MATERIALIZED VIEW IF NOT EXISTS judged_hits_from_events TO judged_hits AS
SELECT
    campaign,
    toStartOfHour(at) AS slot,
    kind,
    id,
    at,
    step,
    variant,
    delivery_id,
    verdict,
    reason,
    link_id,
    stored_at,
    if(verdict = 'human', '', toString(agent)) AS agent,
    multiIf(
        verdict = 'human', '',
        network != '', toString(network),
        ip = '', 'Not recorded',
        isIPv4String(ip), concat(IPv4NumToString(bitAnd(IPv4StringToNumOrDefault(ip), 4294967040)), '/24'),
        isIPv6String(ip), concat(IPv6NumToString(IPv6CIDRToRange(toIPv6OrDefault(ip), 48).1), '/48'),
        'Address not kept whole'
    ) AS network,
    if(verdict = 'bot', leftUTF8(toString(user_agent), 300), '') AS user_agent
FROM events
WHERE kind IN ('open', 'click');

-- Opens and clicks of an hour or a day by whose they were, and nothing else: days of other zones than UTC are added up of hours.
CREATE TABLE IF NOT EXISTS verdict_counts (
    grain LowCardinality(String),
    campaign LowCardinality(String),
    slot DateTime('UTC') CODEC(DoubleDelta, ZSTD),
    step UInt8,
    verdict LowCardinality(String),
    seen UInt64,
    hits UInt32
)
ENGINE = ReplacingMergeTree(seen)
PARTITION BY toYYYYMM(slot)
ORDER BY (grain, campaign, slot, step, verdict)
SETTINGS index_granularity = 256;

-- Emails sent in an hour or a day that anybody opened or clicked in, and of them those in which a robot had a part.
CREATE TABLE IF NOT EXISTS hit_email_counts (
    grain LowCardinality(String),
    campaign LowCardinality(String),
    slot DateTime('UTC') CODEC(DoubleDelta, ZSTD),
    step UInt8,
    seen UInt64,
    hit UInt32,
    bot_hit UInt32
)
ENGINE = ReplacingMergeTree(seen)
PARTITION BY toYYYYMM(slot)
ORDER BY (grain, campaign, slot, step)
SETTINGS index_granularity = 256;

-- Hits of a day by robots and machines, by the `name` of their network, of their agent, and (robots alone) by the user agent
-- they sent. All campaigns together (campaign '') are kept by hours too; each by itself would be about as many rows as hits.
CREATE TABLE IF NOT EXISTS robot_counts (
    grain LowCardinality(String),
    campaign LowCardinality(String),
    known_by LowCardinality(String),
    slot DateTime('UTC') CODEC(DoubleDelta, ZSTD),
    step UInt8,
    verdict LowCardinality(String),
    name LowCardinality(String),
    seen UInt64,
    opens UInt32,
    clicks UInt32,
    agents Array(LowCardinality(String)),
    reasons Array(LowCardinality(String))
)
ENGINE = ReplacingMergeTree(seen)
PARTITION BY toYYYYMM(slot)
ORDER BY (grain, campaign, known_by, slot, step, verdict, name)
SETTINGS index_granularity = 256;

INSERT INTO rebuilding (campaign) SELECT '' FROM events LIMIT 1;
