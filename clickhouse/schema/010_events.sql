-- What happened, and what came in: everything else that is counted is derived from these two.

CREATE TABLE IF NOT EXISTS events (
    id UUID COMMENT 'derived from the cause of the event: delivered twice, it is the same row twice',
    kind LowCardinality(String) COMMENT 'sent, delivered, bounce, open, click, reply and so on: docs/sql.md',
    at DateTime64(3, 'UTC') COMMENT 'when it happened',
    delivery_id UUID COMMENT 'the email; zeros for an event of a campaign or an endpoint',
    campaign LowCardinality(String),
    step UInt8 COMMENT 'the place of the email in the sequence',
    variant LowCardinality(String),
    lead String COMMENT 'the id that the platform has for the lead; erased: and digits for a person who was erased',
    sender LowCardinality(String) COMMENT 'the mailbox that the email was sent from',
    recipient_domain LowCardinality(String),
    address LowCardinality(String) COMMENT 'keyed hash of the recipient''s address, of a sent event',
    message_id String,
    request_id String,
    attempt UInt8,
    bounce_class LowCardinality(String) COMMENT 'hard, soft, block or unknown',
    category LowCardinality(String) COMMENT 'what was wrong, of a bounce',
    status LowCardinality(String) COMMENT 'enhanced status code (RFC 3463) or SMTP code',
    diagnostic String COMMENT 'what the mail server said',
    reason LowCardinality(String) COMMENT 'of a verdict the rule, of a skip what stood against sending, of a pause why',
    verdict LowCardinality(String) COMMENT 'of an open or a click: human, machine or bot',
    rules_version LowCardinality(String) COMMENT 'the rules that gave the verdict',
    user_agent LowCardinality(String),
    agent LowCardinality(String) COMMENT 'what the user agent is known as: Googlebot',
    ip String,
    network LowCardinality(String) COMMENT 'what the network of the address is known as: Proofpoint',
    link_id String COMMENT 'of a click, the link: a keyed hash of campaign and address',
    via LowCardinality(String) COMMENT 'of an unsubscribe: page, one-click or mail; of a bounce: session or report',
    matched_by LowCardinality(String) COMMENT 'of a mail that came back, by what its email was found',
    subject String,
    text String COMMENT 'what a person wrote in reply, without quotes',
    detail String,
    sent UInt64 COMMENT 'of a pause: emails sent by then',
    hard_bounced UInt64 COMMENT 'of a pause: hard bounces by then',
    endpoint String COMMENT 'of a webhook that was disabled',
    stored_at DateTime64(3, 'UTC') DEFAULT now64(3),
    INDEX at_range at TYPE minmax GRANULARITY 1,
    -- JSONEachRow fills what a row leaves out: a row that names no event is refused instead.
    CONSTRAINT is_an_event CHECK id != toUUID('00000000-0000-0000-0000-000000000000') AND kind != ''
        AND (campaign != '' OR delivery_id = toUUID('00000000-0000-0000-0000-000000000000'))
)
ENGINE = ReplacingMergeTree(stored_at)
PARTITION BY toYYYYMM(at)
ORDER BY (campaign, delivery_id, kind, id)
COMMENT 'The truth: one row per event, as it came from the topic events. Ask it with FINAL, or count uniqExact(id). Sorted by delivery, for it is asked row by row: the timeline of a lead, a rebuild of outcomes.';

CREATE TABLE IF NOT EXISTS hits (
    id UUID,
    kind LowCardinality(String) COMMENT 'open or click',
    at DateTime64(3, 'UTC'),
    delivery_id UUID,
    campaign LowCardinality(String),
    step UInt8,
    variant LowCardinality(String),
    lead String,
    minted_at DateTime('UTC') COMMENT 'when the token of the pixel or link was made',
    link_id String,
    method LowCardinality(String),
    user_agent LowCardinality(String),
    ip String,
    headers Map(LowCardinality(String), String),
    CONSTRAINT names_a_hit CHECK id != toUUID('00000000-0000-0000-0000-000000000000') AND kind != '' AND campaign != ''
)
ENGINE = ReplacingMergeTree
PARTITION BY toYYYYMM(at)
ORDER BY (campaign, delivery_id, id)
TTL toDateTime(at) + INTERVAL 90 DAY
COMMENT 'Requests for pixels and links as they came in, before any judgement: the past can be judged again under new rules.';
