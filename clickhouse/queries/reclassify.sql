-- What `sendlens reclassify` asks for each piece of time: hits from :start until before :end.

-- name: hits_to_reclassify
-- How many hits the piece has.
SELECT count()
FROM hits
WHERE at >= {start:DateTime64(3, 'UTC')} AND at < {end:DateTime64(3, 'UTC')}

-- name: hits_around
-- All hits, from :before until before :after, on the emails that the piece has hits on: what came beside a hit says
-- what it was.
SELECT id, kind, at, delivery_id, campaign, step, variant, lead, link_id, method, user_agent, ip, minted_at, headers
FROM hits FINAL
WHERE at >= {before:DateTime64(3, 'UTC')} AND at < {after:DateTime64(3, 'UTC')}
    AND delivery_id IN (
        SELECT delivery_id FROM hits WHERE at >= {start:DateTime64(3, 'UTC')} AND at < {end:DateTime64(3, 'UTC')}
    )
ORDER BY delivery_id, at, id

-- name: events_of_hits
-- The verdicts that are stored of the piece's hits, what the network of each was known as, and where it came from.
SELECT toString(id), verdict, reason, rules_version, network, client, device, country FROM events FINAL
WHERE kind IN ('open', 'click') AND at >= {start:DateTime64(3, 'UTC')} AND at < {end:DateTime64(3, 'UTC')}

-- name: delivery_times
-- When the emails were delivered that the piece has hits on.
SELECT toString(delivery_id), min(at) FROM events
WHERE kind = 'delivered' AND delivery_id IN (
    SELECT delivery_id FROM hits WHERE at >= {start:DateTime64(3, 'UTC')} AND at < {end:DateTime64(3, 'UTC')}
)
GROUP BY delivery_id

-- name: outcomes_that_differ
-- Emails with hits in the piece whose outcome is not what their events say, or is not there.
WITH emails_of_piece AS (
    SELECT delivery_id FROM hits WHERE at >= {start:DateTime64(3, 'UTC')} AND at < {end:DateTime64(3, 'UTC')}
)
SELECT DISTINCT toString(told.delivery_id)
FROM (
    SELECT delivery_id,
        minOrNullIf(at, kind = 'open' AND verdict = 'human') AS opened,
        minOrNullIf(at, kind = 'click' AND verdict = 'human') AS clicked,
        minOrNullIf(at, kind = 'open' AND verdict = 'machine') AS fetched,
        arraySort(groupUniqArrayIf(concat(kind, ' ', verdict, ' ', reason), verdict IN ('bot', 'machine'))) AS robots,
        arraySort(groupUniqArrayIf(link_id, kind = 'click' AND verdict = 'human')) AS links
    FROM events FINAL WHERE delivery_id IN emails_of_piece GROUP BY delivery_id
) AS told
LEFT JOIN (
    SELECT delivery_id, 1 AS there, min(first_open_at) AS opened, min(first_click_at) AS clicked,
        min(first_machine_open_at) AS fetched, 1 AS has_sets,
        arraySort(groupUniqArrayArray(outcomes.robots)) AS robots,
        arraySort(groupUniqArrayArray(outcomes.links)) AS links
    FROM outcomes WHERE delivery_id IN emails_of_piece GROUP BY delivery_id
    UNION ALL
    -- As the page counts them; what was never sent has no hour of sending, under which the sets stand.
    SELECT delivery_id, max(stands) AS there, min(opened), min(clicked), min(fetched), max(is_sent) AS has_sets,
        arraySort(groupUniqArrayArray(robots)), arraySort(groupUniqArrayArray(links))
    FROM (
        SELECT delivery_id, 1 AS stands, first_open_at AS opened, first_click_at AS clicked,
            first_machine_open_at AS fetched, sent_at IS NOT NULL AS is_sent, robots, links
        FROM emails WHERE delivery_id IN emails_of_piece
        UNION ALL
        SELECT delivery_id, 0, NULL, NULL, NULL, 0, [], [] FROM outcomes
        WHERE delivery_id IN emails_of_piece AND notEmpty(hours)
    ) GROUP BY delivery_id
) AS counted ON counted.delivery_id = told.delivery_id
WHERE counted.there = 0
    OR ifNull(told.opened, toDateTime64(0, 3)) != ifNull(counted.opened, toDateTime64(0, 3))
    OR ifNull(told.clicked, toDateTime64(0, 3)) != ifNull(counted.clicked, toDateTime64(0, 3))
    OR ifNull(told.fetched, toDateTime64(0, 3)) != ifNull(counted.fetched, toDateTime64(0, 3))
    OR (counted.has_sets AND (told.robots != counted.robots OR told.links != counted.links))

-- name: reclassification_under_way
-- How far a run over the same range under the same rules came before it was interrupted.
SELECT done_until, hits, changed FROM reclassifications FINAL
WHERE range_from = {start:DateTime64(3, 'UTC')} AND range_to = {end:DateTime64(3, 'UTC')}
    AND rules_version = {version:String} AND done_until < range_to
