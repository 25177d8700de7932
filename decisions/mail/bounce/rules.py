"""What a refusal comes to: rules in order, the first that speaks decides.

The enhanced code decides where it is specific; where it is generic or missing, the words do, by `phrases`. `hard` costs
a lead its address, so whatever is not certain is not hard. Sources: RFC 3463, the IANA registry of enhanced status
codes, and the wording of servers and providers.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

from decisions.mail.bounce.category import UNKNOWN, Category, Stage
from decisions.mail.bounce.codes import meaning
from decisions.mail.bounce.phrases import MOST_TEXT, Phrase, nobody_there, phrase, without_advice

# Words that stand in many refusals: where the text also says that nobody is there, that is what it means.
WEAK = frozenset({"policy", "content", "refused", "system"})
# "Security or policy", and no more (RFC 3463, 3.8): filters say it of anything.
_GENERIC_POLICY = frozenset({"5.7.0", "5.7.1"})
_NO_MAIL = ((521, "5.3.2"), (556, "5.1.10"))
# What Sendmail makes of any 550, 551 and 553 without a code of its own.
_OF_SENDMAIL = frozenset({"5.1.1", "5.1.6", "5.1.3"})


@dataclass(frozen=True)
class Refusal:
    """What the rules look at. `code` is the SMTP reply's, 0 where none is known; `status` the enhanced code.

    `text` is without advice. `is_said`: the text says the enhanced code itself.
    """

    code: int
    status: str
    text: str
    stage: Stage
    is_said: bool = True

    @cached_property
    def first_phrase(self) -> Phrase:
        """The first phrase of the text."""
        return phrase(self.text)

    @cached_property
    def phrase(self) -> Phrase:
        """The phrase that counts: one that says that nobody is there before a weak one, but for 5.7.x."""
        if self.first_phrase.category.category in WEAK and self.subject != "7":
            return nobody_there(self.text) or self.first_phrase
        return self.first_phrase

    @property
    def told(self) -> Category:
        """What the phrase that counts says."""
        return self.phrase.category

    @property
    def subject(self) -> str:
        """The middle of the enhanced code, which says what it is about; "" without one."""
        return self.status.split(".")[1] if "." in self.status else ""


Rule = Callable[[Refusal], Category | None]


def temporary(refusal: Refusal) -> Category | None:
    """A reply of 4xx is not for good, whatever it says."""
    if not 200 <= refusal.code < 500:
        return None
    told = refusal.first_phrase.category
    return told if told.bounce_class == "soft" else Category("soft", "deferred")


def full_mailbox(refusal: Refusal) -> Category | None:
    """A full mailbox, whatever code stands before it."""
    told = refusal.first_phrase.category
    return told if told.category == "mailbox-full" else None


def too_big(refusal: Refusal) -> Category | None:
    """A mail that is too big, whatever its code, but for one that says that nobody is there."""
    told = refusal.first_phrase.category
    return told if told.category == "too-big" and not _is_hard(refusal.status) else None


def content_code(refusal: Refusal) -> Category | None:
    """x.6.x is about the content or its encoding."""
    if refusal.subject == "6" and refusal.first_phrase.category.category != "sender-refused":
        return Category("soft", "content")
    return None


def no_mail_accepted(refusal: Refusal) -> Category | None:
    """A domain that says that it takes no mail, in words or with the codes for it (RFC 7504, 3 and 4)."""
    if (refusal.code, refusal.status) in _NO_MAIL:
        return Category("hard", "no-mail-accepted")
    if refusal.told.category != "no-mail-accepted":
        return None
    return refusal.told if refusal.subject in ("1", "3", "7", "") or _is_hard(refusal.status) else None


def about_us(refusal: Refusal) -> Category | None:
    """Words about the sender: to a blocklisted one, servers report dead addresses that are alive."""
    told = refusal.told
    return told if told.bounce_class == "block" and told.category != "refused" else None


def own_code(refusal: Refusal) -> Category | None:
    """A code that means one thing, and no dead address."""
    return None if _is_hard(refusal.status) else meaning(refusal.status)


def before_recipients(refusal: Refusal) -> Category | None:
    """At MAIL FROM and before nothing has been said of a recipient."""
    if refusal.stage not in ("mail", "connect"):
        return None
    return refusal.told if refusal.told.bounce_class in ("block", "soft") else Category("block", "sender-refused")


def guessed_code(refusal: Refusal) -> Category | None:
    """A relay's guess at a reply of three digits is weaker than the server's words."""
    told = refusal.told
    if refusal.is_said or refusal.status not in _OF_SENDMAIL or told.category in ("system", "content"):
        return None
    return told if told.bounce_class in ("soft", "block") else None


def hard_code(refusal: Refusal) -> Category | None:
    """A code that says that the address is dead."""
    return meaning(refusal.status) if _is_hard(refusal.status) else None


def policy_code(refusal: Refusal) -> Category | None:
    """x.7.x is about security or policy, so about us, if its words don't say that nobody is there."""
    if refusal.subject != "7":
        return None
    nobody = refusal.status in _GENERIC_POLICY and refusal.told.category == "user-unknown"
    return None if nobody else Category("block", "policy")


def routing_code(refusal: Refusal) -> Category | None:
    """5.4.1 is no answer from the host, and with Exchange Online also a recipient that nobody has."""
    if refusal.status != "5.4.1":
        return None
    return refusal.told if refusal.told.bounce_class == "hard" else Category("soft", "routing")


def filtered(refusal: Refusal) -> Category | None:
    """The address was taken and the mail refused: filters of Japanese carriers say so of mailboxes that live."""
    dead = refusal.told.category in ("user-unknown", "domain-unknown")
    return Category("unknown", "filtered") if refusal.stage == "data" and dead and refusal.status != "5.1.1" else None


def system_code(refusal: Refusal) -> Category | None:
    """x.3.x and x.4.x are about the mail system and the network, if the words don't say that nobody is there."""
    if refusal.subject not in ("3", "4") or refusal.told.bounce_class == "hard":
        return None
    return refusal.told if refusal.told.bounce_class == "soft" else Category("soft", "system")


def mailbox_code(refusal: Refusal) -> Category | None:
    """x.2.x is about the mailbox, which then exists."""
    return Category("soft", "mailbox") if refusal.told == UNKNOWN and refusal.subject == "2" else None


def storage_reply(refusal: Refusal) -> Category | None:
    """552 alone is "exceeded storage allocation" (RFC 5321, 4.2.3)."""
    alone = refusal.code == 552 and refusal.subject in ("", "0") and refusal.told == UNKNOWN
    return Category("soft", "mailbox-full") if alone else None


def words(refusal: Refusal) -> Category:
    """What is left is what the words say."""
    return refusal.told


RULES: tuple[Rule, ...] = (
    temporary,
    full_mailbox,
    too_big,
    content_code,
    no_mail_accepted,
    about_us,
    own_code,
    before_recipients,
    guessed_code,
    hard_code,
    policy_code,
    routing_code,
    filtered,
    system_code,
    mailbox_code,
    storage_reply,
    words,
)


# They look at the first phrase of the text, and not at the one that counts.
_OF_FIRST_PHRASE = (temporary, full_mailbox, too_big, content_code)


@dataclass(frozen=True, slots=True)
class Judged:
    """A refusal's category, the rule that decided, and where the phrase was found that it followed, or ""."""

    category: Category
    rule: str
    phrase: str


def judge(code: int, status: str, text: str, stage: Stage, *, is_said: bool = True) -> Judged:
    """Class and category of a refusal, by the first rule that speaks. `is_said`: the text says `status` itself."""
    refusal = Refusal(code, status, without_advice(text[:MOST_TEXT]), stage, is_said)
    for rule in RULES:
        if (category := rule(refusal)) is not None:
            counted = refusal.first_phrase if rule in _OF_FIRST_PHRASE else refusal.phrase
            where = counted.where if counted.category == category else ""
            return Judged(category, rule.__name__.replace("_", "-"), where)
    raise AssertionError("the last rule always speaks")


def _is_hard(status: str) -> bool:
    found = meaning(status)
    return found is not None and found.bounce_class == "hard"
