-- What all numbers are counted from. These views alone know that counts are made ahead (docs/reference/counting.md): each
-- decides once, for its whole question, which rollups say what happened, and reads the rest row by row.
--
-- Words: `since` <= t < `until` is the period; `begin` is `since`, or earlier where a period before it is asked for too
-- (`period` is 1 for what was at `since` or later, and 0 for what was before). `campaigns`, `steps`, `senders`: none chosen
-- means all. `together` = 1 reads the rollups of all campaigns together where none are chosen, which are few rows; with 0 each
-- campaign has its own. `unit` ('minute', 'hour', 'day') and `timezone` say how the time is cut; 'day' and 'UTC' do where it
-- is not.

-- view: chosen_rollups
-- For each hour of the range in which anything happened to `of` ('email' or 'hit'), what tells of it, as `rollup`: the day
-- ('day', its version), the hour ('hour', its version), or its rows ('raw'). A rollup is used where it is fresh and lies
-- whole in the period or before it, and, of an hour each `piece` seconds, in one `unit` of `timezone`. `grains` says which may
-- be used: 'day', or 'wide' for days that are counted at once, and 'hour'. One SELECT, because every number pays for it.
SELECT
    multiIf(
        if(has({grains:Array(String)}, 'wide'), wide_counted, day_counted) = day_written
            AND hasAny({grains:Array(String)}, ['day', 'wide'])
            AND toStartOfDay(slot) >= {begin:DateTime64(3, 'UTC')}
            AND addDays(toStartOfDay(slot), 1) <= {until:DateTime64(3, 'UTC')}
            AND NOT (
                toStartOfDay(slot) < {since:DateTime64(3, 'UTC')}
                AND addDays(toStartOfDay(slot), 1) > {since:DateTime64(3, 'UTC')}
            )
            AND dateTrunc({unit:String}, toStartOfDay(slot), {timezone:String})
                = dateTrunc({unit:String}, addSeconds(toStartOfDay(slot), 86399), {timezone:String}),
        ('day', toStartOfDay(slot), day_written),
        counted = written
            AND has({grains:Array(String)}, 'hour')
            AND slot >= {begin:DateTime64(3, 'UTC')}
            AND addHours(slot, 1) <= {until:DateTime64(3, 'UTC')}
            AND NOT (slot < {since:DateTime64(3, 'UTC')} AND addHours(slot, 1) > {since:DateTime64(3, 'UTC')})
            AND dateTrunc({unit:String}, slot, {timezone:String})
                = dateTrunc({unit:String}, addSeconds(slot, {piece:UInt16} - 1), {timezone:String}),
        ('hour', slot, counted),
        ('raw', slot, 0)
    ) AS rollup
FROM slots FINAL
WHERE of = {of:String} AND written > 0
    AND slot >= toStartOfHour({begin:DateTime64(3, 'UTC')}) AND slot < {until:DateTime64(3, 'UTC')}

-- view: emails_counted
-- The emails sent in the period as counts, of which there may be many rows; add them up. `by` says what of: 'variant' (with
-- campaign and step), 'sender' or 'domain' (of the recipients), which is the `key`. An email that is in no rollup is a count
-- of one. What the measures count stands at the table `emails`.
WITH
    (
        SELECT groupUniqArray(rollup)
        FROM chosen_rollups(
            of = 'email',
            grains = {grains:Array(String)},
            begin = {begin:DateTime64(3, 'UTC')},
            since = {since:DateTime64(3, 'UTC')},
            until = {until:DateTime64(3, 'UTC')},
            unit = {unit:String},
            timezone = {timezone:String},
            piece = 3600
        )
    ) AS rollups
SELECT
    slot >= {since:DateTime64(3, 'UTC')} AS period,
    toDateTime(dateTrunc({unit:String}, slot, {timezone:String}), {timezone:String}) AS time,
    campaign,
    step,
    variant,
    key,
    sent,
    hard_bounced,
    soft_bounced,
    blocked,
    delivered,
    opened,
    raw_opened,
    machine_opened,
    clicked,
    raw_clicked,
    unsubscribed,
    replied,
    raw_replied,
    complained,
    pixel_opened,
    opened_with_pixel,
    raw_opened_with_pixel,
    delivered_with_pixel,
    delivered_with_links,
    not_opened,
    not_clicked,
    not_replied
FROM email_counts FINAL
WHERE by = {by:String} AND (grain, slot, version) IN (SELECT arrayJoin(rollups))
    AND slot >= toStartOfDay({begin:DateTime64(3, 'UTC')}) AND slot < {until:DateTime64(3, 'UTC')}
    -- Not by an `if`, of which the sorting key knows nothing.
    AND (notEmpty({campaigns:Array(String)}) OR {together:UInt8} = 0 OR campaign = '')
    AND (notEmpty({campaigns:Array(String)}) OR {together:UInt8} = 1 OR campaign != '')
    AND (empty({campaigns:Array(String)}) OR has({campaigns:Array(String)}, campaign))
UNION ALL
SELECT
    sent_at >= {since:DateTime64(3, 'UTC')} AS period,
    toDateTime(dateTrunc({unit:String}, assumeNotNull(sent_at), {timezone:String}), {timezone:String}) AS time,
    campaign,
    step,
    variant,
    multiIf({by:String} = 'sender', toString(sender), {by:String} = 'domain', lower(recipient_domain), '') AS key,
    sent,
    hard_bounced,
    soft_bounced,
    blocked,
    delivered,
    opened,
    raw_opened,
    machine_opened,
    clicked,
    raw_clicked,
    unsubscribed,
    replied,
    raw_replied,
    complained,
    pixel_opened,
    opened_with_pixel,
    raw_opened_with_pixel,
    delivered_with_pixel,
    delivered_with_links,
    not_opened,
    not_clicked,
    not_replied
FROM emails FINAL
WHERE slot IN (SELECT rollup.2 FROM (SELECT arrayJoin(rollups) AS rollup) WHERE rollup.1 = 'raw')
    AND slot = toStartOfHour(assumeNotNull(sent_at))
    AND sent_at >= {begin:DateTime64(3, 'UTC')} AND sent_at < {until:DateTime64(3, 'UTC')}
    AND (empty({campaigns:Array(String)}) OR has({campaigns:Array(String)}, campaign))

-- view: totals
-- Counts of the emails sent in the period, a row for each of what `per` names: 'period', 'time', 'campaign', 'step',
-- 'variant', 'key' (see emails_counted). Who needs no rates asks this, which is cheaper than `results`.
SELECT
    if(has({per:Array(String)}, 'period'), counted.period, 1) AS period,
    if(has({per:Array(String)}, 'time'), counted.time, toDateTime(0, {timezone:String})) AS time,
    if(has({per:Array(String)}, 'campaign'), counted.campaign, '') AS campaign,
    if(has({per:Array(String)}, 'step'), counted.step, 0) AS step,
    if(has({per:Array(String)}, 'variant'), counted.variant, '') AS variant,
    if(has({per:Array(String)}, 'key'), counted.key, '') AS key,
    sum(counted.sent) AS sent,
    sum(counted.hard_bounced) AS hard_bounced,
    sum(counted.soft_bounced) AS soft_bounced,
    sum(counted.blocked) AS blocked,
    sum(counted.delivered) AS delivered,
    sum(counted.opened) AS opened,
    sum(counted.raw_opened) AS raw_opened,
    sum(counted.machine_opened) AS machine_opened,
    sum(counted.clicked) AS clicked,
    sum(counted.raw_clicked) AS raw_clicked,
    sum(counted.unsubscribed) AS unsubscribed,
    sum(counted.replied) AS replied,
    sum(counted.raw_replied) AS raw_replied,
    sum(counted.complained) AS complained,
    sum(counted.pixel_opened) AS pixel_opened,
    sum(counted.opened_with_pixel) AS opened_with_pixel,
    sum(counted.raw_opened_with_pixel) AS raw_opened_with_pixel,
    sum(counted.delivered_with_pixel) AS delivered_with_pixel,
    sum(counted.delivered_with_links) AS delivered_with_links
FROM emails_counted(
    by = {by:String},
    grains = {grains:Array(String)},
    together = {together:UInt8},
    begin = {begin:DateTime64(3, 'UTC')},
    since = {since:DateTime64(3, 'UTC')},
    until = {until:DateTime64(3, 'UTC')},
    campaigns = {campaigns:Array(String)},
    unit = {unit:String},
    timezone = {timezone:String}
) AS counted
WHERE (empty({steps:Array(UInt8)}) OR has({steps:Array(UInt8)}, counted.step))
    AND (empty({senders:Array(String)}) OR has({senders:Array(String)}, counted.key))
GROUP BY period, time, campaign, step, variant, key

-- view: results
-- `totals` with their rates. Rates are 0 to 1, and NULL where there is nothing to divide by: bounces are a share of sent, what
-- people do of delivered.
SELECT
    *,
    delivered / nullIf(sent, 0) AS delivery_rate,
    hard_bounced / nullIf(sent, 0) AS hard_bounce_rate,
    soft_bounced / nullIf(sent, 0) AS soft_bounce_rate,
    blocked / nullIf(sent, 0) AS block_rate,
    opened_with_pixel / nullIf(delivered_with_pixel, 0) AS open_rate,
    raw_opened_with_pixel / nullIf(delivered_with_pixel, 0) AS raw_open_rate,
    machine_opened / nullIf(delivered_with_pixel, 0) AS machine_open_rate,
    clicked / nullIf(delivered_with_links, 0) AS click_rate,
    raw_clicked / nullIf(delivered_with_links, 0) AS raw_click_rate,
    clicked / nullIf(opened, 0) AS click_to_open_rate,
    raw_clicked / nullIf(raw_opened, 0) AS raw_click_to_open_rate,
    unsubscribed / nullIf(delivered, 0) AS unsubscribe_rate,
    replied / nullIf(delivered, 0) AS reply_rate,
    raw_replied / nullIf(delivered, 0) AS raw_reply_rate,
    complained / nullIf(delivered, 0) AS complaint_rate
FROM totals(
    by = {by:String},
    per = {per:Array(String)},
    grains = {grains:Array(String)},
    together = {together:UInt8},
    begin = {begin:DateTime64(3, 'UTC')},
    since = {since:DateTime64(3, 'UTC')},
    until = {until:DateTime64(3, 'UTC')},
    campaigns = {campaigns:Array(String)},
    steps = {steps:Array(UInt8)},
    senders = {senders:Array(String)},
    unit = {unit:String},
    timezone = {timezone:String}
)

-- view: happened_counted
-- What first happened to emails in the period, each at its own time and whenever the email was sent, as counts, of which
-- there may be many rows; add them up. By a person's doing, each email once. `time` is the start of the unit.
WITH
    (
        SELECT groupUniqArray(rollup)
        FROM chosen_rollups(
            of = 'email',
            grains = ['day', 'hour'],
            begin = {since:DateTime64(3, 'UTC')},
            since = {since:DateTime64(3, 'UTC')},
            until = {until:DateTime64(3, 'UTC')},
            unit = {unit:String},
            timezone = {timezone:String},
            piece = 900
        )
    ) AS rollups
SELECT
    toDateTime(dateTrunc({unit:String}, addMinutes(slot, 15 * quarter), {timezone:String}), {timezone:String}) AS time,
    step,
    sent,
    opened,
    clicked,
    replied,
    unsubscribed
FROM happened_counts FINAL
WHERE (grain, slot, version) IN (SELECT arrayJoin(rollups))
    AND slot >= toStartOfDay({since:DateTime64(3, 'UTC')}) AND slot < {until:DateTime64(3, 'UTC')}
    AND (notEmpty({campaigns:Array(String)}) OR campaign = '')
    AND (empty({campaigns:Array(String)}) OR has({campaigns:Array(String)}, campaign))
UNION ALL
SELECT
    toDateTime(dateTrunc({unit:String}, assumeNotNull(one.1), {timezone:String}), {timezone:String}) AS time,
    step,
    one.2 = 'sent' AS sent,
    one.2 = 'opened' AS opened,
    one.2 = 'clicked' AS clicked,
    one.2 = 'replied' AS replied,
    one.2 = 'unsubscribed' AS unsubscribed
FROM emails FINAL
ARRAY JOIN happened AS one
WHERE slot IN (SELECT rollup.2 FROM (SELECT arrayJoin(rollups) AS rollup) WHERE rollup.1 = 'raw')
    AND one.1 IS NOT NULL AND slot = toStartOfHour(assumeNotNull(one.1))
    AND one.1 >= {since:DateTime64(3, 'UTC')} AND one.1 < {until:DateTime64(3, 'UTC')}
    AND (empty({campaigns:Array(String)}) OR has({campaigns:Array(String)}, campaign))

-- view: times
-- Every unit of the period, whether anything happened in it or not. Days are added as days, because a day is not always 24
-- hours.
SELECT
    multiIf(
        {unit:String} = 'minute', addMinutes(start, number),
        {unit:String} = 'hour', addHours(start, number),
        addDays(start, number)
    ) AS time
FROM
(
    SELECT
        toDateTime(dateTrunc({unit:String}, {since:DateTime64(3, 'UTC')}, {timezone:String}), {timezone:String}) AS start,
        number
    FROM numbers(5000)
)
WHERE time < {until:DateTime64(3, 'UTC')}

-- view: hits_counted
-- The opens and clicks of the period, by their own time, as counts, of which there may be many rows; add them up. `by` says
-- what of: 'reason' (with campaign, step and variant), where the reason is the `key`, or 'verdict' alone.
WITH
    (
        SELECT groupUniqArray(rollup)
        FROM chosen_rollups(
            of = 'hit',
            grains = ['day', 'hour'],
            begin = {begin:DateTime64(3, 'UTC')},
            since = {since:DateTime64(3, 'UTC')},
            until = {until:DateTime64(3, 'UTC')},
            unit = {unit:String},
            timezone = {timezone:String},
            piece = 3600
        )
    ) AS rollups
SELECT
    slot >= {since:DateTime64(3, 'UTC')} AS period,
    toDateTime(dateTrunc({unit:String}, slot, {timezone:String}), {timezone:String}) AS time,
    campaign,
    step,
    variant,
    toString(verdict) AS verdict,
    toString(key) AS key,
    opens,
    clicks
FROM hit_counts FINAL
WHERE by = {by:String} AND (grain, slot, version) IN (SELECT arrayJoin(rollups))
    AND slot >= toStartOfDay({begin:DateTime64(3, 'UTC')}) AND slot < {until:DateTime64(3, 'UTC')}
    AND (notEmpty({campaigns:Array(String)}) OR campaign = '')
    AND (empty({campaigns:Array(String)}) OR has({campaigns:Array(String)}, campaign))
UNION ALL
SELECT
    at >= {since:DateTime64(3, 'UTC')} AS period,
    toDateTime(dateTrunc({unit:String}, at, {timezone:String}), {timezone:String}) AS time,
    campaign,
    step,
    variant,
    toString(verdict) AS verdict,
    if({by:String} = 'reason', toString(reason), '') AS key,
    kind = 'open' AS opens,
    kind = 'click' AS clicks
FROM judged_hits FINAL
WHERE slot IN (SELECT rollup.2 FROM (SELECT arrayJoin(rollups) AS rollup) WHERE rollup.1 = 'raw')
    AND at >= {begin:DateTime64(3, 'UTC')} AND at < {until:DateTime64(3, 'UTC')}
    AND (empty({campaigns:Array(String)}) OR has({campaigns:Array(String)}, campaign))

-- view: stale_hours
-- The hours of the period whose emails no rollup counts as they are now.
SELECT slot
FROM slots FINAL
WHERE of = 'email' AND written > 0 AND counted != written
    AND slot >= toStartOfHour({since:DateTime64(3, 'UTC')}) AND slot < {until:DateTime64(3, 'UTC')}

-- view: hours_with
-- Where, by the rollups that are fresh, emails sent in the hours of the period have each of the `outcomes` (those of
-- `recipients` that are rare; of others it knows nothing): hour, campaign, step and variant.
SELECT slot, campaign, step, variant
FROM email_counts FINAL
WHERE by = 'variant' AND grain = 'hour'
    AND (notEmpty({campaigns:Array(String)}) OR campaign != '')
    AND (empty({campaigns:Array(String)}) OR has({campaigns:Array(String)}, campaign))
    AND slot >= toStartOfHour({since:DateTime64(3, 'UTC')}) AND slot < {until:DateTime64(3, 'UTC')}
    AND (slot, version) IN (
        SELECT slot, counted
        FROM slots FINAL
        WHERE of = 'email' AND written > 0 AND counted = written
            AND slot >= toStartOfHour({since:DateTime64(3, 'UTC')}) AND slot < {until:DateTime64(3, 'UTC')}
    )
    AND (NOT has({outcomes:Array(String)}, 'bounced') OR hard_bounced + soft_bounced + blocked > 0)
    AND (NOT hasAny({outcomes:Array(String)}, ['replied', 'asked_to_stop']) OR replied > 0)
    AND (NOT has({outcomes:Array(String)}, 'hard_bounced') OR hard_bounced > 0)
    AND (NOT has({outcomes:Array(String)}, 'soft_bounced') OR soft_bounced > 0)
    AND (NOT has({outcomes:Array(String)}, 'blocked') OR blocked > 0)
    AND (NOT has({outcomes:Array(String)}, 'unsubscribed') OR unsubscribed > 0)
    AND (NOT has({outcomes:Array(String)}, 'complained') OR complained > 0)
    AND (NOT has({outcomes:Array(String)}, 'machine_opened') OR machine_opened > 0)

-- view: emails_told_of
-- The emails that were sent and of which a rare event tells that it has the `outcome`, 'asked_to_stop' or 'snoozed' (of any
-- other none), as places in `emails`: hour of sending, campaign, step, variant and email. Of rare things the emails are looked
-- up one by one.
WITH told AS
(
    SELECT campaign, step, variant, delivery_id
    FROM rare_events
    WHERE (
            (kind = 'reply' AND asks_to_stop AND {outcome:String} = 'asked_to_stop')
            OR (kind = 'snooze' AND until > at AND {outcome:String} = 'snoozed')
        )
        AND (empty({campaigns:Array(String)}) OR has({campaigns:Array(String)}, campaign))
)
SELECT toStartOfHour(assumeNotNull(sent_at)) AS slot, campaign, step, variant, delivery_id, sent_at
FROM outcomes FINAL
-- The email is looked at before anything else is read of what stands near.
PREWHERE delivery_id IN (SELECT delivery_id FROM told)
WHERE (campaign, step, variant, delivery_id) IN told AND sent_at IS NOT NULL
