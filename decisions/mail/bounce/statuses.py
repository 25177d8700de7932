"""The recipients of a mail with a delivery status, each with its class. Words fill in what the fields leave open."""

from __future__ import annotations

from dataclasses import replace
from functools import cached_property

from decisions.mail.addresses import addresses
from decisions.mail.bounce import dsn, freetext
from decisions.mail.bounce.category import Category
from decisions.mail.bounce.claims import expanded
from decisions.mail.bounce.codes import powermta_meaning
from decisions.mail.bounce.own_words import without_ours
from decisions.mail.bounce.recipients import MOST_DIAGNOSTIC, FoundRecipient, parties, refused
from decisions.mail.bounce.refusal import Assessment, assess
from decisions.mail.bounce.stage import stage_of
from decisions.mail.evidence import Evidence
from decisions.mail.parts import MimePart
from decisions.mail.returned import ReturnedMail
from decisions.mail.verdict import Recipient

# "deliverable" is not one of them: it is Postfix's answer to a question without a mail (sendmail -bv).
_ARRIVED = frozenset({"delivered", "relayed", "expanded"})
_WAITING = frozenset({"delayed", "deferred", "warning"})
_VAGUE = frozenset({"system", "mailbox", "refused"})
_MOST_LINES = 1200
_ORIGINAL, _WORDS = "original-recipient", "words"  # where an address stands
_SHORT = 24  # characters of a diagnostic that says little


def read_statuses(found: list[dsn.Status], report: ReturnedMail, mail: MimePart) -> list[FoundRecipient]:
    """Recipients of a mail that has a delivery status: each once, and once more if the mail also reached it."""
    spoken = _Spoken(replace(report, words=without_ours(report)), mail, single=len(found) == 1)
    recipients: dict[tuple[str, str], FoundRecipient] = {}
    for status in found:
        address, where = spoken.whom(status)
        if not address:
            continue
        if _has_arrived(status):
            recipients.setdefault((address.lower(), status.action or "delivered"), _arrived(address, status))
            continue
        key, told = (address.lower(), ""), _refused(address, where, status, spoken)
        # An alias leads to several: it is dead only if all of them are.
        if key not in recipients or (_is_dead(recipients[key]) and not _is_dead(told)):
            recipients[key] = told
    return list(recipients.values())


class _Spoken:
    """What a report says to people beside its fields; read when it is first asked for."""

    def __init__(self, report: ReturnedMail, mail: MimePart, *, single: bool) -> None:
        self._report = report
        self._mail = mail
        self._single = single

    @cached_property
    def named(self) -> list[freetext.AddressMention]:
        """The addresses that the words name, each with its own."""
        return freetext.named(self._report.words, self._report.returned, parties(self._mail))

    @cached_property
    def address(self) -> str:
        """Whom the report speaks of if its fields don't say."""
        failed = addresses(self._mail.get("x-failed-recipients")) or [each.address for each in self.named]
        return next(iter(failed), "")

    @cached_property
    def _went_to(self) -> dict[str, str]:
        return freetext.recipients_of(self._report.returned)

    @cached_property
    def _made_of(self) -> dict[str, str]:
        return expanded(self._report.words.split("\n")[:_MOST_LINES])

    def whom(self, status: dsn.Status) -> tuple[str, str]:
        """The address that a recipient's fields mean, and where it stands: as we gave it, if our mail did not go to
        the final one."""
        final = status.address.lower()
        for original, where in ((status.original, _ORIGINAL), (self._made_of.get(final, ""), "expanded-from")):
            if original and (final not in self._went_to or original.lower() in self._went_to):
                return original, where
        if status.address:
            return status.address, "final-recipient"
        if not status.name:
            return self.address, _WORDS
        local = self._begins_with(status.name)
        return (local, "returned-mail-went-to-it") if local else (self._alone, _WORDS)

    @cached_property
    def _alone(self) -> str:
        """The one address that the words say has failed."""
        said = freetext.named(self._report.words, self._report.returned, parties(self._mail), guess=False)
        return said[0].address if len(said) == 1 else ""

    def _begins_with(self, name: str) -> str:
        """The one recipient whose local part is a name without a domain; "" for none: it is not somebody else."""
        local = name.strip(" <>\"'").lower()
        found = [address for key, address in self._went_to.items() if key.partition("@")[0] == local]
        return found[0] if len(found) == 1 else ""

    @property
    def all(self) -> str:
        """All of the words where the report is about one recipient alone, else ""."""
        return self._report.words if self._single else ""

    def of(self, address: str) -> str:
        """The words on one recipient."""
        return next((each.words for each in self.named if each.address.lower() == address.lower()), "") or self.all


def _is_dead(found: FoundRecipient) -> bool:
    return found.recipient.bounce_class == "hard"


def _has_arrived(status: dsn.Status) -> bool:
    return status.action in _ARRIVED or (not status.action and status.status.startswith("2"))


def _arrived(address: str, status: dsn.Status) -> FoundRecipient:
    category = status.action or "delivered"
    recipient = Recipient(
        address=address,
        category=category,
        status=status.status[:20].split(" ")[0],
        diagnostic=status.diagnostic[:MOST_DIAGNOSTIC],
    )
    return FoundRecipient(recipient, (Evidence(address, "action", category),))


def _refused(address: str, where: str, status: dsn.Status, spoken: _Spoken) -> FoundRecipient:
    told, text = _assessed(address, status, spoken)
    if told.category.bounce_class == "unknown" and (hint := powermta_meaning(status.hint)) is not None:
        told = replace(told, category=hint, rule="powermta-category", phrase="")
    if status.action in _WAITING and (told.category.bounce_class != "soft" or told.category.category == "deferred"):
        told = replace(told, category=Category("soft", "delayed"), rule="action-delayed", phrase="")
    found = Evidence(address, _WORDS) if where == _WORDS else Evidence(address, "delivery-status", where)
    return refused(address, told, text, (found,))


def _assessed(address: str, status: dsn.Status, spoken: _Spoken) -> tuple[Assessment, str]:
    """What the fields say, or the words where those are vague; and the text that says it."""
    text = status.diagnostic
    stage = stage_of(text)
    if stage == "rcpt":
        stage = stage_of(spoken.all)  # Postfix and Sendmail say it in the part for people alone
    told = assess(text, status.status, stage)
    if text and told.category.bounce_class != "unknown" and not _is_vague(told, text):
        return told, text
    words = spoken.of(address)
    other = assess(words, status.status, stage_of(words)) if words.strip() else told
    return (told, text) if other.category.bounce_class == "unknown" else (other, text or words)


def _is_vague(told: Assessment, text: str) -> bool:
    return told.category.category in _VAGUE and len(text) < _SHORT
