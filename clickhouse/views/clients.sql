-- With which mail clients, browsers and devices people open and click, and in which countries. Counts of hits by people alone,
-- repeats included, at the time they came: robots and privacy proxies are on Robots.

-- view: people_counted
-- The opens and clicks of people in the period as counts, of which there may be many rows; add them up. `by` says what the
-- `name` is: the 'client' (mail client or browser), the 'device' or the 'country'.
WITH
    (
        SELECT groupUniqArray(rollup)
        FROM chosen_rollups(
            of = 'hit',
            grains = ['day', 'hour'],
            begin = {since:DateTime64(3, 'UTC')},
            since = {since:DateTime64(3, 'UTC')},
            until = {until:DateTime64(3, 'UTC')},
            unit = 'day',
            timezone = 'UTC',
            piece = 3600
        )
    ) AS rollups
SELECT
    step,
    toString(if({by:String} = 'device', device, key)) AS name,
    opens,
    clicks
FROM hit_counts FINAL
WHERE by = if({by:String} = 'device', 'client', {by:String}) AND (grain, slot, version) IN (SELECT arrayJoin(rollups))
    AND slot >= toStartOfDay({since:DateTime64(3, 'UTC')}) AND slot < {until:DateTime64(3, 'UTC')}
    AND (notEmpty({campaigns:Array(String)}) OR campaign = '')
    AND (empty({campaigns:Array(String)}) OR has({campaigns:Array(String)}, campaign))
UNION ALL
SELECT
    step,
    multiIf({by:String} = 'client', toString(client), {by:String} = 'device', toString(device), toString(country)) AS name,
    kind = 'open' AS opens,
    kind = 'click' AS clicks
FROM judged_hits FINAL
WHERE slot IN (SELECT rollup.2 FROM (SELECT arrayJoin(rollups) AS rollup) WHERE rollup.1 = 'raw')
    AND at >= {since:DateTime64(3, 'UTC')} AND at < {until:DateTime64(3, 'UTC')}
    AND (empty({campaigns:Array(String)}) OR has({campaigns:Array(String)}, campaign))
    AND verdict = 'human'

-- view: people_by
-- People's opens and clicks of the period by what `by` says, as `people_counted` has it, of the steps chosen. `open_share` is of
-- all opens by people, `click_share` of all clicks by people, so each adds up to 1.
SELECT
    name,
    opens,
    clicks,
    opens / nullIf(sum(opens) OVER (), 0) AS open_share,
    clicks / nullIf(sum(clicks) OVER (), 0) AS click_share
FROM
(
    SELECT name, sum(counted.opens) AS opens, sum(counted.clicks) AS clicks
    FROM people_counted(
        by = {by:String},
        since = {since:DateTime64(3, 'UTC')},
        until = {until:DateTime64(3, 'UTC')},
        campaigns = {campaigns:Array(String)}
    ) AS counted
    WHERE empty({steps:Array(UInt8)}) OR has({steps:Array(UInt8)}, step)
    GROUP BY name
)

-- view: opens_by_client
-- People's opens of the period by mail client, those with most first, at most 50. `share` is of all opens by people. A mail
-- provider's proxy says nothing of the device; a browser is webmail's reader.
SELECT if(name = '', 'Not recorded', name) AS client_name, opens, open_share AS share
FROM people_by(
    by = 'client',
    since = {since:DateTime64(3, 'UTC')},
    until = {until:DateTime64(3, 'UTC')},
    campaigns = {campaigns:Array(String)},
    steps = {steps:Array(UInt8)}
)
WHERE opens > 0
ORDER BY opens DESC, client_name
LIMIT 50

-- view: clicks_by_client
-- People's clicks of the period by browser, or by the app that showed the page, those with most first, at most 50. `share` is
-- of all clicks by people.
SELECT if(name = '', 'Not recorded', name) AS client_name, clicks, click_share AS share
FROM people_by(
    by = 'client',
    since = {since:DateTime64(3, 'UTC')},
    until = {until:DateTime64(3, 'UTC')},
    campaigns = {campaigns:Array(String)},
    steps = {steps:Array(UInt8)}
)
WHERE clicks > 0
ORDER BY clicks DESC, client_name
LIMIT 50

-- view: people_by_device
-- People's opens and clicks of the period by kind of device: desktop, mobile, tablet, other (televisions, consoles, watches),
-- unknown (a mail provider's proxy asked, or the agent says nothing of it). `open_share` is of all opens by people,
-- `click_share` of all clicks by people.
SELECT if(name = '', 'Not recorded', name) AS device_name, opens, clicks, open_share, click_share
FROM people_by(
    by = 'device',
    since = {since:DateTime64(3, 'UTC')},
    until = {until:DateTime64(3, 'UTC')},
    campaigns = {campaigns:Array(String)},
    steps = {steps:Array(UInt8)}
)
ORDER BY opens + clicks DESC, device_name

-- view: people_by_country
-- People's opens and clicks of the period by country (ISO 3166-1 alpha-2), those with most first, at most 250; no row where
-- no country is known of any. Opens that came by a mail provider's proxy count in the proxy's country. Shares as in
-- `people_by_device`.
SELECT if(name = '', 'No country', name) AS country_name, opens, clicks, open_share, click_share
FROM people_by(
    by = 'country',
    since = {since:DateTime64(3, 'UTC')},
    until = {until:DateTime64(3, 'UTC')},
    campaigns = {campaigns:Array(String)},
    steps = {steps:Array(UInt8)}
)
QUALIFY max(name != '') OVER ()
ORDER BY opens + clicks DESC, country_name
LIMIT 250
