-- name: written_in_period
-- An hour of the period, or of the one of equal length before it, of which anything is written; no row where both are quiet:
-- then no view of the period has a row to read, because rollups and rows alike are found by what is written in `slots`. One
-- part's row is enough to know, so not FINAL.
SELECT slot
FROM slots
WHERE of IN ('email', 'hit') AND written > 0
    AND slot >= toStartOfHour(subtractMilliseconds(
        {since:DateTime64(3, 'UTC')}, dateDiff('millisecond', {since:DateTime64(3, 'UTC')}, {until:DateTime64(3, 'UTC')})
    ))
    AND slot < {until:DateTime64(3, 'UTC')}
LIMIT 1
