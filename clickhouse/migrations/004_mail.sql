-- What comes back by mail, and what follows from it.

-- A pause is a state of its own: the platform declares campaigns, the guard and operators pause them.
CREATE TABLE IF NOT EXISTS pauses (
    campaign String,
    paused Bool,
    at DateTime64(3, 'UTC'),
    reason LowCardinality(String),
    stored_at DateTime64(3, 'UTC') DEFAULT now64(3),
    CONSTRAINT names_a_campaign CHECK campaign != ''
)
ENGINE = ReplacingMergeTree(stored_at)
ORDER BY campaign;

ALTER TABLE campaigns
    ADD COLUMN IF NOT EXISTS check_reply Bool AFTER created_at,
    ADD COLUMN IF NOT EXISTS track_opens Bool DEFAULT true AFTER check_reply,
    ADD COLUMN IF NOT EXISTS track_clicks Bool DEFAULT true AFTER track_opens,
    ADD COLUMN IF NOT EXISTS wrap_text_links Bool AFTER track_clicks,
    ADD COLUMN IF NOT EXISTS bounce_limit Float64 DEFAULT 0.05 AFTER wrap_text_links,
    ADD COLUMN IF NOT EXISTS bounce_min_sends UInt32 DEFAULT 20 AFTER bounce_limit,
    DROP COLUMN IF EXISTS paused;

-- One row a fact, where there was one row a lead: two facts that become known at once must both stay.
CREATE TABLE IF NOT EXISTS lead_facts (
    lead String,
    fact LowCardinality(String),
    at DateTime64(3, 'UTC'),
    of LowCardinality(String) DEFAULT 'lead',
    campaign LowCardinality(String),
    holds Bool DEFAULT true,
    stored_at DateTime64(3, 'UTC') DEFAULT now64(3),
    CONSTRAINT names_a_fact CHECK lead != '' AND fact != ''
)
ENGINE = ReplacingMergeTree(stored_at)
ORDER BY (lead, fact, of, campaign);

INSERT INTO lead_facts (lead, fact, at, stored_at)
SELECT lead, 'unsubscribed', assumeNotNull(unsubscribed_at), stored_at
FROM leads FINAL
WHERE unsubscribed_at IS NOT NULL;

ALTER TABLE events
    ADD COLUMN IF NOT EXISTS address LowCardinality(String) AFTER recipient_domain,
    ADD COLUMN IF NOT EXISTS matched_by LowCardinality(String) AFTER via,
    ADD COLUMN IF NOT EXISTS subject String AFTER matched_by,
    ADD COLUMN IF NOT EXISTS text String AFTER subject,
    ADD COLUMN IF NOT EXISTS detail String AFTER text,
    ADD COLUMN IF NOT EXISTS sent UInt64 AFTER detail,
    ADD COLUMN IF NOT EXISTS hard_bounced UInt64 AFTER sent;

-- Not every event is of an email any more: a pause is of a campaign.
ALTER TABLE events DROP CONSTRAINT IF EXISTS names_an_event;

ALTER TABLE events ADD CONSTRAINT IF NOT EXISTS is_an_event
    CHECK id != toUUID('00000000-0000-0000-0000-000000000000') AND kind != ''
    AND (campaign != '' OR delivery_id = toUUID('00000000-0000-0000-0000-000000000000'));

ALTER TABLE outcomes
    ADD COLUMN IF NOT EXISTS auto_replied_at SimpleAggregateFunction(min, Nullable(DateTime64(3, 'UTC'))),
    ADD COLUMN IF NOT EXISTS unanswered_at SimpleAggregateFunction(min, Nullable(DateTime64(3, 'UTC'))),
    ADD COLUMN IF NOT EXISTS last_unsubscribed_at SimpleAggregateFunction(max, Nullable(DateTime64(3, 'UTC'))),
    ADD COLUMN IF NOT EXISTS resubscribed_at SimpleAggregateFunction(max, Nullable(DateTime64(3, 'UTC')));

-- Changed in place: a view that is dropped and made again would miss what is inserted meanwhile.
ALTER TABLE outcomes_from_events MODIFY QUERY
SELECT
    campaign,
    step,
    variant,
    delivery_id,
    max(lead) AS lead,
    max(sender) AS sender,
    max(recipient_domain) AS recipient_domain,
    minOrNullIf(at, kind = 'sent') AS sent_at,
    minOrNullIf(at, kind = 'delivered') AS delivered_at,
    minOrNullIf(at, kind = 'skipped') AS skipped_at,
    minOrNullIf(at, kind = 'bounce' AND bounce_class = 'hard') AS hard_bounced_at,
    minOrNullIf(at, kind = 'bounce' AND bounce_class IN ('soft', 'unknown')) AS soft_bounced_at,
    minOrNullIf(at, kind = 'bounce' AND bounce_class = 'block') AS blocked_at,
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
    maxOrNullIf(at, kind = 'resubscribe') AS resubscribed_at
FROM events
WHERE delivery_id != toUUID('00000000-0000-0000-0000-000000000000')
GROUP BY campaign, step, variant, delivery_id;

-- Who took it back is not unsubscribed. (A view keeps the columns its table had when it was made.)
CREATE OR REPLACE VIEW v_outcomes AS
SELECT * REPLACE (if(resubscribed_at >= last_unsubscribed_at, NULL, unsubscribed_at) AS unsubscribed_at)
FROM outcomes FINAL;
