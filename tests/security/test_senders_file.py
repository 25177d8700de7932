"""Whatever stands in senders.toml, it is read or it is a Misconfigured that says where; never a traceback."""

from __future__ import annotations

import re
from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.errors import Misconfigured
from schemas.senders import load, parse
from schemas.settings import Settings

ACCOUNT = '[[account]]\naddress = "anna@example.com"\n[account.smtp]\nhost = "smtp.example.com"\n'
DEEP = 50_000


def refusal(text: str) -> str:
    with pytest.raises(Misconfigured) as refused:
        parse(text, Path("senders.toml"), "bounces.example.com")
    return str(refused.value)


@pytest.mark.parametrize(
    ("text", "why", "at"),
    [
        (f"{ACCOUNT}x = {'[' * DEEP}{']' * DEEP}\n", "nested too deep", 5),
        (f"{ACCOUNT}x = [\n{'[' * DEEP}\n{']' * DEEP}\n]\n", "nested too deep", 6),
        (f"{ACCOUNT}x = {'{a=' * DEEP}1{'}' * DEEP}\n", "nested too deep", 5),
        ("x = " + "[\n" * DEEP, "nested too deep", None),
        (f"{ACCOUNT}port = {'9' * 5000}\nother = 1\n", "digits", 5),
        (f'{ACCOUNT}user = "a\x1bb"\n', "Illegal character", 5),
        (f"{ACCOUNT}# a\x07b\n", "invalid character", 5),
        (f"{ACCOUNT}\x00\n", "Invalid", 5),
        (f"{ACCOUNT}user = \x9b\n", "Invalid", 5),
        ("\ufeff" + ACCOUNT, "Invalid", 1),
    ],
    ids=["arrays", "arrays over lines", "tables", "never closed", "digits", "ESC", "BEL", "NUL", "CSI", "BOM"],
)
def test_what_is_no_toml_is_told_with_its_line(text: str, why: str, at: int | None) -> None:
    told = refusal(text)
    assert why in told
    line = re.search(r"line (\d+)", told)
    assert line is not None
    assert at is None or int(line[1]) == at
    assert len(told) < 500


@pytest.mark.parametrize(
    ("key", "table"),
    [
        ("address", ""), ("name", ""), ("envelope_domain", ""), ("host", "smtp"), ("user", "smtp"),
        ("password_env", "smtp"), ("host", "imap"), ("user", "imap"), ("folders", "imap"), ("authserv_id", "imap"),
        ("token_url", "oauth2"), ("scope", "oauth2"), ("tenant", "oauth2"), ("refresh_token_env", "oauth2"),
        ("selector", "dkim"), ("domain", "dkim"), ("key_file", "dkim"),
    ],
)  # fmt: skip
@pytest.mark.parametrize("escape", [r"\u0000", r"\u001b", r"\u0007", r"\n", r"\u009b", r"\u2028"])
def test_a_control_character_in_a_value_is_told_with_its_key(key: str, table: str, escape: str) -> None:
    keys: dict[str, dict[str, str]] = {
        "": {"address": '"anna@example.com"'},
        "smtp": {"host": '"smtp.example.com"', "password_env": '"P"'},
        "imap": {"host": '"imap.example.com"', "password_env": '"P"'},
        "oauth2": {"client_id_env": '"I"', "refresh_token_env": '"R"', "provider": '"microsoft"'},
        "dkim": {"selector": '"s"', "key_file": '"k.pem"'},
    }
    value = keys[table].get(key, '"anna"')[1:-1]
    if key == "domain" or key == "envelope_domain":
        value = "example.com"
    spoiled = f'"{value[:2]}{escape}{value[2:]}"'
    keys[table][key] = f"[{spoiled}]" if key == "folders" else spoiled
    text = "[[account]]\n" + "".join(
        (f"[account.{name}]\n" if name else "") + "".join(f"{k} = {v}\n" for k, v in of.items())
        for name, of in keys.items()
    )
    told = refusal(text)
    assert "account 1" in told
    assert key in told
    assert told.isprintable()


def test_a_file_that_is_no_text_is_told(tmp_path: Path) -> None:
    path = tmp_path / "senders.toml"
    path.write_bytes(b'[[account]]\naddress = "\xff\xfe@example.com"\n')
    with pytest.raises(Misconfigured, match="can't be read"):
        load(Settings(_env_file=None, senders=path))  # type: ignore[call-arg]


@given(st.text() | st.text(st.sampled_from("[]{}=\"'\n.,a1 \x00\x1b\\#-:TZ")))
def test_any_text_is_read_or_refused(text: str) -> None:
    for whole in (text, ACCOUNT + text):
        with suppress(Misconfigured):
            parse(whole, Path("senders.toml"), "")
