-- When to send.

-- view: send_hours
-- The emails sent in the period by the hour of the day, of {timezone}, in which they were sent: how many were delivered, and
-- what a person opened, clicked in and answered. Rates are those of `results`. Always 24 rows, hour 0 to 23.
SELECT
    concat(leftPad(toString(hour), 2, '0'), ':00') AS sent_in,
    sum(counted.delivered) AS delivered,
    sum(counted.opened) AS opened,
    sum(counted.clicked) AS clicked,
    sum(counted.replied) AS replied,
    sum(counted.opened_with_pixel) / nullIf(sum(counted.delivered_with_pixel), 0) AS open_rate,
    clicked / nullIf(sum(counted.delivered_with_links), 0) AS click_rate,
    replied / nullIf(delivered, 0) AS reply_rate
FROM
(
    SELECT
        toHour(time, {timezone:String}) AS hour,
        delivered,
        opened,
        clicked,
        replied,
        opened_with_pixel,
        delivered_with_pixel,
        delivered_with_links
    FROM results(
        by = 'variant',
        per = ['time'],
        grains = ['hour'],
        together = 1,
        begin = {since:DateTime64(3, 'UTC')},
        since = {since:DateTime64(3, 'UTC')},
        until = {until:DateTime64(3, 'UTC')},
        campaigns = {campaigns:Array(String)},
        steps = {steps:Array(UInt8)},
        senders = [],
        unit = 'hour',
        timezone = {timezone:String}
    )
    UNION ALL
    SELECT number, 0, 0, 0, 0, 0, 0, 0 FROM numbers(24)
) AS counted
GROUP BY hour
ORDER BY hour
