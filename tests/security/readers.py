"""Every function that reads what strangers write, with the shapes that are tried on it.

`test_linear.py` sees to it that no public function of the rooms below is missing.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial

import msgspec

from decisions.clients.mail_clients import MailClients
from decisions.mail import (
    addresses,
    automatic,
    charsets,
    complaints,
    guess,
    html,
    kinds,
    matching,
    origin,
    parts,
    read,
    returned,
    signs,
    written,
)
from decisions.mail.bounce import (
    claims,
    codes,
    dsn,
    freetext,
    notifications,
    own_words,
    phrases,
    proofs,
    recipients,
    refusal,
    rejections,
    rules,
    stage,
    statuses,
    words,
)
from decisions.mail.reply import attributions, headers, patterns, quotes, stop, visible
from decisions.mail.responder import proofs as proofs_of_responders
from decisions.robots import user_agents as agents
from decisions.sending import clip, mime, own_events, plaintext, retry, rewrite, shown, text_links, urls
from decisions.sending.footer import FooterWords, language_of
from decisions.sending.instrument import instrument, parts_of
from decisions.sending.own_events import OwnEvent
from decisions.sending.tracking import untouched, wrapper
from ingest.api import export, images, requests
from ingest.api.http.problems import Problem
from ingest.hits import hits, source
from ingest.inbox import imap
from schemas.addresses import DisplayAddress, mailbox, mailboxes
from schemas.errors import Reject
from schemas.state.images import Image
from schemas.tokens import Purpose, published_link_id
from tests.agents.mails import ENVELOPE, KEYRING, NOW, PUBLIC, a_send
from tests.security.provider_readers import PROVIDER_READERS
from tests.security.shapes import ADDRESSES, MAIL, MARKUP, PLAIN, URLS, WORDS, Text

Read = Callable[[str], object]


@dataclass(frozen=True, slots=True)
class Reader:
    """A function, how it is given a text, and the shapes of its own grammar, which it is given up to 2 MB."""

    read: Read
    shapes: Sequence[Text]


_AGENTS = agents.Agents.load()
_CLIENTS = MailClients.load()
_PARTS_OF = partial(parts_of, keyring=KEYRING, public_url=PUBLIC, envelope_domain=ENVELOPE, minted_at=NOW)
_SENDS = msgspec.json.Decoder(requests.SendsRequest).decode


def _raw(text: str) -> bytes:
    return text.encode("utf-8", "replace")


def _or_refused(read: Read) -> Read:
    """What may be refused: that has to be quick as well."""

    def reads(text: str) -> object:
        try:
            return read(text)
        except (Reject, Problem):
            return None

    return reads


def _mail(text: str) -> parts.MimePart:
    return parts.MimePart(
        [("subject", text), ("from", text), ("to", text), ("x-failed-recipients", text)], body=_raw(text)
    )


def _attributed(text: str) -> list[int]:
    lines = text[: visible.MOST_TEXT].split("\n")[:5000]
    return [attributions.attributed(lines, ["t"] * len(lines), at) for at in range(len(lines))]


def _marked(text: str) -> None:
    lines = text[: visible.MOST_TEXT].split("\n")[:5000]
    headers.mark_headers(lines, ["h" if ":" in line[:20] else "t" for line in lines])


def _from(text: str) -> parts.MimePart:
    return parts.MimePart([("authentication-results", text), ("from", text)])


def _report(text: str) -> returned.ReturnedMail:
    return returned.ReturnedMail(text, _mail(text))


def _rewritten(text: str) -> object:
    found = rewrite.scan(text)
    shown.shown_placeholder(text, found)
    return rewrite.rewrite(
        text, found, lambda url: url or None, "https://u.example/", "<tail>", "<head>", shown.top_of(text, found)
    )


def _scanned_again(text: str) -> object:
    first = rewrite.scan(f"<p>{text}")
    return plaintext.plaintext(rewrite.scan(f"<p>{text}!", first))


def _coded_again(text: str) -> object:
    """As the text of another email of its variant was, but for its first line."""
    coder = mime.LineCoder()
    coder(_raw(f"Hello\n{text}"))
    return coder(_raw(f"Hi\n{text}"))


def _plaintext(text: str) -> object:
    return plaintext.plaintext(rewrite.scan(text))


def _instrumented(text: str) -> object:
    send = a_send(html=text, text="")
    return instrument(send, KEYRING, public_url=PUBLIC, envelope_domain=ENVELOPE, now=NOW, honeypot=True)


def _text_part(text: str) -> object:
    return _PARTS_OF(a_send(html="", text=text or "."), wrap_text_links=True)


def _checked(text: str) -> object:
    body = msgspec.json.encode(
        {
            "sends": [
                {"campaign": "c", "step": 1, "lead": "l", "to": text, "sender": text, "subject": text, "html": text}
            ]
        }
    )
    (raw,) = requests.decode(_SENDS, body).sends
    return requests.check_send(msgspec.json.decode(raw, type=requests.SendRequest))


def _shown(text: str) -> object:
    shown = [Image(content_id=f"c{n}", media_type="image/gif", content=b"GIF89a") for n in range(images.MAX_IMAGES)]
    return images.check_images(shown, text + "".join(f"<img src='cid&#58;c{n}'>" for n in range(images.MAX_IMAGES)))


def _told(text: str) -> object:
    return own_events.events_of(
        OwnEvent(
            kind="bounce", campaign="c", step=1, lead="l", at=datetime.now(UTC), sender=text, to=text, diagnostic=text
        ),
        KEYRING,
    )


def _on(shapes: Sequence[Text], read: Read) -> Reader:
    return Reader(_or_refused(read), shapes)


# By module and name, as `test_linear.py` looks for them.
READERS: dict[str, Reader] = {
    "decisions.clients.mail_clients.MailClients": _on(WORDS, _CLIENTS.find),
    "decisions.robots.user_agents.Agents": _on(WORDS, _AGENTS.classify),
    "decisions.sending.instrument.instrument": _on(MARKUP, _instrumented),
    "decisions.sending.instrument.parts_of": _on(MARKUP, _text_part),
    "decisions.sending.footer.language_of": _on(MARKUP, language_of),
    "decisions.sending.footer.FooterWords": _on(MARKUP, FooterWords({"en": "Unsubscribe"}, "en").of),
    "schemas.addresses.mailboxes": _on(ADDRESSES, mailboxes),
    "schemas.addresses.mailbox": _on(ADDRESSES, mailbox.__wrapped__),
    "decisions.sending.mime.header": _on(PLAIN, lambda text: mime.header("Subject", text)),
    "decisions.sending.mime.spelled": _on(PLAIN, lambda text: mime.spelled(DisplayAddress(text, "a@b.example"))),
    "decisions.sending.mime.encoded_words": _on(PLAIN, mime.encoded_words),
    "decisions.sending.mime.body": _on(PLAIN, lambda text: mime.body("plain", text)),
    "decisions.sending.mime.LineCoder": _on(PLAIN, _coded_again),
    "decisions.sending.mime.quoted_printable": _on(PLAIN, lambda text: mime.quoted_printable(_raw(text))),
    "decisions.sending.own_events.events_of": _on(ADDRESSES, _told),
    "decisions.sending.plaintext.plaintext": _on(MARKUP, _plaintext),
    "decisions.mail.bounce.refusal.assess": _on(WORDS, refusal.assess),
    "decisions.mail.bounce.refusal.categorise": _on(WORDS, lambda text: refusal.categorise(550, "5.0.0", text)),
    "decisions.mail.bounce.codes.codes": _on(WORDS, lambda text: codes.codes(text, text)),
    "decisions.mail.bounce.codes.enhanced_status": _on(WORDS, lambda text: codes.enhanced_status(550, text)),
    "decisions.mail.bounce.phrases.nobody_there": _on(WORDS, phrases.nobody_there),
    "decisions.mail.bounce.phrases.phrase": _on(WORDS, phrases.phrase),
    "decisions.mail.bounce.phrases.told_by": _on(WORDS, phrases.told_by),
    "decisions.mail.bounce.rules.judge": _on(WORDS, lambda text: rules.judge(550, "5.0.0", text, "rcpt")),
    "decisions.sending.retry.requested_delay": _on(WORDS, retry.requested_delay),
    "decisions.sending.retry.retry": _on(WORDS, lambda text: retry.retry(1, text, NOW, NOW, 0.5)),
    "decisions.sending.rewrite.decode_attribute": _on(MARKUP, rewrite.decode_attribute),
    "decisions.sending.rewrite.href_of": _on(MARKUP, rewrite.href_of),
    "decisions.sending.rewrite.rewrite": _on(MARKUP, _rewritten),
    "decisions.sending.rewrite.scan": _on(MARKUP, _scanned_again),
    "decisions.sending.rewrite.attributes_of": _on(MARKUP, rewrite.attributes_of),
    "decisions.sending.shown.shown_placeholder": _on(
        MARKUP, lambda text: shown.shown_placeholder(text, rewrite.scan(text))
    ),
    "decisions.sending.shown.top_of": _on(MARKUP, lambda text: shown.top_of(text, rewrite.scan(text))),
    "decisions.sending.shown.undisplayed": _on(MARKUP, lambda text: shown.undisplayed(text, rewrite.scan(text))),
    "decisions.sending.clip.is_clipped": _on(MARKUP, lambda text: clip.is_clipped(text, len(text))),
    "decisions.sending.clip.may_be_clipped": _on(MARKUP, lambda text: clip.may_be_clipped(text, "auto")),
    "decisions.sending.clip.is_whole": _on(MARKUP, clip.is_whole),
    "decisions.sending.clip.place_of": _on(MARKUP, lambda text: clip.place_of(text, "<a", 100)),
    "decisions.sending.tracking.wrapper": _on(URLS, lambda text: wrapper("spring", KEYRING, PUBLIC, "t", {}, ())(text)),
    "decisions.sending.tracking.untouched": _on(URLS, untouched),
    "decisions.sending.text_links.wrapped": _on(URLS, lambda text: text_links.wrapped(text, lambda url: url)),
    "decisions.sending.urls.target": _on(URLS, urls.target),
    "decisions.mail.addresses.addresses": _on(ADDRESSES, addresses.addresses),
    "decisions.mail.addresses.first_address": _on(ADDRESSES, addresses.first_address),
    "decisions.mail.addresses.is_robot": _on(ADDRESSES, addresses.is_robot),
    "decisions.mail.automatic.asks_something": _on(WORDS, automatic.asks_something),
    "decisions.mail.automatic.automatic": _on(WORDS, lambda text: automatic.automatic(_mail(text), text, text)),
    "decisions.mail.automatic.receipt_or_invitation": _on(
        WORDS, lambda text: automatic.receipt_or_invitation(_mail(text), text, text)
    ),
    "decisions.mail.bounce.statuses.read_statuses": _on(
        WORDS,
        lambda text: statuses.read_statuses(
            [dsn.Status("", "failed", "5.0.0", text)] * 3, _report(text[: 64 << 10]), _mail(text[: 16 << 10])
        ),
    ),
    "decisions.mail.bounce.words.read_words": _on(
        WORDS, lambda text: words.read_words(_report(text[: 64 << 10]), _mail(text[: 16 << 10]), text[: 16 << 10])
    ),
    "decisions.mail.bounce.stage.stage_of": _on(WORDS, stage.stage_of),
    "decisions.mail.bounce.recipients.parties": _on(ADDRESSES, lambda text: recipients.parties(_mail(text))),
    "decisions.mail.bounce.recipients.ids_of": _on(ADDRESSES, lambda text: recipients.ids_of(_mail(text))),
    "decisions.mail.bounce.phrases.without_advice": _on(WORDS, phrases.without_advice),
    "decisions.mail.bounce.own_words.without_ours": _on(
        WORDS, lambda text: own_words.without_ours(_report(text[: 64 << 10]))
    ),
    "decisions.mail.bounce.own_words.reason_in_subject": _on(WORDS, own_words.reason_in_subject),
    "decisions.mail.bounce.claims.expanded": _on(
        WORDS, lambda text: claims.expanded(text[: 64 << 10].split("\n")[:1200])
    ),
    "decisions.mail.bounce.claims.claims": _on(
        WORDS, lambda text: claims.claims(text[: 64 << 10].split("\n")[:1200], {}, set())
    ),
    "decisions.mail.bounce.proofs.bounce_proof": _on(
        WORDS, lambda text: proofs.bounce_proof(_mail(text), _report(text), text, text)
    ),
    "decisions.mail.bounce.rejections.rejection": _on(
        WORDS,
        lambda text: rejections.rejection(
            parts.parse(
                b"Content-Type: multipart/mixed; boundary=b\n\n--b\nContent-Type: message/disposition-notification\n\n"
                b"Disposition: automatic-action; deleted\nFinal-Recipient: " + _raw(text)
            ),
            _report(text[: 64 << 10]),
            text[: 16 << 10],
        ),
    ),
    "decisions.mail.responder.proofs.responder_proof": _on(
        WORDS, lambda text: proofs_of_responders.responder_proof(_mail(text), text[: 16 << 10], text)
    ),
    "decisions.mail.signs.header_showing": _on(WORDS, lambda text: signs.header_showing("auto", _mail(text))),
    "decisions.mail.kinds.decide": _on(
        WORDS,
        lambda text: kinds.decide(
            kinds.MailFacts(_mail(text), _report(text[: 64 << 10]), text[: 16 << 10], matched=False)
        ),
    ),
    "decisions.mail.charsets.base64": _on(PLAIN, lambda text: charsets.base64(_raw(text))),
    "decisions.mail.charsets.codec_of": _on(PLAIN, charsets.codec_of.__wrapped__),
    "decisions.mail.charsets.decode": _on(PLAIN, lambda text: charsets.decode(_raw(text), "iso-2022-jp")),
    "decisions.mail.charsets.encoded_charsets": _on(MAIL, charsets.encoded_charsets),
    "decisions.mail.guess.fits": _on(PLAIN, lambda text: guess.fits(_raw(text), "gb2312")),
    "decisions.mail.guess.guessed": _on(PLAIN, lambda text: guess.guessed(_raw(text))),
    "decisions.mail.guess.is_foreign": _on(PLAIN, lambda text: guess.is_foreign(_raw(text))),
    "decisions.mail.guess.is_utf8": _on(PLAIN, lambda text: guess.is_utf8(_raw(text), "cp932")),
    "decisions.mail.charsets.decode_words": _on(MAIL, charsets.decode_words),
    "decisions.mail.charsets.transferred": _on(
        PLAIN, lambda text: charsets.transferred(_raw(text), "quoted-printable")
    ),
    "decisions.mail.complaints.complaint": _on(
        WORDS, lambda text: complaints.complaint(_mail(text), _report(text), text, text)
    ),
    "decisions.mail.bounce.dsn.statuses": _on(
        WORDS, lambda text: dsn.statuses(_mail(text), f"final-recipient: a@b.example\n{text}")
    ),
    "decisions.mail.bounce.freetext.named": _on(
        WORDS, lambda text: freetext.named(text[: 64 << 10], _mail(text), recipients.parties(_mail(text)))
    ),
    "decisions.mail.bounce.freetext.recipients_of": _on(ADDRESSES, lambda text: freetext.recipients_of(_mail(text))),
    "decisions.mail.html.html_text": _on(
        MARKUP, lambda text: (html.html_text(text), html.html_text(text, until_quote=True))
    ),
    "decisions.mail.matching.match": _on(ADDRESSES, lambda text: matching.match(_mail(text), _mail(text), KEYRING)),
    "decisions.mail.origin.dmarc_failed": _on(WORDS, lambda text: origin.dmarc_failed(_from(text))),
    "decisions.mail.origin.from_address": _on(ADDRESSES, lambda text: origin.from_address(_from(text))),
    "decisions.mail.bounce.notifications.notification": _on(WORDS, notifications.notification),
    "decisions.mail.parts.content_type": _on(MAIL, parts.content_type),
    "decisions.mail.parts.parse": _on(MAIL, lambda text: [part.text() for part in parts.parse(_raw(text)).walk(True)]),
    "decisions.mail.parts.parse_headers": _on(MAIL, lambda text: parts.parse_headers(_raw(text))),
    "decisions.mail.reply.attributions.attributed": _on(WORDS, _attributed),
    "decisions.mail.reply.attributions.has_address": _on(WORDS, attributions.has_address),
    "decisions.mail.reply.attributions.is_day_line": _on(WORDS, attributions.is_day_line),
    "decisions.mail.reply.headers.mark_headers": _on(WORDS, _marked),
    "decisions.mail.reply.patterns.reads": _on(WORDS, lambda text: patterns.reads("attribution", text)),
    "decisions.mail.reply.quotes.classify": _on(
        WORDS, lambda text: quotes.classify(text[: visible.MOST_TEXT].split("\n")[:5000])
    ),
    "decisions.mail.read.explain_mail": _on(MAIL, lambda text: read.explain_mail(_raw(text), KEYRING)),
    "decisions.mail.read.read_mail": _on(MAIL, lambda text: read.read_mail(_raw(text), KEYRING)),
    "decisions.mail.returned.report": _on(MAIL, lambda text: returned.report(parts.parse(_raw(text)))),
    "decisions.mail.returned.wrapped_report": _on(MAIL, lambda text: returned.wrapped_report(parts.parse(_raw(text)))),
    "decisions.mail.signs.folded": _on(WORDS, signs.folded),
    "decisions.mail.signs.find": _on(WORDS, lambda text: signs.find("returned-mark", text, 64 << 10)),
    "decisions.mail.written.written_kind": _on(
        WORDS, lambda text: written.written_kind(_mail(text), text[: 16 << 10], text[: 64 << 10], matched=False)
    ),
    "decisions.mail.signs.shows": _on(WORDS, lambda text: signs.shows("bounce-words", text)),
    "decisions.mail.reply.stop.stop_request": _on(WORDS, lambda text: stop.stop_request(text, text, text)),
    "decisions.mail.reply.visible.own_text": _on(WORDS, lambda text: visible.own_text(_mail(text))),
    "decisions.mail.reply.visible.certain_text": _on(
        WORDS, lambda text: visible.certain_text(text[: visible.MOST_TEXT])
    ),
    "decisions.mail.reply.visible.body_text": _on(MARKUP, lambda text: visible.body_text(_mail(text))),
    "decisions.mail.reply.visible.has_quote": _on(WORDS, lambda text: visible.has_quote(_mail(text))),
    "decisions.mail.reply.visible.visible_text": _on(WORDS, lambda text: visible.visible_text(_mail(text))),
    "decisions.mail.reply.visible.without_quotes": _on(
        WORDS, lambda text: visible.without_quotes(text[: visible.MOST_TEXT])
    ),
    "ingest.api.export._accepted": _on(PLAIN, export._accepted),
    "ingest.hits.hits.clean": _on(PLAIN, lambda text: hits.clean(_raw(text), 1024)),
    "ingest.api.images.check_images": _on(MARKUP, _shown),
    "ingest.inbox.imap._line": _on(PLAIN, lambda text: imap._line(ValueError(text))),
    "ingest.api.requests.check_send": _on(ADDRESSES, _checked),
    "ingest.hits.source.parse": _on(PLAIN, source.parse),
    "ingest.hits.source.Source": _on(
        PLAIN, lambda text: source.Source(()).ip(("::1", 1), [(b"x-forwarded-for", _raw(text))])
    ),
    "schemas.tokens.Keyring": _on(PLAIN, lambda text: KEYRING.verify(Purpose.OPEN, text)),
    "schemas.tokens.Keyring.verify_published": _on(
        PLAIN, lambda text: KEYRING.verify_published(Purpose.UNSUBSCRIBE, text)
    ),
    "schemas.tokens.published_link_id": _on(PLAIN, published_link_id),
    "schemas.tokens.Keyring.verify_bounce": _on(PLAIN, KEYRING.verify_bounce),
    **{name: _on(shapes, read) for name, (read, shapes) in PROVIDER_READERS.items()},
}
