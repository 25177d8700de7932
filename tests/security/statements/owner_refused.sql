-- What not even the owner may run over HTTP. One a line.
SELECT file('{file}')
SELECT * FROM file('{file}', 'LineAsString')
SELECT * FROM `{file}`
DESCRIBE TABLE file('{file}')
DESCRIBE TABLE url('http://127.0.0.1:{port}/')
SELECT * FROM url('http://127.0.0.1:{port}/', 'LineAsString')
SELECT * FROM executable('cat', 'LineAsString', 'x String')
SELECT * FROM eval('SELECT file(\'{file}\')')
INSERT INTO FUNCTION file('{folder}/x.sh', 'RawBLOB', 'x String') SELECT 'rm -rf'
INSERT INTO FUNCTION file('{folder}/x.sh', 'RawBLOB', 'x String') VALUES ('rm -rf')
INSERT INTO FUNCTION file('{folder}/x.sh', 'RawBLOB', 'x String') FORMAT RawBLOB rm -rf
INSERT INTO FUNCTION url('http://127.0.0.1:{port}/', 'CSV', 'x UInt8') VALUES (1)
INSERT INTO kept SELECT length(file('{file}'))
INSERT INTO kept VALUES (length(file('{file}')))
INSERT INTO kept VALUES (length(`fil\x65`('{file}')))
INSERT INTO kept FORMAT Values (length(file('{file}')))
INSERT INTO kept FORMAT values (length(file('{file}')))
INSERT INTO kept SELECT 1 SETTINGS input_format_record_errors_file_path = '{folder}/errors'
INSERT INTO kept SETTINGS format_template_row = '{file}' FORMAT Template 1
CREATE TABLE t (x String) ENGINE = File(CSV, '{folder}/x.csv')
CREATE TEMPORARY TABLE t (x String) ENGINE = File(CSV, '{folder}/x.csv')
CREATE TABLE t (x String) ENGINE = URL('http://127.0.0.1:{port}/', CSV)
CREATE TABLE t AS url('http://127.0.0.1:{port}/')
CREATE TABLE t (x String DEFAULT file('{file}')) ENGINE = Memory
CREATE TABLE t (x UInt8) ENGINE = MergeTree ORDER BY x SETTINGS disk = disk(type = local, path = '{folder}/disk/')
CREATE VIEW v AS SELECT file('{file}')
CREATE FUNCTION f AS x -> file(x)
CREATE DATABASE d ENGINE = Filesystem('{folder}')
CREATE DATABASE d ENGINE = MySQL('127.0.0.1:{port}', 'd', 'u', 'p')
CREATE DICTIONARY d (k UInt64) PRIMARY KEY k SOURCE(HTTP(url 'http://127.0.0.1:{port}/' format 'TSV')) LAYOUT(FLAT()) LIFETIME(1)
CREATE DICTIONARY d (k UInt64) PRIMARY KEY k SOURCE(FILE(path '{file}' format 'TSV')) LAYOUT(FLAT()) LIFETIME(1)
ATTACH TABLE t FROM '{folder}' (x UInt8) ENGINE = MergeTree ORDER BY x
ALTER TABLE kept ADD COLUMN s String DEFAULT file('{file}')
ALTER TABLE kept UPDATE n = length(file('{file}')) WHERE 1
DELETE FROM kept WHERE file('{file}') != ''
BACKUP TABLE kept TO File('{folder}/b')
BACKUP TABLE default.kept TO File('{folder}/b') SETTINGS deduplicate_files = 0 ASYNC
BACKUP TABLE default.kept TO File('../b') SETTINGS deduplicate_files = 0 ASYNC
BACKUP TABLE default.kept TO File('b/../../../b') ASYNC
BACKUP TABLE default.kept TO File('b'), File('{folder}/b') ASYNC
RESTORE TABLE default.kept AS default.more FROM File('{folder}/b') ASYNC
RESTORE DATABASE one AS two FROM File('{folder}') ASYNC
TRUNCATE TABLE default.`{file}`
INSERT INTO default.`{file}` SELECT 'x'
SET dialect = 'kusto'
SELECT 1 INTO OUTFILE '{folder}/out'
