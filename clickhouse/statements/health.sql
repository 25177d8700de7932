-- Counts ahead what the emails of an hour or a day do to their sender's health: see clickhouse/views/health.sql.

-- name: email_hours_into_sender_runs
-- Fold the emails that met something in these hours.
INSERT INTO sender_runs
SELECT
    'hour' AS grain,
    piece AS slot,
    sender,
    {versions:Array(UInt64)}[indexOf({slots:Array(DateTime('UTC'))}, slot)] AS version,
    emails,
    before,
    after,
    shift,
    low,
    high
FROM folded_runs(
    rollups = (SELECT groupArray(('raw', slot, 0)) FROM (SELECT arrayJoin({slots:Array(DateTime('UTC'))}) AS slot)),
    since = '1970-01-01 00:00:00',
    until = '2100-01-01 00:00:00',
    unit = 'hour',
    timezone = 'UTC'
)

-- name: email_days_into_sender_runs
-- Fold the hours of these days.
INSERT INTO sender_runs
SELECT
    'day' AS grain,
    piece AS day,
    sender,
    {versions:Array(UInt64)}[indexOf({slots:Array(DateTime('UTC'))}, day)] AS version,
    emails,
    before,
    after,
    shift,
    low,
    high
FROM folded_runs(
    rollups = (
        SELECT groupArray(('hour', slot, counted))
        FROM slots FINAL
        WHERE of = 'email' AND toStartOfDay(slot) IN {slots:Array(DateTime('UTC'))}
    ),
    since = '1970-01-01 00:00:00',
    until = '2100-01-01 00:00:00',
    unit = 'day',
    timezone = 'UTC'
)
