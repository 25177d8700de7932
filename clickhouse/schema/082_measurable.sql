-- Which emails could show an open or a click, and that a person's click opens the email.

-- First, for while a column of `emails` is a lambda over another such column, ClickHouse refuses every ALTER of the table.
ALTER TABLE emails
    MODIFY COLUMN open_delay_bin UInt8 ALIAS toUInt8(
        8 * indexOf(
            [0, 60000, 300000, 900000, 1800000, 3600000, 10800000, 21600000, 43200000, 86400000, 172800000, 604800000],
            roundDown(
                open_delay,
                [0, 60000, 300000, 900000, 1800000, 3600000, 10800000, 21600000, 43200000, 86400000, 172800000, 604800000]
            )
        ) - 8 + least(7, intDiv(
            open_delay - roundDown(
                open_delay,
                [0, 60000, 300000, 900000, 1800000, 3600000, 10800000, 21600000, 43200000, 86400000, 172800000, 604800000]
            ),
            transform(
                roundDown(
                    open_delay,
                    [0, 60000, 300000, 900000, 1800000, 3600000, 10800000, 21600000, 43200000, 86400000, 172800000, 604800000]
                ),
                [0, 60000, 300000, 900000, 1800000, 3600000, 10800000, 21600000, 43200000, 86400000, 172800000, 604800000],
                [7500, 30000, 75000, 112500, 225000, 900000, 1350000, 2700000, 5400000, 10800000, 54000000, 75600000],
                1
            )
        ))
    ) COMMENT 'twelve delays that people read, in eight parts each; the last has no end';

ALTER TABLE events
    ADD COLUMN IF NOT EXISTS pixel Nullable(Bool)
        COMMENT 'of a sent event, whether the email has a pixel; NULL: not known, counted as if it had' AFTER address,
    ADD COLUMN IF NOT EXISTS wrapped_links Nullable(UInt16)
        COMMENT 'of a sent event, how many links lead over us; NULL: not known, counted as if some did' AFTER pixel;

ALTER TABLE attempts
    ADD COLUMN IF NOT EXISTS pixel Nullable(Bool) AFTER outcome,
    ADD COLUMN IF NOT EXISTS wrapped_links Nullable(UInt16) AFTER pixel;

ALTER TABLE outcomes
    ADD COLUMN IF NOT EXISTS no_pixel SimpleAggregateFunction(max, Bool)
        COMMENT 'its sent event says that no open can be seen' AFTER recipient_domain,
    ADD COLUMN IF NOT EXISTS no_links SimpleAggregateFunction(max, Bool)
        COMMENT 'its sent event says that no link in it can be followed' AFTER no_pixel;

ALTER TABLE emails
    ADD COLUMN IF NOT EXISTS no_pixel SimpleAggregateFunction(max, Bool)
        COMMENT 'its sent event says that no open can be seen' AFTER recipient_domain,
    ADD COLUMN IF NOT EXISTS no_links SimpleAggregateFunction(max, Bool)
        COMMENT 'its sent event says that no link in it can be followed' AFTER no_pixel,
    ADD COLUMN IF NOT EXISTS pixel_opened UInt8 ALIAS first_open_at IS NOT NULL AFTER complained,
    ADD COLUMN IF NOT EXISTS opened_with_pixel UInt8 ALIAS NOT no_pixel AND opened
        COMMENT 'of emails with a pixel those that were opened: the open rate' AFTER pixel_opened,
    ADD COLUMN IF NOT EXISTS raw_opened_with_pixel UInt8 ALIAS NOT no_pixel AND raw_opened AFTER opened_with_pixel,
    ADD COLUMN IF NOT EXISTS delivered_with_pixel UInt8 ALIAS NOT no_pixel AND delivered
        COMMENT 'what an open rate is of' AFTER raw_opened_with_pixel,
    ADD COLUMN IF NOT EXISTS delivered_with_links UInt8 ALIAS NOT no_links AND delivered
        COMMENT 'what a click rate is of' AFTER delivered_with_pixel,
    ADD COLUMN IF NOT EXISTS opened_at Nullable(DateTime64(3, 'UTC')) ALIAS if(
        isNull(first_open_at) OR first_click_at < first_open_at, first_click_at, first_open_at
    ) COMMENT 'a person''s first open, or click' AFTER delivered_with_links,
    MODIFY COLUMN happened Array(Tuple(Nullable(DateTime64(3, 'UTC')), String)) ALIAS [
        (sent_at, 'sent'),
        (opened_at, 'opened'),
        (first_click_at, 'clicked'),
        (replied_at, 'replied'),
        (if(resubscribed_at >= last_unsubscribed_at, NULL, first_unsubscribed_at), 'unsubscribed')
    ] COMMENT 'what first happened to it by a person''s doing, and when',
    MODIFY COLUMN open_delay UInt64 ALIAS toUInt64(greatest(
        0, dateDiff('millisecond', assumeNotNull(coalesce(delivered_at, sent_at)), assumeNotNull(opened_at))
    )) COMMENT 'milliseconds from the mail server''s yes (where nobody told of it: from sending) to a person''s first open';

ALTER TABLE email_counts
    ADD COLUMN IF NOT EXISTS pixel_opened UInt32 AFTER complained,
    ADD COLUMN IF NOT EXISTS opened_with_pixel UInt32 AFTER pixel_opened,
    ADD COLUMN IF NOT EXISTS raw_opened_with_pixel UInt32 AFTER opened_with_pixel,
    ADD COLUMN IF NOT EXISTS delivered_with_pixel UInt32 AFTER raw_opened_with_pixel,
    ADD COLUMN IF NOT EXISTS delivered_with_links UInt32 AFTER delivered_with_pixel;

-- All rollups are made again: an empty name asks for it, where there is anything to count.
INSERT INTO rebuilding SELECT DISTINCT '' FROM events;
