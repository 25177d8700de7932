-- What the owner runs, in this order. One a line.
SELECT n FROM kept
INSERT INTO kept VALUES (1)
INSERT INTO kept VALUES (length('file')), (toUInt8(1))
INSERT INTO kept FORMAT TSV 1
INSERT INTO kept SELECT number FROM numbers(2)
INSERT INTO FUNCTION null('x UInt8') SELECT 1
CREATE TABLE IF NOT EXISTS t (x UInt8, y String DEFAULT toString(x)) ENGINE = ReplacingMergeTree ORDER BY x
ALTER TABLE t ADD COLUMN z UInt8 DEFAULT 1
RENAME TABLE t TO u
TRUNCATE TABLE u
DROP TABLE u
CREATE FUNCTION twice AS x -> 2 * x
SELECT twice(n) FROM kept
DROP FUNCTION twice
SELECT count() FROM system.parts
SELECT count() FROM system.processes
SELECT getServerSetting('max_concurrent_queries')
SYSTEM FLUSH LOGS
DESCRIBE kept
SHOW PROCESSLIST
OPTIMIZE TABLE kept FINAL
