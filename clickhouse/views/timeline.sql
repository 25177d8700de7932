-- One lead: everything that is known of it, whatever the period. No lead chosen means no rows.

-- view: lead_events
-- The events of the emails of one lead, each once. By way of lead_emails, which is sorted by lead, because events are
-- sorted by campaign and email.
SELECT *
-- FINAL, because the same event may have been delivered twice. PREWHERE, because FINAL would read every column of whatever
-- stands near; by the email alone, because that is cheap to look at, and the pair finds where.
FROM events FINAL
PREWHERE delivery_id IN (SELECT delivery_id FROM lead_emails WHERE lead = {lead:String} AND lead != '')
WHERE (campaign, delivery_id) IN (SELECT campaign, delivery_id FROM lead_emails WHERE lead = {lead:String} AND lead != '')

-- view: facts_of_lead
-- For what a lead gets no more mail: facts of the lead; of the addresses that its emails went to, whose lists they may
-- have come from another; and that it was erased, which is kept under its pseudonym. `holds` 0 is a fact taken back;
-- `until` is when one ends by itself, a pause that the lead asked for. `left` is of one list alone, `list_name`.
SELECT
    lead AS whose,
    fact,
    of,
    at,
    holds,
    until,
    campaign AS list_name
FROM lead_facts FINAL
WHERE fact IN ('erased', 'complained', 'unsubscribed', 'invalid', 'suppressed', 'snoozed', 'left')
    -- Each by itself, as the table is sorted: or all of it would be read.
    AND (
        (lead = {lead:String} AND of = 'lead')
        OR (
            lead = if(startsWith({lead:String}, 'erased:'), substring({lead:String}, 8), '') AND lead != ''
            AND of = 'hashed-lead'
        )
        OR (
            lead IN (SELECT address FROM lead_emails WHERE lead = {lead:String} AND lead != '' AND address != '')
            AND of NOT IN ('lead', 'hashed-lead')
        )
    )

-- view: emails_waiting
-- Emails that wait: for their next attempt, or for an operator's decision (`unanswered`). One that turned out to have
-- been sent after all waits for none.
SELECT *
FROM retries FINAL
WHERE state != 'settled'
    AND NOT (
        state = 'unanswered'
        AND delivery_id IN (
            SELECT delivery_id
            FROM outcomes FINAL
            WHERE (campaign, step) IN (SELECT campaign, step FROM retries WHERE state = 'unanswered')
                AND delivery_id IN (SELECT delivery_id FROM retries WHERE state = 'unanswered')
                AND unanswered_at IS NOT NULL
                AND sent_at IS NOT NULL
        )
    )

-- view: event_words
-- What to call each kind of event. At one moment, what follows stands above what it follows from: by `place`.
SELECT *
FROM VALUES(
    'kind String, happened String, place UInt64',
    ('sent', 'Sent', 1),
    ('delivered', 'Delivered', 2),
    ('deferred', 'Put off', 3),
    ('bounce', 'Bounced', 4),
    ('open', 'Opened', 5),
    ('click', 'Clicked', 6),
    ('reply', 'Replied', 7),
    ('complaint', 'Complained', 8),
    ('unsubscribe', 'Unsubscribed', 9),
    ('unanswered', 'No answer', 0),
    ('skipped', 'Not sent', 0),
    ('auto_reply', 'Automatic reply', 0),
    ('resubscribe', 'Took it back', 0),
    ('snooze', 'Asked for a pause', 0),
    ('leave', 'Left a list', 0)
)

-- view: lead_event_lines
-- Of a lead's timeline, a line for each event of its emails. `what` tells of the event what its kind has to tell; of a hit
-- where it came from, as far as the privacy settings keep it.
SELECT
    at,
    toString(events.id) AS id,
    toString(events.kind) AS kind,
    if(words.happened = '', toString(events.kind), words.happened) AS happened,
    place,
    toString(campaign) AS campaign,
    toNullable(step) AS step,
    toString(variant) AS variant,
    toString(verdict) AS verdict,
    toString(reason) AS reason,
    arrayStringConcat(
        arrayFilter(
            part -> part != '',
            multiIf(
                events.kind = 'sent', [
                    concat('from ', sender),
                    if(recipient_domain = '', '', concat('to ', recipient_domain)),
                    if(attempt > 1, concat('attempt ', toString(attempt)), '')
                ],
                events.kind = 'deferred', [
                    if(attempt > 0, concat('attempt ', toString(attempt)), ''), toString(status), left(diagnostic, 200)
                ],
                events.kind = 'bounce', [
                    toString(bounce_class), toString(category), toString(status), left(diagnostic, 200),
                    if(via = 'report', 'reported later', '')
                ],
                events.kind IN ('reply', 'auto_reply'), [
                    left(subject, 200),
                    if(from_address = '', '', concat('from ', left(from_address, 320))),
                    if(
                        asks_to_stop,
                        concat(
                            'asks for no more email: "', stop_phrase, '"',
                            if(stop_line = 0, ' (subject)', concat(' (line ', toString(stop_line), ')'))
                        ),
                        ''
                    )
                ],
                events.kind = 'complaint', [toString(category)],
                events.kind = 'click', [
                    if(links.url = '', 'a link that is not known any more', left(links.url, 300)),
                    multiIf(
                        client NOT IN ('', 'unknown'), toString(client),
                        agent NOT IN ('', 'unknown'), toString(agent),
                        left(toString(user_agent), 80)
                    ),
                    if(device = 'unknown', '', toString(device)), toString(country), toString(network), left(ip, 80)
                ],
                events.kind = 'open', [
                    multiIf(
                        client NOT IN ('', 'unknown'), toString(client),
                        agent NOT IN ('', 'unknown'), toString(agent),
                        left(toString(user_agent), 80)
                    ),
                    if(device = 'unknown', '', toString(device)), toString(country), toString(network), left(ip, 80)
                ],
                events.kind = 'unsubscribe', [
                    transform(
                        toString(via),
                        ['page', 'one-click', 'mail', 'provider', 'reply'],
                        ['on the page', 'by one click', 'by mail', 'told by the provider', 'asked for in a reply'],
                        toString(via)
                    ),
                    if(events.reason = '', '', concat('reason: ', replaceAll(toString(events.reason), '-', ' ')))
                ],
                events.kind = 'resubscribe', ['gets email again'],
                events.kind = 'snooze', [
                    if(
                        until > at,
                        concat('no email until ', formatDateTime(assumeNotNull(until), '%F %R', 'UTC'), ' UTC'),
                        'the pause ends, email goes on'
                    )
                ],
                events.kind = 'leave', [toString(list_name), if(back, 'taken back', '')],
                events.kind = 'unanswered', ['it may have gone out: an operator decides'],
                []
            )
        ),
        ', '
    ) AS what,
    left(text, 1000) AS wrote,
    toString(client) AS client,
    toString(device) AS device,
    toString(country) AS country,
    left(ip, 80) AS ip,
    left(toString(user_agent), 300) AS user_agent,
    toString(rules_version) AS rules_version
FROM lead_events(lead = {lead:String}) AS events
LEFT JOIN event_words() AS words ON words.kind = events.kind
LEFT JOIN
(
    SELECT toString(link_id) AS link_id, url
    FROM links FINAL
    WHERE link_id IN (
        SELECT toFixedString(one, 64)
        FROM lead_emails
        ARRAY JOIN links AS one
        WHERE lead = {lead:String} AND lead != '' AND length(one) = 64
    )
) AS links ON links.link_id = events.link_id

-- view: lead_fact_lines
-- Of a lead's timeline, a line for each fact for which it gets no more mail, or gets it again.
SELECT
    at,
    concat(fact, ' ', of, ' ', list_name, ' ', whose) AS id,
    'fact' AS kind,
    if(holds, 'No more email', 'Email again') AS happened,
    10 AS place,
    '' AS campaign,
    NULL AS step,
    '' AS variant,
    '' AS verdict,
    toString(fact) AS reason,
    concat(
        if(holds, '', 'taken back: '),
        transform(
            toString(fact),
            ['erased', 'complained', 'unsubscribed', 'invalid', 'suppressed', 'snoozed', 'left'],
            [
                'erased', 'complained of spam', 'unsubscribed', 'the address is dead', 'suppressed by an operator',
                'a pause', 'of the list '
            ],
            toString(fact)
        ),
        list_name,
        if(holds AND until IS NOT NULL, concat(', until ', formatDateTime(assumeNotNull(until), '%F %R', 'UTC'), ' UTC'), ''),
        if(of = 'address', ', known of the address, whatever list it is in', '')
    ) AS what,
    '' AS wrote,
    '' AS client,
    '' AS device,
    '' AS country,
    '' AS ip,
    '' AS user_agent,
    '' AS rules_version
FROM facts_of_lead(lead = {lead:String})

-- view: lead_waiting_lines
-- Of a lead's timeline, a line for each email that waits to be sent.
SELECT
    at,
    toString(delivery_id) AS id,
    'waiting' AS kind,
    'Waiting' AS happened,
    10 AS place,
    toString(campaign) AS campaign,
    toNullable(step) AS step,
    '' AS variant,
    '' AS verdict,
    toString(state) AS reason,
    concat(
        if(
            state = 'unanswered',
            'an operator decides whether it went out',
            concat('next attempt at ', formatDateTime(due_at, '%F %T', 'UTC'), ' UTC')
        ),
        if(attempt > 0, concat(', attempts: ', toString(attempt)), '')
    ) AS what,
    '' AS wrote,
    '' AS client,
    '' AS device,
    '' AS country,
    '' AS ip,
    '' AS user_agent,
    '' AS rules_version
FROM emails_waiting()
WHERE delivery_id IN (SELECT delivery_id FROM retries WHERE lead = {lead:String} AND lead != '')
    AND lead = {lead:String}

-- view: lead_lines
-- A line for each thing that happened to a lead or holds of it: `kind` is the event's, or fact, or waiting; `id` tells
-- lines of the same moment apart.
SELECT * FROM lead_event_lines(lead = {lead:String})
UNION ALL
SELECT * FROM lead_fact_lines(lead = {lead:String})
UNION ALL
SELECT * FROM lead_waiting_lines(lead = {lead:String})

-- view: lead_timeline
-- Everything that happened to a lead, newest first, at most 500 rows; `total` says how many there are. Events of its
-- emails, hits with the verdict on them and the rule that gave it; since when it gets no more mail, or gets it again;
-- and what waits to be sent.
SELECT
    at,
    happened,
    campaign AS campaign_id,
    if(known.name = '', campaign, known.name) AS campaign_name,
    step,
    variant,
    verdict,
    reason,
    what,
    wrote,
    client,
    device,
    country,
    ip,
    user_agent,
    rules_version,
    count() OVER () AS total
FROM lead_lines(lead = {lead:String}) AS happenings
LEFT JOIN (SELECT id, name FROM campaigns FINAL) AS known ON known.id = happenings.campaign
ORDER BY at DESC, place DESC, happened, campaign_id, step, what
LIMIT 500

-- view: lead_timeline_page
-- As `lead_timeline`, a page: at most {limit} rows, the newest before the place in the timeline that the page before
-- ended at (moment, place and id).
SELECT *
FROM lead_lines(lead = {lead:String})
WHERE (at, place, id) < ({before:DateTime64(3, 'UTC')}, {before_place:Int64}, {before_id:String})
ORDER BY at DESC, place DESC, id DESC
LIMIT {limit:UInt32}

-- view: lead_summary
-- What became of all emails sent to a lead, whatever the period, and how many `events` there are of them. Counts as
-- everywhere: opened and clicked by a person. One row; none for a lead that nobody knows.
SELECT
    1 AS period,
    (SELECT count() FROM lead_events(lead = {lead:String})) AS events,
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
    sum(counted.opened_with_pixel) AS opened_with_pixel,
    sum(counted.delivered_with_pixel) AS delivered_with_pixel,
    sum(counted.delivered_with_links) AS delivered_with_links,
    min(sent_at)::Nullable(DateTime64(3, 'UTC')) AS first_sent_at
FROM emails AS counted FINAL
-- As in `lead_events`: the email is looked at before anything else is read of what stands near.
PREWHERE delivery_id IN (SELECT delivery_id FROM lead_emails WHERE lead = {lead:String} AND lead != '')
WHERE slot = toStartOfHour(assumeNotNull(sent_at)) AND (slot, campaign, step, variant, delivery_id) IN (
    SELECT toStartOfHour(assumeNotNull(sent_at)) AS slot, campaign, step, variant, delivery_id
    FROM lead_emails
    WHERE lead = {lead:String} AND lead != '' AND sent_at IS NOT NULL
)
HAVING events > 0

-- view: lead_state
-- Whether a lead gets email now, and if not, for what and since when: a row for each reason that holds, the gravest
-- first, or one that says that it does, and of which campaigns and lists it gets none: those that it replied to, where a
-- reply ends a campaign, and those that it left. No rows for a lead that nobody knows.
WITH
    (
        SELECT (
            arraySort(groupUniqArrayIf(if(known.name = '', of_what, known.name), fact = 'replied' AND known.check_reply)),
            arraySort(groupUniqArrayIf(of_what, fact = 'left'))
        )
        FROM
        (
            SELECT toString(fact) AS fact, toString(campaign) AS of_what
            FROM lead_facts FINAL
            WHERE lead = {lead:String} AND of = 'lead' AND holds AND fact IN ('replied', 'left')
        ) AS facts
        LEFT JOIN (SELECT id, name, check_reply FROM campaigns FINAL) AS known ON known.id = of_what
    ) AS gets_none
SELECT
    fact,
    transform(
        fact,
        ['erased', 'complained', 'unsubscribed', 'invalid', 'suppressed', 'snoozed', 'mailed', 'unmailed'],
        ['Erased', 'Complained', 'Unsubscribed', 'Address is dead', 'Suppressed', 'Paused', 'Gets email', 'Nothing sent yet'],
        fact
    ) AS state,
    min(at) AS since,
    multiIf(
        fact = 'mailed', concat(
            'since its first email',
            if(empty(gets_none.1), '', concat('; no more of ', arrayStringConcat(gets_none.1, ', '), ', to which it replied')),
            if(empty(gets_none.2), '', concat('; none of the lists that it left: ', arrayStringConcat(gets_none.2, ', ')))
        ),
        fact = 'unmailed', 'no email went out to it so far',
        fact = 'erased', 'nothing that tells who it was is kept',
        fact = 'snoozed', concat('it asked for no email until ', formatDateTime(assumeNotNull(max(until)), '%F %R', 'UTC'), ' UTC'),
        has(groupUniqArray(of), 'lead'), 'this lead gets no more email',
        'its address gets no more email, whatever list it is in'
    ) AS about
FROM
(
    SELECT toString(fact) AS fact, toString(of) AS of, toNullable(at) AS at, until
    FROM facts_of_lead(lead = {lead:String})
    WHERE holds AND (until IS NULL OR until > now64(3, 'UTC')) AND fact != 'left'
    UNION ALL
    SELECT
        if(countIf(sent_at IS NOT NULL) > 0, 'mailed', 'unmailed') AS fact,
        '' AS of,
        min(sent_at) AS at,
        NULL AS until
    FROM lead_emails
    WHERE lead = {lead:String} AND lead != ''
    HAVING count() > 0
)
GROUP BY fact
-- Who gets none for a reason is not said to get it.
QUALIFY fact NOT IN ('mailed', 'unmailed') OR count() OVER () = 1
ORDER BY indexOf(['erased', 'complained', 'unsubscribed', 'invalid', 'suppressed', 'snoozed'], fact)

-- view: leads_lately
-- Leads to choose from: those to whom something last happened in the period, the latest first, at most 50: the newest
-- line of each one's timeline, whoever opened or clicked. What is typed finds the leads whose id holds it. `emails` were
-- ever sent to it; opened, clicked and replied are of these, by a person.
WITH
    latest AS
    (
        -- Without FINAL, which would merge all leads for the sake of these. A lead has a row for each part that is not
        -- merged yet, so of many rows enough leads come.
        SELECT lead
        FROM
        (
            SELECT lead, last.at AS at
            FROM last_events
            WHERE last.at >= {since:DateTime64(3, 'UTC')} AND last.at < {until:DateTime64(3, 'UTC')}
                AND ({lead:String} = '' OR positionCaseInsensitiveUTF8(lead, {lead:String}) > 0)
            ORDER BY at DESC, lead
            LIMIT 2000
        )
        GROUP BY lead
        ORDER BY max(at) DESC, lead
        LIMIT 50
    )
SELECT
    newest.lead AS lead,
    last_at,
    if(words.happened = '', newest.kind, words.happened) AS last_happened,
    emails,
    opened,
    clicked,
    replied
FROM
(
    -- What came after the period may stand in another row.
    SELECT lead, max(last) AS last, last.at AS last_at, last.kind AS kind
    FROM last_events
    WHERE lead IN latest
    GROUP BY lead
    HAVING last_at < {until:DateTime64(3, 'UTC')}
) AS newest
LEFT JOIN event_words() AS words ON words.kind = newest.kind
LEFT JOIN
(
    SELECT
        lead,
        uniqExactIf(delivery_id, sent_at IS NOT NULL) AS emails,
        uniqExactIf(delivery_id, first_open_at IS NOT NULL OR first_click_at IS NOT NULL) AS opened,
        uniqExactIf(delivery_id, first_click_at IS NOT NULL) AS clicked,
        uniqExactIf(delivery_id, replied_at IS NOT NULL) AS replied
    FROM lead_emails
    WHERE lead IN latest
    GROUP BY lead
) AS counted ON counted.lead = newest.lead
ORDER BY last_at DESC, lead
LIMIT 50

-- view: leads_by_address
-- The leads to whose emails one of these addresses belongs, at most 50, the one that was last mailed first. Addresses are
-- told by their keyed hashes, as `events` has them.
SELECT lead, max(lead_emails.sent_at)::Nullable(DateTime64(3, 'UTC')) AS last_sent_at
FROM lead_emails
WHERE address IN {addresses:Array(String)}
GROUP BY lead
ORDER BY last_sent_at DESC, lead
LIMIT 50

-- view: leads_by_id
-- The lead of that id, if anything is known of it: one row or none.
SELECT lead, max(lead_emails.sent_at)::Nullable(DateTime64(3, 'UTC')) AS last_sent_at
FROM lead_emails
WHERE lead = {lead:String} AND lead != ''
GROUP BY lead
