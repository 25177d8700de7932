-- What came in between: every column is a minimum or a maximum, so what is there twice changes nothing.
ALTER TABLE outcomes
    ADD COLUMN IF NOT EXISTS sent_ats SimpleAggregateFunction(groupUniqArrayArray, Array(DateTime64(3, 'UTC')));

ALTER TABLE outcomes_by_email
    ADD COLUMN IF NOT EXISTS sent_ats SimpleAggregateFunction(groupUniqArrayArray, Array(DateTime64(3, 'UTC')));

INSERT INTO outcomes SELECT * FROM outcomes_by_email;

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
    maxOrNullIf(at, kind = 'resubscribe') AS resubscribed_at,
    groupUniqArrayIf(at, kind = 'sent') AS sent_ats
FROM events
WHERE delivery_id != toUUID('00000000-0000-0000-0000-000000000000')
GROUP BY campaign, step, variant, delivery_id;

-- (A view keeps the columns its table had when it was made.)
CREATE OR REPLACE VIEW v_outcomes AS
SELECT * EXCEPT sent_ats REPLACE (if(resubscribed_at >= last_unsubscribed_at, NULL, unsubscribed_at) AS unsubscribed_at)
FROM outcomes FINAL;
