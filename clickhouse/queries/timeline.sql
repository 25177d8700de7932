-- One lead: everything that is known of it, whatever the period. No lead chosen means no rows.

-- fragment: events_of_lead
-- The events of the emails of one lead. By way of lead_emails, which is sorted by lead, because events are sorted by
-- campaign and email. FINAL, because the same event may have been delivered twice. PREWHERE, because FINAL would read
-- every column of whatever stands near; by the email alone, because that is cheap to look at, and the pair finds where.
FROM events FINAL
PREWHERE delivery_id IN (SELECT delivery_id FROM lead_emails WHERE lead = chosen_lead AND lead != '')
WHERE (campaign, delivery_id) IN (SELECT campaign, delivery_id FROM lead_emails WHERE lead = chosen_lead AND lead != '')

-- fragment: outcomes_of_lead
-- What became of the emails of one lead, found by their sorting key.
FROM v_outcomes
WHERE (campaign, step, variant, delivery_id) IN (
    SELECT campaign, step, variant, delivery_id FROM lead_emails WHERE lead = chosen_lead AND lead != ''
)

-- fragment: facts_of_lead
-- For what a lead gets no more mail: facts of the lead; of the addresses that its emails went to, whose lists they may
-- have come from another; and that it was erased, which is kept under its pseudonym. `holds` 0 is a fact taken back.
SELECT
    lead AS whose,
    fact,
    of,
    at,
    holds
FROM lead_facts FINAL
WHERE fact IN ('erased', 'complained', 'unsubscribed', 'invalid')
    -- Each by itself, as the table is sorted: or all of it would be read.
    AND (
        (lead = chosen_lead AND of = 'lead')
        OR (
            lead = if(startsWith(chosen_lead, 'erased:'), substring(chosen_lead, 8), '') AND lead != ''
            AND of = 'hashed-lead'
        )
        OR (
            lead IN (SELECT address FROM lead_emails WHERE lead = chosen_lead AND lead != '' AND address != '')
            AND of NOT IN ('lead', 'hashed-lead')
        )
    )

-- fragment: waiting_emails
-- Emails that wait: for their next attempt, or for an operator's decision (`unanswered`). One that turned out to have
-- been sent after all waits for none.
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

-- fragment: happened
-- The words for an event.
transform(
    toString(kind),
    [
        'sent', 'delivered', 'deferred', 'unanswered', 'skipped', 'bounce', 'reply', 'auto_reply', 'complaint',
        'open', 'click', 'unsubscribe', 'resubscribe'
    ],
    [
        'Sent', 'Delivered', 'Put off', 'No answer', 'Not sent', 'Bounced', 'Replied', 'Automatic reply',
        'Complained', 'Opened', 'Clicked', 'Unsubscribed', 'Took it back'
    ],
    toString(kind)
)

-- fragment: lead_happenings
-- A row for each thing that happened to a lead or holds of it: `kind` is the event's, or fact, or waiting; `id` tells rows
-- of the same moment apart.
SELECT
    at,
    toString(events.id) AS id,
    toString(kind) AS kind,
    -- include: happened
    AS happened,
    -- At one moment: what follows stands above what it follows from.
    indexOf(
        ['sent', 'delivered', 'deferred', 'bounce', 'open', 'click', 'reply', 'complaint', 'unsubscribe'],
        toString(kind)
    ) AS place,
    toString(campaign) AS campaign,
    toNullable(step) AS step,
    toString(variant) AS variant,
    toString(verdict) AS verdict,
    toString(reason) AS reason,
    arrayStringConcat(
        arrayFilter(
            part -> part != '',
            multiIf(
                kind = 'sent', [
                    concat('from ', sender),
                    if(recipient_domain = '', '', concat('to ', recipient_domain)),
                    if(attempt > 1, concat('attempt ', toString(attempt)), '')
                ],
                kind = 'deferred', [
                    if(attempt > 0, concat('attempt ', toString(attempt)), ''), toString(status), left(diagnostic, 200)
                ],
                kind = 'bounce', [
                    toString(bounce_class), toString(category), toString(status), left(diagnostic, 200),
                    if(via = 'report', 'reported later', '')
                ],
                kind IN ('reply', 'auto_reply'), [left(subject, 200)],
                kind = 'complaint', [toString(category)],
                kind = 'click', [
                    if(links.url = '', 'a link that is not known any more', left(links.url, 300)),
                    if(agent IN ('', 'unknown'), left(toString(user_agent), 80), toString(agent)),
                    toString(network)
                ],
                kind = 'open', [
                    if(agent IN ('', 'unknown'), left(toString(user_agent), 80), toString(agent)),
                    toString(network)
                ],
                kind = 'unsubscribe', [
                    transform(toString(via), ['page', 'one-click', 'mail'], ['on the page', 'by one click', 'by mail'], toString(via))
                ],
                kind = 'resubscribe', ['gets email again'],
                kind = 'unanswered', ['it may have gone out: an operator decides'],
                []
            )
        ),
        ', '
    ) AS what,
    left(text, 1000) AS wrote,
    left(toString(user_agent), 300) AS user_agent,
    toString(rules_version) AS rules_version
FROM
(
    SELECT *
    -- include: events_of_lead
) AS events
LEFT JOIN
(
    SELECT toString(link_id) AS link_id, url
    FROM links FINAL
    WHERE link_id IN (
        SELECT toFixedString(one, 64)
        FROM lead_emails
        ARRAY JOIN links AS one
        WHERE lead = chosen_lead AND lead != '' AND length(one) = 64
    )
) AS links ON links.link_id = events.link_id
UNION ALL
SELECT
    at,
    concat(fact, ' ', of, ' ', whose) AS id,
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
            ['erased', 'complained', 'unsubscribed', 'invalid'],
            ['erased', 'complained of spam', 'unsubscribed', 'the address is dead'],
            toString(fact)
        ),
        if(of = 'address', ', known of the address, whatever list it is in', '')
    ) AS what,
    '' AS wrote,
    '' AS user_agent,
    '' AS rules_version
FROM
(
    -- include: facts_of_lead
)
UNION ALL
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
    '' AS user_agent,
    '' AS rules_version
FROM
(
    SELECT *
    -- include: waiting_emails
    AND delivery_id IN (SELECT delivery_id FROM retries WHERE lead = chosen_lead AND lead != '')
    AND lead = chosen_lead
)

-- name: lead_timeline
-- Everything that happened to a lead, newest first, at most 500 rows; `total` says how many there are. Events of its
-- emails, hits with the verdict on them and the rule that gave it; since when it gets no more mail, or gets it again;
-- and what waits to be sent.
WITH
    {lead:String} AS chosen_lead
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
    user_agent,
    rules_version,
    count() OVER () AS total
FROM
(
    -- include: lead_happenings
) AS happenings
LEFT JOIN (SELECT id, name FROM campaigns FINAL) AS known ON known.id = happenings.campaign
ORDER BY at DESC, place DESC, happened, campaign_id, step, what
LIMIT 500

-- name: lead_timeline_page
-- As `lead_timeline`, a page: at most :limit rows, the newest before the place in the timeline that the page before ended
-- at (moment, place and id).
WITH
    {lead:String} AS chosen_lead
SELECT
    at,
    place,
    id,
    kind,
    happened,
    campaign,
    step,
    variant,
    verdict,
    reason,
    what,
    wrote,
    user_agent,
    rules_version
FROM
(
    -- include: lead_happenings
) AS happenings
WHERE (at, place, id) < ({before:DateTime64(3, 'UTC')}, {before_place:Int64}, {before_id:String})
ORDER BY at DESC, place DESC, id DESC
LIMIT {limit:UInt32}

-- name: lead_summary
-- What became of all emails of a lead, whatever the period, and how many `events` there are of them. Counts and rates as
-- everywhere: opened and clicked by a person, of delivered. One row; none for a lead that nobody knows.
WITH
    {lead:String} AS chosen_lead
SELECT
    1 AS period,
    (
        SELECT count()
        -- include: events_of_lead
    ) AS events,
    -- include: counts
    ,
    -- include: rates
    , min(sent_at) AS first_sent_at
-- include: outcomes_of_lead
AND sent_at IS NOT NULL
HAVING events > 0

-- name: lead_state
-- Whether a lead gets email now, and if not, for what and since when: a row for each reason that holds, the gravest
-- first, or one that says that it does. No rows for a lead that nobody knows.
WITH
    {lead:String} AS chosen_lead
SELECT
    fact,
    transform(
        fact,
        ['erased', 'complained', 'unsubscribed', 'invalid', 'mailed', 'unmailed'],
        ['Erased', 'Complained', 'Unsubscribed', 'Address is dead', 'Gets email', 'Nothing sent yet'],
        fact
    ) AS state,
    min(at) AS since,
    multiIf(
        fact = 'mailed', 'since its first email',
        fact = 'unmailed', 'no email went out to it so far',
        fact = 'erased', 'nothing that tells who it was is kept',
        has(groupUniqArray(of), 'lead'), 'this lead gets no more email',
        'its address gets no more email, whatever list it is in'
    ) AS about
FROM
(
    SELECT toString(fact) AS fact, toString(of) AS of, toNullable(at) AS at
    FROM
    (
        -- include: facts_of_lead
    )
    WHERE holds
    UNION ALL
    SELECT if(countIf(sent_at IS NOT NULL) > 0, 'mailed', 'unmailed') AS fact, '' AS of, min(sent_at) AS at
    FROM lead_emails
    WHERE lead = chosen_lead AND lead != ''
    HAVING count() > 0
)
GROUP BY fact
-- Who gets none for a reason is not said to get it.
QUALIFY fact NOT IN ('mailed', 'unmailed') OR count() OVER () = 1
ORDER BY indexOf(['erased', 'complained', 'unsubscribed', 'invalid'], fact)

-- name: leads_lately
-- Leads to choose from: those to whom something last happened in the period, the latest first, at most 50: the newest
-- line of each one's timeline, whoever opened or clicked. What is typed finds the leads whose id holds it. `emails` were
-- ever sent to it; opened, clicked and replied are of these, by a person.
WITH
    {since:DateTime64(3, 'UTC')} AS since,
    {until:DateTime64(3, 'UTC')} AS until,
    {lead:String} AS chosen_lead,
    latest AS
    (
        -- Without FINAL, which would merge all leads for the sake of these. A lead has a row for each part that is not
        -- merged yet, so of many rows enough leads come.
        SELECT lead
        FROM
        (
            SELECT lead, last.at AS at
            FROM last_events
            WHERE last.at >= since AND last.at < until
                AND (chosen_lead = '' OR positionCaseInsensitiveUTF8(lead, chosen_lead) > 0)
            ORDER BY at DESC, lead
            LIMIT 2000
        )
        GROUP BY lead
        ORDER BY max(at) DESC, lead
        LIMIT 50
    )
SELECT
    lead,
    last_at,
    -- include: happened
    AS last_happened,
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
    HAVING last_at < until
) AS newest
LEFT JOIN
(
    SELECT
        lead,
        uniqExactIf(delivery_id, sent_at IS NOT NULL) AS emails,
        uniqExactIf(delivery_id, first_open_at IS NOT NULL) AS opened,
        uniqExactIf(delivery_id, first_click_at IS NOT NULL) AS clicked,
        uniqExactIf(delivery_id, replied_at IS NOT NULL) AS replied
    FROM lead_emails
    WHERE lead IN latest
    GROUP BY lead
) AS counted USING (lead)
ORDER BY last_at DESC, lead
LIMIT 50
