"""What recipients see: in their language, under the sender's name, readable, and from nowhere else."""

from __future__ import annotations

import base64
import hashlib
import re
from datetime import date
from html import escape, unescape
from pathlib import Path
from typing import Any

import pytest

from ingest.pages.pages import Pages
from schemas.errors import Misconfigured
from schemas.languages import WORDS, Language
from schemas.settings import Settings

PAGES = [name for name in Language.__struct_fields__ if name not in ("choices", "reasons")]


def pages(**changes: Any) -> Pages:
    return Pages(Settings(_env_file=None, **changes))


def test_every_language_has_every_page() -> None:
    made = pages()
    for path in WORDS.glob("*.toml"):
        for name in PAGES:
            page = made.page(name, path.stem, until=date(2026, 12, 30), left="Seeds").decode()
            assert f'<html lang="{path.stem}">' in page
            assert ("<form" in page) == (
                name in ("confirm", "unsubscribed", "resubscribed", "paused", "unpaused", "left", "rejoined")
            )
            assert ("2026-12-30" in page) == (name == "paused")
            assert "{" not in page.partition("</style>")[2]


def test_every_language_has_the_same_choices_with_labels() -> None:
    made = pages()
    for path in WORDS.glob("*.toml"):
        page = made.page("confirm", path.stem).decode()
        codes = re.findall(r'<label><input type="radio" name="reason" value="([a-z-]+)">[^<]+</label>', page)
        assert codes == Settings(_env_file=None).reasons
        assert re.search(r"<fieldset><legend>[^<]+</legend>", page)
        assert re.search(r'name="pause" value="1">[^<]*\b30\b[^<]*</button>', page)
        assert page.index('name="confirm"') < page.index('name="pause"')


def test_every_language_offers_each_list_and_says_which_was_left() -> None:
    made = pages()
    names = ("Seeds & Bulbs", '"><script>{lists}{list}{until}')
    for path in WORDS.glob("*.toml"):
        page = made.page("confirm", path.stem, lists=names).decode()
        values = re.findall(r'<button class="link" type="submit" name="list" value="([^"]*)">[^<]+</button>', page)
        assert tuple(map(unescape, values)) == names
        for name in ("left", "rejoined"):
            said = made.page(name, path.stem, left=names[1]).decode()
            assert "<script" not in said
            assert re.search(r"<h1>[^<]*&quot;&gt;&lt;script&gt;[^<]*</h1>", said)
        assert f'name="rejoin" value="{escape(names[1])}"' in made.page("left", path.stem, left=names[1]).decode()


def test_a_deployment_chooses_what_the_page_offers(tmp_path: Path) -> None:
    bare = pages(unsubscribe_reasons="", unsubscribe_pause_days=0).page("confirm").decode()
    assert ("reason" in bare, "fieldset>" in bare, 'name="pause"' in bare) == (False, False, False)
    page = pages(unsubscribe_reasons="other,unheard-of", unsubscribe_pause_days=14).page("confirm").decode()
    assert re.findall(r'name="reason" value="([a-z-]+)"', page) == ["other"]
    assert "14 days" in page
    older = (WORDS / "en.toml").read_text().partition("\n[paused]")[0]  # words from before there were choices
    (tmp_path / "nl.toml").write_text(older)
    made = pages(words_dir=str(tmp_path))
    assert 'name="pause"' not in made.page("confirm", "nl").decode()
    assert '<html lang="en">' in made.page("paused", "nl", until=date(2026, 12, 30)).decode()


def test_the_senders_name_stands_above_and_stays_text() -> None:
    page = pages(brand="<b>Garden & Shop</b>").page("confirm").decode()
    assert '<p class="brand">&lt;b&gt;Garden &amp; Shop&lt;/b&gt;</p>' in page
    assert "brand" not in pages().page("confirm").decode().partition("</style>")[2]


@pytest.mark.parametrize(
    ("color", "on"), [("#0b57d0", "#fff"), ("#ffe14d", "#000"), ("#000000", "#fff"), ("#FFFFFF", "#000")]
)
def test_the_senders_colour_is_on_the_buttons_with_letters_that_can_be_read(color: str, on: str) -> None:
    made = pages(brand_color=color)
    assert f"background:{color};color:{on}" in made.page("confirm").decode()


def test_the_style_is_the_one_that_the_policy_allows() -> None:
    for made in (pages(), pages(brand="Shop", brand_color="#ff0000")):
        style = re.search(rb"<style>(.*?)</style>", made.page("confirm"), re.DOTALL)
        assert style is not None
        digest = base64.b64encode(hashlib.sha256(style[1]).digest()).decode()
        assert f"'sha256-{digest}'" in made.headers["Content-Security-Policy"]


def test_a_deployment_may_bring_further_languages_and_other_words(tmp_path: Path) -> None:
    english = (WORDS / "en.toml").read_text()
    (tmp_path / "nl.toml").write_text(english.replace("Stop these emails?", "Geen e-mails meer?"))
    (tmp_path / "en.toml").write_text(english.replace("Stop these emails?", "Leave the list?"))
    made = pages(words_dir=str(tmp_path))
    assert "Geen e-mails meer?" in made.page("confirm", "nl-BE").decode()
    assert "Leave the list?" in made.page("confirm").decode()
    assert "Keine E-Mails mehr?" in made.page("confirm", "de").decode()


@pytest.mark.parametrize("text", ["[confirm", "[confirm]\ntitle = 'x'", "colour = 1", "\xff"])
def test_words_that_are_wrong_say_which_file_and_what_it_needs(tmp_path: Path, text: str) -> None:
    (tmp_path / "nl.toml").write_bytes(text.encode("latin-1"))
    with pytest.raises(Misconfigured, match=r"nl\.toml: .*words/en\.toml"):
        pages(words_dir=str(tmp_path))


def test_a_folder_that_is_not_there_is_said(tmp_path: Path) -> None:
    with pytest.raises(Misconfigured, match="SENDLENS_WORDS_DIR"):
        pages(words_dir=str(tmp_path / "none"))
