-- What webhooks ask.

-- name: events_to_redeliver
-- The events from :start until before :end of these kinds, all where none is named.
SELECT * FROM events FINAL
WHERE at >= {start:DateTime64(3, 'UTC')} AND at < {end:DateTime64(3, 'UTC')}
    AND (empty({kinds:Array(String)}) OR has({kinds:Array(String)}, kind))
ORDER BY at, id
