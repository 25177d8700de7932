-- What may be answered, but opens no file and calls nobody. One a line.
SELECT * FROM system.tables WHERE name = '{file}'
SELECT * FROM system.tables WHERE database = 'default' AND name = '{file}'
SELECT * FROM system.tables WHERE database = 'default' AND name IN ('{file}')
SELECT * FROM system.columns WHERE database = 'default' AND table = '{file}'
SELECT * FROM information_schema.columns WHERE table_schema = 'default' AND table_name = '{file}'
SELECT * FROM information_schema.tables WHERE table_schema = 'default' AND table_name = '{file}'
SELECT * FROM system.data_skipping_indices WHERE table = '{file}'
SHOW TABLES LIKE '{file}'
SHOW TABLES FROM default LIKE '{file}'
SHOW COLUMNS FROM `{file}` FROM default
SHOW INDEXES FROM `{file}` FROM default
SHOW CREATE DATABASE default
EXISTS DATABASE `{folder}`
SELECT toDateTime(0, '{file}')
SELECT toDateTime(0, '../../../../../..{file}')
SELECT now('../../../../../..{file}')
SELECT fromUnixTimestamp(0, '%F', '../../../../../..{file}')
SELECT CAST(0 AS DateTime('../../../../../..{file}'))
SELECT getSubcolumn(tuple('{file}'), '1')
SELECT tokens('{file}', 'splitByNonAlpha')
SELECT extractAllGroups('{file}', '(s)')
SELECT parseQueryToJSON('SELECT file(\'{file}\')')
SELECT formatQuery('SELECT file(\'{file}\')')
SELECT normalizeQuery('SELECT file(\'{file}\')')
SELECT defaultValueOfTypeName('DateTime(\'../../../../../..{file}\')')
SELECT toTypeName(CAST('x' AS AggregateFunction(sum, UInt8)))
SELECT '{file}' IN ('http://127.0.0.1:{port}/')
SELECT domain('http://127.0.0.1:{port}/')
SELECT * FROM generateRandom('x DateTime(\'../../../../../..{file}\')') LIMIT 1
SELECT * FROM values('x DateTime(\'../../../../../..{file}\')', 0)
WITH 1 AS `{file}` SELECT 1 IN `{file}`
