-- What a guest may not run; each ran as a `readonly` user of the engine, or is a variant. One a line.
SELECT file('{file}')
SELECT FILE('{file}')
SELECT `file`('{file}')
SELECT "fil\x65"('{file}')
SELECT file(concat(getServerSetting('path'), '/../{name}'))
SELECT getServerSetting('path')
SELECT arrayMap(x -> file(x), ['{file}'])
SELECT 1 WHERE file('{file}') = ''
SELECT 1 ORDER BY file('{file}')
SELECT 1 GROUP BY file('{file}')
SELECT count() HAVING file('{file}') != ''
SELECT 1 LIMIT length(file('{file}'))
SELECT 1 LIMIT 1 BY file('{file}')
SELECT 1 QUALIFY file('{file}') != ''
SELECT (SELECT file('{file}'))
SELECT 1 IN (SELECT length(file('{file}')))
SELECT sum(1) OVER (PARTITION BY file('{file}'))
SELECT sum(1) OVER w WINDOW w AS (ORDER BY file('{file}'))
SELECT sum(1) FILTER (WHERE file('{file}') != '')
SELECT quantile(length(file('{file}')))(1)
SELECT * REPLACE (file('{file}') AS dummy) FROM system.one
SELECT * APPLY (x -> file('{file}')) FROM system.one
SELECT '{file}' AS f, COLUMNS('f') APPLY(file)
SELECT n FROM kept ARRAY JOIN [file('{file}')] AS z
SELECT a.n FROM kept AS a JOIN kept AS b ON file('{file}') = toString(b.n)
SELECT n FROM kept PREWHERE file('{file}') != ''
SELECT n FROM kept ORDER BY n WITH FILL FROM length(file('{file}')) TO 5
SELECT n, 1 AS z FROM kept ORDER BY n WITH FILL INTERPOLATE (z AS length(file('{file}')))
WITH file('{file}') AS f SELECT f
WITH f AS (SELECT file('{file}') AS x) SELECT x FROM f
WITH f(x) AS (SELECT file('{file}')) SELECT * FROM f
WITH x -> file(x) AS f SELECT f('{file}')
WITH x -> 1 AS someFunctionOfTheFuture SELECT * FROM view(SELECT someFunctionOfTheFuture(1))
WITH x -> 1 AS file SELECT file('{file}')
WITH 1 AS file SELECT file('{file}')
SELECT * FROM (WITH x -> 1 AS file SELECT 1), (SELECT file('{file}'))
SELECT * FROM (WITH x -> 1 AS someFunctionOfTheFuture SELECT 1), (SELECT someFunctionOfTheFuture(1))
SELECT 1 UNION ALL SELECT length(file('{file}'))
SELECT 1 EXCEPT SELECT length(file('{file}'))
SELECT CASE WHEN file('{file}') = '' THEN 1 END
SELECT file('{file}')::String
SELECT file({{path:String}})
FROM system.one SELECT file('{file}')
(SELECT file('{file}'))
EXPLAIN SELECT file('{file}')
EXPLAIN PLAN actions = 1 SELECT file('{file}')
EXPLAIN QUERY TREE SELECT file('{file}')
EXPLAIN ESTIMATE SELECT * FROM file('{file}', 'LineAsString')
SELECT * FROM (EXPLAIN SELECT file('{file}'))
SELECT * FROM file('{file}', 'LineAsString')
SELECT * FROM File('{file}', 'LineAsString')
SELECT * FROM view(SELECT * FROM file('{file}', 'LineAsString'))
SELECT * FROM loop(file('{file}', 'LineAsString'))
SELECT * FROM filesystem('{folder}')
SELECT * FROM sqlite('{file}', 't')
SELECT * FROM fileCluster('default', '{file}', 'LineAsString')
SELECT * FROM executable('cat', 'LineAsString', 'x String')
SELECT * FROM eval('SELECT file(\'{file}\')')
SELECT * FROM viewIfPermitted(SELECT 1 AS x ELSE file('{file}', 'LineAsString'))
SELECT * FROM `{file}`
SELECT * FROM '{file}'
SELECT * FROM default.`{file}`
SELECT * FROM {{table:Identifier}}
SELECT * FROM {{database:Identifier}}.{{table:Identifier}}
SELECT '' IN `{file}`
SELECT '' IN default.`{file}`
SELECT '' IN {{table:Identifier}}
SELECT 'x' IN file('{file}', 'LineAsString')
SELECT 'x' GLOBAL NOT IN (file('{file}', 'LineAsString'))
SELECT in('x', file('{file}', 'LineAsString'))
SELECT * FROM (WITH `{file}` AS (SELECT 1) SELECT 1) AS a, `{file}` AS b
WITH a AS (SELECT * FROM `{file}`), `{file}` AS (SELECT 1) SELECT * FROM a
WITH 1 AS `{file}` SELECT * FROM `{file}`
WITH 1 AS `{file}\0table` SELECT * FROM `{file}`
WITH 1 AS `file\0lambda` SELECT file('{file}')
WITH (SELECT 1) AS `{file}` SELECT * FROM `{file}`
WITH x -> 1 AS `{file}` SELECT * FROM `{file}`
WITH `{file}` AS (SELECT 1) SELECT * FROM view(SELECT * FROM `{file}`)
WITH `{file}` AS (SELECT 1) SELECT * FROM default.`{file}`
WITH RECURSIVE `{file}` AS (SELECT * FROM `{file}`) SELECT * FROM `{file}`
WITH RECURSIVE `{file}` AS (SELECT * FROM `{file}` UNION ALL SELECT '1') SELECT * FROM `{file}`
DESCRIBE TABLE file('{file}')
DESC file('{file}')
DESCRIBE (SELECT file('{file}'))
DESCRIBE TABLE `{file}`
/* a comment */ describe /* and one more */ table file('{file}') format JSON
EXISTS TABLE default.`{file}`
SHOW CREATE TABLE default.`{file}`
CHECK TABLE default.`{file}`
SHOW TABLES WHERE name = file('{file}')
SHOW COLUMNS FROM kept WHERE field = file('{file}')
DESCRIBE TABLE url('http://127.0.0.1:{port}/')
DESCRIBE TABLE s3('http://127.0.0.1:{port}/bucket/x.csv')
DESCRIBE TABLE s3('http://127.0.0.1:{port}/bucket/x.csv', NOSIGN)
DESCRIBE TABLE remote('127.0.0.1:{port}', 'default', 't')
DESCRIBE TABLE mysql('127.0.0.1:{port}', 'd', 't', 'u', 'p')
DESCRIBE TABLE postgresql('127.0.0.1:{port}', 'd', 't', 'u', 'p')
DESCRIBE TABLE mongodb('127.0.0.1:{port}', 'd', 't', 'u', 'p')
DESCRIBE TABLE redis('127.0.0.1:{port}', 'k', 'k String, v String')
DESCRIBE TABLE cluster('default', 'system', 'one')
DESCRIBE TABLE hdfs('hdfs://127.0.0.1:{port}/x')
DESCRIBE TABLE deltaLake('http://127.0.0.1:{port}/b/t')
DESCRIBE TABLE iceberg('http://127.0.0.1:{port}/b/t')
DESCRIBE TABLE azureBlobStorage('http://127.0.0.1:{port}/a', 'c', 'b', 'CSV')
SELECT * FROM url('http://127.0.0.1:{port}/', 'LineAsString')
SELECT * FROM URL('http://127.0.0.1:{port}/', 'LineAsString')
SELECT * FROM urlCluster('default', 'http://127.0.0.1:{port}/', 'LineAsString')
SELECT * FROM view(SELECT * FROM url('http://127.0.0.1:{port}/', 'LineAsString'))
SELECT * FROM remote('127.0.0.1:{port}', system.one)
SELECT * FROM remoteSecure('127.0.0.1:{port}', system.one)
SELECT * FROM jdbc('jdbc:x', 'd', 't')
SELECT * FROM odbc('DSN=x', 'd', 't')
SELECT 'x' IN url('http://127.0.0.1:{port}/', 'LineAsString')
SELECT hasColumnInTable('127.0.0.1:{port}', 'u', 'p', 'd', 't', 'c')
SELECT reverseDNSQuery('127.0.0.1')
SELECT aiGenerate('x')
SELECT 1 FORMAT Template SETTINGS format_template_row = '{file}'
SELECT 1 FORMAT Template
SELECT 1 FORMAT template
SELECT 1 FORMAT Protobuf
SELECT 1 FORMAT AvroConfluent
SELECT formatRow('Template', 1)
SELECT 1 INTO OUTFILE '{folder}/out'
EXPLAIN SELECT 1 INTO OUTFILE '{folder}/out'
SELECT dictGet('d', 'a', 1)
SELECT joinGet('j', 'a', 1)
SELECT getMacro('shard')
SELECT getServerPort('tcp_port')
SELECT tcpPort()
SELECT getOSKernelVersion()
SELECT FQDN()
SELECT showCertificate()
SELECT filesystemAvailable()
SELECT getClientHTTPHeader('Authorization')
SELECT addressToLine(1)
SELECT logTrace('forged line')
SELECT __getScalar('x')
SELECT someFunctionOfTheFuture()
SELECT * FROM merge('system', '^processes$')
SELECT * FROM dictionary('d')
SELECT * FROM input('x UInt8')
SELECT * FROM format(CSV, '1')
SELECT * FROM python('x')
SELECT * FROM mergeTreeIndex('default', 'kept')
SELECT * FROM system.processes
SELECT * FROM `system`.`processes`
SELECT * FROM `system.processes`
SELECT 'x' IN system.processes
SELECT * FROM {{system:Identifier}}.{{processes:Identifier}}
SELECT * FROM system.query_log
SELECT * FROM system.user_query_log
SELECT * FROM system.server_settings
SELECT * FROM system.macros
SELECT * FROM system.disks
SELECT * FROM system.storage_policies
SELECT * FROM system.users
SELECT * FROM system.named_collections
SELECT * FROM system.stack_trace
SELECT * FROM system.certificates
SELECT * FROM system.dictionaries
SELECT * FROM system.parts
SELECT * FROM system.detached_parts
SELECT * FROM system.remote_data_paths
SELECT * FROM system.clusters
SELECT * FROM information_schema.processlist
DESCRIBE system.processes
SHOW PROCESSLIST
SHOW CLUSTERS
SHOW MERGES
SHOW GRANTS
SHOW ACCESS
SHOW FILESYSTEM CACHES
EXPLAIN TABLE OVERRIDE mysql('127.0.0.1:{port}', 'd', 't', 'u', 'p') COLUMNS (a String)
SELECT * FROM not_a_view(p = 1)
SELECT * FROM parameterised(p = (SELECT length(file('{file}'))))
SELECT 1 SETTINGS max_execution_time = 0
SELECT * FROM (SELECT 1 SETTINGS max_memory_usage = 0)
SELECT 1; SELECT file('{file}')
EXPLAIN AST SELECT 1; SELECT file('{file}')
SELECT 1 FROM
USE system
CREATE TEMPORARY TABLE t AS SELECT file('{file}') AS x
CREATE TABLE t ENGINE = URL('http://127.0.0.1:{port}/', 'CSV') AS SELECT 1
BACKUP TABLE kept TO File('{folder}/b')
EXECUTE AS default SELECT 1
