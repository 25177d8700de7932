-- What the state topics hold, kept here because ClickHouse is the system of record: a lost or restarted broker is filled again
-- from these (`sendlens migrate`). The newest row of a key wins: read them with FINAL.

CREATE TABLE IF NOT EXISTS campaigns (
    id String,
    name String,
    created_at DateTime64(3, 'UTC'),
    check_reply Bool COMMENT 'who has replied gets no later step',
    track_opens Bool DEFAULT true,
    track_clicks Bool DEFAULT true,
    wrap_text_links Bool COMMENT 'whether links in a text part are wrapped where there is no HTML',
    pixel LowCardinality(String) DEFAULT 'auto' COMMENT 'where it stands in the HTML: auto, top or bottom',
    bounce_limit Float64 DEFAULT 0.05 COMMENT 'the share of hard bounces, of emails sent, beyond which it is paused',
    bounce_min_sends UInt32 DEFAULT 20 COMMENT 'emails sent before that',
    stored_at DateTime64(3, 'UTC') DEFAULT now64(3),
    CONSTRAINT names_a_campaign CHECK id != ''
)
ENGINE = ReplacingMergeTree(stored_at)
ORDER BY id
COMMENT 'Campaigns, as the platform declared them.';

CREATE TABLE IF NOT EXISTS pauses (
    campaign String,
    paused Bool,
    at DateTime64(3, 'UTC'),
    reason LowCardinality(String) COMMENT 'bounces or operator',
    stored_at DateTime64(3, 'UTC') DEFAULT now64(3),
    CONSTRAINT names_a_campaign CHECK campaign != ''
)
ENGINE = ReplacingMergeTree(stored_at)
ORDER BY campaign
COMMENT 'Whether a campaign is paused. A state of its own: the platform declares campaigns, the guard and operators pause them.';

CREATE TABLE IF NOT EXISTS links (
    link_id FixedString(64) COMMENT 'keyed hash of campaign and address',
    campaign LowCardinality(String),
    url String COMMENT 'where the link leads',
    stored_at DateTime64(3, 'UTC') DEFAULT now64(3),
    CONSTRAINT names_a_link CHECK url != ''
)
ENGINE = ReplacingMergeTree(stored_at)
ORDER BY link_id
COMMENT 'Where wrapped links lead.';

CREATE TABLE IF NOT EXISTS lead_facts (
    lead String COMMENT 'the lead''s id, or the keyed hash of a lead or an address: see of',
    fact LowCardinality(String) COMMENT 'unsubscribed, invalid, complained, replied or erased',
    at DateTime64(3, 'UTC'),
    of LowCardinality(String) DEFAULT 'lead' COMMENT 'lead, address or hashed-lead',
    campaign LowCardinality(String) COMMENT 'the campaign that it is for; empty for all',
    holds Bool DEFAULT true COMMENT 'false once it was taken back',
    stored_at DateTime64(3, 'UTC') DEFAULT now64(3),
    CONSTRAINT names_a_fact CHECK lead != '' AND fact != ''
)
ENGINE = ReplacingMergeTree(stored_at)
ORDER BY (lead, fact, of, campaign)
COMMENT 'Why a lead or an address gets no mail. One row a fact: two that become known at once both stay.';

CREATE TABLE IF NOT EXISTS attempts (
    delivery_id UUID,
    request_id UUID,
    attempt UInt8,
    at DateTime64(3, 'UTC'),
    sender LowCardinality(String),
    message_id String,
    outcome LowCardinality(String) COMMENT 'empty: the worker died mid-send, and nobody knows whether the email went out',
    stored_at DateTime64(3, 'UTC') DEFAULT now64(3),
    CONSTRAINT names_a_delivery CHECK delivery_id != toUUID('00000000-0000-0000-0000-000000000000')
)
ENGINE = ReplacingMergeTree(stored_at)
ORDER BY delivery_id
TTL toDateTime(at) + INTERVAL 90 DAY
COMMENT 'The last attempt to hand each email to its mail server.';

-- All rows expire alike, so that no older one comes back.
CREATE TABLE IF NOT EXISTS retries (
    delivery_id UUID,
    request_id UUID,
    campaign LowCardinality(String),
    step UInt8,
    lead String,
    sender LowCardinality(String),
    state LowCardinality(String) COMMENT 'why it waits; settled: it waits no more',
    attempt UInt8,
    first_at DateTime64(3, 'UTC'),
    due_at DateTime64(3, 'UTC'),
    at DateTime64(3, 'UTC'),
    message_id String,
    send String CODEC(ZSTD(3)) COMMENT 'the whole request as JSON, empty once settled',
    stored_at DateTime64(3, 'UTC') DEFAULT now64(3),
    CONSTRAINT names_a_delivery CHECK delivery_id != toUUID('00000000-0000-0000-0000-000000000000')
)
ENGINE = ReplacingMergeTree(stored_at)
ORDER BY delivery_id
TTL toDateTime(stored_at) + INTERVAL 90 DAY
COMMENT 'Emails that wait for their next attempt, or for an operator.';

CREATE TABLE IF NOT EXISTS webhooks (
    id UUID,
    url String,
    kinds Array(LowCardinality(String)) COMMENT 'of which events it is told; empty: of all',
    created_at DateTime64(3, 'UTC'),
    state LowCardinality(String),
    since DateTime64(3, 'UTC') COMMENT 'since when it is in that state',
    reason String,
    stored_at DateTime64(3, 'UTC') DEFAULT now64(3),
    CONSTRAINT names_an_endpoint CHECK url != ''
)
ENGINE = ReplacingMergeTree(stored_at)
ORDER BY id
COMMENT 'Endpoints that are told of events.';

CREATE TABLE IF NOT EXISTS calls (
    endpoint UUID,
    event UUID,
    kind LowCardinality(String),
    partition UInt16 COMMENT 'of the topic that it came from',
    attempt UInt16,
    first_at DateTime64(3, 'UTC'),
    due_at DateTime64(3, 'UTC'),
    state LowCardinality(String),
    answer String COMMENT 'what the endpoint answered last',
    body String,
    stored_at DateTime64(3, 'UTC') DEFAULT now64(3),
    CONSTRAINT names_an_event CHECK kind != ''
)
ENGINE = ReplacingMergeTree(stored_at)
ORDER BY (endpoint, event)
TTL toDateTime(stored_at) + INTERVAL 30 DAY
COMMENT 'Events that an endpoint has not taken, or took at a later attempt.';

CREATE TABLE IF NOT EXISTS reclassifications (
    range_from DateTime64(3, 'UTC'),
    range_to DateTime64(3, 'UTC'),
    rules_version String,
    done_until DateTime64(3, 'UTC'),
    hits UInt64,
    changed UInt64,
    stored_at DateTime64(3, 'UTC') DEFAULT now64(3)
)
ENGINE = ReplacingMergeTree(stored_at)
ORDER BY (range_from, range_to, rules_version)
COMMENT 'How far each sendlens reclassify has come, so that one that was interrupted goes on.';
