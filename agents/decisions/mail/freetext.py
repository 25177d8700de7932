"""Whom a bounce without a delivery status speaks of, and what it says of each, from its words and what it returns.

No format is known by name: an address counts for where it stands (alone on its line, at its start, in a RCPT command),
for what is said beside it, and for being one the returned mail went to; it loses for being the one that is reported to.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from agents.decisions.mail.addresses import addresses, is_robot
from agents.decisions.mail.parts import Part

MOST_RECIPIENTS = 200
_MOST_LINES = 1200
_ALONE = re.compile(r"^[\s<>\"'*\-\u2022.)\[(\d:;|=]*(?:mailto:)?\S+@\S+?[\s<>\"',;:.\])|=]*$")
_AT_START = re.compile(r"^[\s>*\-\u2022|]*(?:\d{1,2}[.)]\s*)?[<\"'\[(]?\S+@")
_AFTER_CODE = re.compile(r"^\s*[45]\d\d[ -](?:\d\.\d+\.\d+ )?<?\S+@\S+?>?(?:\.\.\.|[:,])")
_AT_END = re.compile(r"[:：]\s*<?\S+@\S+?>?[\s.]*$")
_COMMAND = re.compile(r"RCPT TO|Recipient\b|Address\b|User\b|(?:^|\s)To\s*:|Failed|宛先|受信者|收件人", re.IGNORECASE)
_SAYS = re.compile(
    r"unknown|fail|error|reject|refus|not (?:be )?(?:deliver|found|exist|reach|accept|valid|known)|undeliver|unable"
    r"|could ?n[o']t|couldn't|can ?not|invalid|does ?n[o']t|no such|disabled|full|exceed|bounce|deferred|delay|denied"
    r"|blocked|returned|unrout|unreachable|following|recipient|wasn't|problem|not been|permanent|fatal|\b[45]\d\d[ -]"
    r"|[45]\.\d\.\d|nicht|impossible|n'a pas|échec|inconnu|no se pudo|desconocid|non (?:[èe]|può|esiste)|sconosciut"
    r"|não|onbekend|niet|не |neznám|nie |edilem|iletilem|gönderilem|ulaştırılam"
    r"|できません|できなかった|失敗|不明|存在|エラー|无法|失败|退信|不存在|被退回|없|실패",
    re.IGNORECASE,
)
_NO_COMMAND = re.compile(r"MAIL FROM|envelope-from|sender|contact|postmaster@", re.IGNORECASE)
_ARROW = re.compile(r"^\s*(?:<<<|>>>|\.\.\. while)")
_ANOTHER = re.compile(
    r"^\s*(?:\.\.\. )?while talking|^\d{3} \S+ \(\w+\)\.\.\.", re.IGNORECASE
)  # the transcript goes on
_ENOUGH = 3


@dataclass(slots=True)
class Named:
    """An address a bounce speaks of, and the words that stand with it."""

    address: str
    words: str
    score: int


def named(words: str, returned: Part | None, ours: set[str]) -> list[Named]:
    """The addresses that failed, best evidence first shown. `ours` are addresses (lower case) the bounce went to."""
    fields = words.find("\nReporting-MTA:")
    lines = words[: fields if fields > 0 else None].split("\n")[:_MOST_LINES]
    went_to = recipients_of(returned)
    wrote = (
        {a.lower() for a in addresses(returned.get("from") + " " + returned.get("return-path"))} if returned else set()
    )
    at: dict[str, list[int]] = {}
    spelled: dict[str, str] = {}
    score: dict[str, int] = {}
    for number, line in enumerate(lines):
        if "@" not in line or len(line) > 4000:
            line = line[:4000]
            if "@" not in line:
                continue
        found = addresses(line)
        before = lines[number - 1] if number else ""
        for address in found:
            key = address.lower()
            at.setdefault(key, []).append(number)
            spelled.setdefault(key, address)
            if len(at[key]) > 6:
                continue
            points = 0
            if _ALONE.match(line) or _AFTER_CODE.match(line):
                points += 3
            elif (_AT_START.match(line) and found[0] == address) or (_AT_END.search(line) and found[-1] == address):
                points += 2
            if _COMMAND.search(line) and not _NO_COMMAND.search(line):
                points += 2
            if _SAYS.search(line) or _SAYS.search(before):
                points += 1
            score[key] = max(score.get(key, -9), points)
        if len(spelled) >= MOST_RECIPIENTS:
            break
    for key in score:
        if key in went_to:
            score[key] += 3
        if key in ours or key in wrote:
            score[key] -= 1 if key in went_to else 4
        if is_robot(key):
            score[key] -= 1 if key in went_to else 3
    best = [key for key in score if score[key] >= _ENOUGH]
    if not best:
        best = [key for key in went_to if key in score]
    if not best and went_to:
        return [
            Named(went_to[key], words, 1)
            for key in list(went_to)[:MOST_RECIPIENTS]
            if len(went_to) == 1 or key not in ours
        ]
    if not best and score:
        top = max(score.values())
        best = [key for key in score if score[key] == top]
        if top < 0 or (top == 0 and len(best) > 1):  # in a language that nobody here reads: if it names one, that one
            best = []
    others = {number for key in best for number in at.get(key, ())}
    return [Named(spelled[key], _beside(lines, at[key], others), score[key]) for key in best]


def recipients_of(returned: Part | None) -> dict[str, str]:
    """Addresses (lower case -> as spelled) that the returned mail went to, by its own headers."""
    if returned is None:
        return {}
    found: dict[str, str] = {}
    for name in (
        "x-failed-recipients",
        "x-envelope-to",
        "to",
        "envelope-to",
        "x-original-to",
        "cc",
        "bcc",
        "resent-to",
    ):
        for value in returned.all(name)[:20]:
            for address in addresses(value)[:MOST_RECIPIENTS]:
                found.setdefault(address.lower(), address)
    return found


def _beside(lines: list[str], numbers: list[int], others: set[int]) -> str:
    """The words that belong to an address: its lines, those after each up to a blank or another address."""
    out: list[str] = []
    seen: set[int] = set()
    for number in numbers[:6]:
        start = number
        while start > 0 and _ARROW.match(lines[start - 1]) and number - start < 6 and start - 1 not in others:
            start -= 1
        block = list(range(start, number + 1))
        blanks = 0
        for after in range(number + 1, min(number + 12, len(lines))):
            if (after in others and after not in numbers) or _ANOTHER.match(lines[after]):
                break
            if not lines[after].strip():
                blanks += 1
                if blanks > 1 or after > number + 1:
                    break
                continue
            block.append(after)
        for each in block:
            if each not in seen:
                seen.add(each)
                out.append(lines[each].strip())
    return "\n".join(out)[:4000]
