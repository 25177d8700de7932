-- What a guest may run. One a line.
SELECT n FROM kept
SELECT * FROM parameterised(p = 1)
SELECT * FROM default.parameterised(p = 1)
SELECT count() FROM replaced FINAL
SELECT n FROM default.kept WHERE n IN kept
SELECT * FROM seen
SELECT n FROM {table:Identifier} WHERE n = {n:UInt8}
WITH a AS (SELECT n FROM kept), b AS (SELECT n FROM a) SELECT * FROM b
WITH [1, 2] AS some SELECT 1 IN some
WITH (x, y) -> x + y AS plus_ SELECT plus_(1, n) FROM kept
WITH x -> x + 1 AS more, x -> more(x) + 1 AS most SELECT (SELECT most(n) FROM kept)
WITH RECURSIVE r AS (SELECT 1 AS i UNION ALL SELECT i + 1 FROM r WHERE i < 3) SELECT max(i) FROM r
SELECT sum(number) OVER (ORDER BY number) FROM numbers(3)
SELECT 2 IN (1, 2), 3 IN (SELECT number FROM numbers(9)), 1 IN tuple(1, 2)
SELECT * FROM view(SELECT 1)
SELECT * FROM values('x UInt8', 1, 2)
SELECT * EXCEPT (n), COLUMNS('n') APPLY(sum) FROM kept GROUP BY n
SELECT quantileExactIf(0.5)(n, n > 0), countIfOrNull(n = 1), uniqExactMerge(s) FROM (SELECT n, uniqExactState(n) AS s FROM kept GROUP BY n)
SELECT count(*), COUNT(DISTINCT n), SUM(n), Max(n) FROM kept
SELECT toDate('2026-01-01') + INTERVAL 1 DAY, CAST(1 AS String), 1::UInt8, [1][1], (1, 2).1, CASE WHEN 1 THEN 2 END
SELECT arrayMap((x, y) -> x + y, [1], [2]), arrayReduce('sum', [1]), if(1, 2, 3), 1 ? 2 : 3, NOT 1, 'a' LIKE 'b'
SELECT version(), timezone(), hostName(), currentUser(), currentDatabase(), uptime(), getSetting('readonly')
SELECT 1 UNION ALL SELECT 2 INTERSECT SELECT 2 EXCEPT SELECT 3
SELECT number FROM numbers(5) ORDER BY number WITH FILL TO 9 LIMIT 2 BY number LIMIT 3
SELECT a.n FROM kept AS a ANY LEFT JOIN kept AS b USING (n) ARRAY JOIN [1, 2] AS z
SELECT n, count() FROM kept GROUP BY GROUPING SETS ((n), ()) HAVING count() > 0
SELECT exists(SELECT 1), EXISTS(SELECT 1)
SELECT name, engine FROM system.tables WHERE database = currentDatabase()
SELECT name, type FROM system.columns WHERE table = 'kept'
SELECT name FROM system.databases
SELECT name, value FROM system.settings LIMIT 1
SELECT name FROM system.functions LIMIT 1
SELECT * FROM system.one
SELECT table_name FROM information_schema.tables
SELECT TABLE_NAME FROM INFORMATION_SCHEMA.TABLES
SELECT column_name FROM information_schema.columns
DESCRIBE kept
DESCRIBE TABLE default.kept FORMAT JSON
DESC (SELECT n FROM kept)
EXISTS TABLE kept
EXISTS kept
SHOW TABLES
SHOW TABLES FROM default LIKE 'k%'
SHOW FULL TABLES
SHOW DATABASES
SHOW COLUMNS FROM kept
SHOW INDEXES FROM kept
SHOW CREATE TABLE kept
SHOW CREATE kept
SHOW SETTINGS LIKE 'max_threads'
SHOW FUNCTIONS LIKE 'toDate'
EXPLAIN SELECT n FROM kept
EXPLAIN indexes = 1 SELECT n FROM kept
EXPLAIN PIPELINE SELECT n FROM kept
SELECT 1 FORMAT JSONCompact
SELECT 1 FORMAT CSVWithNames
SELECT 1 FORMAT Native
WITH a AS (SELECT 1 AS x), b AS (SELECT x FROM a) SELECT x IN a, (SELECT max(x) FROM b) FROM (SELECT x FROM a)
