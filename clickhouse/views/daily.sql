-- Numbers day by day, for /v1 and those who keep their own charts. A day is one of {timezone}.

-- view: daily
-- The emails sent on each day of the period and what became of them, whenever: counts and rates as everywhere. The
-- first and the last day are as much of them as the period has; a day without emails is a row of zeros. The counts of
-- the days add up to those of the period.
SELECT toDate(time, {timezone:String}) AS day, results.* EXCEPT (period, time, campaign, step, variant, key)
FROM results(
    by = 'variant',
    per = ['time'],
    grains = ['day', 'hour'],
    together = 1,
    begin = {since:DateTime64(3, 'UTC')},
    since = {since:DateTime64(3, 'UTC')},
    until = {until:DateTime64(3, 'UTC')},
    campaigns = {campaigns:Array(String)},
    steps = [],
    senders = [],
    unit = 'day',
    timezone = {timezone:String}
) AS results
ORDER BY day WITH FILL
    FROM toDate({since:DateTime64(3, 'UTC')}, {timezone:String})
    TO toDate(subtractMilliseconds({until:DateTime64(3, 'UTC')}, 1), {timezone:String}) + 1

-- view: daily_activity
-- What happened on each day of the period on which anything did, as `activity` has it, by the day at any length. Counts,
-- so no denominator.
SELECT
    toDate(time, {timezone:String}) AS day,
    sum(counted.sent) AS sent,
    sum(counted.opened) AS opened,
    sum(counted.clicked) AS clicked,
    sum(counted.replied) AS replied,
    sum(counted.unsubscribed) AS unsubscribed
FROM happened_counted(
    since = {since:DateTime64(3, 'UTC')},
    until = {until:DateTime64(3, 'UTC')},
    campaigns = {campaigns:Array(String)},
    unit = 'day',
    timezone = {timezone:String}
) AS counted
GROUP BY day
ORDER BY day
