-- Who: the emails behind a number, one by one. What the outcomes mean are the measures of the table `emails`, which the
-- headline counts too, so a list is as long as its number says.

-- view: recipients
-- The emails sent in the period that have all of the `outcomes`, a row each, in no order: to whom, and when each thing
-- first happened; NULL for never. `links` leaves those in which a person followed one of these. Outcomes: sent, delivered,
-- opened, opened_with_pixel, not_opened, clicked, not_clicked, replied, asked_to_stop (a reply asks for no more mail), not_replied, bounced, hard_bounced, soft_bounced, blocked,
-- unsubscribed, complained, snoozed (its reader asked for a pause), machine_opened; not_ is of the delivered: of those
-- with a pixel for opens, of those with links for clicks, because of others nobody knows. skipped is the exception: emails that were not sent
-- in the period and not later, by the hour in which they were first skipped. None chosen means sent.
SELECT
    slot,
    toString(campaign) AS campaign_id,
    step,
    toString(variant) AS variant,
    delivery_id,
    lead::String AS lead,
    sender::String AS sender,
    recipient_domain::String AS recipient_domain,
    sent_at::Nullable(DateTime64(3, 'UTC')) AS sent_at,
    NULL::Nullable(DateTime64(3, 'UTC')) AS skipped_at,
    delivered_at::Nullable(DateTime64(3, 'UTC')) AS delivered_at,
    emails.opened_at::Nullable(DateTime64(3, 'UTC')) AS opened_at,
    first_click_at::Nullable(DateTime64(3, 'UTC')) AS clicked_at,
    replied_at::Nullable(DateTime64(3, 'UTC')) AS replied_at,
    least(hard_bounced_at, soft_bounced_at, blocked_at)::Nullable(DateTime64(3, 'UTC')) AS bounced_at,
    emails.hard_bounced AS hard_bounced,
    emails.soft_bounced AS soft_bounced,
    emails.blocked AS blocked,
    if(unsubscribed, first_unsubscribed_at, NULL)::Nullable(DateTime64(3, 'UTC')) AS unsubscribed_at,
    complained_at::Nullable(DateTime64(3, 'UTC')) AS complained_at,
    links::Array(String) AS followed,
    emails.no_pixel::Bool AS no_pixel,
    emails.no_links::Bool AS no_links
FROM emails FINAL
WHERE slot = toStartOfHour(assumeNotNull(emails.sent_at))
    AND slot >= toStartOfHour({since:DateTime64(3, 'UTC')}) AND slot < {until:DateTime64(3, 'UTC')}
    AND emails.sent_at >= {since:DateTime64(3, 'UTC')} AND emails.sent_at < {until:DateTime64(3, 'UTC')}
    AND (empty({campaigns:Array(String)}) OR has({campaigns:Array(String)}, emails.campaign))
    AND (empty({steps:Array(UInt8)}) OR has({steps:Array(UInt8)}, step))
    AND (empty({variants:Array(String)}) OR has({variants:Array(String)}, emails.variant))
    AND (empty({links:Array(String)}) OR hasAny({links:Array(String)}, emails.links))
    -- What is rare, and what is of chosen campaigns, is looked for where the rollups say that it is, and in the hours that have
    -- none which is fresh. Of chosen campaigns the hours are enough, and sooner found in the sorting key than whole tuples.
    AND (
        if(
            notEmpty({campaigns:Array(String)}),
            slot IN (
                SELECT slot
                FROM hours_with(
                    since = {since:DateTime64(3, 'UTC')},
                    until = {until:DateTime64(3, 'UTC')},
                    campaigns = {campaigns:Array(String)},
                    outcomes = {outcomes:Array(String)}
                )
            ),
            NOT hasAny(
                {outcomes:Array(String)},
                [
                    'replied', 'asked_to_stop', 'bounced', 'hard_bounced', 'soft_bounced', 'blocked', 'unsubscribed',
                    'complained', 'machine_opened'
                ]
            )
            OR (slot, emails.campaign, step, emails.variant) IN (
                SELECT slot, campaign, step, variant
                FROM hours_with(
                    since = {since:DateTime64(3, 'UTC')},
                    until = {until:DateTime64(3, 'UTC')},
                    campaigns = {campaigns:Array(String)},
                    outcomes = {outcomes:Array(String)}
                )
            )
        )
        OR slot IN (
            SELECT slot
            FROM stale_hours(since = {since:DateTime64(3, 'UTC')}, until = {until:DateTime64(3, 'UTC')})
        )
    )
    AND NOT has({outcomes:Array(String)}, 'skipped')
    -- An outcome that is not chosen is a constant 1, so its column is not read.
    AND (NOT hasAny({outcomes:Array(String)}, ['delivered', 'not_opened', 'not_clicked', 'not_replied']) OR delivered)
    AND (NOT has({outcomes:Array(String)}, 'opened') OR opened)
    AND (NOT has({outcomes:Array(String)}, 'opened_with_pixel') OR opened_with_pixel)
    AND (NOT has({outcomes:Array(String)}, 'not_opened') OR NOT (opened OR emails.no_pixel))
    AND (NOT has({outcomes:Array(String)}, 'clicked') OR clicked)
    AND (NOT has({outcomes:Array(String)}, 'not_clicked') OR NOT (clicked OR emails.no_links))
    AND (NOT has({outcomes:Array(String)}, 'replied') OR replied)
    AND (
        NOT has({outcomes:Array(String)}, 'asked_to_stop')
        OR (slot, emails.campaign, step, emails.variant, delivery_id) IN (
            SELECT slot, campaign, step, variant, delivery_id
            FROM emails_told_of(
                outcome = if(has({outcomes:Array(String)}, 'asked_to_stop'), 'asked_to_stop', ''),
                campaigns = {campaigns:Array(String)}
            )
        )
    )
    AND (NOT has({outcomes:Array(String)}, 'not_replied') OR NOT replied)
    AND (NOT has({outcomes:Array(String)}, 'bounced') OR NOT delivered)
    AND (NOT has({outcomes:Array(String)}, 'hard_bounced') OR hard_bounced)
    AND (NOT has({outcomes:Array(String)}, 'soft_bounced') OR soft_bounced)
    AND (NOT has({outcomes:Array(String)}, 'blocked') OR blocked)
    AND (NOT has({outcomes:Array(String)}, 'unsubscribed') OR unsubscribed)
    AND (NOT has({outcomes:Array(String)}, 'complained') OR complained)
    AND (
        NOT has({outcomes:Array(String)}, 'snoozed')
        OR (slot, emails.campaign, step, emails.variant, delivery_id) IN (
            SELECT slot, campaign, step, variant, delivery_id
            FROM emails_told_of(
                outcome = if(has({outcomes:Array(String)}, 'snoozed'), 'snoozed', ''),
                campaigns = {campaigns:Array(String)}
            )
        )
    )
    AND (NOT has({outcomes:Array(String)}, 'machine_opened') OR machine_opened)
UNION ALL
SELECT
    toStartOfHour(assumeNotNull(outcomes.skipped_at)) AS slot,
    toString(campaign) AS campaign_id,
    step,
    toString(variant) AS variant,
    delivery_id,
    lead::String AS lead,
    sender::String AS sender,
    recipient_domain::String AS recipient_domain,
    NULL AS sent_at,
    outcomes.skipped_at::Nullable(DateTime64(3, 'UTC')) AS skipped_at,
    NULL AS delivered_at,
    NULL AS opened_at,
    NULL AS clicked_at,
    NULL AS replied_at,
    NULL AS bounced_at,
    0 AS hard_bounced,
    0 AS soft_bounced,
    0 AS blocked,
    NULL AS unsubscribed_at,
    NULL AS complained_at,
    []::Array(String) AS followed,
    false AS no_pixel,
    false AS no_links
FROM outcomes FINAL
WHERE {outcomes:Array(String)} = ['skipped'] AND empty({links:Array(String)})
    AND outcomes.skipped_at >= {since:DateTime64(3, 'UTC')} AND outcomes.skipped_at < {until:DateTime64(3, 'UTC')}
    AND outcomes.sent_at IS NULL
    -- Skips are few, and outcomes are many.
    AND (campaign, step, variant, delivery_id) IN (
        SELECT campaign, step, variant, delivery_id
        FROM rare_events
        WHERE kind = 'skipped' AND {outcomes:Array(String)} = ['skipped']
            AND at >= {since:DateTime64(3, 'UTC')} AND at < {until:DateTime64(3, 'UTC')}
            AND (empty({campaigns:Array(String)}) OR has({campaigns:Array(String)}, campaign))
    )
    AND (empty({campaigns:Array(String)}) OR has({campaigns:Array(String)}, outcomes.campaign))
    AND (empty({steps:Array(UInt8)}) OR has({steps:Array(UInt8)}, step))
    AND (empty({variants:Array(String)}) OR has({variants:Array(String)}, outcomes.variant))

-- view: recipients_page
-- A page of `recipients`: at most {limit} rows in the order of the hour of sending, campaign, step, variant and email, those
-- after the place that the `after_`s name, which is that of the page's last row before (before the first: 1970, '', 0, '' and
-- zeros). `place` is the row's own, as GET /v1/recipients takes it. `why` is why it was not sent, or what the mail server
-- said, or the reason
-- chosen when it was unsubscribed from, or the list that was left. First the places are found, from the few columns that tell them, and then the rest of these rows alone.
WITH
    (
        SELECT groupArray((slot, campaign_id, step, variant, delivery_id))
        FROM
        (
            SELECT slot, campaign_id, step, variant, delivery_id
            FROM recipients(
                since = {since:DateTime64(3, 'UTC')},
                until = {until:DateTime64(3, 'UTC')},
                campaigns = {campaigns:Array(String)},
                steps = {steps:Array(UInt8)},
                variants = {variants:Array(String)},
                links = {links:Array(String)},
                outcomes = {outcomes:Array(String)}
            )
            WHERE slot >= {after_slot:DateTime('UTC')}
                -- Not as tuples: by these the sorting key finds where to begin.
                AND (
                    slot > {after_slot:DateTime('UTC')} OR campaign_id > {after_campaign:String}
                    OR (
                        campaign_id = {after_campaign:String} AND (
                            step > {after_step:UInt8}
                            OR (
                                step = {after_step:UInt8} AND (
                                    variant > {after_variant:String}
                                    OR (variant = {after_variant:String} AND delivery_id > {after_email:UUID})
                                )
                            )
                        )
                    )
                )
            ORDER BY slot, campaign_id, step, variant, delivery_id
            LIMIT {limit:UInt32}
            -- It is read in order and ends at the last row wanted, but for what was read at once.
            SETTINGS max_block_size = 8192
        )
    ) AS places
SELECT
    listed.*,
    if(known.name = '', campaign_id, known.name) AS campaign_name,
    reasons.why AS why,
    base64URLEncode(toJSONString((
        toUnixTimestamp(slot), campaign_id, step, variant, toString(delivery_id)
    ))) AS place
FROM recipients(
    since = {since:DateTime64(3, 'UTC')},
    until = {until:DateTime64(3, 'UTC')},
    campaigns = {campaigns:Array(String)},
    steps = {steps:Array(UInt8)},
    variants = {variants:Array(String)},
    links = {links:Array(String)},
    outcomes = {outcomes:Array(String)}
) AS listed
LEFT JOIN (SELECT id, name FROM campaigns FINAL) AS known ON known.id = campaign_id
LEFT JOIN
(
    SELECT
        delivery_id AS email,
        argMin(
            multiIf(
                kind = 'bounce', trimBoth(concat(toString(status), ' ', words)),
                kind = 'leave', concat('left ', list_name),
                toString(rare_events.reason)
            ),
            (at, id)
        ) AS why
    FROM rare_events
    WHERE (kind IN ('bounce', 'skipped') OR (kind = 'leave' AND NOT back) OR (kind = 'unsubscribe' AND rare_events.reason != ''))
        AND (campaign, delivery_id) IN (SELECT one.2, one.5 FROM (SELECT arrayJoin(places) AS one))
    GROUP BY email
) AS reasons ON reasons.email = delivery_id
WHERE (slot, campaign_id, step, variant, delivery_id) IN (SELECT arrayJoin(places))
ORDER BY slot, campaign_id, step, variant, delivery_id

-- view: recipients_list
-- The first 100 rows of `recipients`, in the order of its pages.
SELECT *
FROM recipients_page(
    since = {since:DateTime64(3, 'UTC')},
    until = {until:DateTime64(3, 'UTC')},
    campaigns = {campaigns:Array(String)},
    steps = {steps:Array(UInt8)},
    variants = {variants:Array(String)},
    links = {links:Array(String)},
    outcomes = {outcomes:Array(String)},
    after_slot = '1970-01-01 00:00:00',
    after_campaign = '',
    after_step = 0,
    after_variant = '',
    after_email = '00000000-0000-0000-0000-000000000000',
    limit = 100
)

-- view: recipients_counted
-- The emails of `recipients` as counts, of which there may be many rows; add them up. Of links the rollups know nothing.
SELECT *
FROM emails_counted(
    by = 'variant',
    grains = ['day', 'hour'],
    together = 1,
    begin = {since:DateTime64(3, 'UTC')},
    since = {since:DateTime64(3, 'UTC')},
    until = {until:DateTime64(3, 'UTC')},
    campaigns = {campaigns:Array(String)},
    unit = 'day',
    timezone = 'UTC'
) AS counted
WHERE (empty({steps:Array(UInt8)}) OR has({steps:Array(UInt8)}, counted.step))
    AND (empty({variants:Array(String)}) OR has({variants:Array(String)}, counted.variant))

-- view: recipients_chosen
-- How many rows `recipients` has. One row. Of one outcome that the rollups know, or of none, they tell it; else each is
-- counted.
SELECT 1 AS period, sum(counted.emails) AS emails
FROM
(
    WITH {outcomes:Array(String)}[1] AS outcome
    SELECT
        multiIf(
            outcome = 'delivered', delivered,
            outcome = 'opened', opened,
            outcome = 'opened_with_pixel', opened_with_pixel,
            outcome = 'not_opened', not_opened,
            outcome = 'clicked', clicked,
            outcome = 'not_clicked', not_clicked,
            outcome = 'replied', replied,
            outcome = 'not_replied', not_replied,
            outcome = 'bounced', sent - delivered,
            outcome = 'hard_bounced', hard_bounced,
            outcome = 'soft_bounced', soft_bounced,
            outcome = 'blocked', blocked,
            outcome = 'unsubscribed', unsubscribed,
            outcome = 'complained', complained,
            outcome = 'machine_opened', machine_opened,
            sent
        )::UInt64 AS emails
    FROM recipients_counted(
        since = {since:DateTime64(3, 'UTC')},
        until = {until:DateTime64(3, 'UTC')},
        campaigns = {campaigns:Array(String)},
        steps = {steps:Array(UInt8)},
        variants = {variants:Array(String)}
    )
    WHERE NOT (
        notEmpty({links:Array(String)}) OR length({outcomes:Array(String)}) > 1
        OR hasAny({outcomes:Array(String)}, ['asked_to_stop', 'snoozed', 'skipped'])
    )
    UNION ALL
    SELECT count()
    FROM recipients(
        since = {since:DateTime64(3, 'UTC')},
        until = {until:DateTime64(3, 'UTC')},
        campaigns = {campaigns:Array(String)},
        steps = {steps:Array(UInt8)},
        variants = {variants:Array(String)},
        links = {links:Array(String)},
        outcomes = {outcomes:Array(String)}
    )
    WHERE notEmpty({links:Array(String)}) OR length({outcomes:Array(String)}) > 1
        OR hasAny({outcomes:Array(String)}, ['asked_to_stop', 'snoozed', 'skipped'])
) AS counted

-- view: recipients_by_outcome
-- Of the emails sent in the period, of the variants chosen, how many have each outcome, and its `share`: bounces and
-- deliveries of sent, what people do of delivered, opens of those with a pixel and clicks of those with links; of those that were not sent, of nothing. Where links are chosen, of the
-- emails in which a person followed one of these. A row for each outcome, in the order of what happens.
SELECT
    row.1 AS outcome,
    row.2 AS label,
    row.3 AS emails,
    if(outcome = 'opened', opened_with_pixel, emails) / nullIf(row.4, 0) AS share
FROM
(
    SELECT
        sum(counted.sent) AS sent,
        sum(counted.delivered) AS delivered,
        sum(counted.opened) AS opened,
        sum(counted.opened_with_pixel) AS opened_with_pixel,
        sum(counted.delivered_with_pixel) AS delivered_with_pixel,
        sum(counted.delivered_with_links) AS delivered_with_links,
        sum(counted.clicked) AS clicked,
        sum(counted.replied) AS replied,
        sum(counted.hard_bounced) AS hard_bounced,
        sum(counted.soft_bounced) AS soft_bounced,
        sum(counted.blocked) AS blocked,
        sum(counted.unsubscribed) AS unsubscribed,
        sum(counted.complained) AS complained
    FROM
    (
        SELECT
            sent, delivered, opened, opened_with_pixel, delivered_with_pixel, delivered_with_links, clicked, replied,
            hard_bounced, soft_bounced, blocked, unsubscribed, complained
        FROM recipients_counted(
            since = {since:DateTime64(3, 'UTC')},
            until = {until:DateTime64(3, 'UTC')},
            campaigns = {campaigns:Array(String)},
            steps = {steps:Array(UInt8)},
            variants = {variants:Array(String)}
        )
        WHERE empty({links:Array(String)})
        UNION ALL
        SELECT
            count(),
            countIf(bounced_at IS NULL),
            countIf(opened_at IS NOT NULL),
            countIf(opened_at IS NOT NULL AND NOT no_pixel),
            countIf(bounced_at IS NULL AND NOT no_pixel),
            countIf(bounced_at IS NULL AND NOT no_links),
            countIf(clicked_at IS NOT NULL),
            countIf(replied_at IS NOT NULL),
            countIf(hard_bounced),
            countIf(soft_bounced),
            countIf(blocked),
            countIf(unsubscribed_at IS NOT NULL),
            countIf(complained_at IS NOT NULL)
        FROM recipients(
            since = {since:DateTime64(3, 'UTC')},
            until = {until:DateTime64(3, 'UTC')},
            campaigns = {campaigns:Array(String)},
            steps = {steps:Array(UInt8)},
            variants = {variants:Array(String)},
            links = {links:Array(String)},
            outcomes = []
        )
        WHERE notEmpty({links:Array(String)})
    ) AS counted
) AS summed
ARRAY JOIN [
    ('sent', 'Sent', sent, NULL),
    ('delivered', 'Delivered', delivered, sent),
    ('opened', 'Opened', opened, delivered_with_pixel),
    ('clicked', 'Clicked', clicked, delivered_with_links),
    ('replied', 'Replied', replied, delivered),
    ('asked_to_stop', 'Asked to stop', (SELECT count() FROM recipients(
        since = {since:DateTime64(3, 'UTC')},
        until = {until:DateTime64(3, 'UTC')},
        campaigns = {campaigns:Array(String)},
        steps = {steps:Array(UInt8)},
        variants = {variants:Array(String)},
        links = {links:Array(String)},
        outcomes = ['asked_to_stop']
    )), delivered),
    ('hard_bounced', 'Bounced hard', hard_bounced, sent),
    ('soft_bounced', 'Bounced softly', soft_bounced, sent),
    ('blocked', 'Blocked', blocked, sent),
    ('unsubscribed', 'Unsubscribed', unsubscribed, delivered),
    ('complained', 'Complained', complained, delivered),
    ('snoozed', 'Asked for a pause', (SELECT count() FROM recipients(
        since = {since:DateTime64(3, 'UTC')},
        until = {until:DateTime64(3, 'UTC')},
        campaigns = {campaigns:Array(String)},
        steps = {steps:Array(UInt8)},
        variants = {variants:Array(String)},
        links = {links:Array(String)},
        outcomes = ['snoozed']
    )), delivered),
    ('skipped', 'Not sent', (SELECT count() FROM recipients(
        since = {since:DateTime64(3, 'UTC')},
        until = {until:DateTime64(3, 'UTC')},
        campaigns = {campaigns:Array(String)},
        steps = {steps:Array(UInt8)},
        variants = {variants:Array(String)},
        links = {links:Array(String)},
        outcomes = ['skipped']
    )), NULL)
]::Array(Tuple(String, String, UInt64, Nullable(UInt64))) AS row

-- view: recipients_without
-- Of the emails sent in the period that were delivered, how many no person opened, clicked in or answered, and the `share`
-- of the delivered: with a pixel for opens, with links for clicks. Where links are chosen, each is counted.
SELECT row.1 AS outcome, row.2 AS label, row.3 AS emails, row.3 / nullIf(row.4, 0) AS share
FROM
(
    SELECT
        sum(counted.delivered) AS delivered,
        sum(counted.delivered_with_pixel) AS with_pixel,
        sum(counted.delivered_with_links) AS with_links,
        sum(counted.not_opened) AS not_opened,
        sum(counted.not_clicked) AS not_clicked,
        sum(counted.not_replied) AS not_replied
    FROM
    (
        SELECT delivered, delivered_with_pixel, delivered_with_links, not_opened, not_clicked, not_replied
        FROM recipients_counted(
            since = {since:DateTime64(3, 'UTC')},
            until = {until:DateTime64(3, 'UTC')},
            campaigns = {campaigns:Array(String)},
            steps = {steps:Array(UInt8)},
            variants = {variants:Array(String)}
        )
        WHERE empty({links:Array(String)})
        UNION ALL
        SELECT
            count(),
            countIf(NOT no_pixel),
            countIf(NOT no_links),
            countIf(opened_at IS NULL AND NOT no_pixel),
            countIf(clicked_at IS NULL AND NOT no_links),
            countIf(replied_at IS NULL)
        FROM recipients(
            since = {since:DateTime64(3, 'UTC')},
            until = {until:DateTime64(3, 'UTC')},
            campaigns = {campaigns:Array(String)},
            steps = {steps:Array(UInt8)},
            variants = {variants:Array(String)},
            links = {links:Array(String)},
            outcomes = ['delivered']
        )
        WHERE notEmpty({links:Array(String)})
    ) AS counted
)
ARRAY JOIN [
    ('not_opened', 'Not opened', not_opened, with_pixel),
    ('not_clicked', 'Not clicked in', not_clicked, with_links),
    ('not_replied', 'Not replied to', not_replied, delivered)
]::Array(Tuple(String, String, UInt64, UInt64)) AS row

-- view: outcome_names
-- The outcomes to choose from: id and what to call it, in the order of what happens.
SELECT id, label
FROM VALUES(
    'id String, label String',
    ('sent', 'Sent'),
    ('delivered', 'Delivered'),
    ('opened', 'Opened'),
    ('opened_with_pixel', 'Opened, with a pixel'),
    ('not_opened', 'Not opened'),
    ('clicked', 'Clicked'),
    ('not_clicked', 'Not clicked in'),
    ('replied', 'Replied'),
    ('asked_to_stop', 'Asked to stop'),
    ('not_replied', 'Not replied to'),
    ('bounced', 'Bounced'),
    ('hard_bounced', 'Bounced hard'),
    ('soft_bounced', 'Bounced softly'),
    ('blocked', 'Blocked'),
    ('unsubscribed', 'Unsubscribed'),
    ('complained', 'Complained'),
    ('snoozed', 'Asked for a pause'),
    ('machine_opened', 'Opened by a privacy proxy'),
    ('skipped', 'Not sent')
)

-- view: variant_names
-- The variants to choose from, of the campaigns chosen (none chosen means all), by name.
SELECT DISTINCT toString(variant) AS id, if(variant = '', 'No variant', toString(variant)) AS label
FROM outcomes
WHERE empty({campaigns:Array(String)}) OR has({campaigns:Array(String)}, campaign)
ORDER BY label, id
LIMIT 1000

-- view: link_names
-- The links to choose from, of the campaigns chosen (none chosen means all), by address.
SELECT toString(link_id) AS id, left(url, 300) AS label
FROM links FINAL
WHERE empty({campaigns:Array(String)}) OR has({campaigns:Array(String)}, campaign)
ORDER BY label, id
LIMIT 1000
