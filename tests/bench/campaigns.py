"""A hundred million events of campaigns that never were, made by ClickHouse itself: deterministic, seconds a million.

Emails of 100 campaigns, three steps of two variants each, from fifty senders, over four months, in working hours. To
each email comes what comes to emails: 3 % bounce, nearly half are fetched ahead by privacy proxies, scanners open and
click, people open some, and come back to them over days; few click, reply or unsubscribe. About five events an email,
three of them hits.
"""

from __future__ import annotations

from clickhouse_connect.driver.client import Client

CAMPAIGNS = 100
DAYS = 120
FIRST = "2026-03-01 00:00:00"
LAST = "2026-06-29 00:00:00"  # no email is sent later; what comes of them may be

# One campaign: it sends for 60 days, from a day of its own on. `h(n)` is a number of the email's, never the same twice.
_EVENTS = """
INSERT INTO events
    (id, kind, at, delivery_id, campaign, step, variant, lead, sender, recipient_domain, message_id, request_id, attempt,
     bounce_class, category, status, diagnostic, reason, verdict, rules_version, user_agent, ip, link_id, via)
WITH
    {campaign:UInt32} AS c,
    (seed) -> toInt64(bitShiftRight(cityHash64(n, c, seed), 2)) AS h,
    (one, other) -> toInt64(bitShiftRight(cityHash64(one, other), 2)) AS g,
    toUInt8(n % 3) AS step_,
    intDiv(n, 3) AS lead_,
    cityHash64(lead_, c) % 2 AS variant_,
    toDateTime64('FIRST', 3, 'UTC') AS first,
    toInt64(intDiv(c * 37 % 100 * 60, 100)) + toInt64(cityHash64(lead_, c, 'day') % 50) + [0, 3, 7][step_ + 1] AS day,
    toInt64(day * 86400000 + 28800000 + h('time') % 36000000) AS sent_ms,
    concat('sender-', leftPad(toString((c * 3 + lead_ % 5) % 50), 2, '0'), '@example.com') AS sender_,
    h('fate') % 1000 AS fate,
    multiIf(fate < 12, 'hard', fate < 22, 'soft', fate < 30, 'block', '') AS bounce_,
    bounce_ IN ('soft', 'block') AND fate % 2 = 0 AS late_bounce,
    bounce_ = '' OR late_bounce AS taken,
    taken AND h('machine') % 100 < 45 AS machine_,
    taken AND h('scanner') % 100 < 15 AS scanned,
    taken AND h('opens') % 100 < 45 AS read_,
    read_ AND h('clicks') % 100 < 25 AS followed,
    taken AND h('reply') % 1000 < 20 AS replied_,
    taken AND h('unsubscribe') % 1000 < 8 AS left_,
    taken AND h('complaint') % 10000 < 6 AS complained_,
    taken AND h('away') % 100 < 3 AS away,
    -- kind, milliseconds after it was sent, verdict, reason, link
    arrayConcat(
        [('sent', 0, '', '', 0)],
        taken ? [('delivered', 5, '', '', 0)] : [],
        bounce_ != '' ? [('bounce', late_bounce ? 60000 + h('bounce') % 7200000 : 3, '', '', 0)] : [],
        machine_ ? arrayMap(k -> ('open', 2000 + g(h('m'), k) % 5400000, 'machine', 'privacy-prefetch', 0),
                            range(1 + h('mm') % 2)) : [],
        scanned ? arrayMap(k -> (k = 0 ? 'open' : 'click', 200 + g(h('s'), k) % 1500, 'bot',
                                 ['too-quick', 'click-burst', 'network', 'agent'][1 + h('why') % 4], toInt64(k)),
                           range(3 + h('ss') % 3)) : [],
        read_ ? arrayMap(k -> ('open', toInt64(60000 * exp(g(h('o'), k) / 4611686018427387904 * 9)), 'human',
                               ['mail-client', 'mail-proxy', 'browser'][1 + g(h('oo'), k) % 3], 0),
                         range(1 + h('ooo') % 6)) : [],
        followed ? arrayMap(k -> ('click', toInt64(70000 * exp(g(h('c'), k) / 4611686018427387904 * 9)), 'human',
                                  'browser', 1 + g(h('cc'), k) % 8), range(1 + h('ccc') % 3)) : [],
        replied_ ? [('reply', 600000 + h('r') % 172800000, '', '', 0)] : [],
        left_ ? [('unsubscribe', 300000 + h('l') % 172800000, '', '', 0)] : [],
        complained_ ? [('complaint', 900000 + h('p') % 86400000, '', '', 0)] : [],
        away ? [('auto_reply', 30000 + h('a') % 60000, '', '', 0)] : [])
        ::Array(Tuple(String, Int64, String, String, Int64)) AS all_
SELECT
    reinterpretAsUUID(MD5(concat('event', toString(c), '-', toString(n), '-', toString(place)))) AS id,
    happened.1 AS kind,
    first + toIntervalMillisecond(sent_ms + happened.2) AS at,
    reinterpretAsUUID(MD5(concat('email', toString(c), '-', toString(n)))) AS delivery_id,
    concat('campaign-', leftPad(toString(c), 3, '0')) AS campaign,
    step_ AS step,
    ['A', 'B'][variant_ + 1] AS variant,
    concat('lead-', toString(c % 10), '-', toString(lead_)) AS lead,
    kind IN ('sent', 'delivered', 'bounce', 'reply', 'auto_reply', 'complaint') ? sender_ : '' AS sender,
    kind = 'sent' ? multiIf(h('domain') % 100 < 40, 'gmail.com', h('domain') % 100 < 60, 'outlook.com', h('domain') % 100 < 65,
        'yahoo.com', concat('company-', toString(h('company') % 20000), '.example')) : '' AS recipient_domain,
    kind IN ('sent', 'reply', 'complaint') ? concat('<', toString(id), '@example.com>') : '' AS message_id,
    kind IN ('sent', 'delivered') ? toString(delivery_id) : '' AS request_id,
    kind = 'sent' ? 1 : 0 AS attempt,
    kind = 'bounce' ? bounce_ : '' AS bounce_class,
    kind = 'bounce' ? ['mailbox', 'domain', 'full', 'policy', 'spam', 'reputation'][1 + fate % 6] : '' AS category,
    kind = 'bounce' ? ['5.1.1', '5.1.2', '4.2.2', '5.7.1', '5.7.1', '5.7.25'][1 + fate % 6] : '' AS status,
    kind = 'bounce' ? 'refused by the recipient''s server' : '' AS diagnostic,
    happened.4 AS reason,
    happened.3 AS verdict,
    kind IN ('open', 'click') ? '0123456789ab' : '' AS rules_version,
    kind IN ('open', 'click') ? concat('Agent/', toString(cityHash64(id) % 300)) : '' AS user_agent,
    kind IN ('open', 'click') ? concat('198.51.', toString(cityHash64(id, 1) % 256), '.0') : '' AS ip,
    kind = 'click' ? lower(hex(SHA256(concat(campaign, toString(happened.5))))) : '' AS link_id,
    kind IN ('unsubscribe', 'bounce') ? 'page' : '' AS via
FROM (SELECT number AS n FROM numbers({first_email:UInt64}, {emails:UInt64}))
ARRAY JOIN all_ AS happened, arrayEnumerate(all_) AS place
""".replace("FIRST", FIRST)

_STATE = (
    "INSERT INTO campaigns (id, name, created_at) SELECT concat('campaign-', leftPad(toString(number), 3, '0')), "
    f"concat('Campaign ', toString(number)), toDateTime64('{FIRST}', 3, 'UTC') FROM numbers({CAMPAIGNS})",
    "INSERT INTO links (link_id, campaign, url) WITH concat('campaign-', leftPad(toString(intDiv(number, 9)), 3, '0')) "
    "AS campaign SELECT lower(hex(SHA256(concat(campaign, toString(number % 9))))), campaign, "
    f"concat('https://www.example.com/', toString(number % 9)) FROM numbers({CAMPAIGNS * 9})",
)


def tell(client: Client, campaign: int, emails: int, first_email: int = 0) -> None:
    """Insert the events of so many emails of one campaign into `events`."""
    client.command(
        _EVENTS,
        parameters={"campaign": campaign, "first_email": first_email, "emails": emails},
        settings={"max_insert_block_size": 2_000_000, "min_insert_block_size_rows": 2_000_000},
    )


def declare(client: Client) -> None:
    """The campaigns and their links."""
    for statement in _STATE:
        client.command(statement)
