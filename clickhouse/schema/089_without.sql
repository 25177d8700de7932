-- How many delivered emails no person opened, clicked in or answered, as counts of their own: an email may bounce after it was
-- opened, so they do not follow from the others.

ALTER TABLE emails
    ADD COLUMN IF NOT EXISTS not_opened UInt8 ALIAS delivered AND NOT no_pixel AND NOT opened
        COMMENT 'delivered with a pixel, and no person opened it' AFTER delivered_with_links,
    ADD COLUMN IF NOT EXISTS not_clicked UInt8 ALIAS delivered AND NOT no_links AND NOT clicked
        COMMENT 'delivered with links, and no person followed one' AFTER not_opened,
    ADD COLUMN IF NOT EXISTS not_replied UInt8 ALIAS delivered AND NOT replied
        COMMENT 'delivered, and no person answered' AFTER not_clicked;

ALTER TABLE email_counts
    ADD COLUMN IF NOT EXISTS not_opened UInt32 AFTER delivered_with_links,
    ADD COLUMN IF NOT EXISTS not_clicked UInt32 AFTER not_opened,
    ADD COLUMN IF NOT EXISTS not_replied UInt32 AFTER not_clicked;

-- Rollups of emails are made again, because those that are there know nothing of these; `emails` has all that they need.
INSERT INTO slots (of, slot, written, day_written)
SELECT of, slot, max(written) > 0 AS is_written, 1 AS day_written
FROM slots
WHERE of = 'email'
GROUP BY of, slot;
