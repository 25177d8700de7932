-- Pauses that leads ask for on the unsubscribe page: a fact with an end.

ALTER TABLE events
    ADD COLUMN IF NOT EXISTS until Nullable(DateTime64(3, 'UTC')) COMMENT 'of a snooze: no email before that' AFTER via,
    COMMENT COLUMN reason 'of a verdict the rule, of a skip what stood against sending, of a pause why, of an unsubscribe the reason chosen on the page';

ALTER TABLE rare_events
    ADD COLUMN IF NOT EXISTS until Nullable(DateTime64(3, 'UTC')) AFTER via;

ALTER TABLE lead_facts
    ADD COLUMN IF NOT EXISTS until Nullable(DateTime64(3, 'UTC')) COMMENT 'when it ends by itself; NULL for never',
    COMMENT COLUMN fact 'unsubscribed, invalid, complained, suppressed, snoozed, replied or erased';
