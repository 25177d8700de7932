-- Which mail client or browser a hit came from, on what kind of device and from which country; and counts of people's by them.

ALTER TABLE events
    ADD COLUMN IF NOT EXISTS client LowCardinality(String)
        COMMENT 'of an open or a click, the mail client or browser that the user agent names' AFTER network,
    ADD COLUMN IF NOT EXISTS device LowCardinality(String)
        COMMENT 'of an open or a click, the kind of device: desktop, mobile, tablet, other or unknown' AFTER client,
    ADD COLUMN IF NOT EXISTS country LowCardinality(String)
        COMMENT 'of an open or a click, the country of the whole address (ISO 3166-1 alpha-2), where a country file knows it'
        AFTER device;

ALTER TABLE judged_hits
    ADD COLUMN IF NOT EXISTS client LowCardinality(String) COMMENT 'of people, the mail client or browser',
    ADD COLUMN IF NOT EXISTS device LowCardinality(String) COMMENT 'of people, the kind of device',
    ADD COLUMN IF NOT EXISTS country LowCardinality(String) COMMENT 'of people, the country, where one is known';

ALTER TABLE judged_hits
    MODIFY COMMENT 'Opens and clicks as they were judged, by their own time; of people neither address nor user agent. Judged again, the newer row wins.';

-- A store of an older release, which counts no clients, can't insert into a table of more columns: what it can't count stays
-- stale, and is read row by row.
ALTER TABLE hit_counts
    ADD COLUMN IF NOT EXISTS device LowCardinality(String) COMMENT 'by client the kind of device, else empty' AFTER key,
    MODIFY ORDER BY (by, grain, campaign, slot, step, variant, verdict, key, device);

ALTER TABLE hit_counts
    COMMENT COLUMN by 'reason, verdict, network, agent or user agent; of people client (and device) or country',
    COMMENT COLUMN key 'the reason, or what the network, agent, user agent, client or country is called; empty by verdict';

-- Rollups of hits are made again, because those that are there know nothing of clients.
INSERT INTO slots (of, slot, written, day_written)
SELECT of, slot, max(written) > 0 AS is_written, 1 AS day_written
FROM slots
WHERE of = 'hit'
GROUP BY of, slot;
