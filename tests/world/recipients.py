"""Who lives in the mail world, and what each does with an email. The truth about each is known because it is written here.

Times are seconds after the mail server took the email (SMTP 250). A person is never quicker than 4 s, twice what
Sendlens calls a robot's; a scanner that is not in time stays away, so that no machine's slowness makes a hit doubtful.
"""

from __future__ import annotations

import random
from dataclasses import dataclass
from typing import Literal

Verdict = Literal["human", "bot", "machine"]
What = Literal[
    "open",
    "click",
    "click-all",
    "unsubscribe-page",
    "unsubscribe-one-click",
    "take-back-unsubscribe",
    "look-at-unsubscribe",
    "follow-hidden",
]
# The last five are noise: they must change nothing.
Written = Literal[
    "reply",
    "reply-to-the-first",
    "out-of-office",
    "bounce-hard",
    "bounce-soft",
    "complaint",
    "read-receipt",
    "calendar-answer",
    "newsletter",
    "forged-bounce",
    "forged-complaint",
]
Folder = Literal["INBOX", "Junk"]

_MAC = "Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/605.1.15 (KHTML, like Gecko)"
_WINDOWS = "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko)"
SAFARI = f"{_MAC} Version/18.1 Safari/605.1.15"
CHROME = f"{_WINDOWS} Chrome/131.0.0.0 Safari/537.36"
FIREFOX = "Mozilla/5.0 (X11; Linux x86_64; rv:133.0) Gecko/20100101 Firefox/133.0"
IPHONE = (
    "Mozilla/5.0 (iPhone; CPU iPhone OS 18_1 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) "
    "Version/18.1 Mobile/15E148 Safari/604.1"
)
APPLE_MAIL = _MAC
OUTLOOK = "Microsoft Office/16.0 (Windows NT 10.0; Microsoft Outlook 16.0.17928; Pro)"
THUNDERBIRD = "Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Thunderbird/128.5.0"
GMAIL_PROXY = "Mozilla/5.0 (Windows NT 5.1; rv:11.0) Gecko Firefox/11.0 (via ggpht.com GoogleImageProxy)"
YAHOO_PROXY = "YahooMailProxy; https://help.yahoo.com/kb/yahoo-mail-proxy-SLN28749.html"


@dataclass(frozen=True)
class Action:
    """One thing done with an email: `after` is the earliest and latest moment."""

    what: What
    agent: str
    after: tuple[float, float]
    verdict: Verdict = "human"
    method: str = "GET"


@dataclass(frozen=True)
class Answer:
    """One mail that comes back to the sender because of an email, and the folder that its server sorts it into."""

    what: Written
    after: tuple[float, float]
    folder: Folder = "INBOX"


@dataclass(frozen=True)
class Refusal:
    """What the mail server says to RCPT instead of yes, and what Sendlens is to make of it: the bounce's class and
    category."""

    says: str
    means: Literal["hard", "block"]
    category: str


NO_SUCH_USER = Refusal("550 5.1.1 <recipient>: Recipient address rejected: User unknown", "hard", "user-unknown")
UNWANTED = Refusal("550 5.7.1 Message rejected for policy reasons", "block", "policy")
FULL = "mailbox-full"  # the category of a full mailbox
GREYLISTED_SECONDS = 3
GREYLISTED = f"451 4.7.1 Greylisted, please try again in {GREYLISTED_SECONDS} seconds"


@dataclass(frozen=True)
class Kind:
    """A kind of recipient. `share` is its weight in the population; `actions` come over HTTP and `answers` by mail;
    `before_250` acts while the mail server still holds its answer back. To whom `refusal` applies nothing is ever
    delivered; who is `greylisted` is told "not now" once."""

    name: str
    share: int
    actions: tuple[Action, ...] = ()
    before_250: tuple[Action, ...] = ()
    answers: tuple[Answer, ...] = ()
    refusal: Refusal | None = None
    greylisted: bool = False


# Much later is more than 5 s after soon: two links sooner after one another are a burst.
_SOON, _LATER, _MUCH_LATER = (4.0, 6.0), (6.5, 8.0), (12.0, 13.0)
_AT_ONCE = (0.0, 0.4)


def _scan(agent: str) -> tuple[Action, ...]:
    return (
        Action("open", agent, _AT_ONCE, "bot"),
        Action("click-all", agent, _AT_ONCE, "bot"),
        Action("look-at-unsubscribe", agent, _AT_ONCE, "bot"),
    )


KINDS: tuple[Kind, ...] = (
    Kind("nobody", 24),
    Kind("reads in Apple Mail", 8, (Action("open", APPLE_MAIL, _SOON),)),
    Kind("reads in Apple Mail and clicks", 6, (Action("open", APPLE_MAIL, _SOON), Action("click", SAFARI, _LATER))),
    Kind("reads in Gmail", 9, (Action("open", GMAIL_PROXY, _SOON),)),
    Kind("reads in Gmail and clicks", 6, (Action("open", GMAIL_PROXY, _SOON), Action("click", CHROME, _LATER))),
    Kind("reads in Outlook", 6, (Action("open", OUTLOOK, _SOON),)),
    Kind("reads in Yahoo and clicks", 4, (Action("open", YAHOO_PROXY, _SOON), Action("click", IPHONE, _LATER))),
    Kind(
        "reads twice in Thunderbird and clicks twice",
        4,
        (
            Action("open", THUNDERBIRD, _SOON),
            Action("click", FIREFOX, _SOON),
            Action("open", THUNDERBIRD, _LATER),
            Action("click", FIREFOX, _MUCH_LATER),
        ),
    ),
    Kind("blocks images and clicks", 3, (Action("click", CHROME, _SOON),)),
    Kind(
        "unsubscribes on the page", 2, (Action("open", APPLE_MAIL, _SOON), Action("unsubscribe-page", SAFARI, _LATER))
    ),
    Kind("unsubscribes with one click", 2, (Action("unsubscribe-one-click", CHROME, _SOON),)),
    Kind("a scanner, then nobody", 6, _scan(CHROME)),
    Kind(
        "a scanner, then the person",
        5,
        (*_scan(CHROME), Action("open", OUTLOOK, _SOON), Action("click", CHROME, _LATER)),
    ),
    Kind(
        "a scanner before the 250",
        5,
        before_250=(Action("open", CHROME, (0, 0), "bot"), Action("click-all", CHROME, (0, 0), "bot")),
    ),
    Kind(
        "a gateway that names itself",
        3,
        (
            Action("open", "Barracuda Sentinel (EE)", _SOON, "bot"),
            Action("click-all", "Barracuda Sentinel (EE)", _SOON, "bot"),
        ),
    ),
    Kind(
        "a scanner in a browser's clothes that follows every link at once",
        3,
        (Action("click-all", CHROME, _SOON, "bot"),),
    ),
    Kind(
        "a scanner that follows what nobody sees",
        3,
        (
            Action("follow-hidden", CHROME, _SOON, "bot"),
            Action("open", CHROME, _LATER, "bot"),
            Action("click", CHROME, _MUCH_LATER, "bot"),
        ),
    ),
    Kind(
        "a link preview",
        3,
        (Action("click", "Slackbot-LinkExpanding 1.0 (+https://api.slack.com/robots)", _SOON, "bot"),),
    ),
    Kind(
        "a crawler",
        2,
        (
            Action(
                "click-all", "Mozilla/5.0 (compatible; Googlebot/2.1; +http://www.google.com/bot.html)", _SOON, "bot"
            ),
        ),
    ),
    Kind(
        "a script",
        2,
        (Action("open", "python-requests/2.32.3", _SOON, "bot"), Action("click", "curl/8.11.0", _LATER, "bot")),
    ),
    Kind(
        "a HEAD request, then the person",
        2,
        (Action("click", CHROME, _SOON, "bot", "HEAD"), Action("click", CHROME, _LATER)),
    ),
    Kind("an image prefetch without a user agent", 2, (Action("open", "", _SOON, "machine"),)),
    Kind("has no mailbox", 3, refusal=NO_SUCH_USER),
    Kind("has a mail server that wants nothing of us", 1, refusal=UNWANTED),
    Kind("has a mail server that greylists", 3, (Action("open", OUTLOOK, _SOON),), greylisted=True),
    Kind("left long ago, which only a report says", 3, answers=(Answer("bounce-hard", _SOON),)),
    Kind("has a full mailbox, which only a report says", 2, answers=(Answer("bounce-soft", _SOON),)),
    Kind("reads and replies", 3, (Action("open", GMAIL_PROXY, _SOON),), answers=(Answer("reply", _LATER),)),
    Kind("replies, and lands in Junk", 1, answers=(Answer("reply", _SOON, "Junk"),)),
    Kind("replies to the first email when the second is there", 1, answers=(Answer("reply-to-the-first", _SOON),)),
    Kind("is out of office", 2, answers=(Answer("out-of-office", _AT_ONCE),)),
    Kind("is out of office, which lands in Junk", 1, answers=(Answer("out-of-office", _AT_ONCE, "Junk"),)),
    Kind(
        "is out of office, and replies late",
        1,
        (Action("open", APPLE_MAIL, _LATER),),
        answers=(Answer("out-of-office", _AT_ONCE), Answer("reply", _MUCH_LATER)),
    ),
    Kind("complains", 2, (Action("open", YAHOO_PROXY, _SOON),), answers=(Answer("complaint", _LATER),)),
    Kind(
        "unsubscribes on the page and takes it back",
        1,
        (Action("open", APPLE_MAIL, _SOON), Action("take-back-unsubscribe", SAFARI, _LATER)),
    ),
    Kind("confirms that it has read", 1, (Action("open", OUTLOOK, _SOON),), answers=(Answer("read-receipt", _SOON),)),
    Kind("answers as to an invitation", 1, answers=(Answer("calendar-answer", _SOON),)),
    Kind("sends newsletters itself", 1, answers=(Answer("newsletter", _SOON), Answer("newsletter", _LATER, "Junk"))),
    Kind(
        "has an enemy who forges reports",
        1,
        (Action("open", THUNDERBIRD, _SOON),),
        answers=(Answer("forged-bounce", _SOON), Answer("forged-complaint", _LATER)),
    ),
)


def population(leads: int, seed: int) -> list[Kind]:
    """`leads` recipients: every kind at least once when there is room, the rest by weight, shuffled by `seed`."""
    luck = random.Random(seed)
    people = list(KINDS)[:leads]
    people += luck.choices(KINDS, weights=[kind.share for kind in KINDS], k=leads - len(people))
    luck.shuffle(people)
    return people
