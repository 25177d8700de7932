-- Who fetched pixels and followed links: counted hit by hit, by the time of the hit.

-- name: hits
-- Hits of the period and whose they were, and of the period of equal length before it. `bot_share` and `machine_share`
-- are of all hits. Always two rows: `period` 0 is the one before, 1 is the one asked for.
WITH
    -- include: period_and_before
    ,
    -- include: held
SELECT
    period,
    sum(counted.hits) AS hits,
    sumIf(counted.hits, verdict = 'human') AS human_hits,
    sumIf(counted.hits, verdict = 'machine') AS machine_hits,
    sumIf(counted.hits, verdict = 'bot') AS bot_hits,
    bot_hits / nullIf(hits, 0) AS bot_share,
    machine_hits / nullIf(hits, 0) AS machine_share
FROM
(
    -- include: counted_hits
) AS counted
GROUP BY period
ORDER BY period WITH FILL FROM 0 TO 2

-- name: hits_by_verdict
-- Hits of the period by kind and by whose they were. Always three rows: opens, clicks, and both together.
WITH
    -- include: period
    ,
    -- include: held
SELECT
    ['Opens', 'Clicks', 'All hits'][row] AS hit,
    sumIf(hits, verdict = 'human') AS human,
    sumIf(hits, verdict = 'machine') AS machine,
    sumIf(hits, verdict = 'bot') AS bot
FROM
(
    SELECT arrayJoin(if(kind = 'open', [1, 3], [2, 3])) AS row, verdict, hits
    FROM
    (
        -- include: counted_hits
    )
    UNION ALL
    SELECT arrayJoin([1, 2, 3]), '', 0
)
GROUP BY row
ORDER BY row

-- name: hits_by_reason
-- Hits of the period by verdict and by the rule that gave it. `share` is of all hits, so the shares add up to 1.
WITH
    -- include: period
    ,
    -- include: held
SELECT
    verdict,
    reason,
    sumIf(counted.hits, kind = 'open') AS opens,
    sumIf(counted.hits, kind = 'click') AS clicks,
    sum(counted.hits) AS hits,
    hits / sum(hits) OVER () AS share
FROM
(
    -- include: counted_hits
) AS counted
GROUP BY verdict, reason
ORDER BY hits DESC, verdict, reason
LIMIT 100
