-- What Grafana's alert rules ask, once a minute. Each gives texts, which tell its alerts apart, and exactly one number,
-- which is compared; no row, no alert. They know a period and nothing else.

-- name: alert_hard_bounces
-- Hard bounces, of sent, of each campaign of which at least 100 emails were sent in the period: fewer say nothing, and
-- the guard, which counts since a campaign was last resumed, stops one at 20.
SELECT
    campaign_id,
    campaign_name,
    hard_bounce_rate
FROM
(
    SELECT
        toString(campaign) AS campaign_id,
        if(any(known.name) = '', campaign_id, any(known.name)) AS campaign_name,
        -- include: counts
        ,
        -- include: rates
    FROM v_sent
    LEFT JOIN (SELECT id, name FROM campaigns FINAL) AS known ON known.id = campaign
    WHERE slot >= toStartOfHour({since:DateTime64(3, 'UTC')}) AND slot < {until:DateTime64(3, 'UTC')}
        AND sent_at >= {since:DateTime64(3, 'UTC')} AND sent_at < {until:DateTime64(3, 'UTC')}
    GROUP BY campaign
)
WHERE sent >= 100
ORDER BY campaign_id
