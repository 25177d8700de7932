-- What `sendlens rebuild` asks (clickhouse/rebuild.py).

-- name: rebuild_view
-- What a materialised view selects.
SELECT database, as_select FROM system.tables WHERE database = currentDatabase() AND name = {view:String}

-- name: rebuild_campaigns
-- Campaigns that were not reached, and their events.
SELECT campaign, count() AS events
FROM events
WHERE campaign NOT IN (SELECT campaign FROM rebuilding)
GROUP BY campaign
ORDER BY campaign

-- name: rebuild_how_far
-- Whether a rebuild has begun, and of how many campaigns it is done.
SELECT count() AS begun, countIf(campaign != '') AS campaigns FROM rebuilding
