-- What `sendlens doctor` asks of the server: its clock and version, its disks, and what grows.

-- name: doctor_server
-- Version, and the server's clock.
SELECT version(), now64(3, 'UTC')

-- name: doctor_disks
-- Free and whole bytes of each of the server's disks that has a size: an object store says 2^64. What the server keeps free for itself is not free.
SELECT name, greatest(0, toInt64(free_space) - toInt64(keep_free_space)), toInt64(total_space)
FROM system.disks
WHERE total_space > 0 AND total_space < 4611686018427387904

-- name: doctor_tables
-- Our tables and the server's own logs: whether rows go by themselves (a TTL that deletes), bytes on disk, and the bytes
-- of what was of the month before this one, by the names of partitions that are months or days; 0 where they are not.
SELECT t.database = currentDatabase(), t.name, match(t.engine_full, '\\bTTL\\b'), sum(p.bytes_on_disk),
    sumIf(p.bytes_on_disk, extract(p.partition_id, '(\\d{6})(?:\\d{2})?$') = formatDateTime(now() - INTERVAL 1 MONTH, '%Y%m'))
FROM system.tables AS t
INNER JOIN system.parts AS p ON p.database = t.database AND p.table = t.name AND p.active
WHERE t.engine LIKE '%MergeTree' AND (t.database = currentDatabase() OR (t.database = 'system' AND t.name LIKE '%\\_log%'))
GROUP BY t.database, t.name, t.engine_full
ORDER BY sum(p.bytes_on_disk) DESC, t.name

-- name: doctor_parts
-- The most parts that one partition of a table has: merges that can't keep up end in refused inserts.
SELECT table, partition_id, count()
FROM system.parts
WHERE active AND database = currentDatabase()
GROUP BY table, partition_id
ORDER BY count() DESC, table
LIMIT 1

-- name: doctor_mutations
-- Changes of whole tables (erasing a lead) that have failed and are tried again, or take more than an hour.
SELECT table, command, latest_fail_reason
FROM system.mutations
WHERE database = currentDatabase() AND NOT is_done AND (latest_fail_reason != '' OR create_time < now() - INTERVAL 1 HOUR)
ORDER BY create_time
LIMIT 5

-- name: doctor_replicas
-- Replicated tables of ours that take no inserts here, or are more than 5 minutes behind.
SELECT table, is_readonly, absolute_delay
FROM system.replicas
WHERE database = currentDatabase() AND (is_readonly OR absolute_delay > 300)
ORDER BY table

-- name: doctor_applied
-- What `sendlens migrate` has applied.
SELECT name FROM migrations FINAL
