-- Senders, and what became of their emails. Their health is in health.sql.

-- fragment: all_of_time
-- As `period`: of all emails that ever were.
toDateTime64('1971-01-01 00:00:00', 3, 'UTC') AS since,
toDateTime64('2100-01-01 00:00:00', 3, 'UTC') AS until,
[]::Array(String) AS chosen,
since AS begin

-- fragment: senders_of_period
-- Senders of the emails sent in the period.
SELECT sender
FROM sender_counts FINAL
WHERE
    -- include: held_emails
    AND
    -- include: of_levels
UNION ALL
SELECT sender
FROM v_sent
WHERE
    -- include: raw_emails
    AND sent_at >= begin AND sent_at < until

-- name: sender_health
-- Each sender's health now, 0 to 100, and what became of all its emails; bounces count emails, of sent.
WITH
    -- include: all_of_time
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
    blocked
FROM
(
    SELECT
        sender,
        -- include: count_sums
    FROM
    (
        -- include: counted_by_sender
    ) AS counted
    WHERE sender != ''
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
