"""The footer speaks the language of its email."""

from __future__ import annotations

import pytest

from decisions.sending.footer import FooterWords, language_of
from schemas.errors import Misconfigured
from schemas.languages import footer_words, languages
from schemas.settings import Settings

WORDS = {"en": "Unsubscribe", "de": "Abmelden"}


@pytest.mark.parametrize(
    ("html", "language"),
    [
        ('<html lang="de">', "de"),
        ("<!doctype html>\n<HTML class=x LANG='de-CH'><body>", "de"),
        ("<html xmlns:v='urn' xml:lang=fr>", "fr"),
        ('<html lang = "pt-BR">', "pt"),
        ("<html data-lang='de'>", ""),
        ("<html><p lang='de'>", ""),
        ("<p>no html element</p>", ""),
        ("<html lang=''>", ""),
        ("<html lang='english'>", ""),
        ("", ""),
    ],
)
def test_the_language_is_that_of_the_html_element(html: str, language: str) -> None:
    assert language_of(html) == language


def test_a_language_that_nobody_knows_and_a_text_have_the_deployments() -> None:
    words = FooterWords(WORDS, "de")
    assert (words.of("<html lang=is>"), words.of(""), words.of("<html lang=en>")) == (
        "Abmelden",
        "Abmelden",
        "Unsubscribe",
    )


def test_the_link_says_in_every_language_what_the_pages_button_says() -> None:
    settings = Settings(_env_file=None)  # type: ignore[call-arg]
    words = footer_words(settings)
    assert set(words) >= {"de", "en", "es", "fr"}
    assert words == {code: language.confirm.button for code, language in languages(settings).items()}
    assert len(set(words.values())) == len(words)


def test_a_language_without_words_is_a_fault_of_the_settings() -> None:
    with pytest.raises(Misconfigured, match="SENDLENS_LANGUAGE"):
        footer_words(Settings(_env_file=None, language="xx"))  # type: ignore[call-arg]
