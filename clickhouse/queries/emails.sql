-- What became of the emails that were sent. A row of v_outcomes is one email, and so is one of v_sent, so everything counts
-- an email once, however often it happened and however often its event was delivered. What only counts, and needs no
-- more than campaign, step, variant and sender, reads `counted_emails` (counting.sql).

-- fragment: period
-- What every board query is asked for: since <= t < until, and campaigns (none chosen means all).
{since:DateTime64(3, 'UTC')} AS since,
{until:DateTime64(3, 'UTC')} AS until,
{campaigns:Array(String)} AS chosen,
since AS begin

-- fragment: period_and_before
-- As `period`, and as long a time before it.
{since:DateTime64(3, 'UTC')} AS since,
{until:DateTime64(3, 'UTC')} AS until,
{campaigns:Array(String)} AS chosen,
subtractMilliseconds(since, dateDiff('millisecond', since, until)) AS begin

-- fragment: of_chosen
(empty(chosen) OR has(chosen, campaign))

-- fragment: cohort
-- The cohort, of v_sent: emails sent in the period, whenever they were opened. A skipped email was never sent.
slot >= toStartOfHour(since) AND slot < until AND sent_at >= since AND sent_at < until AND (empty(chosen) OR has(chosen, campaign))

-- fragment: of_steps
-- Those of the steps chosen; none chosen means all.
(empty({steps:Array(UInt8)}) OR has({steps:Array(UInt8)}, step))

-- fragment: period_before
-- As long as the period, and just before it.
subtractMilliseconds(since, dateDiff('millisecond', since, until)) AS before

-- fragment: cohorts
-- The cohort, and that of the period before.
slot >= toStartOfHour(before) AND slot < until AND sent_at >= before AND sent_at < until AND (empty(chosen) OR has(chosen, campaign))

-- fragment: counts
-- `raw_` is by anybody, robots and machines included; without it, by a person.
count() AS sent,
countIf(hard_bounced_at IS NOT NULL) AS hard_bounced,
countIf(soft_bounced_at IS NOT NULL) AS soft_bounced,
countIf(blocked_at IS NOT NULL) AS blocked,
-- Sent minus bounced: an email that was taken at first and came back later was not delivered either.
countIf(hard_bounced_at IS NULL AND soft_bounced_at IS NULL AND blocked_at IS NULL) AS delivered,
countIf(first_open_at IS NOT NULL) AS opened,
countIf(first_raw_open_at IS NOT NULL) AS raw_opened,
-- Fetched ahead by a mailbox provider's privacy proxy, which says nothing about the person.
countIf(first_machine_open_at IS NOT NULL) AS machine_opened,
countIf(first_click_at IS NOT NULL) AS clicked,
countIf(first_raw_click_at IS NOT NULL) AS raw_clicked,
countIf(unsubscribed_at IS NOT NULL) AS unsubscribed,
-- By a person: that a machine answered for them (out of office) is no reply.
countIf(replied_at IS NOT NULL) AS replied,
countIf(replied_at IS NOT NULL OR auto_replied_at IS NOT NULL) AS raw_replied,
countIf(complained_at IS NOT NULL) AS complained

-- fragment: rates
-- 0 to 1, and NULL where there is nothing to divide by. Bounces are a share of sent, what people do of delivered.
delivered / nullIf(sent, 0) AS delivery_rate,
hard_bounced / nullIf(sent, 0) AS hard_bounce_rate,
soft_bounced / nullIf(sent, 0) AS soft_bounce_rate,
blocked / nullIf(sent, 0) AS block_rate,
opened / nullIf(delivered, 0) AS open_rate,
raw_opened / nullIf(delivered, 0) AS raw_open_rate,
machine_opened / nullIf(delivered, 0) AS machine_open_rate,
clicked / nullIf(delivered, 0) AS click_rate,
raw_clicked / nullIf(delivered, 0) AS raw_click_rate,
clicked / nullIf(opened, 0) AS click_to_open_rate,
raw_clicked / nullIf(raw_opened, 0) AS raw_click_to_open_rate,
unsubscribed / nullIf(delivered, 0) AS unsubscribe_rate,
replied / nullIf(delivered, 0) AS reply_rate,
raw_replied / nullIf(delivered, 0) AS raw_reply_rate,
complained / nullIf(delivered, 0) AS complaint_rate

-- name: headline
-- Counts and rates of the emails sent in the period, and of those sent in the period of equal length before it. Always
-- two rows: `period` 0 is the one before, 1 is the one asked for.
WITH
    -- include: period_and_before
    ,
    -- include: all_together
    ,
    -- include: held
SELECT
    period,
    -- include: count_sums
    ,
    -- include: rates
FROM
(
    -- include: counted_emails
) AS counted
GROUP BY period
ORDER BY period WITH FILL FROM 0 TO 2

-- name: funnel
-- Of the emails sent in the period, how many got how far. `share` and `raw_share` are of sent. Five rows in order.
WITH
    -- include: period
    ,
    -- include: all_together
    ,
    -- include: held
SELECT
    row.1 AS stage,
    row.2 AS emails,
    row.3 AS raw_emails,
    emails / nullIf(sent, 0) AS share,
    raw_emails / nullIf(sent, 0) AS raw_share
FROM
(
    SELECT
        -- include: count_sums
    FROM
    (
        -- include: counted_emails
    ) AS counted
)
ARRAY JOIN [
    ('Sent', sent, NULL),
    ('Delivered', delivered, NULL),
    ('Opened', opened, raw_opened),
    ('Clicked', clicked, raw_clicked),
    ('Replied', replied, raw_replied)
]::Array(Tuple(String, UInt64, Nullable(UInt64))) AS row

-- fragment: unit
-- Into which times a period is cut: minutes up to 3 hours, hours up to 3 days, else days of {timezone}.
{timezone:String} AS timezone,
dateDiff('second', since, until) AS seconds,
multiIf(seconds <= 10800, 'minute', seconds <= 259200, 'hour', 'day') AS unit,
toDateTime(dateTrunc(unit, since, timezone), timezone) AS start

-- fragment: firsts
-- What first happened to emails by a person's doing, each in the hour of `emails` in which it did, whether the email is
-- known to have been sent or not. `at` is when.
FROM emails FINAL
ARRAY JOIN
    [
        sent_at,
        first_open_at,
        first_click_at,
        replied_at,
        if(resubscribed_at >= last_unsubscribed_at, NULL, first_unsubscribed_at)
    ] AS at,
    ['sent', 'opened', 'clicked', 'replied', 'unsubscribed'] AS happened
WHERE toStartOfHour(assumeNotNull(at)) = slot AND at IS NOT NULL

-- fragment: first_counts
countIf(happened = 'sent') AS sent,
countIf(happened = 'opened') AS opened,
countIf(happened = 'clicked') AS clicked,
countIf(happened = 'replied') AS replied,
countIf(happened = 'unsubscribed') AS unsubscribed

-- fragment: first_sums
sum(counted.sent) AS sent,
sum(counted.opened) AS opened,
sum(counted.clicked) AS clicked,
sum(counted.replied) AS replied,
sum(counted.unsubscribed) AS unsubscribed

-- fragment: counted_firsts
-- What first happened in the period, as counts by `unit` of {timezone}: of each time and step there may be many rows.
SELECT
    toDateTime(dateTrunc(unit, addMinutes(slot, 15 * quarter), timezone), timezone) AS time,
    step,
    sent,
    opened,
    clicked,
    replied,
    unsubscribed
FROM happened_counts FINAL
WHERE
    -- include: held_emails
    AND
    -- include: of_levels
UNION ALL
SELECT
    toDateTime(dateTrunc(unit, assumeNotNull(at), timezone), timezone) AS time,
    step,
    -- include: first_counts
-- include: firsts
AND
-- include: raw_emails
AND at >= begin AND at < until
GROUP BY time, step

-- fragment: quiet_times
-- Every time of the period, when nothing happened too. Days are added as days, because a day is not always 24 hours.
SELECT
    multiIf(
        unit = 'minute', addMinutes(start, number),
        unit = 'hour', addHours(start, number),
        addDays(start, number)
    ) AS time,
    0 AS step,
    0 AS sent,
    0 AS opened,
    0 AS clicked,
    0 AS replied,
    0 AS unsubscribed
FROM numbers(5000)
WHERE time < until

-- name: activity
-- What happened when: emails sent, opened, clicked and replied to for the first time by a person, and unsubscribed
-- from, each at its own time, whenever the email was sent. Counts, so no denominator. By minute up to 3 hours, by hour
-- up to 3 days, else by day of {timezone}; quiet times are rows of zeros.
WITH
    -- include: period
    ,
    -- include: unit
    ,
    -- include: all_together
    ,
    -- include: held_of_quarters
SELECT
    time,
    -- include: first_sums
FROM
(
    -- include: counted_firsts
    UNION ALL
    -- include: quiet_times
) AS counted
GROUP BY time
ORDER BY time

-- name: by_campaign
-- Counts and rates of the emails sent in the period, for each campaign, the largest first.
WITH
    -- include: period
    ,
    -- include: each_by_itself
    ,
    -- include: held
SELECT
    campaign AS campaign_id,
    if(any(known.name) = '', campaign, any(known.name)) AS campaign_name,
    if(any(pauses.paused), 'Paused', 'Active') AS state,
    -- include: count_sums
    ,
    -- include: rates
FROM
(
    -- include: counted_emails
) AS counted
LEFT JOIN (SELECT id, name FROM campaigns FINAL) AS known ON known.id = campaign
LEFT JOIN (SELECT campaign AS id, paused FROM pauses FINAL) AS pauses ON pauses.id = campaign
GROUP BY campaign
ORDER BY sent DESC, campaign_name, campaign_id
LIMIT 500
