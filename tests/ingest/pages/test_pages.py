"""What recipients see: in their language, under the sender's name, readable, and from nowhere else."""

from __future__ import annotations

import base64
import hashlib
import re
from pathlib import Path
from typing import Any

import pytest

from ingest.pages.pages import Pages
from schemas.errors import Misconfigured
from schemas.languages import WORDS, Language
from schemas.settings import Settings


def pages(**changes: Any) -> Pages:
    return Pages(Settings(_env_file=None, **changes))


def test_every_language_has_every_page() -> None:
    made = pages()
    for path in WORDS.glob("*.toml"):
        for name in Language.__struct_fields__:
            page = made.page(name, path.stem).decode()
            assert f'<html lang="{path.stem}">' in page
            assert ("<form" in page) == (name in ("confirm", "unsubscribed", "resubscribed"))
            assert "{" not in page.partition("</style>")[2]


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
