-- What `sendlens report` asks.

-- name: report_is_sent
-- Whether the report of this id was sent.
SELECT count() > 0 AS is_sent FROM reports WHERE id = {report:UUID}
