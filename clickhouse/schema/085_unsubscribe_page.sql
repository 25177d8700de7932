-- What the unsubscribe page offers besides: a pause, which is a fact with an end, and to leave one list.

ALTER TABLE events
    ADD COLUMN IF NOT EXISTS until Nullable(DateTime64(3, 'UTC')) COMMENT 'of a snooze: no email before that' AFTER via,
    ADD COLUMN IF NOT EXISTS list_name LowCardinality(String) COMMENT 'of a leave: the list' AFTER until,
    ADD COLUMN IF NOT EXISTS back Bool COMMENT 'of a leave: taken back' AFTER list_name,
    COMMENT COLUMN reason 'of a verdict the rule, of a skip what stood against sending, of a pause why, of an unsubscribe the reason chosen on the page';

ALTER TABLE rare_events
    ADD COLUMN IF NOT EXISTS until Nullable(DateTime64(3, 'UTC')) AFTER via,
    ADD COLUMN IF NOT EXISTS list_name LowCardinality(String) AFTER until,
    ADD COLUMN IF NOT EXISTS back Bool AFTER list_name;

ALTER TABLE lead_facts
    ADD COLUMN IF NOT EXISTS until Nullable(DateTime64(3, 'UTC')) COMMENT 'when it ends by itself; NULL for never',
    COMMENT COLUMN fact 'unsubscribed, invalid, complained, suppressed, snoozed, left, replied or erased',
    COMMENT COLUMN campaign 'of replied the campaign, of left the list that it is for; else empty, for all';
