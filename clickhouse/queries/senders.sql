-- How mailbox providers must see a sender: what its emails met, in the order in which they met it.

-- fragment: email_costs
-- What each email cost its sender, and when: it bounced hard 15; it bounced for another reason, was blocked, or was put
-- off for a reason that says something 5; it was delivered and met nothing 0. Each email once, by the worst that it met,
-- at the moment of it, so that a duplicate changes nothing.
(
    SELECT
        sender,
        delivery_id,
        max(price) AS cost,
        argMin(at, (-price, at)) AS moment
    FROM
    (
        SELECT
            sender,
            delivery_id,
            at,
            toInt64(multiIf(kind = 'delivered', 0, bounce_class = 'hard', 15, 5)) AS price
        FROM events
        WHERE sender != ''
            AND (
                kind IN ('delivered', 'bounce')
                -- "Not now" says something of the recipient or of us by the codes 4.1, 4.2, 4.6 and 4.7 (RFC 3463);
                -- by others it is of the server or the way to it. Greylisting meets everybody who writes first.
                OR (
                    kind = 'deferred'
                    AND (match(status, '^4[.][1267][.]') OR status = '450')
                    AND NOT match(diagnostic, '(?i)gr[ae]y.?list')
                )
            )
    )
    GROUP BY sender, delivery_id
)

-- fragment: healths
-- Health of each sender now, 0 to 100. It starts at 100. An email that bounced hard costs 15; one that bounced for
-- another reason, was blocked, or was put off for a reason that says something, costs 5: each email once, by the worst
-- that it met, at the moment of it. 20 emails in a row that were delivered and met nothing give 1 back. A fold over
-- the emails in order of time; a duplicate changes nothing, for an email is one row before it is folded.
SELECT
    sender,
    least(100, hurt_health + intDiv(length(timeline) - if(empty(hurts), 0, hurts[-1]), 20)) AS folded_health,
    true AS is_folded
FROM
(
    SELECT
        sender,
        arraySort(groupArray((moment, cost))) AS timeline,
        arrayFilter((place, met) -> met.2 > 0, arrayEnumerate(timeline), timeline) AS hurts,
        arrayFilter(hurt -> hurt > 0, timeline.2) AS costs,
        -- Clean emails in a row before each that was not.
        arrayMap((place, before) -> place - before - 1, hurts, arrayPopBack(arrayPushFront(hurts, 0))) AS clean,
        arrayFold(
            (health, run, hurt) -> greatest(0, least(100, health + intDiv(run, 20)) - hurt),
            clean,
            costs,
            toInt64(100)
        ) AS hurt_health
    FROM
    -- include: email_costs
    GROUP BY sender
)

-- name: sender_health
-- Each sender's health now, 0 to 100, and what became of all its emails; bounces count emails, of sent.
SELECT
    sender,
    if(is_folded, folded_health, 100) AS health,
    sent,
    hard_bounced,
    soft_bounced,
    blocked
FROM
(
    SELECT
        sender,
        -- include: counts
    FROM v_outcomes
    WHERE sent_at IS NOT NULL AND sender != ''
    GROUP BY sender
) AS counted
LEFT JOIN
(
    -- include: healths
) AS healths USING (sender)
ORDER BY health, sender

-- name: senders
-- Each sender of the emails sent in the period: its health now, 0 to 100, and what became of these emails. Bounces are
-- shares of sent.
WITH
    -- include: period
    ,
    -- include: all_together
    ,
    -- include: held
SELECT
    sender,
    if(is_folded, folded_health, 100) AS health,
    sent,
    hard_bounced,
    soft_bounced,
    blocked,
    hard_bounce_rate,
    soft_bounce_rate,
    block_rate
FROM
(
    SELECT
        sender,
        -- include: count_sums
        ,
        -- include: rates
    FROM
    (
        -- include: counted_by_sender
    ) AS counted
    GROUP BY sender
) AS counted
LEFT JOIN
(
    -- include: healths
) AS healths USING (sender)
ORDER BY health, sent DESC, sender
LIMIT 200
