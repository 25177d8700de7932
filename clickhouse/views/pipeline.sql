-- How the stream runs: counted from `samples`, in which each process reports its own figures every few seconds. So what
-- nobody reported is unknown: NULL, a gap in a chart, and not 0.
--
-- A figure has a `name` and labels (`kind`, `result`, `stage`, `reason`, and `le`, the upper bound of a histogram's bucket),
-- and is of one process: `role`, `instance`, `started_at`. A period of more than 12 hours is read by half hours.

-- view: samples_span
-- How the period is cut, one row: `step` in milliseconds, at most a few hundred of them in a chart; `start`, which is `since`,
-- or where the step begins in which that is; and `begin`, from which on numbers are asked for: `start`, or with `before` = 1
-- that of the period of equal length before it. Steps of half an hour and more begin where half hours do.
SELECT
    step,
    fromUnixTimestamp64Milli(start_ms, 'UTC') AS start,
    fromUnixTimestamp64Milli(
        start_ms - {before:UInt8}
            * intDiv(toUnixTimestamp64Milli({until:DateTime64(3, 'UTC')}) - start_ms + grain - 1, grain) * grain,
        'UTC'
    ) AS begin
FROM
(
    -- 30 s up to an hour, a minute up to 3 hours, then 5 minutes up to 12 hours, half an hour up to 3 days, 2 hours up to
    -- 14 days, 6 hours up to 90 days, and days.
    SELECT
        toInt64(transform(
            roundDown(
                toUInt64(dateDiff('millisecond', {since:DateTime64(3, 'UTC')}, {until:DateTime64(3, 'UTC')}) - 1),
                [0, 3600000, 10800000, 43200000, 259200000, 1209600000, 7776000000]
            ),
            [0, 3600000, 10800000, 43200000, 259200000, 1209600000, 7776000000],
            [30000, 60000, 300000, 1800000, 7200000, 21600000, 86400000],
            0
        )) AS step,
        multiIf({before:UInt8} = 0, step, step < 1800000, 1, 1800000) AS grain,
        intDiv(toUnixTimestamp64Milli({since:DateTime64(3, 'UTC')}), grain) * grain AS start_ms
)

-- view: samples_read
-- What was reported of these figures in the period (with `before` = 1 in the one before it too) and for some time before it,
-- where a step, or the growth of a counter, may begin: samples, or half hours of them where the period is a long one, but for
-- the last half hour, which may not be over. `lowest` and `highest` are the first value of a counter and its last.
SELECT
    role, instance, started_at, name, kind, result, stage, reason, le,
    at AS first_at,
    at AS last_at,
    value AS lowest,
    value AS highest
FROM samples
WHERE name IN {names:Array(String)} AND at < {until:DateTime64(3, 'UTC')}
    AND at >= if(
        {until:DateTime64(3, 'UTC')} > addHours({since:DateTime64(3, 'UTC')}, 12),
        toDateTime64(toStartOfInterval({until:DateTime64(3, 'UTC')}, INTERVAL 30 MINUTE), 3),
        subtractMilliseconds(
            {since:DateTime64(3, 'UTC')},
            {before:UInt8} * dateDiff('millisecond', {since:DateTime64(3, 'UTC')}, {until:DateTime64(3, 'UTC')}) + 360000
        )
    )
UNION ALL
SELECT
    role, instance, started_at, name, kind, result, stage, reason, le,
    first_at,
    last_at,
    lowest,
    highest
FROM samples_by_half_hour
WHERE {until:DateTime64(3, 'UTC')} > addHours({since:DateTime64(3, 'UTC')}, 12) AND name IN {names:Array(String)}
    AND half_hour >= subtractMilliseconds(
        {since:DateTime64(3, 'UTC')},
        {before:UInt8} * dateDiff('millisecond', {since:DateTime64(3, 'UTC')}, {until:DateTime64(3, 'UTC')}) + 90000000
    )
    AND half_hour < toStartOfInterval({until:DateTime64(3, 'UTC')}, INTERVAL 30 MINUTE)

-- view: counter_increases
-- By how much each of these counters grew, from its last sample in one `cell` (milliseconds, 0 for the step of a chart) to its
-- last in the next one. That was from `from_at` to `to_at`. Before the first sample of a counter stands its birth, when it was
-- 0; a process that was restarted has counters of another birth, so nothing is lost or counted twice. Only of a counter older
-- than what is read is the growth before its first sample unknown. `period` is 1 for what grew in the period, and 0 for what
-- grew in the one before it.
SELECT
    *,
    to_at >= start AS period,
    ifNull(lagInFrame(toNullable(to_at)) OVER one, if(is_born, started_at, cell_first)) AS from_at,
    cell_highest - ifNull(lagInFrame(toNullable(cell_highest)) OVER one, if(is_born, 0, cell_lowest)) AS increase
FROM
(
    SELECT
        role, instance, started_at, name, kind, result, stage, reason, le,
        any(span.step) AS step,
        any(span.start) AS start,
        any(span.begin) AS begin,
        min(first_at) AS cell_first,
        max(last_at) AS to_at,
        min(lowest) AS cell_lowest,
        max(highest) AS cell_highest,
        -- As far back as samples_read reads.
        started_at >= subtractMilliseconds(
            {since:DateTime64(3, 'UTC')},
            {before:UInt8} * dateDiff('millisecond', {since:DateTime64(3, 'UTC')}, {until:DateTime64(3, 'UTC')})
                + if({until:DateTime64(3, 'UTC')} > addHours({since:DateTime64(3, 'UTC')}, 12), 90000000, 360000)
        ) AS is_born
    FROM samples_read(
        names = {names:Array(String)},
        since = {since:DateTime64(3, 'UTC')},
        until = {until:DateTime64(3, 'UTC')},
        before = {before:UInt8}
    ) AS found
    CROSS JOIN samples_span(
        since = {since:DateTime64(3, 'UTC')}, until = {until:DateTime64(3, 'UTC')}, before = {before:UInt8}
    ) AS span
    GROUP BY role, instance, started_at, name, kind, result, stage, reason, le, last_at < span.begin, last_at < span.start,
        intDiv(toUnixTimestamp64Milli(last_at), if({cell:Int64} = 0, span.step, {cell:Int64}))
)
WINDOW one AS (PARTITION BY role, instance, started_at, name, kind, result, stage, reason, le ORDER BY to_at)
QUALIFY to_at >= begin

-- view: chart_steps
-- Every step of a chart of the period, whether anything was reported in it or not.
SELECT
    fromUnixTimestamp64Milli(arrayJoin(range(
        toUnixTimestamp64Milli(start), toUnixTimestamp64Milli({until:DateTime64(3, 'UTC')}), step
    )), 'UTC') AS time
FROM samples_span(since = {since:DateTime64(3, 'UTC')}, until = {until:DateTime64(3, 'UTC')}, before = 0)

-- view: counter_rates
-- By how much each of these counters grew in each step of a chart (`increase`), and a second: what grew between two samples
-- is spread evenly over that time. A step in which nothing was reported has a row of NULL.
SELECT
    fromUnixTimestamp64Milli(step_ms, 'UTC') AS time,
    kind,
    result,
    stage,
    le,
    grown * (least(to_ms, step_ms + step) - greatest(from_ms, step_ms)) / nullIf(to_ms - from_ms, 0) AS increase,
    -- The last step is not over: it is as long as what is known of it.
    increase * 1000 / (least(max(to_ms) OVER (), step_ms + step) - step_ms) AS per_second
FROM
(
    SELECT
        kind,
        result,
        stage,
        le,
        step,
        counted.increase AS grown,
        toUnixTimestamp64Milli(from_at) AS from_ms,
        toUnixTimestamp64Milli(to_at) AS to_ms,
        arrayJoin(range(intDiv(greatest(from_ms, toUnixTimestamp64Milli(start)), step) * step, to_ms, step)) AS step_ms
    FROM counter_increases(
        names = {names:Array(String)},
        since = {since:DateTime64(3, 'UTC')},
        until = {until:DateTime64(3, 'UTC')},
        before = 0,
        cell = 0
    ) AS counted
)
UNION ALL
SELECT time, '' AS kind, '' AS result, '' AS stage, 0 AS le, NULL AS increase, NULL AS per_second
FROM chart_steps(since = {since:DateTime64(3, 'UTC')}, until = {until:DateTime64(3, 'UTC')})

-- view: gauge_steps
-- The most that each of these gauges was in each step of a chart. `stayed`: its process reported to the end of what is known
-- of the step, so that one which took the place of another is not added to it. A step in which nothing was reported has a row
-- of NULL.
SELECT
    fromUnixTimestamp64Milli(intDiv(toUnixTimestamp64Milli(last_at), span.step) * span.step, 'UTC') AS time,
    role,
    name,
    stage,
    toNullable(max(highest)) AS value,
    max(last_at) >= max(max(last_at)) OVER (PARTITION BY time, role) - INTERVAL 1 MINUTE AS stayed
FROM samples_read(
    names = {names:Array(String)}, since = {since:DateTime64(3, 'UTC')}, until = {until:DateTime64(3, 'UTC')}, before = 0
) AS found
CROSS JOIN samples_span(since = {since:DateTime64(3, 'UTC')}, until = {until:DateTime64(3, 'UTC')}, before = 0) AS span
WHERE last_at >= span.start
GROUP BY time, role, instance, name, stage
UNION ALL
SELECT time, '' AS role, '' AS name, '' AS stage, NULL AS value, 0 AS stayed
FROM chart_steps(since = {since:DateTime64(3, 'UTC')}, until = {until:DateTime64(3, 'UTC')})

-- view: dead_letters_counted
-- Records set aside in the topic `dead`, when that was reported, and in which step of a chart (`time`). A stage that never set
-- one aside has no such counter, so the workers of a stage are known by the records that they hold, which count as 0.
SELECT
    period,
    to_at AS seen_at,
    fromUnixTimestamp64Milli(intDiv(toUnixTimestamp64Milli(to_at), step) * step, 'UTC') AS time,
    stage,
    reason,
    if(name = 'sendlens_records_held', 0, increase) AS dead_letters
FROM counter_increases(
    names = ['sendlens_dead_letters_total', 'sendlens_records_held'],
    since = {since:DateTime64(3, 'UTC')},
    until = {until:DateTime64(3, 'UTC')},
    before = {before:UInt8},
    cell = 20000
)

-- view: last_minutes
-- What each process reported in the minute before the end of the period (`period` = 1) and in the one before its beginning
-- (0): rates over what is known of the minute, else its last figures. The lag of a stage is reported by each of its workers.
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
    maxOrNullIf(last_value, name = 'sendlens_spool_age_seconds') AS spool_age,
    maxOrNullIf(last_value, name = 'sendlens_broker_in_memory') AS broker_in_memory
FROM
(
    SELECT
        at >= subtractMinutes({until:DateTime64(3, 'UTC')}, 1) AS period,
        role, instance, started_at, name, kind, result, stage, reason, le,
        min(at) AS first_at,
        max(at) AS last_at,
        argMax(value, at) AS last_value,
        started_at >= subtractMinutes(if(period, {until:DateTime64(3, 'UTC')}, {since:DateTime64(3, 'UTC')}), 1) AS is_born,
        last_value - if(is_born, 0, argMin(value, at)) AS increase
    FROM samples
    WHERE (
            (at >= subtractMinutes({until:DateTime64(3, 'UTC')}, 1) AND at < {until:DateTime64(3, 'UTC')})
            OR (at >= subtractMinutes({since:DateTime64(3, 'UTC')}, 1) AND at < {since:DateTime64(3, 'UTC')})
        )
        AND name IN (
            'process_cpu_seconds_total', 'process_resident_memory_bytes', 'sendlens_hits_total',
            'sendlens_verdicts_total', 'sendlens_records_handled_total', 'sendlens_inbox_mails_total',
            'sendlens_own_lag_records', 'sendlens_inbox_behind_mails', 'sendlens_stage_lag_records',
            'sendlens_spool_hits', 'sendlens_spool_bytes', 'sendlens_spool_age_seconds',
            'sendlens_broker_in_memory'
        )
    GROUP BY period, role, instance, started_at, name, kind, result, stage, reason, le
)
GROUP BY period, role, instance

-- view: pipeline_now
-- How it stands at the end of the period, and stood at its beginning: always two rows, `period` 1 and 0. Hits a second
-- that ingest was asked for, over the last minute. Records that stages have not acknowledged, summed over stages, a
-- record of hits or events being a batch of them. What the spool holds, and the age of its oldest hit in seconds.
-- Processes that reported in the last 30 s. Counts, so no denominator; NULL where nobody reported.
SELECT
    moment AS period,
    sumOrNullIf(hits, role = 'ingest') AS hits_per_second,
    if(empty(maxMap(lags)), NULL, arraySum(mapValues(maxMap(lags)))) AS lag,
    sum(reported.spool_hits) AS spool_hits,
    sum(reported.spool_bytes) AS spool_bytes,
    max(reported.spool_age) AS spool_age,
    countIf(seen_at >= subtractSeconds(if(moment, {until:DateTime64(3, 'UTC')}, {since:DateTime64(3, 'UTC')}), 30)) AS processes
FROM (SELECT toUInt8(number) AS moment FROM numbers(2)) AS moments
LEFT JOIN last_minutes(
    since = {since:DateTime64(3, 'UTC')}, until = {until:DateTime64(3, 'UTC')}
) AS reported ON reported.period = moment
GROUP BY moment
ORDER BY period

-- view: pipeline_processes
-- Every process that reported in the period, with its last minute before the end of it: hits a second (ingest: asked for;
-- worker: judged), records a second (worker: Kafka records handled; inbox: mails read), records not acknowledged in its own
-- partitions, processors used, memory. Which broker ingest hands hits to: Kafka, or one that keeps everything in memory,
-- which is for trying Sendlens. NULL for what it has not, or did not report any more.
SELECT
    role,
    instance,
    if(seen_seconds <= 30, 'Running', 'Silent') AS state,
    greatest(0, dateDiff('millisecond', seen.last_at, {until:DateTime64(3, 'UTC')}) / 1000) AS seen_seconds,
    greatest(0, dateDiff('second', seen.started_at, {until:DateTime64(3, 'UTC')})) AS up_seconds,
    hits AS hits_per_second,
    records AS records_per_second,
    own_lag AS lag,
    processors,
    coalesce(latest.memory_bytes, seen.memory_bytes) AS memory_bytes,
    if(isNull(broker_in_memory), NULL, if(broker_in_memory = 1, 'In memory: for trying', 'Kafka')) AS broker
FROM
(
    SELECT
        role,
        instance,
        max(heard.last_at) AS last_at,
        max(heard.started_at) AS started_at,
        argMax(highest, heard.last_at) AS memory_bytes
    FROM samples_read(
        names = ['process_resident_memory_bytes'],
        since = {since:DateTime64(3, 'UTC')},
        until = {until:DateTime64(3, 'UTC')},
        before = 0
    ) AS heard
    GROUP BY role, instance
    HAVING last_at >= {since:DateTime64(3, 'UTC')}
) AS seen
LEFT JOIN
(
    SELECT *
    FROM last_minutes(since = {since:DateTime64(3, 'UTC')}, until = {until:DateTime64(3, 'UTC')})
    WHERE period = 1
) AS latest USING (role, instance)
ORDER BY state, indexOf(['ingest', 'worker', 'inbox', 'clickhouse', 'broker'], role), instance
LIMIT 500

-- view: pipeline_hits
-- Hits a second over the period, as ingest answered them: opens and clicks that Kafka has (recorded), and of both
-- together those that wait on disk (spooled), that were repeats beyond a source's share (shed), that proved nothing
-- (rejected), and that were refused or left without a promise. Averages of each step; NULL where nobody reported.
SELECT
    time,
    sumOrNullIf(per_second, kind = 'open' AND result = 'recorded') AS opens,
    sumOrNullIf(per_second, kind = 'click' AND result = 'recorded') AS clicks,
    sumOrNullIf(per_second, result = 'spooled') AS spooled,
    sumOrNullIf(per_second, result = 'shed') AS shed,
    sumOrNullIf(per_second, result = 'rejected') AS rejected,
    sumOrNullIf(per_second, result IN ('refused', 'unacknowledged')) AS refused
FROM counter_rates(names = ['sendlens_hits_total'],
since = {since:DateTime64(3, 'UTC')},
until = {until:DateTime64(3, 'UTC')})
GROUP BY time
ORDER BY time

-- view: pipeline_stages
-- Records a second that each stage's workers handled and acknowledged, averages of each step; NULL where nobody reported.
SELECT
    time,
    sumOrNullIf(per_second, stage = 'sender') AS sender,
    sumOrNullIf(per_second, stage = 'judge') AS judge,
    sumOrNullIf(per_second, stage = 'reader') AS reader,
    sumOrNullIf(per_second, stage = 'guard') AS guard,
    sumOrNullIf(per_second, stage = 'store') AS store,
    sumOrNullIf(per_second, stage = 'webhooks') AS webhooks
FROM counter_rates(
    names = ['sendlens_records_handled_total'], since = {since:DateTime64(3, 'UTC')}, until = {until:DateTime64(3, 'UTC')}
)
GROUP BY time
ORDER BY time

-- view: pipeline_lag
-- Records of each stage's topics that no worker of it has acknowledged, the most in each step; a record of hits or
-- events is a batch of them. Every worker of a stage reports the lag of the whole stage. NULL where nobody reported.
SELECT
    time,
    maxOrNullIf(value, stage = 'sender') AS sender,
    maxOrNullIf(value, stage = 'judge') AS judge,
    maxOrNullIf(value, stage = 'reader') AS reader,
    maxOrNullIf(value, stage = 'guard') AS guard,
    maxOrNullIf(value, stage = 'store') AS store,
    maxOrNullIf(value, stage = 'webhooks') AS webhooks
FROM gauge_steps(
    names = ['sendlens_stage_lag_records'], since = {since:DateTime64(3, 'UTC')}, until = {until:DateTime64(3, 'UTC')}
)
GROUP BY time
ORDER BY time

-- view: pipeline_acks
-- From the first hit of a batch to Kafka's answer for it, in seconds: below `p50` half of the batches of each step,
-- below `p99` 99 of 100. Of all ingest processes together, from histograms, so as exact as their buckets are narrow.
SELECT
    time,
    if(max(batches) > 0, quantilePrometheusHistogram(0.5)(le, batches), NULL) AS p50,
    if(max(batches) > 0, quantilePrometheusHistogram(0.99)(le, batches), NULL) AS p99
FROM
(
    SELECT time, le, sum(increase) AS batches
    FROM counter_rates(
        names = ['sendlens_ack_seconds_bucket'], since = {since:DateTime64(3, 'UTC')}, until = {until:DateTime64(3, 'UTC')}
    )
    GROUP BY time, le
)
GROUP BY time
ORDER BY time

-- view: pipeline_spool
-- Hits that wait in ingest: in flight, which Kafka has not acknowledged yet, and in the spool on disk while Kafka is
-- away; the most of each step, summed over processes. NULL where nobody reported.
SELECT
    time,
    sumOrNullIf(value, stayed AND name = 'sendlens_hits_in_flight') AS in_flight,
    sumOrNullIf(value, stayed AND name = 'sendlens_spool_hits') AS spooled
FROM gauge_steps(
    names = ['sendlens_hits_in_flight', 'sendlens_spool_hits'],
    since = {since:DateTime64(3, 'UTC')},
    until = {until:DateTime64(3, 'UTC')}
)
GROUP BY time
ORDER BY time

-- view: pipeline_memory
-- Memory that processes hold (resident), in bytes, the most of each step, summed over the processes of a role; of brokers
-- the one in memory.
SELECT
    time,
    sumOrNullIf(value, stayed AND role = 'ingest') AS ingest,
    sumOrNullIf(value, stayed AND role = 'worker') AS worker,
    sumOrNullIf(value, stayed AND role = 'inbox') AS inbox,
    sumOrNullIf(value, stayed AND role = 'clickhouse') AS clickhouse,
    sumOrNullIf(value, stayed AND role = 'broker') AS broker
FROM gauge_steps(
    names = ['process_resident_memory_bytes'], since = {since:DateTime64(3, 'UTC')}, until = {until:DateTime64(3, 'UTC')}
)
GROUP BY time
ORDER BY time

-- view: pipeline_dead
-- Records set aside in the topic `dead`, by the stage that could not process them, in each step. Counts, so no
-- denominator; NULL where no worker reported anything.
SELECT
    time,
    if(max(is_known), sumIf(dead_letters, stage = 'sender')::Nullable(UInt64), NULL) AS sender,
    if(max(is_known), sumIf(dead_letters, stage = 'judge')::Nullable(UInt64), NULL) AS judge,
    if(max(is_known), sumIf(dead_letters, stage = 'reader')::Nullable(UInt64), NULL) AS reader,
    if(max(is_known), sumIf(dead_letters, stage = 'guard')::Nullable(UInt64), NULL) AS guard,
    if(max(is_known), sumIf(dead_letters, stage = 'store')::Nullable(UInt64), NULL) AS store,
    if(max(is_known), sumIf(dead_letters, stage = 'webhooks')::Nullable(UInt64), NULL) AS webhooks
FROM
(
    SELECT
        time,
        stage,
        dead_letters,
        1 AS is_known
    FROM dead_letters_counted(since = {since:DateTime64(3, 'UTC')}, until = {until:DateTime64(3, 'UTC')}, before = 0)
    UNION ALL
    SELECT time, '' AS stage, 0 AS dead_letters, 0 AS is_known
    FROM chart_steps(since = {since:DateTime64(3, 'UTC')}, until = {until:DateTime64(3, 'UTC')})
)
GROUP BY time
ORDER BY time

-- view: pipeline_dead_reasons
-- Records set aside in the topic `dead` in the period, by stage and reason, the most first, and when they were last
-- reported, to the half hour when the period is long. Counts, so no denominator.
SELECT reason, stage, sum(counted.dead_letters)::UInt64 AS records, max(seen_at) AS last_at
FROM dead_letters_counted(since = {since:DateTime64(3, 'UTC')}, until = {until:DateTime64(3, 'UTC')}, before = 1) AS counted
WHERE period = 1 AND counted.dead_letters > 0
GROUP BY reason, stage
ORDER BY records DESC, stage, reason
LIMIT 100

-- view: pipeline_ack_total
-- Kafka's answers to ingest in the period, and in the period of equal length before it, in seconds: below `p50` half of
-- all batches, below `p99` 99 of 100. Always two rows, `period` 0 is the one before.
SELECT
    period,
    if(max(batches) > 0, quantilePrometheusHistogram(0.5)(le, batches), NULL) AS p50,
    if(max(batches) > 0, quantilePrometheusHistogram(0.99)(le, batches), NULL) AS p99
FROM
(
    SELECT grown.period AS period, le, sum(increase) AS batches
    FROM counter_increases(
        names = ['sendlens_ack_seconds_bucket'],
        since = {since:DateTime64(3, 'UTC')},
        until = {until:DateTime64(3, 'UTC')},
        before = 1,
        cell = 0
    ) AS grown
    GROUP BY period, le
)
GROUP BY period
ORDER BY period WITH FILL FROM 0 TO 2

-- view: pipeline_dead_total
-- Records set aside in the topic `dead` in the period, and in the period of equal length before it. A count, without a
-- denominator. Always two rows, `period` 0 is the one before; NULL where no worker reported anything.
SELECT period, toNullable(sum(counted.dead_letters)::UInt64) AS dead_letters
FROM dead_letters_counted(since = {since:DateTime64(3, 'UTC')}, until = {until:DateTime64(3, 'UTC')}, before = 1) AS counted
GROUP BY period
ORDER BY period WITH FILL FROM 0 TO 2

-- view: alert_lag
-- For alert rules: records that no worker of a stage has acknowledged, at the end of the period, a row for each stage of
-- which a worker reported in its last minute. A count, without a denominator. No row is a reason for an alert too: then
-- nobody reads at all, or ClickHouse is not written to.
SELECT stage, max(latest) AS lag
FROM
(
    SELECT stage, instance, argMax(value, at) AS latest
    FROM samples
    WHERE name = 'sendlens_stage_lag_records'
        AND at >= greatest({since:DateTime64(3, 'UTC')}, subtractMinutes({until:DateTime64(3, 'UTC')}, 1))
        AND at < {until:DateTime64(3, 'UTC')}
    GROUP BY stage, instance
)
GROUP BY stage
ORDER BY stage

-- view: alert_dead_letters
-- For alert rules: records set aside in the topic `dead` in the period, a row for each stage of which a worker reported in
-- it, 0 included. A count, without a denominator.
SELECT stage, sum(counted.dead_letters)::UInt64 AS dead_letters
FROM dead_letters_counted(since = {since:DateTime64(3, 'UTC')}, until = {until:DateTime64(3, 'UTC')}, before = 1) AS counted
WHERE period = 1
GROUP BY stage
ORDER BY stage
