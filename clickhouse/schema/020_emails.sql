-- What is derived from `events` row by row: emails and what became of them, hits as they were judged, rare events.
--
-- A view stands here as it is today, and may be edited: every `sendlens migrate` brings the database to it. A table is made
-- once: to change one, add the next numbered file.

-- Every column is a minimum, a maximum or a set, so a duplicate changes nothing and counts are exact.
--
-- index_granularity 256: to find 1,000 emails of 14 million, 257,768 rows are read (measured), which is a granule for each. With
-- ClickHouse's default of 8,192 nearly half of all granules hold one of them, which is six million rows.
CREATE TABLE IF NOT EXISTS outcomes (
    campaign LowCardinality(String),
    step UInt8,
    variant LowCardinality(String),
    delivery_id UUID,
    lead SimpleAggregateFunction(max, String),
    sender SimpleAggregateFunction(max, String),
    recipient_domain SimpleAggregateFunction(max, String),
    sent_at SimpleAggregateFunction(min, Nullable(DateTime64(3, 'UTC'))),
    delivered_at SimpleAggregateFunction(min, Nullable(DateTime64(3, 'UTC'))),
    skipped_at SimpleAggregateFunction(min, Nullable(DateTime64(3, 'UTC'))),
    hard_bounced_at SimpleAggregateFunction(min, Nullable(DateTime64(3, 'UTC'))),
    soft_bounced_at SimpleAggregateFunction(min, Nullable(DateTime64(3, 'UTC'))),
    blocked_at SimpleAggregateFunction(min, Nullable(DateTime64(3, 'UTC'))),
    put_off_at SimpleAggregateFunction(min, Nullable(DateTime64(3, 'UTC'))),
    first_open_at SimpleAggregateFunction(min, Nullable(DateTime64(3, 'UTC'))),
    first_click_at SimpleAggregateFunction(min, Nullable(DateTime64(3, 'UTC'))),
    first_machine_open_at SimpleAggregateFunction(min, Nullable(DateTime64(3, 'UTC'))),
    first_raw_open_at SimpleAggregateFunction(min, Nullable(DateTime64(3, 'UTC'))),
    first_raw_click_at SimpleAggregateFunction(min, Nullable(DateTime64(3, 'UTC'))),
    replied_at SimpleAggregateFunction(min, Nullable(DateTime64(3, 'UTC'))),
    unsubscribed_at SimpleAggregateFunction(min, Nullable(DateTime64(3, 'UTC'))) COMMENT 'first, taken back or not',
    complained_at SimpleAggregateFunction(min, Nullable(DateTime64(3, 'UTC'))),
    auto_replied_at SimpleAggregateFunction(min, Nullable(DateTime64(3, 'UTC'))),
    unanswered_at SimpleAggregateFunction(min, Nullable(DateTime64(3, 'UTC'))),
    last_unsubscribed_at SimpleAggregateFunction(max, Nullable(DateTime64(3, 'UTC'))),
    resubscribed_at SimpleAggregateFunction(max, Nullable(DateTime64(3, 'UTC'))),
    hours SimpleAggregateFunction(groupUniqArrayArray, Array(DateTime('UTC')))
        COMMENT 'the hours under which the email stands in emails: those in which something happened to it',
    robots SimpleAggregateFunction(groupUniqArrayArray, Array(String))
        COMMENT 'what robots and machines did, each once: kind, verdict and reason',
    links SimpleAggregateFunction(groupUniqArrayArray, Array(String)) COMMENT 'the links that a person followed',
    raw_links SimpleAggregateFunction(groupUniqArrayArray, Array(String)) COMMENT 'the links that anybody followed'
)
ENGINE = AggregatingMergeTree
ORDER BY (campaign, step, variant, delivery_id)
SETTINGS index_granularity = 256
COMMENT 'One row per email: when each thing first happened to it, NULL for never. Rows of one email merge in the background: read v_outcomes.';

-- What puts an email off costs its sender, whatever code the server says it with: who is told "later" sends too fast, too much,
-- or to mailboxes that are full. Greylisting alone does not, for it meets everybody who writes first; nor a connection that broke
-- before any answer, which is none ("no answer: ...", agents/sender/attempt_runner.py).
CREATE MATERIALIZED VIEW IF NOT EXISTS outcomes_from_events TO outcomes AS
WITH
    kind = 'deferred' AND NOT match(diagnostic, '(?i)gr[ae]y.?list') AND NOT startsWith(diagnostic, 'no answer: ') AS is_put_off
SELECT
    campaign,
    step,
    variant,
    delivery_id,
    max(lead) AS lead,
    max(sender) AS sender,
    max(recipient_domain) AS recipient_domain,
    max(kind = 'sent' AND ifNull(NOT pixel, false)) AS no_pixel,
    max(kind = 'sent' AND ifNull(wrapped_links = 0, false)) AS no_links,
    minOrNullIf(at, kind = 'sent') AS sent_at,
    minOrNullIf(at, kind = 'delivered') AS delivered_at,
    minOrNullIf(at, kind = 'skipped') AS skipped_at,
    minOrNullIf(at, kind = 'bounce' AND bounce_class = 'hard') AS hard_bounced_at,
    minOrNullIf(at, kind = 'bounce' AND bounce_class IN ('soft', 'unknown')) AS soft_bounced_at,
    minOrNullIf(at, kind = 'bounce' AND bounce_class = 'block') AS blocked_at,
    minOrNullIf(at, is_put_off) AS put_off_at,
    minOrNullIf(at, kind = 'open' AND verdict = 'human') AS first_open_at,
    minOrNullIf(at, kind = 'click' AND verdict = 'human') AS first_click_at,
    minOrNullIf(at, kind = 'open' AND verdict = 'machine') AS first_machine_open_at,
    minOrNullIf(at, kind = 'open') AS first_raw_open_at,
    minOrNullIf(at, kind = 'click') AS first_raw_click_at,
    minOrNullIf(at, kind = 'reply') AS replied_at,
    minOrNullIf(at, kind = 'unsubscribe') AS unsubscribed_at,
    minOrNullIf(at, kind = 'complaint') AS complained_at,
    minOrNullIf(at, kind = 'auto_reply') AS auto_replied_at,
    minOrNullIf(at, kind = 'unanswered') AS unanswered_at,
    maxOrNullIf(at, kind = 'unsubscribe') AS last_unsubscribed_at,
    maxOrNullIf(at, kind = 'resubscribe') AS resubscribed_at,
    groupUniqArrayIf(
        toStartOfHour(at),
        kind IN ('sent', 'delivered', 'bounce', 'reply', 'unsubscribe') OR is_put_off OR verdict = 'human'
    ) AS hours,
    groupUniqArrayIf(concat(kind, ' ', verdict, ' ', reason), verdict IN ('bot', 'machine')) AS robots,
    groupUniqArrayIf(link_id, kind = 'click' AND verdict = 'human') AS links,
    groupUniqArrayIf(link_id, kind = 'click') AS raw_links
FROM events
WHERE delivery_id != toUUID('00000000-0000-0000-0000-000000000000')
GROUP BY campaign, step, variant, delivery_id;

-- `outcomes` with the rows of each email merged, in plain types.
CREATE OR REPLACE VIEW v_outcomes AS
SELECT
    campaign,
    step,
    variant,
    delivery_id,
    lead::String AS lead,
    sender::String AS sender,
    recipient_domain::String AS recipient_domain,
    no_pixel::Bool AS no_pixel,
    no_links::Bool AS no_links,
    sent_at::Nullable(DateTime64(3, 'UTC')) AS sent_at,
    delivered_at::Nullable(DateTime64(3, 'UTC')) AS delivered_at,
    skipped_at::Nullable(DateTime64(3, 'UTC')) AS skipped_at,
    hard_bounced_at::Nullable(DateTime64(3, 'UTC')) AS hard_bounced_at,
    soft_bounced_at::Nullable(DateTime64(3, 'UTC')) AS soft_bounced_at,
    blocked_at::Nullable(DateTime64(3, 'UTC')) AS blocked_at,
    first_open_at::Nullable(DateTime64(3, 'UTC')) AS first_open_at,
    first_click_at::Nullable(DateTime64(3, 'UTC')) AS first_click_at,
    -- Who follows a link has opened the email.
    if(
        isNull(outcomes.first_open_at) OR outcomes.first_click_at < outcomes.first_open_at,
        outcomes.first_click_at,
        outcomes.first_open_at
    )::Nullable(DateTime64(3, 'UTC')) AS opened_at,
    first_machine_open_at::Nullable(DateTime64(3, 'UTC')) AS first_machine_open_at,
    first_raw_open_at::Nullable(DateTime64(3, 'UTC')) AS first_raw_open_at,
    first_raw_click_at::Nullable(DateTime64(3, 'UTC')) AS first_raw_click_at,
    replied_at::Nullable(DateTime64(3, 'UTC')) AS replied_at,
    -- Who took it back is not unsubscribed.
    if(
        outcomes.resubscribed_at >= outcomes.last_unsubscribed_at, NULL, outcomes.unsubscribed_at
    )::Nullable(DateTime64(3, 'UTC')) AS unsubscribed_at,
    complained_at::Nullable(DateTime64(3, 'UTC')) AS complained_at,
    auto_replied_at::Nullable(DateTime64(3, 'UTC')) AS auto_replied_at,
    unanswered_at::Nullable(DateTime64(3, 'UTC')) AS unanswered_at,
    last_unsubscribed_at::Nullable(DateTime64(3, 'UTC')) AS last_unsubscribed_at,
    resubscribed_at::Nullable(DateTime64(3, 'UTC')) AS resubscribed_at
FROM outcomes FINAL;

-- `outcomes` by the hours in which something happened: what became of the emails of an hour lies together. Written by
-- counting.py for the emails of each batch, from `outcomes`; columns are minima, maxima and sets, so that an older
-- state of an email never hides a newer one.
--
-- By the hour first: a range's first and last hours are read of all campaigns at once. Measured on 14.3 million rows of 70
-- campaigns, milliseconds of CPU by (slot, campaign) and by (campaign, slot): two hours of all campaigns 16 and 206, a
-- whole day of them 64 and 215, an hour of one campaign 7 and 8, two hours running of one 12 and 7; 657 and 600 MB on disk.
CREATE TABLE IF NOT EXISTS emails (
    campaign LowCardinality(String),
    slot DateTime('UTC') CODEC(DoubleDelta, ZSTD) COMMENT 'the hour',
    step UInt8,
    variant LowCardinality(String),
    delivery_id UUID,
    lead SimpleAggregateFunction(max, String),
    sender SimpleAggregateFunction(max, LowCardinality(String)),
    recipient_domain SimpleAggregateFunction(max, String),
    sent_at SimpleAggregateFunction(min, Nullable(DateTime64(3, 'UTC'))),
    delivered_at SimpleAggregateFunction(min, Nullable(DateTime64(3, 'UTC'))),
    hard_bounced_at SimpleAggregateFunction(min, Nullable(DateTime64(3, 'UTC'))),
    soft_bounced_at SimpleAggregateFunction(min, Nullable(DateTime64(3, 'UTC'))),
    blocked_at SimpleAggregateFunction(min, Nullable(DateTime64(3, 'UTC'))),
    put_off_at SimpleAggregateFunction(min, Nullable(DateTime64(3, 'UTC'))),
    first_open_at SimpleAggregateFunction(min, Nullable(DateTime64(3, 'UTC'))),
    first_click_at SimpleAggregateFunction(min, Nullable(DateTime64(3, 'UTC'))),
    first_machine_open_at SimpleAggregateFunction(min, Nullable(DateTime64(3, 'UTC'))),
    first_raw_open_at SimpleAggregateFunction(min, Nullable(DateTime64(3, 'UTC'))),
    first_raw_click_at SimpleAggregateFunction(min, Nullable(DateTime64(3, 'UTC'))),
    replied_at SimpleAggregateFunction(min, Nullable(DateTime64(3, 'UTC'))),
    first_unsubscribed_at SimpleAggregateFunction(min, Nullable(DateTime64(3, 'UTC'))),
    last_unsubscribed_at SimpleAggregateFunction(max, Nullable(DateTime64(3, 'UTC'))),
    resubscribed_at SimpleAggregateFunction(max, Nullable(DateTime64(3, 'UTC'))),
    complained_at SimpleAggregateFunction(min, Nullable(DateTime64(3, 'UTC'))),
    auto_replied_at SimpleAggregateFunction(min, Nullable(DateTime64(3, 'UTC'))),
    robots SimpleAggregateFunction(groupUniqArrayArray, Array(String)) COMMENT 'under the hour of sending alone',
    links SimpleAggregateFunction(groupUniqArrayArray, Array(String)) COMMENT 'under the hour of sending alone',
    raw_links SimpleAggregateFunction(groupUniqArrayArray, Array(String)) COMMENT 'under the hour of sending alone',
    -- The measures: what the email counts as, 0 or 1, once it was sent. `raw_` is by anybody, robots and machines included,
    -- without it, by a person. What they mean: clickhouse/columns.py.
    sent UInt8 ALIAS 1,
    hard_bounced UInt8 ALIAS hard_bounced_at IS NOT NULL,
    soft_bounced UInt8 ALIAS soft_bounced_at IS NOT NULL,
    blocked UInt8 ALIAS blocked_at IS NOT NULL,
    delivered UInt8 ALIAS hard_bounced_at IS NULL AND soft_bounced_at IS NULL AND blocked_at IS NULL
        COMMENT 'sent minus bounced: what was taken at first and came back later was not delivered either',
    opened UInt8 ALIAS first_open_at IS NOT NULL OR first_click_at IS NOT NULL
        COMMENT 'who follows a link has opened the email: many clients show no images',
    raw_opened UInt8 ALIAS first_raw_open_at IS NOT NULL OR first_raw_click_at IS NOT NULL,
    machine_opened UInt8 ALIAS first_machine_open_at IS NOT NULL
        COMMENT 'fetched ahead by a mailbox provider''s privacy proxy, which says nothing about the person',
    clicked UInt8 ALIAS first_click_at IS NOT NULL,
    raw_clicked UInt8 ALIAS first_raw_click_at IS NOT NULL,
    unsubscribed UInt8 ALIAS first_unsubscribed_at IS NOT NULL AND NOT ifNull(resubscribed_at >= last_unsubscribed_at, 0)
        COMMENT 'and did not take it back',
    replied UInt8 ALIAS replied_at IS NOT NULL COMMENT 'that a machine answered for them (out of office) is no reply',
    raw_replied UInt8 ALIAS replied_at IS NOT NULL OR auto_replied_at IS NOT NULL,
    complained UInt8 ALIAS complained_at IS NOT NULL,
    hit UInt8 ALIAS first_raw_open_at IS NOT NULL OR first_raw_click_at IS NOT NULL COMMENT 'anybody opened or clicked in it',
    bot_hit UInt8 ALIAS arrayExists(one -> startsWith(one, 'open bot ') OR startsWith(one, 'click bot '), robots)
        COMMENT 'a robot did',
    happened Array(Tuple(Nullable(DateTime64(3, 'UTC')), String)) ALIAS [
        (sent_at, 'sent'),
        (first_open_at, 'opened'),
        (first_click_at, 'clicked'),
        (replied_at, 'replied'),
        (if(resubscribed_at >= last_unsubscribed_at, NULL, first_unsubscribed_at), 'unsubscribed')
    ] COMMENT 'what first happened to it by a person''s doing, and when',
    open_delay UInt64 ALIAS toUInt64(greatest(
        0, dateDiff('millisecond', assumeNotNull(coalesce(delivered_at, sent_at)), assumeNotNull(first_open_at))
    )) COMMENT 'milliseconds from the mail server''s yes (where nobody told of it: from sending) to a person''s first open',
    open_delay_bin UInt8 ALIAS toUInt8(arrayCount(low -> open_delay >= low, arrayFlatten(arrayMap(
        (low, high) -> arrayMap(part -> 1000 * low + 125 * part * (high - low), range(8)),
        [0, 60, 300, 900, 1800, 3600, 10800, 21600, 43200, 86400, 172800, 604800],
        [60, 300, 900, 1800, 3600, 10800, 21600, 43200, 86400, 172800, 604800, 1209600]
    ))) - 1) COMMENT 'twelve delays that people read, in eight parts each; the last has no end'
)
ENGINE = AggregatingMergeTree
PARTITION BY toYYYYMM(slot)
ORDER BY (slot, campaign, step, variant, delivery_id)
SETTINGS index_granularity = 256
COMMENT 'Emails, a row for each hour in which something happened to the email. All rows of an email are alike.';

-- Emails sent, a row each, in plain types. Say `slot >= toStartOfHour(since) AND slot < until` besides what you ask of
-- `sent_at`: by that it finds them.
CREATE OR REPLACE VIEW v_sent AS
SELECT
    campaign,
    slot,
    step,
    variant,
    delivery_id,
    lead::String AS lead,
    sender::LowCardinality(String) AS sender,
    recipient_domain::String AS recipient_domain,
    no_pixel::Bool AS no_pixel,
    no_links::Bool AS no_links,
    assumeNotNull(emails.sent_at) AS sent_at,
    delivered_at::Nullable(DateTime64(3, 'UTC')) AS delivered_at,
    hard_bounced_at::Nullable(DateTime64(3, 'UTC')) AS hard_bounced_at,
    soft_bounced_at::Nullable(DateTime64(3, 'UTC')) AS soft_bounced_at,
    blocked_at::Nullable(DateTime64(3, 'UTC')) AS blocked_at,
    put_off_at::Nullable(DateTime64(3, 'UTC')) AS put_off_at,
    first_open_at::Nullable(DateTime64(3, 'UTC')) AS first_open_at,
    first_click_at::Nullable(DateTime64(3, 'UTC')) AS first_click_at,
    -- Who follows a link has opened the email.
    if(
        isNull(emails.first_open_at) OR emails.first_click_at < emails.first_open_at,
        emails.first_click_at,
        emails.first_open_at
    )::Nullable(DateTime64(3, 'UTC')) AS opened_at,
    first_machine_open_at::Nullable(DateTime64(3, 'UTC')) AS first_machine_open_at,
    first_raw_open_at::Nullable(DateTime64(3, 'UTC')) AS first_raw_open_at,
    first_raw_click_at::Nullable(DateTime64(3, 'UTC')) AS first_raw_click_at,
    replied_at::Nullable(DateTime64(3, 'UTC')) AS replied_at,
    complained_at::Nullable(DateTime64(3, 'UTC')) AS complained_at,
    auto_replied_at::Nullable(DateTime64(3, 'UTC')) AS auto_replied_at,
    robots::Array(String) AS robots,
    links::Array(String) AS links,
    raw_links::Array(String) AS raw_links,
    if(
        resubscribed_at >= last_unsubscribed_at, NULL, first_unsubscribed_at
    )::Nullable(DateTime64(3, 'UTC')) AS unsubscribed_at
FROM emails FINAL
WHERE slot = toStartOfHour(assumeNotNull(emails.sent_at));

CREATE TABLE IF NOT EXISTS judged_hits (
    campaign LowCardinality(String),
    slot DateTime('UTC') CODEC(DoubleDelta, ZSTD) COMMENT 'the hour of the hit',
    kind LowCardinality(String) COMMENT 'open or click',
    id UUID,
    at DateTime64(3, 'UTC'),
    step UInt8,
    variant LowCardinality(String),
    delivery_id UUID,
    verdict LowCardinality(String) COMMENT 'human, machine or bot',
    reason LowCardinality(String) COMMENT 'the rule that gave the verdict',
    link_id LowCardinality(String),
    stored_at DateTime64(3, 'UTC'),
    agent LowCardinality(String) COMMENT 'of robots and machines, as the rules know it',
    network LowCardinality(String)
        COMMENT 'of robots and machines: its name, else the first 24 bits (IPv6: 48) of the address',
    user_agent LowCardinality(String) COMMENT 'of robots, as it was sent, at most 300 characters'
)
ENGINE = ReplacingMergeTree(stored_at)
PARTITION BY toYYYYMM(slot)
ORDER BY (slot, campaign, kind, id)
SETTINGS index_granularity = 256
COMMENT 'Opens and clicks as they were judged, by their own time; nothing of where people came from. Judged again, the newer row wins.';

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
        endsWith(ip, '/24') OR endsWith(ip, '/48'), ip,
        isIPv4String(ip), concat(IPv4NumToString(bitAnd(IPv4StringToNumOrDefault(ip), 4294967040)), '/24'),
        isIPv6String(ip), concat(IPv6NumToString(IPv6CIDRToRange(toIPv6OrDefault(ip), 48).1), '/48'),
        'Address not kept whole'
    ) AS network,
    if(verdict = 'bot', leftUTF8(toString(user_agent), 300), '') AS user_agent,
    if(verdict = 'human', toString(client), '') AS client,
    if(verdict = 'human', toString(device), '') AS device,
    if(verdict = 'human', toString(country), '') AS country
FROM events
WHERE kind IN ('open', 'click');

-- Boards ask by kind, and `events`, sorted by campaign and email, would be read whole for it: of 100 million events, the
-- question for bounces by category read 44 million rows, and reads 4.8 million here.
CREATE TABLE IF NOT EXISTS rare_events (
    kind LowCardinality(String),
    campaign LowCardinality(String),
    delivery_id UUID,
    id UUID,
    at DateTime64(3, 'UTC'),
    step UInt8,
    variant LowCardinality(String),
    lead String,
    sender LowCardinality(String),
    attempt UInt8,
    bounce_class LowCardinality(String),
    category LowCardinality(String),
    status LowCardinality(String),
    diagnostic String,
    reason LowCardinality(String),
    via LowCardinality(String),
    subject String,
    text String CODEC(ZSTD(3)),
    detail String,
    sent UInt64,
    hard_bounced UInt64,
    stored_at DateTime64(3, 'UTC'),
    words String ALIAS left(replaceRegexpAll(diagnostic, '[^\\s<>"\'(),;:]+@[^\\s<>"\'(),;:]+', '…'), 160)
        COMMENT 'what the server said, without the addresses in it and short enough for a table'
)
ENGINE = ReplacingMergeTree(stored_at)
PARTITION BY toYYYYMM(at)
ORDER BY (kind, campaign, delivery_id, id)
SETTINGS index_granularity = 1024
COMMENT 'Events that are few, by kind: everything but sends, deliveries, opens and clicks, a twentieth of all. Columns as in events.';

CREATE MATERIALIZED VIEW IF NOT EXISTS rare_events_from_events TO rare_events AS
SELECT
    kind,
    campaign,
    delivery_id,
    id,
    at,
    step,
    variant,
    lead,
    sender,
    attempt,
    bounce_class,
    category,
    status,
    diagnostic,
    reason,
    via,
    subject,
    text,
    asks_to_stop,
    stop_phrase,
    stop_line,
    until,
    list_name,
    back,
    detail,
    sent,
    hard_bounced,
    stored_at
FROM events
WHERE kind NOT IN ('sent', 'delivered', 'open', 'click');

-- A bloom filter over `outcomes` cost 0.45 s of processor among 14 million emails, and this costs 0.01. Verdicts may be given
-- again, and a minimum can't be taken back: clickhouse/rebuild.py rebuilds these rows as it does those of `outcomes`. The lead
-- stands in the sorting key, so clickhouse/erasing.py writes rows under the pseudonym and deletes the others.
CREATE TABLE IF NOT EXISTS lead_emails (
    lead String,
    campaign LowCardinality(String),
    step UInt8,
    variant LowCardinality(String),
    delivery_id UUID,
    address SimpleAggregateFunction(max, String)
        COMMENT 'keyed hash by which the lead is known in other lists, of the sent event',
    links SimpleAggregateFunction(groupUniqArrayArray, Array(String)) COMMENT 'followed in the email, by anybody',
    sent_at SimpleAggregateFunction(min, Nullable(DateTime64(3, 'UTC'))),
    first_open_at SimpleAggregateFunction(min, Nullable(DateTime64(3, 'UTC'))),
    first_click_at SimpleAggregateFunction(min, Nullable(DateTime64(3, 'UTC'))),
    replied_at SimpleAggregateFunction(min, Nullable(DateTime64(3, 'UTC')))
)
ENGINE = AggregatingMergeTree
ORDER BY (lead, campaign, step, variant, delivery_id)
SETTINGS index_granularity = 256
COMMENT 'Emails by lead, so that those of one lead are found without reading every email''s lead.';

CREATE MATERIALIZED VIEW IF NOT EXISTS lead_emails_from_events TO lead_emails AS
SELECT
    lead,
    campaign,
    step,
    variant,
    delivery_id,
    maxIf(toString(address), kind = 'sent') AS address,
    groupUniqArrayIf(link_id, kind = 'click') AS links,
    minOrNullIf(at, kind = 'sent') AS sent_at,
    minOrNullIf(at, kind = 'open' AND verdict = 'human') AS first_open_at,
    minOrNullIf(at, kind = 'click' AND verdict = 'human') AS first_click_at,
    minOrNullIf(at, kind = 'reply') AS replied_at
FROM events
WHERE lead != '' AND delivery_id != toUUID('00000000-0000-0000-0000-000000000000')
GROUP BY lead, campaign, step, variant, delivery_id;

CREATE TABLE IF NOT EXISTS last_events (
    lead String,
    last SimpleAggregateFunction(max, Tuple(at DateTime64(3, 'UTC'), kind String))
)
ENGINE = AggregatingMergeTree
ORDER BY lead
SETTINGS index_granularity = 1024
COMMENT 'When something last happened to each lead, and what: a row a lead. Whatever its verdict, so no judging changes it.';

CREATE MATERIALIZED VIEW IF NOT EXISTS last_events_from_events TO last_events AS
SELECT lead, max((at, toString(kind))) AS last
FROM events
WHERE lead != '' AND delivery_id != toUUID('00000000-0000-0000-0000-000000000000')
GROUP BY lead;
