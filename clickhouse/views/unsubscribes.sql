-- Why people leave: what they chose on the page behind the unsubscribe link, or by which way they went without a word.

-- view: unsubscribe_reasons
-- Emails unsubscribed from in the period, whenever the email was sent, each once, by the reason that was chosen on the page,
-- the last one where there are several; without a reason, by the way that it came. Taken back since, it does not count. So
-- the rows sum up to the unsubscribed of `list_health`. `share` is of all of them.
SELECT
    if(
        chosen = '',
        transform(
            way,
            ['page', 'one-click', 'mail', 'provider', 'reply'],
            [
                'No reason chosen on the page', 'By one click, which asks for none', 'By mail, which asks for none',
                'Told by the provider', 'Asked for in a reply'
            ],
            way
        ),
        transform(
            chosen,
            ['too-many', 'not-relevant', 'never-asked', 'other'],
            ['Too many emails', 'Not relevant', 'Never asked for them', 'Another reason'],
            replaceAll(chosen, '-', ' ')
        )
    ) AS why,
    count() AS emails,
    count() / sum(count()) OVER () AS share
FROM
(
    SELECT
        minIf(at, kind = 'unsubscribe') AS first,
        argMaxIf(toString(reason), (at, id), kind = 'unsubscribe' AND reason != '') AS chosen,
        argMaxIf(toString(via), (at, id), kind = 'unsubscribe') AS way,
        maxIf(at, kind = 'resubscribe') >= maxIf(at, kind = 'unsubscribe') AS is_back
    FROM rare_events
    WHERE kind IN ('unsubscribe', 'resubscribe')
        AND (empty({campaigns:Array(String)}) OR has({campaigns:Array(String)}, campaign))
        AND delivery_id IN (
            SELECT delivery_id
            FROM rare_events
            WHERE kind = 'unsubscribe'
                AND at >= {since:DateTime64(3, 'UTC')} AND at < {until:DateTime64(3, 'UTC')}
        )
    GROUP BY delivery_id
)
WHERE NOT is_back AND first >= {since:DateTime64(3, 'UTC')} AND first < {until:DateTime64(3, 'UTC')}
GROUP BY why
ORDER BY emails DESC, why
