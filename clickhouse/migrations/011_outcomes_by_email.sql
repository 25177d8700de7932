-- `outcomes` anew, so that single emails are cheap to find: the store looks up those of every batch of events.
--
-- index_granularity 256: to find 1,000 emails of 14 million, 257,768 rows are read (measured), which is a granule for each. With
-- ClickHouse's default of 8,192 nearly half of all granules hold one of them, which is six million rows.
-- `sent_ats` are all moments at which an email is said to have been sent: mostly one. See `emails` in 015.
CREATE TABLE IF NOT EXISTS outcomes_by_email (
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
    first_open_at SimpleAggregateFunction(min, Nullable(DateTime64(3, 'UTC'))),
    first_click_at SimpleAggregateFunction(min, Nullable(DateTime64(3, 'UTC'))),
    first_machine_open_at SimpleAggregateFunction(min, Nullable(DateTime64(3, 'UTC'))),
    first_raw_open_at SimpleAggregateFunction(min, Nullable(DateTime64(3, 'UTC'))),
    first_raw_click_at SimpleAggregateFunction(min, Nullable(DateTime64(3, 'UTC'))),
    replied_at SimpleAggregateFunction(min, Nullable(DateTime64(3, 'UTC'))),
    unsubscribed_at SimpleAggregateFunction(min, Nullable(DateTime64(3, 'UTC'))),
    complained_at SimpleAggregateFunction(min, Nullable(DateTime64(3, 'UTC'))),
    auto_replied_at SimpleAggregateFunction(min, Nullable(DateTime64(3, 'UTC'))),
    unanswered_at SimpleAggregateFunction(min, Nullable(DateTime64(3, 'UTC'))),
    last_unsubscribed_at SimpleAggregateFunction(max, Nullable(DateTime64(3, 'UTC'))),
    resubscribed_at SimpleAggregateFunction(max, Nullable(DateTime64(3, 'UTC'))),
    sent_ats SimpleAggregateFunction(groupUniqArrayArray, Array(DateTime64(3, 'UTC')))
)
ENGINE = AggregatingMergeTree
ORDER BY (campaign, step, variant, delivery_id)
SETTINGS index_granularity = 256;

INSERT INTO outcomes_by_email SELECT *, [] AS sent_ats FROM outcomes;
