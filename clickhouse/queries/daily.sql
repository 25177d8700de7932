-- Numbers day by day, for /v1 and those who keep their own charts. A day is one of {timezone}.

-- name: daily
-- The emails sent on each day of the period and what became of them, whenever: counts and rates as everywhere. The
-- first and the last day are as much of them as the period has; a day without emails is a row of zeros. The counts of
-- the days add up to those of the period.
WITH
    -- include: period
    , {timezone:String} AS timezone
SELECT
    toDate(assumeNotNull(sent_at), timezone) AS day,
    -- include: counts
    ,
    -- include: rates
FROM v_sent
WHERE
    -- include: cohort
GROUP BY day
ORDER BY day WITH FILL
    FROM toDate(since, timezone)
    TO toDate(subtractMilliseconds(until, 1), timezone) + 1

-- name: daily_activity
-- What happened on each day of the period on which anything did, as `activity` has it, by the day at any length. Counts,
-- so no denominator.
WITH
    -- include: period
    , {timezone:String} AS timezone
    , 'day' AS unit
SELECT
    toDate(time, timezone) AS day,
    -- include: happened_counts
FROM
(
    -- include: happenings
)
GROUP BY time
ORDER BY time
