-- The address that a campaign's pixels and links begin with.

ALTER TABLE campaigns ADD COLUMN IF NOT EXISTS tracking_url String COMMENT 'where its pixels, links and unsubscribes lead; empty: that of the account';
