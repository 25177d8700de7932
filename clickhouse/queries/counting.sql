-- How queries get at counts that are made ahead, exact at any range (docs/architecture.md, "Counting"). A query says
-- `include: held` among its WITH, after `period`, and reads `counted_emails` or `counted_hits`.

-- fragment: held
-- Of the period, which hours stand in a day that is counted, which are counted themselves, and which are to be read
-- row by row: those at the ends that lie in it in part, and those that were written to since they were counted. Rows of
-- (of, grain, slot, times): `email` or `hit`; `day`, `hour` or `raw`. A scalar, so that all of a query goes by one look at it.
(
    SELECT groupUniqArray((of, grain, start, written))
    FROM
    (
        SELECT
            hours.of AS of,
            hours.slot AS slot,
            hours.day AS day,
            multiIf(
                day >= begin AND addDays(day, 1) <= until AND NOT (day < since AND addDays(day, 1) > since)
                    AND days.seen >= day_times, 'day',
                slot >= begin AND addHours(slot, 1) <= until AND NOT (slot < since AND addHours(slot, 1) > since)
                    AND hours.seen >= hours.times, 'hour',
                'raw'
            ) AS grain,
            if(grain = 'day', day, slot) AS start,
            if(grain = 'day', day_times, hours.times) AS written
        FROM
        (
            SELECT of, slot, toStartOfDay(slot) AS day, times, seen, sum(times) OVER (PARTITION BY of, day) AS day_times
            FROM
            (
                SELECT of, slot, sum(times) AS times
                FROM touched
                WHERE slot >= toStartOfDay(begin) AND slot < addDays(toStartOfDay(until), 1)
                GROUP BY of, slot
            ) AS written
            LEFT JOIN
            (
                SELECT of, slot, max(seen) AS seen
                FROM rolled
                WHERE grain = 'hour' AND slot >= toStartOfDay(begin) AND slot < addDays(toStartOfDay(until), 1)
                GROUP BY of, slot
            ) AS counted USING (of, slot)
        ) AS hours
        LEFT JOIN
        (
            SELECT of, slot AS day, max(seen) AS seen
            FROM rolled
            WHERE grain = 'day' AND slot >= toStartOfDay(begin) AND slot < until
            GROUP BY of, day
        ) AS days USING (of, day)
        WHERE slot >= toStartOfHour(begin) AND slot < until
    )
) AS held,
arrayFilter(hour -> hour.1 = 'email' AND hour.2 != 'raw', held) AS email_counts_held,
arrayFilter(hour -> hour.1 = 'hit' AND hour.2 != 'raw', held) AS hit_counts_held

-- fragment: counted_emails
-- The emails sent in the period, as counts: of each campaign, step, variant and sender there may be many rows. `period` is
-- 1 for emails sent at `since` or later.
SELECT
    campaign,
    step,
    variant,
    sender,
    slot >= since AS period,
    -- include: count_names
FROM email_counts FINAL
WHERE slot >= toStartOfDay(begin) AND slot < until AND (grain, slot) IN
    (
        SELECT one.2, one.3 FROM (SELECT arrayJoin(email_counts_held) AS one)
    )
    AND seen >= transform(
        toUInt32(slot) + (grain = 'day'),
        arrayMap(one -> toUInt32(one.3) + (one.2 = 'day'), email_counts_held),
        arrayMap(one -> one.4, email_counts_held),
        toUInt64(0)
    )
    AND (empty(chosen) OR has(chosen, campaign))
UNION ALL
SELECT
    campaign,
    step,
    variant,
    sender,
    sent_at >= since AS period,
    -- include: counts
FROM v_sent
WHERE slot IN (SELECT arrayJoin(arrayMap(one -> one.3, arrayFilter(one -> one.1 = 'email' AND one.2 = 'raw', held))))
    AND sent_at >= begin AND sent_at < until AND (empty(chosen) OR has(chosen, campaign))
GROUP BY campaign, step, variant, sender, period

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
WHERE slot >= toStartOfDay(begin) AND slot < until AND (grain, slot) IN
    (
        SELECT one.2, one.3 FROM (SELECT arrayJoin(hit_counts_held) AS one)
    )
    AND seen >= transform(
        toUInt32(slot) + (grain = 'day'),
        arrayMap(one -> toUInt32(one.3) + (one.2 = 'day'), hit_counts_held),
        arrayMap(one -> one.4, hit_counts_held),
        toUInt64(0)
    )
    AND (empty(chosen) OR has(chosen, campaign))
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
WHERE slot IN (SELECT arrayJoin(arrayMap(one -> one.3, arrayFilter(one -> one.1 = 'hit' AND one.2 = 'raw', held))))
    AND at >= begin AND at < until AND (empty(chosen) OR has(chosen, campaign))
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
