-- Sender health, 0 to 100: a fold over a sender's emails in order of time. It starts at 100. An email that hurts takes off
-- what it costs; 20 in a row that met nothing give 1 back, up to 100.
--
-- What a run of emails does to health, whatever health was before, is a run too: some clean emails, then what lies between
-- its first hurt and its last, which makes least(high, greatest(low, h + shift)) of h, and some clean emails after that.
-- Two runs on end are one: clean emails in a row go on over the border, and functions of that form stay of that form. So
-- the runs of hours and days are kept in `sender_runs`, and health at any moment is the fold of some hundred runs.

-- fragment: email_costs
-- What an email cost its sender, and when: it bounced hard 15; it bounced for another reason, was blocked, or was put off
-- for a reason that says something (migration 040) 5; it was delivered and met nothing 0. By the worst that it met, at the
-- first moment of that. `moment` is NULL for what met none of these.
multiIf(hard_bounced_at IS NOT NULL, 15, soft_bounced_at IS NULL AND blocked_at IS NULL AND put_off_at IS NULL, 0, 5) AS cost,
multiIf(
    cost = 15, hard_bounced_at,
    cost = 0, delivered_at,
    arrayMin(arrayMap(
        one -> ifNull(one, toDateTime64('2200-01-01 00:00:00', 3, 'UTC')), [soft_bounced_at, blocked_at, put_off_at]
    ))
) AS moment

-- fragment: met
-- What emails met, each a run of one, under the hour of that, in the `hours` (a CTE) alone. Those at the same
-- moment stand in order of what they cost.
SELECT
    sender,
    slot,
    (assumeNotNull(moment), cost) AS at,
    toUInt32(1) AS emails,
    toUInt32(cost = 0) AS before,
    toUInt32(cost = 0) AS after,
    toInt32(-cost) AS shift,
    toUInt8(0) AS low,
    toUInt8(100 - cost) AS high
FROM
(
    SELECT
        sender,
        slot,
        -- include: email_costs
    FROM emails FINAL
    WHERE slot IN hours AND sender != '' AND slot = toStartOfHour(assumeNotNull(moment)) AND moment IS NOT NULL
)

-- fragment: runs_of_runs
-- One run of all those of each sender and piece that `runs` has. Each step is a query of its own: ClickHouse would put the
-- words of one that it finds by name wherever it is named, and take longer to read the query than to answer it.
SELECT
    sender,
    piece,
    number_of AS emails,
    if(empty(parts), number_of, parts[1].1) AS before,
    if(empty(parts), number_of, number_of - parts[-1].2) AS after,
    function.1 AS shift,
    if(empty(parts), toInt64(0), function.2) AS low,
    if(empty(parts), toInt64(100), function.3) AS high
FROM
(
    SELECT
        *,
        -- include: folded
    FROM
    (
        SELECT
            sender,
            piece,
            toInt64(places[-1]) AS number_of,
            arrayMap(
                (place, one) -> (
                    toInt64(place - one.2 + one.3), toInt64(place - one.4), toInt64(one.5), toInt64(one.6), toInt64(one.7)
                ),
                arrayFilter((place, one) -> one.2 > one.3, places, timeline),
                arrayFilter(one -> one.2 > one.3, timeline)
            ) AS parts
        FROM
        (
            SELECT *, arrayCumSum(timeline.2) AS places
            FROM
            (
                SELECT sender, piece, arraySort(groupArray((at, emails, before, after, shift, low, high))) AS timeline
                FROM runs
                GROUP BY sender, piece
            )
        )
    )
)

-- fragment: folded
-- All parts as one function of the health before the first. A part is an email that hurt, or a run in which one did: how many
-- emails there are before its first hurt, and up to its last; and the function it is.
arrayFold(
    (so_far, clean, part) -> (
        so_far.1 + intDiv(clean, 20) + part.3,
        greatest(part.4, least(part.5, so_far.2 + intDiv(clean, 20) + part.3)),
        greatest(part.4, least(part.5, so_far.3 + intDiv(clean, 20) + part.3))
    ),
    arrayMap((first, last) -> first - last, parts.1, arrayPopBack(arrayPushFront(parts.2, parts.1[1]))),
    parts,
    (toInt64(0), toInt64(-1000000000), toInt64(1000000000))
) AS function

-- fragment: run_names
emails, before, after, shift, low, high

-- fragment: runs
-- The runs of all senders in order of time until `end`, each within one day of {timezone} (`piece`) or before the first,
-- by `piece_of`: days and hours that are counted, if they still hold, and the others' emails as they are.
-- Not by `held`, for it looks at all of history, whatever period the query is about.
(
WITH
    (
        SELECT groupArrayArray(
            if(
                piece_of(day) = piece_of(subtractSeconds(addDays(day, 1), 1)) AND addDays(day, 1) <= end AND day_seen >= day_times,
                [('day', day, day_times)],
                arrayMap(
                    hour -> (
                        if(
                            piece_of(hour.1) = piece_of(addSeconds(hour.1, 3599)) AND addHours(hour.1, 1) <= end AND hour.3 >= hour.2,
                            'hour',
                            'raw'
                        ),
                        hour.1,
                        hour.2
                    ),
                    arrayFilter(hour -> hour.2 > 0 AND hour.1 < end, hours)
                )
            )
        )
        FROM
        (
            SELECT
                toStartOfDay(slot) AS day,
                groupArray((slot, times, hour_seen)) AS hours,
                sum(times) AS day_times,
                max(seen_of_day) AS day_seen
            FROM
            (
                SELECT slot, sum(said) AS times, max(of_hour) AS hour_seen, max(of_day) AS seen_of_day
                FROM
                (
                    SELECT slot, times AS said, 0 AS of_hour, 0 AS of_day FROM touched WHERE of = 'email' AND slot < end
                    UNION ALL
                    SELECT slot, 0, if(grain = 'hour', seen, 0), if(grain = 'day', seen, 0)
                    FROM rolled
                    WHERE of = 'email' AND grain IN ('hour', 'day') AND slot < end
                )
                GROUP BY slot
            )
            GROUP BY day
        )
    ) AS known_runs,
    arrayFilter(one -> one.1 != 'raw', known_runs) AS held_runs,
    arrayMap(one -> one.2, arrayFilter(one -> one.1 = 'raw', known_runs)) AS raw_runs
SELECT *
FROM
(
    SELECT
        sender,
        piece_of(slot) AS piece,
        (toDateTime64(slot, 3, 'UTC'), toUInt8(0)) AS at,
        -- include: run_names
    FROM sender_runs FINAL
    WHERE (grain, slot) IN (SELECT one.1, one.2 FROM (SELECT arrayJoin(held_runs) AS one))
        AND seen >= transform(
            toUInt32(slot) + (grain != 'hour'),
            arrayMap(one -> toUInt32(one.2) + (one.1 != 'hour'), held_runs),
            arrayMap(one -> one.3, held_runs),
            toUInt64(0)
        )
    UNION ALL
    SELECT
        sender,
        piece_of(at.1) AS piece,
        at,
        -- include: run_names
    FROM
    (
        WITH hours AS (SELECT arrayJoin(raw_runs))
        -- include: met
    )
    WHERE at.1 < end
)
)

-- fragment: healths
-- Health of each sender now, of all its emails.
SELECT
    sender,
    -- Of nothing but clean emails nothing is given back: 100 is the most.
    least(100, if(before < emails, greatest(low, least(high, 100 + intDiv(before, 20) + shift)) + intDiv(after, 20), 100)) AS folded_health,
    true AS is_folded
FROM
(
    WITH
        moment -> toDate(0) AS piece_of,
        toDateTime64('2106-01-01 00:00:00', 3, 'UTC') AS end,
        runs AS
        -- include: runs
    -- include: runs_of_runs
)

-- fragment: health_days
-- Health at the end of each day of {timezone} in the period, of each sender chosen, from its first email on. First all
-- runs of a day become one, and all those before the period; then these few are folded, day by day.
(
    SELECT
        sender,
        arrayJoin(arrayMap(
            number -> addDays(toDate(since, timezone), number),
            range(1 + dateDiff('day', toDate(since, timezone), toDate(subtractMilliseconds(until, 1), timezone)))
        )) AS day,
        states[1 + arrayLastIndex(one -> one <= day, days.1)] AS state,
        least(100, state.1 + intDiv(state.2, 20)) AS health
    FROM
    (
        SELECT
            sender,
            days,
            -- After each day: health after the last hurt, and clean emails since.
            arrayFold(
                (so_far, run) -> arrayPushBack(
                    so_far,
                    if(
                        run.3 < run.2,
                        (greatest(run.6, least(run.7, so_far[-1].1 + intDiv(so_far[-1].2 + run.3, 20) + run.5)), run.4),
                        (so_far[-1].1, so_far[-1].2 + run.2)
                    )
                ),
                days,
                [(toInt64(100), toInt64(0))]
            ) AS states
        FROM
        (
            SELECT sender, arraySort(groupArray((piece, emails, before, after, shift, low, high))) AS days
            FROM
            (
                WITH
                    moment -> greatest(
                        toDate(moment, timezone), subtractDays(toDate(since, timezone), 1)
                    ) AS piece_of,
                    toDateTime64(
                        addDays(toDate(subtractMilliseconds(until, 1), timezone), 1), 3, timezone
                    ) AS end,
                    runs AS
                    (
                        SELECT *
                        FROM
                        -- include: runs
                        WHERE empty(chosen_senders) OR has(chosen_senders, sender)
                    )
                -- include: runs_of_runs
            )
            GROUP BY sender
        )
    )
    WHERE days[1].1 <= day
)
