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
FROM v_outcomes
WHERE
    -- include: cohort
GROUP BY day
ORDER BY day WITH FILL
    FROM toDate(since, timezone)
    TO toDate(subtractMilliseconds(until, 1), timezone) + 1

-- name: daily_activity
-- What happened on each day of the period on which anything did: emails sent, opened and clicked for the first time by a
-- person, replied to, unsubscribed from and complained about, each at its own time, whenever the email was sent. Counts,
-- so no denominator.
WITH
    -- include: period
    , {timezone:String} AS timezone
SELECT
    toDate(assumeNotNull(at), timezone) AS day,
    countIf(happened = 'sent') AS sent,
    countIf(happened = 'opened') AS opened,
    countIf(happened = 'clicked') AS clicked,
    countIf(happened = 'replied') AS replied,
    countIf(happened = 'unsubscribed') AS unsubscribed,
    countIf(happened = 'complained') AS complained
FROM v_outcomes
-- include: moments
GROUP BY day
ORDER BY day
