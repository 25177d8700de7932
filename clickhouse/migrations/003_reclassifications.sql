-- How far each `sendlens reclassify` has come, so that one that was interrupted goes on. The newest row of a key wins.
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
ORDER BY (range_from, range_to, rules_version);
