-- What our page draws who clicked on. By variant, and never by email: what a person got is kept nowhere.

CREATE TABLE IF NOT EXISTS previews (
    campaign String,
    step UInt8,
    variant String,
    html String CODEC(ZSTD(3)) COMMENT 'as the platform declared it; empty once it was taken back',
    at DateTime64(3, 'UTC') COMMENT 'when it was declared',
    stored_at DateTime64(3, 'UTC') DEFAULT now64(3),
    CONSTRAINT names_a_campaign CHECK campaign != ''
)
ENGINE = ReplacingMergeTree(stored_at)
ORDER BY (campaign, step, variant)
COMMENT 'The HTML of each variant, as the platform declared it for the click map.';
