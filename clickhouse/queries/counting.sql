-- How queries get at counts that are made ahead, exact at any range (docs/architecture.md, "Counting"). A query says among its
-- WITH, after `period`, one of `held`, `held_of_times` and `held_by_days`, and reads counts by `in_held`.

-- fragment: held
-- Counts by hours and days, of a period and maybe one before.
(one, next) -> one >= begin AND next <= until AND NOT (one < since AND next > since) AS whole,
'day' AS grain_of_days,
-- include: held_slots

-- fragment: held_of_times
-- Counts by hours and days that lie in one `unit`, in {timezone}, each.
(one, next) -> one >= begin AND next <= until
    AND dateTrunc(unit, one, timezone) = dateTrunc(unit, subtractSeconds(next, 1), timezone) AS whole,
'day' AS grain_of_days,
-- include: held_slots

-- fragment: held_of_quarters
-- The same of `happened_counts`, where an hour has its quarters apart: no clock is set otherwise than by quarters, but for
-- those of long ago.
(one, next) -> one >= begin AND next <= until AND if(
    next > addHours(one, 1),
    dateTrunc(unit, one, timezone) = dateTrunc(unit, subtractSeconds(next, 1), timezone),
    arrayAll(
        minutes -> dateTrunc(unit, addMinutes(one, minutes), timezone)
            = dateTrunc(unit, addSeconds(one, 60 * minutes + 899), timezone),
        [0, 15, 30, 45]
    )
) AS whole,
'day' AS grain_of_days,
-- include: held_slots

-- fragment: held_by_days
-- Counts that are kept by days alone.
(one, next) -> one >= begin AND next <= until AND NOT (one < since AND next > since) AND next > addHours(one, 1) AS whole,
'wide' AS grain_of_days,
-- include: held_slots

-- fragment: held_slots
-- Of the period, which days are counted, which hours of the others are, and which hours are to be read row by row: those at
-- the ends that lie in it in part, and those that were written to since they were counted. Rows of (of, grain, slot,
-- times): `email` or `hit`; `day` (or `wide`), `hour` or `raw`. A scalar, so that all of a query goes by one look at it.
(
    SELECT groupArrayArray(
        if(
            whole(day, addDays(day, 1)) AND day_seen >= day_times,
            [(of, grain_of_days, day, day_times)],
            arrayMap(
                hour -> (
                    of,
                    if(whole(hour.1, addHours(hour.1, 1)) AND hour.3 >= hour.2, 'hour', 'raw'),
                    hour.1,
                    hour.2
                ),
                arrayFilter(
                    hour -> hour.2 > 0 AND hour.1 >= toStartOfHour(begin) AND hour.1 < until, hours
                )
            )
        )
    )
    FROM
    (
        SELECT
            of,
            toStartOfDay(slot) AS day,
            groupArray((slot, times, hour_seen)) AS hours,
            sum(times) AS day_times,
            max(seen_of_day) AS day_seen
        FROM
        (
            SELECT
                of,
                slot,
                sum(said) AS times,
                maxIf(counted, grain = 'hour') AS hour_seen,
                maxIf(counted, grain = grain_of_days) AS seen_of_day
            FROM
            (
                SELECT of, '' AS grain, slot, times AS said, 0 AS counted FROM touched
                UNION ALL
                SELECT of, grain, slot, 0, seen FROM rolled
            )
            WHERE slot >= toStartOfDay(begin) AND slot < addDays(toStartOfDay(until), 1)
            GROUP BY of, slot
        )
        GROUP BY of, day
    )
) AS held,
arrayMap(one -> (one.2, one.3, one.4), arrayFilter(one -> one.1 = 'email' AND one.2 != 'raw', held)) AS email_counts_held,
arrayMap(one -> one.3, arrayFilter(one -> one.1 = 'email' AND one.2 = 'raw', held)) AS email_hours_raw,
arrayMap(one -> (one.2, one.3, one.4), arrayFilter(one -> one.1 = 'hit' AND one.2 != 'raw', held)) AS hit_counts_held,
arrayMap(one -> one.3, arrayFilter(one -> one.1 = 'hit' AND one.2 = 'raw', held)) AS hit_hours_raw

-- fragment: held_emails
-- Rows of counts of emails that hold. Read the table FINAL: an older count may still be there.
slot >= toStartOfDay(begin) AND slot < until
    AND (grain, slot) IN (SELECT one.1, one.2 FROM (SELECT arrayJoin(email_counts_held) AS one))
    AND seen >= transform(
        toUInt32(slot) + (grain != 'hour'),
        arrayMap(one -> toUInt32(one.2) + (one.1 != 'hour'), email_counts_held),
        arrayMap(one -> one.3, email_counts_held),
        toUInt64(0)
    )

-- fragment: held_hits
slot >= toStartOfDay(begin) AND slot < until
    AND (grain, slot) IN (SELECT one.1, one.2 FROM (SELECT arrayJoin(hit_counts_held) AS one))
    AND seen >= transform(
        toUInt32(slot) + (grain != 'hour'),
        arrayMap(one -> toUInt32(one.2) + (one.1 != 'hour'), hit_counts_held),
        arrayMap(one -> one.3, hit_counts_held),
        toUInt64(0)
    )

-- fragment: raw_emails
-- Hours of `emails` to be read row by row.
slot IN (SELECT arrayJoin(email_hours_raw)) AND (empty(chosen) OR has(chosen, campaign))

-- fragment: raw_hits
slot IN (SELECT arrayJoin(hit_hours_raw)) AND (empty(chosen) OR has(chosen, campaign))

-- fragment: all_together
-- Counts of all campaigns together are kept as those of campaign ''. With `each_by_itself` instead, each campaign has its own.
if(empty(chosen), [''], chosen) AS levels

-- fragment: each_by_itself
chosen AS levels

-- fragment: of_levels
(empty(levels) AND campaign != '' OR has(levels, campaign))

-- fragment: counted_emails
-- The emails sent in the period, as counts: of each campaign, step and variant there may be many rows. `period` is
-- 1 for emails sent at `since` or later.
SELECT
    campaign,
    step,
    variant,
    slot >= since AS period,
    -- include: count_names
FROM email_counts FINAL
WHERE
    -- include: held_emails
    AND
    -- include: of_levels
UNION ALL
SELECT
    campaign,
    step,
    variant,
    sent_at >= since AS period,
    -- include: counts
FROM v_sent
WHERE
    -- include: raw_emails
    AND sent_at >= begin AND sent_at < until
GROUP BY campaign, step, variant, period

-- fragment: counted_by_sender
-- The same of each sender, without steps and variants.
SELECT
    sender,
    slot >= since AS period,
    -- include: count_names
FROM sender_counts FINAL
WHERE
    -- include: held_emails
    AND
    -- include: of_levels
UNION ALL
SELECT
    sender,
    sent_at >= since AS period,
    -- include: counts
FROM v_sent
WHERE
    -- include: raw_emails
    AND sent_at >= begin AND sent_at < until
GROUP BY sender, period

-- fragment: counted_by_time
-- The emails sent in the period by the `unit` of {timezone} in which they were; with `held_of_times`.
SELECT
    toDateTime(dateTrunc(unit, slot, timezone), timezone) AS time,
    -- include: count_names
FROM email_counts FINAL
WHERE
    -- include: held_emails
    AND
    -- include: of_levels
UNION ALL
SELECT
    toDateTime(dateTrunc(unit, sent_at, timezone), timezone) AS time,
    -- include: counts
FROM v_sent
WHERE
    -- include: raw_emails
    AND sent_at >= begin AND sent_at < until
GROUP BY time

-- fragment: counted_by_sender_and_time
-- The same of each sender.
SELECT
    sender,
    toDateTime(dateTrunc(unit, slot, timezone), timezone) AS time,
    -- include: count_names
FROM sender_counts FINAL
WHERE
    -- include: held_emails
    AND
    -- include: of_levels
UNION ALL
SELECT
    sender,
    toDateTime(dateTrunc(unit, sent_at, timezone), timezone) AS time,
    -- include: counts
FROM v_sent
WHERE
    -- include: raw_emails
    AND sent_at >= begin AND sent_at < until
GROUP BY sender, time

-- fragment: counted_hits
-- The opens and clicks of the period, as counts. `period` is 1 for those at `since` or later.
SELECT
    campaign,
    step,
    variant,
    kind,
    verdict,
    reason,
    slot >= since AS period,
    hits
FROM hit_counts FINAL
WHERE
    -- include: held_hits
    AND
    -- include: of_levels
UNION ALL
SELECT
    campaign,
    step,
    variant,
    kind,
    verdict,
    reason,
    at >= since AS period,
    count() AS hits
FROM judged_hits FINAL
WHERE
    -- include: raw_hits
    AND at >= begin AND at < until
GROUP BY campaign, step, variant, kind, verdict, reason, period

-- fragment: count_names
sent,
hard_bounced,
soft_bounced,
blocked,
delivered,
opened,
raw_opened,
machine_opened,
clicked,
raw_clicked,
unsubscribed,
replied,
raw_replied,
complained

-- fragment: count_sums
sum(counted.sent) AS sent,
sum(counted.hard_bounced) AS hard_bounced,
sum(counted.soft_bounced) AS soft_bounced,
sum(counted.blocked) AS blocked,
sum(counted.delivered) AS delivered,
sum(counted.opened) AS opened,
sum(counted.raw_opened) AS raw_opened,
sum(counted.machine_opened) AS machine_opened,
sum(counted.clicked) AS clicked,
sum(counted.raw_clicked) AS raw_clicked,
sum(counted.unsubscribed) AS unsubscribed,
sum(counted.replied) AS replied,
sum(counted.raw_replied) AS raw_replied,
sum(counted.complained) AS complained
