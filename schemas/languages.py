"""The words that recipients read, by language: the pages', and the footer's. A language is a file of `words/`; a
deployment may bring more of them, or other ones (SENDLENS_WORDS_DIR)."""

from __future__ import annotations

import tomllib
from pathlib import Path

import msgspec

from schemas.errors import Misconfigured
from schemas.settings import Settings

WORDS = Path(__file__).with_name("words")
DEFAULT = "en"


class PageWords(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A page's words. `button` only where it asks for something."""

    title: str
    text: str
    button: str = ""


class ChoiceWords(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What the page that asks says of what it offers besides: reasons, a pause of {days} days, and to leave but
    one {list} of the email's."""

    why: str
    pause: str
    only: str = ""


class Language(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Every page's words in one language. The footer of an email says what the button of `confirm` says.

    `choices` and what follows may be missing, as they are where a deployment brought words before there were any:
    those pages offer no pause, and no reason, in that language. {until} is the day on which a pause ends. `reasons` are
    by their codes, which events keep.
    """

    confirm: PageWords
    unsubscribed: PageWords
    resubscribed: PageWords
    unclear: PageWords
    unavailable: PageWords
    not_found: PageWords
    not_yet: PageWords
    choices: ChoiceWords | None = None
    paused: PageWords | None = None
    unpaused: PageWords | None = None
    left: PageWords | None = None
    rejoined: PageWords | None = None
    reasons: dict[str, str] = {}


def languages(settings: Settings) -> dict[str, Language]:
    """Every language by its code in lower case; of two files of one code the deployment's holds. Raises Misconfigured
    for a file that lacks a word."""
    found = {}
    for folder in (Path(folder) for folder in (WORDS, settings.words_dir) if folder):
        if not folder.is_dir():
            raise Misconfigured(f"SENDLENS_WORDS_DIR: {folder} is no folder")
        for path in sorted(folder.glob("*.toml")):
            try:
                found[path.stem.lower()] = msgspec.convert(tomllib.loads(path.read_text("utf-8")), Language)
            except (tomllib.TOMLDecodeError, msgspec.ValidationError, UnicodeDecodeError) as error:
                raise Misconfigured(f"{path}: {error}; it needs what {WORDS.name}/{DEFAULT}.toml has") from None
    return found


def footer_words(settings: Settings) -> dict[str, str]:
    """What the footer's link says, by language. Raises Misconfigured where SENDLENS_LANGUAGE is none of them."""
    words = {code: language.confirm.button for code, language in languages(settings).items()}
    if settings.language.lower() not in words:
        raise Misconfigured(f"SENDLENS_LANGUAGE: {settings.language} is none of {', '.join(sorted(words))}")
    return words
