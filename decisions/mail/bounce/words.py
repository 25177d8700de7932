"""The recipients of a bounce in words alone, each with its class."""

from __future__ import annotations

from dataclasses import replace
from functools import cached_property
from itertools import islice

from decisions.mail.addresses import addresses
from decisions.mail.bounce import dsn, freetext
from decisions.mail.bounce.claims import MOST_RECIPIENTS
from decisions.mail.bounce.freetext import AddressMention
from decisions.mail.bounce.own_words import reason_in_subject, without_ours
from decisions.mail.bounce.recipients import FoundRecipient, parties, refused
from decisions.mail.bounce.refusal import Assessment, assess
from decisions.mail.bounce.stage import stage_of
from decisions.mail.evidence import Evidence
from decisions.mail.parts import MimePart
from decisions.mail.returned import ReturnedMail

_SURE = 4  # points of an address that stands beside those of a header
_VAGUE = frozenset({"system", "refused", "content"})


def read_words(report: ReturnedMail, mail: MimePart, subject: str) -> list[FoundRecipient]:
    """Recipients of a bounce in words alone."""
    report = replace(report, words=without_ours(report))
    spoken = _named(report, mail, subject)
    whole = _Whole(report, subject)
    return [_judged(each, whole, is_single=len(spoken) == 1) for each in spoken]


def _named(report: ReturnedMail, mail: MimePart, subject: str) -> list[AddressMention]:
    """Whom it speaks of: those of a header that says so, those that the words name, or those that the subject names."""
    own = parties(mail)
    guess = not any(status.names_nobody for status in dsn.statuses(mail, report.words) or ())
    spoken = freetext.named(report.words, report.returned, own, guess=guess)
    failed = addresses(",".join(mail.all("x-failed-recipients")))[:MOST_RECIPIENTS]
    keys = {address.lower() for address in failed}
    if failed and not any(each.score >= _SURE and each.address.lower() not in keys for each in spoken):
        by = {each.address.lower(): each for each in spoken}
        return [by.get(address.lower()) or _without_words(address, report, "x-failed-recipients") for address in failed]
    if spoken:
        return spoken
    named = (address for address in addresses(subject) if address.lower() not in own.all)
    return [_without_words(address, report, "subject") for address in islice(named, MOST_RECIPIENTS)]


def _without_words(address: str, report: ReturnedMail, where: str) -> AddressMention:
    return AddressMention(address, report.words, 0, (Evidence(address, "named", where),))


class _Whole:
    """What a bounce says as a whole; judged when it is first asked for."""

    def __init__(self, report: ReturnedMail, subject: str) -> None:
        self.words = report.words
        self._subject = subject

    @cached_property
    def told(self) -> Assessment:
        """What all of its words say, else its subject, where that is the server's."""
        told = assess(self.words, "", stage_of(self.words))
        return told if told.category.bounce_class != "unknown" else assess(reason_in_subject(self._subject))

    @cached_property
    def refusal(self) -> Assessment:
        """What all of its words say, whatever the stage."""
        return assess(self.words)


def _judged(each: AddressMention, whole: _Whole, *, is_single: bool) -> FoundRecipient:
    told = assess(each.words, "", stage_of(each.words))
    if told.category.bounce_class == "hard" and not told.status and _is_of_list(whole.refusal):
        told = whole.refusal
    if not _is_vague(told) or whole.told.category.bounce_class == "unknown":
        return refused(each.address, told, each.words, each.evidence)
    if told.category.bounce_class != "unknown" and not is_single:
        return refused(each.address, told, each.words, each.evidence)
    text = each.words if each.words.strip() != each.address else whole.words
    return refused(each.address, whole.told, text, each.evidence)


def _is_of_list(told: Assessment) -> bool:
    """Google Groups: "may not exist, or you may not post to it"."""
    return told.category.bounce_class == "block" and told.category.category == "recipient-refused"


def _is_vague(told: Assessment) -> bool:
    return told.category.bounce_class == "unknown" or told.category.category in _VAGUE
