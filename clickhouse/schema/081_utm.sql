-- The tags that a campaign's links carry to the landing page's analytics.

ALTER TABLE campaigns ADD COLUMN IF NOT EXISTS utm_source String COMMENT 'put into its links as utm_source, as the others are; empty: not put';

ALTER TABLE campaigns ADD COLUMN IF NOT EXISTS utm_medium String;

ALTER TABLE campaigns ADD COLUMN IF NOT EXISTS utm_campaign String;

ALTER TABLE campaigns ADD COLUMN IF NOT EXISTS utm_content String;
