"""The section of docs/accuracy.md on mail: the labelled corpora read by Sendlens and by libraries beside it."""

from __future__ import annotations

import email
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from importlib.metadata import version

from decisions.mail.read import read_mail
from decisions.mail.reply.visible import without_quotes
from tests.corpus import field_accuracy
from tests.corpus.mails import SHARED, Labelled, bounces, held_out, own_samples, replies, reply_texts

HEADING = "## Mail: bounces, replies, complaints"

# What a mail of each label must be read as, and the least share of them that is.
KINDS = {
    "reply": ("reply", 1.0),
    "auto-reply": ("auto_reply", 0.95),
    "complaint": ("complaint", 0.9),
    "dsn-success": ("delivery_report", 1.0),
    "mdn": ("other", 1.0),
    "other": ("other", 1.0),
}
# What is reached, less a mail or two.
LEAST_FOUND = LEAST_PRECISION = 0.97
LEAST_RECALL = 0.955
LEAST_TEXT = 0.95

# Recipients (lower case) of a mail, and whether each is dead.
Reader = Callable[[bytes], dict[str, bool]]
TextReader = Callable[[str], str]

_HOW = """
Every mail of the shared corpora (sisimai's set-of-emails, and mails of talon, flanker and extended_email_reply_parser;
they are not part of this repository) is read by Sendlens, as `sendlens judge mail FILE` does, and by libraries that do part
of the same: flufl.bounce {flufl} (recipients, and which failed for good), mail-parser-reply {parser} and
email-reply-parser {reply} (what is the writer's of a reply). quotequail and talon have no wheels on PyPI, so they are not
here. Without the corpora beside the checkout this section stays as it was written.

- **Held out** is the sixth of the bounces, chosen by a hash of their names, that nobody looked at while the rules were
  tuned, but for one. It is small, so one mail is several percent; and other formats than these exist. The {own} reports in
  [tests/corpus/mail](../tests/corpus/mail) are written by hand after what further systems write, and a test reads them.
- Replies, complaints and reply texts were all looked at: those figures say that the rules hold for these, and no more.
- *Hard* counts recipients whose label nobody doubts. What the labels leave open is mostly "user unknown" said after the
  whole mail was taken (filters of Japanese carriers do), which is hard here only with code 5.1.1, and mailboxes that are
  disabled or suspended, which are soft here.
- Sendlens calls no refusal hard that names a policy or a block list, whatever else it says, and none with a 5.7.x code but
  "no such user" behind the generic 5.7.0 and 5.7.1: some dead addresses are missed for it, so that a listed sender loses no
  good ones.
- Three labels of these corpora contradict what Sendlens promises, and count as wrong. Two (lhost-exim-58, rfc3464-09) want
  the address that a mail was forwarded to, where we say the one that was written to, which alone is a lead's. One
  (lhost-trendmicro-02) takes "Please check if address is correct" for a dead address, where we say that advice is no verdict.
"""


@dataclass(frozen=True, slots=True)
class Hardness:
    """Counts over recipients whose label is not ambiguous."""

    found: int
    of: int
    true: int
    said: int
    dead: int

    @property
    def precision(self) -> float:
        return self.true / self.said if self.said else 1.0

    @property
    def recall(self) -> float:
        return self.true / self.dead if self.dead else 1.0


def sendlens(raw: bytes) -> dict[str, bool]:
    return {one.address.lower(): one.bounce_class == "hard" for one in read_mail(raw).recipients}


def flufl_bounce(raw: bytes) -> dict[str, bool]:
    from flufl.bounce import all_failures

    temporary, permanent = all_failures(email.message_from_bytes(raw))
    return {address.decode("utf-8", "replace").lower(): address in permanent for address in {*temporary, *permanent}}


def hardness(reader: Reader, labelled: list[Labelled]) -> Hardness:
    """Recipients found of all, and hard ones of those that nobody doubts."""
    found = true = said = dead = 0
    read: dict[str, dict[str, bool]] = {}
    for label in labelled:
        if label.file not in read:
            read[label.file] = reader((SHARED / "bounces" / label.file).read_bytes())
        told = read[label.file].get(label.recipient.lower())
        found += told is not None
        if not label.ambiguous:
            true += label.expected == "hard" and told is True
            said += told is True
            dead += label.expected == "hard"
    return Hardness(found, len(labelled), true, said, dead)


def kinds() -> Iterator[tuple[str, str]]:
    """Label, and what each mail was read as."""
    for file, label in replies():
        yield label, read_mail((SHARED / "replies" / file).read_bytes()).kind


def exact(reader: TextReader) -> tuple[int, int]:
    """How many reply texts come out as expected, of how many."""
    some = reply_texts()
    return sum(reader(text).strip() == expected.strip() for _, text, expected in some), len(some)


def mail_parser_reply(text: str) -> str:
    from mailparser_reply import EmailReplyParser

    languages = ["en", "de", "da", "es", "fr", "it", "ja", "nl", "pl", "sv", "cs", "ko", "zh"]
    return str(EmailReplyParser(languages=languages).parse_reply(text=text) or "")


def email_reply_parser(text: str) -> str:
    from email_reply_parser import EmailReplyParser

    return str(EmailReplyParser.parse_reply(text))


def section(written: str) -> str:
    """The section as it is today; where the corpora are missing, as it stands in the document that was `written`."""
    if not SHARED.exists():
        _, heading, rest = written.partition(HEADING)
        return heading + rest.partition(field_accuracy.HEADING)[0].removesuffix("\n")
    return "\n".join([HEADING, *_intro(), *_bounces(), "", *_kinds(), "", *_texts(), ""])


def _intro() -> Iterator[str]:
    own = len({sample.file for sample in own_samples() if sample.kind in ("bounce", "delivery_report")})
    yield (
        _HOW.replace("{flufl}", version("flufl.bounce"))
        .replace("{parser}", version("mail-parser-reply"))
        .replace("{reply}", version("email-reply-parser"))
        .replace("{own}", str(own))
    )


def _bounces() -> Iterator[str]:
    yield "| bounces | recipients | found, Sendlens | flufl.bounce | hard: precision, Sendlens | flufl.bounce | hard: recall, Sendlens | flufl.bounce |"
    yield "|---|---:|---:|---:|---:|---:|---:|---:|"
    for name, some in (
        ("tuned on", [label for label in bounces() if not held_out(label.file)]),
        ("held out", [label for label in bounces() if held_out(label.file)]),
        ("all", bounces()),
    ):
        ours, theirs = hardness(sendlens, some), hardness(flufl_bounce, some)
        yield (
            f"| {name} | {ours.of} | {ours.found / ours.of:.1%} | {theirs.found / theirs.of:.1%} "
            f"| {ours.precision:.1%} ({ours.true}/{ours.said}) | {theirs.precision:.1%} "
            f"| {ours.recall:.1%} ({ours.true}/{ours.dead}) | {theirs.recall:.1%} |"
        )


def _kinds() -> Iterator[str]:
    yield "| mail | read as | so many | at least |"
    yield "|---|---|---:|---:|"
    told = list(kinds())
    for label, (kind, least) in KINDS.items():
        some = [read == kind for each, read in told if each == label]
        yield f"| {label} | {kind} | {sum(some)} of {len(some)} | {least:.0%} |"


def _texts() -> Iterator[str]:
    readers: dict[str, TextReader] = {
        "Sendlens": without_quotes,
        "mail-parser-reply": mail_parser_reply,
        "email-reply-parser": email_reply_parser,
    }
    yield "| text of a reply, exactly | " + " | ".join(readers) + " |"
    yield "|---|" + "---:|" * len(readers)
    counts = [exact(reader) for reader in readers.values()]
    yield "| all | " + " | ".join(f"{right} of {of} ({right / of:.0%})" for right, of in counts) + " |"
