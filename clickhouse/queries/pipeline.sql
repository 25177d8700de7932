-- How the stream runs: counted from `samples`, in which each process tells its own figures every few seconds. So what
-- nobody told is unknown: NULL, a gap in a chart, and not 0.

-- fragment: span
-- What a board is asked for, and the steps of its charts in milliseconds: at most a few hundred of them. `coarse` asks
-- half hours instead of samples, but for the last one, which may not be over; steps begin where half hours do.
{since:DateTime64(3, 'UTC')} AS since,
{until:DateTime64(3, 'UTC')} AS until,
multiIf(
    until <= since + INTERVAL 1 HOUR, 30000,
    until <= since + INTERVAL 3 HOUR, 60000,
    until <= since + INTERVAL 12 HOUR, 300000,
    until <= since + INTERVAL 3 DAY, 1800000,
    until <= since + INTERVAL 14 DAY, 7200000,
    until <= since + INTERVAL 90 DAY, 21600000,
    86400000
) AS step,
step >= 1800000 AS coarse,
fromUnixTimestamp64Milli(intDiv(toUnixTimestamp64Milli(since), step) * step, 'UTC') AS start

-- fragment: two_periods
-- The period asked for, and the one of equal length before it, as two steps; long ones begin with a half hour.
{since:DateTime64(3, 'UTC')} AS asked,
{until:DateTime64(3, 'UTC')} AS until,
until > asked + INTERVAL 12 HOUR AS coarse,
if(coarse, 1800000, 1) AS grain,
fromUnixTimestamp64Milli(intDiv(toUnixTimestamp64Milli(asked), grain) * grain, 'UTC') AS since,
intDiv(toUnixTimestamp64Milli(until) - toUnixTimestamp64Milli(since) + grain - 1, grain) * grain AS step,
subtractMilliseconds(since, step) AS start

-- fragment: series
role, instance, started_at, name, kind, result, stage, reason, le

-- fragment: told
-- What was told of the figures named in `wanted`, in the period and in the time before it that a counter's growth may
-- begin from: samples, or half hours of them. `lowest` and `highest` are a counter's first value and its last.
SELECT
    -- include: series
    ,
    at AS first_at,
    at AS last_at,
    value AS lowest,
    value AS highest
FROM samples
WHERE name IN wanted AND at < until
    AND at >= if(coarse, toDateTime64(toStartOfInterval(until, INTERVAL 30 MINUTE), 3), start - INTERVAL 1 MINUTE)
UNION ALL
SELECT
    -- include: series
    ,
    first_at,
    last_at,
    lowest,
    highest
FROM samples_by_half_hour
WHERE coarse AND name IN wanted
    AND half_hour >= start - INTERVAL 30 MINUTE AND half_hour < toStartOfInterval(until, INTERVAL 30 MINUTE)

-- fragment: increases
-- By how much each counter in `wanted` grew, from one step's last sample to the next step's; before a counter's first
-- sample stands its birth, when it was 0. A process that began anew has counters of another birth, so nothing is lost
-- or counted twice. Only of a counter older than what is looked at is the growth before its first sample unknown.
SELECT
    -- include: series
    ,
    ifNull(lagInFrame(toNullable(step_last)) OVER one, if(is_born, started_at, step_first)) AS from_at,
    step_last AS to_at,
    step_highest - ifNull(lagInFrame(toNullable(step_highest)) OVER one, if(is_born, 0, step_lowest)) AS increase
FROM
(
    SELECT
        -- include: series
        ,
        min(first_at) AS step_first,
        max(last_at) AS step_last,
        min(lowest) AS step_lowest,
        max(highest) AS step_highest,
        started_at >= start - if(coarse, INTERVAL 30 MINUTE, INTERVAL 1 MINUTE) AS is_born
    FROM
    (
        -- include: told
    )
    GROUP BY
        -- include: series
        ,
        floor((toUnixTimestamp64Milli(last_at) - toUnixTimestamp64Milli(start)) / step)
)
WINDOW one AS (
    PARTITION BY
        -- include: series
    ORDER BY step_last
)

-- fragment: gauges
-- The most that each gauge in `wanted` was in each step. `stayed`: its process told to the end of what is told of the
-- step, so that one which took the place of another is not added to it.
SELECT
    intDiv(toUnixTimestamp64Milli(last_at) - toUnixTimestamp64Milli(start), step)::UInt64 AS step_at,
    role,
    instance,
    name,
    stage,
    toNullable(max(highest)) AS value,
    max(last_at) >= max(max(last_at)) OVER (PARTITION BY step_at, role) - INTERVAL 1 MINUTE AS stayed
FROM
(
    -- include: told
)
WHERE last_at >= start
GROUP BY step_at, role, instance, name, stage

-- fragment: spread
-- The increases, each spread evenly over the steps that it took: `step_at` is a step's number, `part` what fell in it.
SELECT
    *,
    arrayJoin(range(
        toUInt64(greatest(0, floor((from_ms - start_ms) / step))),
        toUInt64(greatest(0, floor((to_ms - 1 - start_ms) / step) + 1))
    )) AS step_at,
    increase * (least(to_ms, start_ms + (step_at + 1) * step) - greatest(from_ms, start_ms + step_at * step))
        / nullIf(to_ms - from_ms, 0) AS part,
    -- The last step is not over: it is as long as what is known of it.
    (least(max(to_ms) OVER (), start_ms + (step_at + 1) * step) - (start_ms + step_at * step)) / 1000 AS seconds
FROM
(
    SELECT
        *,
        toUnixTimestamp64Milli(start) AS start_ms,
        toUnixTimestamp64Milli(from_at) AS from_ms,
        toUnixTimestamp64Milli(to_at) AS to_ms
    FROM
    (
        -- include: increases
    )
    WHERE to_at >= start
)

-- fragment: steps
-- Every step of the period, told of or not.
SELECT number AS step_at, fromUnixTimestamp64Milli(toUnixTimestamp64Milli(start) + number * step, 'UTC') AS time
FROM numbers(4000)
WHERE time < until

-- fragment: last_minute
-- What each process told in the minute before `moment`, which is `since` for period 0 and `until` for period 1: rates
-- over what of the minute is told of, else its last figures. The lag of a stage is told by each of its workers.
SELECT
    period,
    role,
    instance,
    max(last_at) AS seen_at,
    minIf(if(is_born, started_at, first_at), name = 'process_cpu_seconds_total') AS from_at,
    dateDiff('millisecond', from_at, seen_at) / 1000 AS seconds,
    sumOrNullIf(increase, name IN ('sendlens_hits_total', 'sendlens_verdicts_total')) / nullIf(seconds, 0) AS hits,
    sumOrNullIf(increase, name IN ('sendlens_records_handled_total', 'sendlens_inbox_mails_total'))
        / nullIf(seconds, 0) AS records,
    sumIf(increase, name = 'process_cpu_seconds_total') / nullIf(seconds, 0) AS processors,
    sumOrNullIf(last_value, name = 'process_resident_memory_bytes') AS memory_bytes,
    sumOrNullIf(last_value, name IN ('sendlens_own_lag_records', 'sendlens_inbox_behind_mails')) AS own_lag,
    sumMapIf(map(stage, last_value), name = 'sendlens_stage_lag_records') AS lags,
    sumOrNullIf(last_value, name = 'sendlens_spool_hits') AS spool_hits,
    sumOrNullIf(last_value, name = 'sendlens_spool_bytes') AS spool_bytes,
    maxOrNullIf(last_value, name = 'sendlens_spool_age_seconds') AS spool_age
FROM
(
    SELECT
        at >= until - INTERVAL 1 MINUTE AS period,
        -- include: series
        ,
        min(at) AS first_at,
        max(at) AS last_at,
        argMax(value, at) AS last_value,
        started_at >= if(period, until, since) - INTERVAL 1 MINUTE AS is_born,
        last_value - if(is_born, 0, argMin(value, at)) AS increase
    FROM samples
    WHERE ((at >= until - INTERVAL 1 MINUTE AND at < until) OR (at >= since - INTERVAL 1 MINUTE AND at < since))
        AND name IN (
            'process_cpu_seconds_total', 'process_resident_memory_bytes', 'sendlens_hits_total',
            'sendlens_verdicts_total', 'sendlens_records_handled_total', 'sendlens_inbox_mails_total',
            'sendlens_own_lag_records', 'sendlens_inbox_behind_mails', 'sendlens_stage_lag_records',
            'sendlens_spool_hits', 'sendlens_spool_bytes', 'sendlens_spool_age_seconds'
        )
    GROUP BY
        period,
        -- include: series
)
GROUP BY period, role, instance

-- fragment: dead_letters
-- Records set aside since the last step, when they were told of. A stage that never set one aside has no such counter,
-- so that each worker told anything is known by what it holds, and counts as 0.
SELECT to_at AS seen_at, stage, reason, if(name = 'sendlens_records_held', 0, increase) AS grown
FROM
(
    -- include: increases
)

-- name: pipeline_now
-- How it stands at the end of the period, and stood at its beginning: always two rows, `period` 1 and 0. Hits a second
-- that ingest was asked for, over the last minute. Records that stages have not acknowledged, summed over stages, a
-- record of hits or events being a batch of them. What the spool holds, and the age of its oldest hit in seconds.
-- Processes that told of themselves in the last 30 s. Counts, so no denominator; NULL where nobody told.
WITH
    -- include: span
SELECT
    moment AS period,
    sumOrNullIf(hits, role = 'ingest') AS hits_per_second,
    if(empty(any(stage_lags)), NULL, arraySum(mapValues(any(stage_lags)))) AS lag,
    sum(spool_hits) AS spool_hits,
    sum(spool_bytes) AS spool_bytes,
    max(spool_age) AS spool_age,
    countIf(seen_at >= if(moment, until, since) - INTERVAL 30 SECOND) AS processes
FROM (SELECT toUInt8(number) AS moment FROM numbers(2)) AS moments
LEFT JOIN
(
    SELECT *, maxMap(lags) OVER (PARTITION BY period) AS stage_lags
    FROM
    (
        -- include: last_minute
    )
) AS told ON told.period = moment
GROUP BY moment
ORDER BY period

-- name: pipeline_processes
-- Every process that told of itself in the period, with its last minute before the end of it: hits a second (ingest:
-- asked for; worker: judged), records a second (worker: Kafka records handled; inbox: mails read), records not
-- acknowledged in its own partitions, processors used, memory. NULL for what it has not, or did not tell any more.
WITH
    -- include: span
    , ['process_resident_memory_bytes'] AS wanted
SELECT
    role,
    instance,
    if(seen_seconds <= 30, 'Running', 'Silent') AS state,
    greatest(0, dateDiff('millisecond', seen.last_at, until) / 1000) AS seen_seconds,
    greatest(0, dateDiff('second', seen.started_at, until)) AS up_seconds,
    hits AS hits_per_second,
    records AS records_per_second,
    own_lag AS lag,
    processors,
    coalesce(told.memory_bytes, seen.memory_bytes) AS memory_bytes
FROM
(
    SELECT
        role,
        instance,
        max(heard.last_at) AS last_at,
        max(heard.started_at) AS started_at,
        argMax(highest, heard.last_at) AS memory_bytes
    FROM
    (
        -- include: told
    ) AS heard
    GROUP BY role, instance
    HAVING last_at >= since
) AS seen
LEFT JOIN
(
    SELECT *
    FROM
    (
        -- include: last_minute
    )
    WHERE period = 1
) AS told USING (role, instance)
ORDER BY state, indexOf(['ingest', 'worker', 'inbox', 'clickhouse'], role), instance
LIMIT 500

-- name: pipeline_hits
-- Hits a second over the period, as ingest answered them: opens and clicks that Kafka has (recorded), and of both
-- together those that wait on disk (spooled), that were repeats beyond a source's share (shed), that proved nothing
-- (rejected), and that were refused or left without a promise. Averages of each step; NULL where nobody told.
WITH
    -- include: span
    , ['sendlens_hits_total'] AS wanted
SELECT
    time,
    sumOrNullIf(part, kind = 'open' AND result = 'recorded') / any(seconds) AS opens,
    sumOrNullIf(part, kind = 'click' AND result = 'recorded') / any(seconds) AS clicks,
    sumOrNullIf(part, result = 'spooled') / any(seconds) AS spooled,
    sumOrNullIf(part, result = 'shed') / any(seconds) AS shed,
    sumOrNullIf(part, result = 'rejected') / any(seconds) AS rejected,
    sumOrNullIf(part, result IN ('refused', 'unacknowledged')) / any(seconds) AS refused
FROM
(
    -- include: steps
) AS steps
LEFT JOIN
(
    -- include: spread
) AS spread USING (step_at)
GROUP BY time
ORDER BY time

-- name: pipeline_stages
-- Records a second that each stage's workers handled and acknowledged, averages of each step.
WITH
    -- include: span
    , ['sendlens_records_handled_total'] AS wanted
SELECT
    time,
    sumOrNullIf(part, stage = 'sender') / any(seconds) AS sender,
    sumOrNullIf(part, stage = 'judge') / any(seconds) AS judge,
    sumOrNullIf(part, stage = 'reader') / any(seconds) AS reader,
    sumOrNullIf(part, stage = 'guard') / any(seconds) AS guard,
    sumOrNullIf(part, stage = 'store') / any(seconds) AS store,
    sumOrNullIf(part, stage = 'webhooks') / any(seconds) AS webhooks
FROM
(
    -- include: steps
) AS steps
LEFT JOIN
(
    -- include: spread
) AS spread USING (step_at)
GROUP BY time
ORDER BY time

-- name: pipeline_lag
-- Records of each stage's topics that no worker of it has acknowledged, the most in each step; a record of hits or
-- events is a batch of them. Every worker of a stage tells the lag of the whole stage. NULL where nobody told.
WITH
    -- include: span
    , ['sendlens_stage_lag_records'] AS wanted
SELECT
    time,
    maxOrNullIf(value, stage = 'sender') AS sender,
    maxOrNullIf(value, stage = 'judge') AS judge,
    maxOrNullIf(value, stage = 'reader') AS reader,
    maxOrNullIf(value, stage = 'guard') AS guard,
    maxOrNullIf(value, stage = 'store') AS store,
    maxOrNullIf(value, stage = 'webhooks') AS webhooks
FROM
(
    -- include: steps
) AS steps
LEFT JOIN
(
    -- include: gauges
) AS told USING (step_at)
GROUP BY time
ORDER BY time

-- name: pipeline_acks
-- From the first hit of a batch to Kafka's answer for it, in seconds: below `p50` half of the batches of each step,
-- below `p99` 99 of 100. Of all ingest processes together, from histograms, so as exact as their buckets are narrow.
WITH
    -- include: span
    , ['sendlens_ack_seconds_bucket'] AS wanted
SELECT
    time,
    if(max(batches) > 0, quantilePrometheusHistogram(0.5)(le, batches), NULL) AS p50,
    if(max(batches) > 0, quantilePrometheusHistogram(0.99)(le, batches), NULL) AS p99
FROM
(
    -- include: steps
) AS steps
LEFT JOIN
(
    SELECT step_at, le, sum(part) AS batches
    FROM
    (
        -- include: spread
    )
    GROUP BY step_at, le
) AS answered USING (step_at)
GROUP BY time
ORDER BY time

-- name: pipeline_spool
-- Hits that wait in ingest: in flight, which Kafka has not acknowledged yet, and in the spool on disk while Kafka is
-- away; the most of each step, summed over processes. NULL where nobody told.
WITH
    -- include: span
    , ['sendlens_hits_in_flight', 'sendlens_spool_hits'] AS wanted
SELECT
    time,
    sumOrNullIf(value, stayed AND name = 'sendlens_hits_in_flight') AS in_flight,
    sumOrNullIf(value, stayed AND name = 'sendlens_spool_hits') AS spooled
FROM
(
    -- include: steps
) AS steps
LEFT JOIN
(
    -- include: gauges
) AS told USING (step_at)
GROUP BY time
ORDER BY time

-- name: pipeline_memory
-- Memory that processes hold (resident), in bytes, the most of each step, summed over the processes of a role.
WITH
    -- include: span
    , ['process_resident_memory_bytes'] AS wanted
SELECT
    time,
    sumOrNullIf(value, stayed AND role = 'ingest') AS ingest,
    sumOrNullIf(value, stayed AND role = 'worker') AS worker,
    sumOrNullIf(value, stayed AND role = 'inbox') AS inbox,
    sumOrNullIf(value, stayed AND role = 'clickhouse') AS clickhouse
FROM
(
    -- include: steps
) AS steps
LEFT JOIN
(
    -- include: gauges
) AS told USING (step_at)
GROUP BY time
ORDER BY time

-- name: pipeline_dead
-- Records set aside in the topic `dead`, by the stage that could not process them, in each step. Counts, so no
-- denominator; NULL where no worker told anything.
WITH
    -- include: span
    , ['sendlens_dead_letters_total', 'sendlens_records_held'] AS wanted
SELECT
    time,
    if(max(told), sumIf(grown, stage = 'sender')::Nullable(UInt64), NULL) AS sender,
    if(max(told), sumIf(grown, stage = 'judge')::Nullable(UInt64), NULL) AS judge,
    if(max(told), sumIf(grown, stage = 'reader')::Nullable(UInt64), NULL) AS reader,
    if(max(told), sumIf(grown, stage = 'guard')::Nullable(UInt64), NULL) AS guard,
    if(max(told), sumIf(grown, stage = 'store')::Nullable(UInt64), NULL) AS store,
    if(max(told), sumIf(grown, stage = 'webhooks')::Nullable(UInt64), NULL) AS webhooks
FROM
(
    -- include: steps
) AS steps
LEFT JOIN
(
    SELECT
        intDiv(toUnixTimestamp64Milli(seen_at) - toUnixTimestamp64Milli(start), step)::UInt64 AS step_at,
        stage,
        grown,
        true AS told
    FROM
    (
        -- include: dead_letters
    )
    WHERE seen_at >= start
) AS dead USING (step_at)
GROUP BY time
ORDER BY time

-- name: pipeline_dead_reasons
-- Records set aside in the topic `dead` in the period, by stage and reason, the most first, and when they were last told
-- of, to the half hour when the period is long. Counts, so no denominator.
WITH
    {since:DateTime64(3, 'UTC')} AS asked,
    {until:DateTime64(3, 'UTC')} AS until,
    until > asked + INTERVAL 12 HOUR AS coarse,
    if(coarse, 1800000, 1) AS grain,
    if(coarse, 1800000, 20000) AS step,
    fromUnixTimestamp64Milli(intDiv(toUnixTimestamp64Milli(asked), grain) * grain, 'UTC') AS start,
    ['sendlens_dead_letters_total'] AS wanted
SELECT reason, stage, sum(grown)::UInt64 AS records, max(seen_at) AS last_at
FROM
(
    -- include: dead_letters
)
WHERE seen_at >= start AND grown > 0
GROUP BY reason, stage
ORDER BY records DESC, stage, reason
LIMIT 100

-- name: pipeline_ack_total
-- Kafka's answers to ingest in the period, and in the period of equal length before it, in seconds: below `p50` half of
-- all batches, below `p99` 99 of 100. Always two rows, `period` 0 is the one before.
WITH
    -- include: two_periods
    , ['sendlens_ack_seconds_bucket'] AS wanted
SELECT
    number AS period,
    if(max(batches) > 0, quantilePrometheusHistogram(0.5)(le, batches), NULL) AS p50,
    if(max(batches) > 0, quantilePrometheusHistogram(0.99)(le, batches), NULL) AS p99
FROM (SELECT number FROM numbers(2)) AS periods
LEFT JOIN
(
    SELECT (to_at >= since)::UInt64 AS number, le, sum(increase) AS batches
    FROM
    (
        -- include: increases
    )
    WHERE to_at >= start
    GROUP BY number, le
) AS answered USING (number)
GROUP BY period
ORDER BY period

-- name: pipeline_dead_total
-- Records set aside in the topic `dead` in the period, and in the period of equal length before it. A count, without a
-- denominator. Always two rows, `period` 0 is the one before; NULL where no worker told anything.
WITH
    -- include: two_periods
    , ['sendlens_dead_letters_total', 'sendlens_records_held'] AS wanted
SELECT number AS period, if(max(told), sum(grown)::Nullable(UInt64), NULL) AS dead_letters
FROM (SELECT number FROM numbers(2)) AS periods
LEFT JOIN
(
    SELECT (seen_at >= since)::UInt64 AS number, grown, true AS told
    FROM
    (
        -- include: dead_letters
    )
    WHERE seen_at >= start
) AS dead USING (number)
GROUP BY period
ORDER BY period

-- name: alert_lag
-- For alert rules: records that no worker of a stage has acknowledged, at the end of the period, a row for each stage of
-- which a worker told in its last minute. A count, without a denominator. No row is a reason for an alert too: then
-- nobody reads at all, or ClickHouse is not written to.
WITH
    {since:DateTime64(3, 'UTC')} AS since,
    {until:DateTime64(3, 'UTC')} AS until
SELECT stage, max(latest) AS lag
FROM
(
    SELECT stage, instance, argMax(value, at) AS latest
    FROM samples
    WHERE name = 'sendlens_stage_lag_records' AND at >= greatest(since, until - INTERVAL 1 MINUTE) AND at < until
    GROUP BY stage, instance
)
GROUP BY stage
ORDER BY stage

-- name: alert_dead_letters
-- For alert rules: records set aside in the topic `dead` in the period, a row for each stage of which a worker told in
-- it, 0 included. A count, without a denominator.
WITH
    -- include: two_periods
    , ['sendlens_dead_letters_total', 'sendlens_records_held'] AS wanted
SELECT stage, sum(grown)::UInt64 AS dead_letters
FROM
(
    -- include: dead_letters
)
WHERE seen_at >= since
GROUP BY stage
ORDER BY stage
