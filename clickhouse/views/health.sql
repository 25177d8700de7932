-- Sender health, 0 to 100: a fold over a sender's emails in order of time. It starts at 100. An email that hurts takes off
-- what it costs; 20 in a row that met nothing give 1 back, up to 100.
--
-- What a run of emails does to health, whatever health was before, is a run too: some clean emails, then what lies between
-- its first hurt and its last, which makes least(high, greatest(low, h + shift)) of h, and some clean emails after that.
-- Two runs on end are one: clean emails in a row go on over the border, and functions of that form stay of that form. So
-- the runs of hours and days are kept in `sender_runs`, and health at any moment is the fold of some hundred runs.

-- view: met_emails
-- What emails met in these hours, each a run of one. It bounced hard: 15; it bounced for another reason, was blocked, or was
-- put off, but for greylisting (see put_off_at), 5; it was delivered and met nothing 0. By the worst that it met,
-- at the first moment of that; those of one moment stand in order of what they cost.
SELECT
    sender,
    (assumeNotNull(moment), cost) AS at,
    1 AS emails,
    cost = 0 AS before,
    cost = 0 AS after,
    -cost AS shift,
    0 AS low,
    100 - cost AS high
FROM
(
    SELECT
        sender,
        slot,
        multiIf(hard_bounced, 15, soft_bounced OR blocked OR put_off_at IS NOT NULL, 5, 0) AS cost,
        multiIf(
            hard_bounced, hard_bounced_at,
            soft_bounced OR blocked OR put_off_at IS NOT NULL, least(
                ifNull(soft_bounced_at, toDateTime64('2200-01-01 00:00:00', 3, 'UTC')),
                ifNull(blocked_at, toDateTime64('2200-01-01 00:00:00', 3, 'UTC')),
                ifNull(put_off_at, toDateTime64('2200-01-01 00:00:00', 3, 'UTC'))
            ),
            delivered_at
        ) AS moment
    FROM emails FINAL
    WHERE slot IN {hours:Array(DateTime('UTC'))} AND sender != ''
)
WHERE moment IS NOT NULL AND slot = toStartOfHour(assumeNotNull(moment))

-- view: runs_counted
-- What emails met before `until` as runs, of which a sender has many, one after the other in order of `at`; of these `rollups`
-- (see chosen_rollups). An email that is in no rollup is a run of one.
SELECT sender, (toDateTime64(slot, 3, 'UTC'), 0) AS at, emails, before, after, shift, low, high
FROM sender_runs FINAL
WHERE (grain, slot, version) IN (SELECT arrayJoin({rollups:Array(Tuple(String, DateTime('UTC'), UInt64))}))
UNION ALL
SELECT sender, at, emails, before, after, shift, low, high
FROM met_emails(
    hours = (
        SELECT groupArray(rollup.2)
        FROM (SELECT arrayJoin({rollups:Array(Tuple(String, DateTime('UTC'), UInt64))}) AS rollup)
        WHERE rollup.1 = 'raw'
    )
)
WHERE at.1 < {until:DateTime64(3, 'UTC')}

-- view: folded_runs
-- One run of all that the emails of each sender met until `until`, for each piece of time: the `unit` of `timezone` in which
-- it was, or `since` for all before that. Of these `rollups` (see chosen_rollups). Columns as in `sender_runs`.
SELECT
    sender,
    piece,
    number_of AS emails,
    if(empty(parts), number_of, parts[1].1) AS before,
    if(empty(parts), number_of, number_of - parts[-1].2) AS after,
    function.1 AS shift,
    if(empty(parts), 0, function.2) AS low,
    if(empty(parts), 100, function.3) AS high
FROM
(
    -- All parts as one function of the health before the first.
    SELECT
        *,
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
    FROM
    (
        -- A part is an email that hurt, or a run in which one did: how many emails there are before its first hurt, and up to
        -- its last; and the function it is.
        SELECT
            sender,
            piece,
            places[-1] AS number_of,
            arrayMap(
                (place, one) -> (place - one.2 + one.3, place - one.4, one.5, one.6, one.7),
                arrayFilter((place, one) -> one.2 > one.3, places, timeline),
                arrayFilter(one -> one.2 > one.3, timeline)
            ) AS parts
        FROM
        (
            SELECT sender, piece, timeline, arrayCumSum(timeline.2) AS places
            FROM
            (
                SELECT
                    sender,
                    greatest(
                        toDateTime(dateTrunc({unit:String}, at.1, {timezone:String}), {timezone:String}),
                        toDateTime({since:DateTime64(3, 'UTC')})
                    ) AS piece,
                    arraySort(groupArray((
                        at, toInt64(emails), toInt64(before), toInt64(after), toInt64(shift), toInt64(low), toInt64(high)
                    ))) AS timeline
                FROM runs_counted(
                    rollups = {rollups:Array(Tuple(String, DateTime('UTC'), UInt64))},
                    until = {until:DateTime64(3, 'UTC')}
                )
                GROUP BY sender, piece
            )
        )
    )
)

-- view: health_now
-- Health of each sender now, of all its emails. A sender whose emails met nothing yet is not there: it has 100.
SELECT
    sender,
    -- Of nothing but clean emails nothing is given back: 100 is the most.
    if(
        before < emails, least(100, greatest(low, least(high, 100 + intDiv(before, 20) + shift)) + intDiv(after, 20)), 100
    ) AS health
FROM folded_runs(
    rollups = (
        SELECT groupUniqArray(rollup)
        FROM chosen_rollups(
            of = 'email',
            grains = ['day', 'hour'],
            begin = '1970-01-01 00:00:00',
            since = '1970-01-01 00:00:00',
            until = '2100-01-01 00:00:00',
            unit = 'day',
            timezone = 'UTC',
            piece = 3600
        )
    ),
    since = '2100-01-01 00:00:00',
    until = '2100-01-01 00:00:00',
    unit = 'day',
    timezone = 'UTC'
)

-- view: runs_by_day
-- One run of each sender for each day of {timezone} that the period has a part of, and one for all that was before, under the
-- day before the first; that one is made of whole days of UTC where it can be.
SELECT
    sender,
    toDate(piece, {timezone:String}) AS day,
    emails,
    before,
    after,
    shift,
    low,
    high
FROM folded_runs(
    rollups = (
        SELECT groupUniqArray(rollup)
        FROM
        (
            SELECT rollup
            FROM chosen_rollups(
                of = 'email',
                grains = ['day', 'hour'],
                begin = '1970-01-01 00:00:00',
                since = '1970-01-01 00:00:00',
                until = dateTrunc('day', {since:DateTime64(3, 'UTC')}, {timezone:String}),
                unit = 'day',
                timezone = 'UTC',
                piece = 3600
            )
            UNION ALL
            SELECT rollup
            FROM chosen_rollups(
                of = 'email',
                grains = ['day', 'hour'],
                begin = dateTrunc('day', {since:DateTime64(3, 'UTC')}, {timezone:String}),
                since = dateTrunc('day', {since:DateTime64(3, 'UTC')}, {timezone:String}),
                until = toDateTime(
                    toDate(subtractMilliseconds({until:DateTime64(3, 'UTC')}, 1), {timezone:String}) + 1,
                    {timezone:String}
                ),
                unit = 'day',
                timezone = {timezone:String},
                piece = 3600
            )
        )
    ),
    since = subtractSeconds(dateTrunc('day', {since:DateTime64(3, 'UTC')}, {timezone:String}), 1),
    until = toDateTime(
        toDate(subtractMilliseconds({until:DateTime64(3, 'UTC')}, 1), {timezone:String}) + 1, {timezone:String}
    ),
    unit = 'day',
    timezone = {timezone:String}
)

-- view: health_by_day
-- Health of each sender at the end of each day of {timezone} that the period has a part of, from its first email on.
SELECT
    sender,
    arrayJoin(arrayMap(
        number -> addDays(toDate({since:DateTime64(3, 'UTC')}, {timezone:String}), number),
        range(1 + dateDiff(
            'day',
            toDate({since:DateTime64(3, 'UTC')}, {timezone:String}),
            toDate(subtractMilliseconds({until:DateTime64(3, 'UTC')}, 1), {timezone:String})
        ))
    )) AS day,
    states[1 + arrayLastIndex(one -> one <= day, days.1)] AS state,
    least(100, state.1 + intDiv(state.2, 20)) AS health
FROM
(
    -- The state after each day: health after the last hurt, and clean emails since.
    SELECT
        sender,
        days,
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
        SELECT
            sender,
            arraySort(groupArray((
                day, toInt64(emails), toInt64(before), toInt64(after), toInt64(shift), toInt64(low), toInt64(high)
            ))) AS days
        FROM runs_by_day(
            since = {since:DateTime64(3, 'UTC')},
            until = {until:DateTime64(3, 'UTC')},
            timezone = {timezone:String}
        )
        GROUP BY sender
    )
)
WHERE days[1].1 <= day
