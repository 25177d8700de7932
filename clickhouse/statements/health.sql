-- Counts ahead what the emails of an hour or a day do to their sender's health: see clickhouse/queries/health.sql.

-- name: email_hours_into_sender_runs
-- Fold the emails that met something in these hours.
INSERT INTO sender_runs
SELECT
    'hour' AS grain,
    piece AS slot,
    sender,
    -- include: seen_of_slot
    ,
    -- include: run_names
FROM
(
    WITH runs AS
    (
        SELECT *, slot AS piece
        FROM
        (
            WITH hours AS (SELECT arrayJoin({slots:Array(DateTime('UTC'))}))
            -- include: met
        )
    )
    -- include: runs_of_runs
)

-- name: email_days_into_sender_runs
-- Fold the hours of these days.
INSERT INTO sender_runs
SELECT
    'day' AS grain,
    piece AS day,
    sender,
    -- include: seen_of_day
    ,
    -- include: run_names
FROM
(
    WITH runs AS
    (
        SELECT *, slot AS at, toStartOfDay(slot) AS piece
        FROM sender_runs FINAL
        WHERE grain = 'hour' AND (slot, seen) IN
        (
            -- include: email_hours_of_days
        )
    )
    -- include: runs_of_runs
)
