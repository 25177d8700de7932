"""Delivery status notifications (RFC 3464): the fields of each recipient, also where the MIME around them is broken."""

from __future__ import annotations

import re
from dataclasses import dataclass

from decisions.mail.addresses import first_address
from decisions.mail.parts import MimePart

_FIELD = re.compile(
    r"^[> ]{0,3}(final-recipient|original-recipient|x-actual-recipient|x-original-recipient|action|status"
    r"|diagnostic-code"
    r"|remote-mta|x-supplementary-info|x-failed-recipient|x-notes|x-powermta-bouncecategory"
    r"|recipient)[ \t]{0,3}:[ \t]*(.*)$",
    re.IGNORECASE,
)
# Where a recipient is named, the best first: as the sender gave it, and as the reporting server knew it.
_ORIGINAL = ("original-recipient", "x-original-recipient")
_FINAL = ("final-recipient", "recipient", "x-actual-recipient")
_MOST_RECIPIENTS = 500
_MOST_VALUE = 4000  # characters of a line of a field
_TYPED = re.compile(r"^\s*[A-Za-z0-9-]{1,20}\s*;\s*")
_ACTION = re.compile(r"[a-z]+")


@dataclass(slots=True)
class Status:
    """What a report says of one recipient. `action` is in lower case and may be anything, or empty.

    `original` is the address as its sender gave it, "" for none; `name` is what stands where `address` should, which
    may be no address.
    """

    address: str
    action: str
    status: str
    diagnostic: str
    hint: str = ""  # PowerMTA's own word for it
    original: str = ""
    name: str = ""

    @property
    def names_nobody(self) -> bool:
        """Whether it names somebody whose address cannot be read: then it is not another's."""
        return bool(self.name and not self.address and not self.original)


def statuses(mail: MimePart, words: str) -> list[Status] | None:
    """Each recipient's fields; None when the mail has no delivery status at all. `words` is the report's own text."""
    texts = [
        part.text()
        for part in mail.walk()
        if part.content_type in ("message/delivery-status", "message/global-delivery-status")
    ]
    if texts:
        found = [status for text in texts for status in _read(text)]
        return found[:_MOST_RECIPIENTS]
    lowered = words.lower()
    if "final-recipient:" in lowered or ("original-recipient:" in lowered and "action:" in lowered):
        return _read(words)[:_MOST_RECIPIENTS] or None
    return None


def _read(text: str) -> list[Status]:
    groups = _Groups()
    for line in text.split("\n"):
        field = _FIELD.match(line)
        if field:
            groups.field(field[1].lower(), field[2])
        elif groups.goes_on(line):
            groups.add(line)
        else:
            groups.end_field(is_blank=not line.strip())
    groups.close()
    return groups.found


class _Groups:
    """The fields of each recipient as their lines come. `found` is what those said that have ended."""

    def __init__(self) -> None:
        self.found: list[Status] = []
        self._group: dict[str, str] = {}
        self._name = ""

    def field(self, name: str, value: str) -> None:
        """A field begins; a second final recipient begins a group, whether a blank line stands before it or not."""
        if name == "final-recipient" and name in self._group:
            self.close()
        self._name = name
        self._group.setdefault(name, value[:_MOST_VALUE].strip())

    def goes_on(self, line: str) -> bool:
        """Whether a line goes on with the field: folded, or a diagnostic without the blanks that folding needs."""
        if not line.strip() or not self._name:
            return False
        return line.startswith((" ", "\t")) or (
            self._name == "diagnostic-code" and self._has_room and ":" not in line[:30]
        )

    @property
    def _has_room(self) -> bool:
        return len(self._group[self._name]) < _MOST_VALUE

    def add(self, line: str) -> None:
        """A line that goes on with the field, as far as there is room."""
        if self._has_room:
            self._group[self._name] += " " + line[:_MOST_VALUE].strip()

    def end_field(self, *, is_blank: bool) -> None:
        """The field has ended, and with a blank line the group, if it is a recipient's."""
        self._name = ""
        if not is_blank:
            return
        if any(name.endswith("recipient") for name in self._group):
            self.close()
        elif "status" not in self._group and "diagnostic-code" not in self._group:
            self._group.clear()

    def close(self) -> None:
        """The group has ended."""
        _close(self._group, self.found)
        self._group.clear()


def _close(group: dict[str, str], found: list[Status]) -> None:
    address, original = _named(group, _FINAL), _named(group, _ORIGINAL)
    if not (address or original or "status" in group or "action" in group):
        return
    action = _ACTION.match(group.get("action", "").lower())
    found.append(
        Status(
            address,
            action[0] if action else "",
            group.get("status", ""),
            _TYPED.sub("", group.get("diagnostic-code", "")),
            group.get("x-powermta-bouncecategory", ""),
            original,
            _TYPED.sub("", group.get("final-recipient", "")),
        )
    )


def _named(group: dict[str, str], names: tuple[str, ...]) -> str:
    named = (first_address(_TYPED.sub("", group[name])) for name in names if name in group)
    return next(filter(None, named), "")
