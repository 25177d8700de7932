-- Places for an expression, written {}. One a line.
lower({})
if(1, {}, '')
arrayMap(x -> {}, [1])[1]
arrayFold((a, x) -> {}, ['a'], '')
(SELECT {})
(SELECT {} AS s FROM kept LIMIT 1)
(SELECT DISTINCT {} LIMIT 1)
(SELECT * FROM (SELECT {}))
(SELECT * FROM view(SELECT {}))
(SELECT any(z) FROM (SELECT '1' AS z ORDER BY {}))
(SELECT {} UNION ALL SELECT {} LIMIT 1)
(WITH {} AS y SELECT y)
(WITH y AS (SELECT {}) SELECT * FROM y)
(WITH x -> concat(x, {}) AS y SELECT y('a'))
(SELECT max({}) OVER (PARTITION BY {}))
(SELECT toString(count()) FROM kept WHERE {} != '')
(SELECT toString(count()) FROM kept AS a JOIN kept AS b ON a.n = length({}) + b.n)
(SELECT dummy FROM (SELECT * REPLACE ({} AS dummy) FROM system.one))
(SELECT COLUMNS('d') APPLY (d -> {}) FROM system.one)
CASE WHEN {} = '' THEN '' ELSE {} END
[{}][1]
({}, 1).1
map('a', {})['a']
toString({} IN ('a'))
toString('a' IN (SELECT {}))
toString(1 BETWEEN length({}) AND 2)
toString(exists(SELECT 1 WHERE {} = ''))
toString(arrayExists(x -> x = {}, ['a']))
CAST({} AS String)
{}::String
{} || 'a'
transform(1, [1], [{}], '')
arrayReduce('max', [{}])
