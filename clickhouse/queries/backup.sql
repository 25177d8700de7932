-- What `sendlens backup` and `restore` ask (commands/backup/).

-- name: backup_state
-- How far a backup or a restore is.
SELECT status, error, num_entries, total_size, uncompressed_size, bytes_read FROM system.backups WHERE id = {id:String}

-- name: backup_count_recent
-- Events stored since.
SELECT count() FROM events WHERE stored_at >= {since:DateTime64(3, 'UTC')}

-- name: backup_insert_recent
-- A piece of the events stored since, inserted again: what is derived of them follows.
INSERT INTO events
SELECT * FROM events
WHERE stored_at >= {since:DateTime64(3, 'UTC')} AND cityHash64(id) % {pieces:UInt32} = {piece:UInt32}

-- name: backup_views
-- The views of a database.
SELECT name FROM system.tables WHERE database = {database:String} AND engine = 'View' ORDER BY name

-- name: backup_rows
-- Rows by table.
SELECT table, toUInt64(sum(rows)) FROM system.parts
WHERE database = {database:String} AND active GROUP BY table ORDER BY table
