-- Which reports were sent by email, so that each is sent once by however many processes.
CREATE TABLE IF NOT EXISTS reports (
    id UUID COMMENT 'derived of the period and of whom it was sent to',
    period LowCardinality(String) COMMENT 'day or week',
    since DateTime64(3, 'UTC'),
    until DateTime64(3, 'UTC'),
    sent_at DateTime64(3, 'UTC') COMMENT 'when the mail server had taken it',
    stored_at DateTime64(3, 'UTC') DEFAULT now64(3)
)
ENGINE = ReplacingMergeTree(stored_at)
ORDER BY id
COMMENT 'Reports that were sent by email. To whom stands in no column.';
