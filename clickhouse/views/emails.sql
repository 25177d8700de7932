-- What became of the emails that were sent. An email is counted once, however often it happened and however often its event
-- was delivered.

-- view: headline
-- Counts and rates of the emails sent in the period, and of those sent in the period of equal length before it. Always
-- two rows: `period` 0 is the one before, 1 is the one asked for.
SELECT * EXCEPT (time, campaign, step, variant, key)
FROM results(
    by = 'variant',
    per = ['period'],
    grains = ['day', 'hour'],
    together = 1,
    begin = subtractMilliseconds(
        {since:DateTime64(3, 'UTC')}, dateDiff('millisecond', {since:DateTime64(3, 'UTC')}, {until:DateTime64(3, 'UTC')})
    ),
    since = {since:DateTime64(3, 'UTC')},
    until = {until:DateTime64(3, 'UTC')},
    campaigns = {campaigns:Array(String)},
    steps = [],
    senders = [],
    unit = 'day',
    timezone = 'UTC'
)
ORDER BY period WITH FILL FROM 0 TO 2

-- view: funnel
-- Of the emails sent in the period, how many got how far. `share` and `raw_share` are the rates of `results`: of delivered
-- (opens of those with a pixel, clicks of those with links), and delivered of sent. Sent is no share of anything. Five rows in
-- order.
SELECT
    row.1 AS stage,
    row.2 AS emails,
    row.3 AS raw_emails,
    row.4 AS share,
    row.5 AS raw_share
FROM
(
    SELECT *
    FROM results(
        by = 'variant',
        per = ['period'],
        grains = ['day', 'hour'],
        together = 1,
        begin = {since:DateTime64(3, 'UTC')},
        since = {since:DateTime64(3, 'UTC')},
        until = {until:DateTime64(3, 'UTC')},
        campaigns = {campaigns:Array(String)},
        steps = [],
        senders = [],
        unit = 'day',
        timezone = 'UTC'
    )
    ORDER BY period WITH FILL FROM 1 TO 2
)
ARRAY JOIN [
    ('Sent', sent, NULL, NULL, NULL),
    ('Delivered', delivered, NULL, delivery_rate, NULL),
    ('Opened', opened, raw_opened, open_rate, raw_open_rate),
    ('Clicked', clicked, raw_clicked, click_rate, raw_click_rate),
    ('Replied', replied, raw_replied, reply_rate, raw_reply_rate)
]::Array(Tuple(String, UInt64, Nullable(UInt64), Nullable(Float64), Nullable(Float64))) AS row

-- view: activity
-- What happened when: emails sent, opened, clicked and replied to for the first time by a person, and unsubscribed
-- from, each at its own time, whenever the email was sent. Counts, so no denominator. By minute up to 3 hours, by hour
-- up to 3 days, else by day of {timezone}; quiet times are rows of zeros.
SELECT *
FROM campaign_activity(
    since = {since:DateTime64(3, 'UTC')},
    until = {until:DateTime64(3, 'UTC')},
    campaigns = {campaigns:Array(String)},
    steps = [],
    timezone = {timezone:String}
)
ORDER BY time

-- view: by_campaign
-- Counts and rates of the emails sent in the period, for each campaign, the largest first.
SELECT
    campaign AS campaign_id,
    if(known.name = '', campaign, known.name) AS campaign_name,
    if(pauses.paused, 'Paused', 'Active') AS state,
    results.* EXCEPT (period, time, campaign, step, variant, key)
FROM results(
    by = 'variant',
    per = ['campaign'],
    grains = ['day', 'hour'],
    together = 0,
    begin = {since:DateTime64(3, 'UTC')},
    since = {since:DateTime64(3, 'UTC')},
    until = {until:DateTime64(3, 'UTC')},
    campaigns = {campaigns:Array(String)},
    steps = [],
    senders = [],
    unit = 'day',
    timezone = 'UTC'
) AS results
LEFT JOIN (SELECT id, name FROM campaigns FINAL) AS known ON known.id = campaign
LEFT JOIN (SELECT campaign AS id, paused FROM pauses FINAL) AS pauses ON pauses.id = campaign
ORDER BY sent DESC, campaign_name, campaign_id
LIMIT 500
