-- Who fetched pixels and followed links: counted hit by hit from events, by the time of the hit.

-- fragment: hits_of_period
-- FINAL, because the same event may have been delivered twice.
FROM events FINAL
WHERE kind IN ('open', 'click') AND at >= since AND at < until AND (empty(chosen) OR has(chosen, campaign))

-- name: hits
-- Hits of the period and whose they were, and of the period of equal length before it. `bot_share` and `machine_share`
-- are of all hits. Always two rows: `period` 0 is the one before, 1 is the one asked for.
WITH
    -- include: period
    , subtractMilliseconds(since, dateDiff('millisecond', since, until)) AS before
SELECT
    at >= since AS period,
    count() AS hits,
    countIf(verdict = 'human') AS human_hits,
    countIf(verdict = 'machine') AS machine_hits,
    countIf(verdict = 'bot') AS bot_hits,
    bot_hits / nullIf(hits, 0) AS bot_share,
    machine_hits / nullIf(hits, 0) AS machine_share
FROM events FINAL
WHERE kind IN ('open', 'click') AND at >= before AND at < until AND
    -- include: of_chosen
GROUP BY period
ORDER BY period WITH FILL FROM 0 TO 2

-- name: hits_by_verdict
-- Hits of the period by kind and by whose they were. Always three rows: opens, clicks, and both together.
WITH
    -- include: period
SELECT
    ['Opens', 'Clicks', 'All hits'][row] AS hit,
    countIf(verdict = 'human') AS human,
    countIf(verdict = 'machine') AS machine,
    countIf(verdict = 'bot') AS bot
FROM
(
    SELECT arrayJoin(if(kind = 'open', [1, 3], [2, 3])) AS row, verdict
    -- include: hits_of_period
    UNION ALL
    SELECT arrayJoin([1, 2, 3]), ''
)
GROUP BY row
ORDER BY row

-- name: hits_by_reason
-- Hits of the period by verdict and by the rule that gave it. `share` is of all hits, so the shares add up to 1.
WITH
    -- include: period
SELECT
    verdict,
    reason,
    countIf(kind = 'open') AS opens,
    countIf(kind = 'click') AS clicks,
    count() AS hits,
    hits / sum(hits) OVER () AS share,
    uniqExact(delivery_id) AS emails
-- include: hits_of_period
GROUP BY verdict, reason
ORDER BY hits DESC, verdict, reason
LIMIT 100
