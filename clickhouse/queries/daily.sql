-- Numbers day by day, for /v1 and those who keep their own charts. A day is one of {timezone}.

-- fragment: by_day
{timezone:String} AS timezone,
'day' AS unit

-- name: daily
-- The emails sent on each day of the period and what became of them, whenever: counts and rates as everywhere. The
-- first and the last day are as much of them as the period has; a day without emails is a row of zeros. The counts of
-- the days add up to those of the period.
WITH
    -- include: period
    ,
    -- include: by_day
    ,
    -- include: all_together
    ,
    -- include: held_of_times
SELECT
    toDate(time, timezone) AS day,
    -- include: count_sums
    ,
    -- include: rates
FROM
(
    -- include: counted_by_time
) AS counted
GROUP BY day
ORDER BY day WITH FILL
    FROM toDate(since, timezone)
    TO toDate(subtractMilliseconds(until, 1), timezone) + 1

-- name: daily_activity
-- What happened on each day of the period on which anything did, as `activity` has it, by the day at any length. Counts,
-- so no denominator.
WITH
    -- include: period
    ,
    -- include: by_day
    ,
    -- include: all_together
    ,
    -- include: held_of_quarters
SELECT
    toDate(time, timezone) AS day,
    -- include: first_sums
FROM
(
    -- include: counted_firsts
) AS counted
GROUP BY time
ORDER BY time
