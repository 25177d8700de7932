-- Counts ahead what the emails of an hour or a day do to their sender's health: see clickhouse/queries/health.sql.

-- name: email_hours_into_sender_runs
-- Fold the emails that met something in these hours.
INSERT INTO sender_runs
WITH
    -- include: emails_in_order
    ,
    -- include: folded_run
SELECT
    'hour' AS grain,
    slot,
    sender,
    -- include: seen_of_slot
    ,
    -- include: run
FROM
(
    -- include: met
    AND slot IN {slots:Array(DateTime('UTC'))}
)
GROUP BY slot, sender

-- name: email_days_into_sender_runs
-- Fold the hours of these days.
INSERT INTO sender_runs
WITH
    -- include: runs_in_order
    ,
    -- include: folded_run
SELECT
    'day' AS grain,
    day,
    sender,
    -- include: seen_of_day
    ,
    -- include: run
FROM
(
    SELECT
        toStartOfDay(slot) AS day,
        sender,
        slot AS at,
        -- include: run_names
    FROM sender_runs FINAL
    WHERE sender_runs.grain = 'hour' AND (slot, sender_runs.seen) IN
    (
        -- include: email_hours_of_days
    )
) AS runs
GROUP BY day, sender
