"""What `senders.toml` may say, what it is read as, and how a mistake in it is explained."""

from __future__ import annotations

import tomllib
from pathlib import Path

import pytest

from schemas.errors import Misconfigured
from schemas.senders import Account, Credential, Senders, load, parse
from schemas.settings import Settings
from tests.support.processes import ROOT

SECRET = "do-not-say-this-aloud"
SMTP = '[account.smtp]\nhost = "smtp.example.com"\n'
IMAP = '[account.imap]\nhost = "imap.example.com"\npassword_env = "SL_PASSWORD"\n'


@pytest.fixture(autouse=True)
def _bare_surroundings(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """No variable and no file of the developer's machine is seen."""
    import os

    for name in list(os.environ):
        if name.upper().startswith(("SENDLENS_", "SL_")):
            monkeypatch.delenv(name)
    monkeypatch.chdir(tmp_path)


def account(rest: str, address: str = "anna@example.com") -> str:
    return f'[[account]]\naddress = "{address}"\n{rest}\n'


def one(text: str) -> Account:
    (found,) = parse(text, Path("senders.toml"), "bounces.example.com")
    return found


def written(text: str, **settings: object) -> Senders:
    Path("senders.toml").write_text(text)
    return load(Settings(**settings))  # type: ignore[arg-type]


def test_the_example_is_a_file_that_is_read_and_uses_every_key() -> None:
    path = ROOT / "senders.example.toml"
    anna, ben, carla, dora, bounces = parse(path.read_text(), path, "bounces.example.com")
    assert (anna.daily_limit, anna.hourly_limit) == (200, 20)
    assert ben.smtp
    assert ben.imap
    assert ben.smtp.oauth2 == ben.imap.oauth2 == ben.oauth2 is not None
    assert carla.smtp
    assert not carla.smtp.has_secret
    assert dora.imap
    assert dora.imap.oauth2_token_env == "DORA_TOKEN"
    assert bounces.smtp is None
    shown = tomllib.loads(path.read_text())["account"]
    structs = (("smtp", anna.smtp), ("imap", anna.imap), ("dkim", anna.dkim), ("oauth2", ben.oauth2), (None, anna))
    for name, struct in structs:
        tables = [entry[name] for entry in shown if name in entry] if name else shown
        assert struct
        keys = {key for table in tables for key in table}
        if name == "oauth2":
            keys |= set(shown[2]["imap"]["oauth2"])  # which has what [account.oauth2] may have
        if name == "smtp":
            keys |= {"oauth2"}  # shown in [account.imap]
        assert keys == set(struct.__struct_fields__), name


def test_what_the_example_calls_a_default_is_one() -> None:
    whole = one(account(SMTP + IMAP + '[account.dkim]\nselector = "s2026"\nkey_file = "keys/s2026.pem"'))
    path = ROOT / "senders.example.toml"
    anna = parse(path.read_text(), Path("senders.toml"), "bounces.example.com")[0]
    assert whole.smtp
    assert whole.imap
    assert anna.smtp
    assert anna.imap
    assert (whole.smtp.port, whole.smtp.tls) == (anna.smtp.port, anna.smtp.tls)
    assert (whole.imap.port, whole.imap.tls) == (anna.imap.port, anna.imap.tls)
    assert whole.imap.folders == anna.imap.folders
    assert whole.imap.user == anna.address
    assert whole.dkim == anna.dkim
    assert whole.envelope_domain == anna.envelope_domain


@pytest.mark.parametrize(
    ("tls", "smtp_port", "imap_port"), [("none", 25, 143), ("starttls", 587, 143), ("tls", 465, 993)]
)
def test_the_port_is_that_of_the_way_the_line_is_secured(tls: str, smtp_port: int, imap_port: int) -> None:
    found = one(account(f'{SMTP}tls = "{tls}"\n{IMAP}tls = "{tls}"'))
    assert found.smtp
    assert found.imap
    assert (found.smtp.port, found.imap.port) == (smtp_port, imap_port)


def test_without_the_file_all_mail_leaves_by_the_server_of_the_settings() -> None:
    senders = load(Settings(smtp_host="relay.example.com", smtp_user="u", smtp_password=SECRET))
    assert senders.accounts == senders.mailboxes == ()
    anyone = senders.sending("whoever@example.org")
    assert anyone
    assert anyone.smtp
    assert (anyone.smtp.host, anyone.smtp.port, anyone.smtp.tls) == ("relay.example.com", 1025, "none")
    assert senders.credential(anyone.smtp) == Credential("u", "password", SECRET)


def test_a_server_without_a_user_has_no_credential() -> None:
    senders = load(Settings())
    assert senders.fallback
    assert senders.fallback.smtp
    assert senders.credential(senders.fallback.smtp) is None


def test_a_file_of_mailboxes_alone_leaves_sending_as_it_was() -> None:
    senders = written(account(IMAP), smtp_host="relay.example.com")
    assert [a.address for a in senders.mailboxes] == ["anna@example.com"]
    assert senders.sending("anna@example.com") is senders.fallback is not None


def test_mail_leaves_by_the_account_of_its_sender_and_no_other() -> None:
    senders = written(account(SMTP) + account(IMAP, "ben@example.com"))
    assert senders.fallback is None
    found = senders.sending("Anna@Example.com")
    assert found
    assert found.address == "anna@example.com"
    assert senders.sending("ben@example.com") is None  # it is only read
    assert senders.sending("carla@example.com") is None


def test_a_secret_comes_from_the_environment_at_the_moment_of_the_login(monkeypatch: pytest.MonkeyPatch) -> None:
    senders = written(account(IMAP.replace("password_env", "oauth2_token_env")))
    (mailbox,) = senders.mailboxes
    assert mailbox.imap
    with pytest.raises(Misconfigured, match="SL_PASSWORD is not set"):
        senders.credential(mailbox.imap)
    Path(".env").write_text("SL_PASSWORD=first\n")
    assert senders.credential(mailbox.imap) == Credential("anna@example.com", "oauth2", "first")
    Path(".env").write_text("SL_PASSWORD=second\n")
    assert senders.credential(mailbox.imap) == Credential("anna@example.com", "oauth2", "second")
    monkeypatch.setenv("SL_PASSWORD", "third")
    assert senders.credential(mailbox.imap) == Credential("anna@example.com", "oauth2", "third")


def test_no_secret_is_in_what_might_be_logged(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SL_PASSWORD", SECRET)
    senders = written(account(IMAP), smtp_user="u", smtp_password=SECRET)
    (mailbox,) = senders.mailboxes
    assert mailbox.imap
    assert SECRET not in repr(senders.credential(mailbox.imap))
    assert SECRET not in repr(senders)


def test_a_signing_key_is_found_beside_the_file(tmp_path: Path) -> None:
    keys = '[account.dkim]\nselector = "s"\nkey_file = "keys/s.pem"'
    found = parse(account(SMTP + keys), tmp_path / "senders.toml", "bounces.example.com")[0].dkim
    assert found
    with pytest.raises(Misconfigured, match="can't be read"):
        found.key()
    (tmp_path / "keys").mkdir()
    (tmp_path / "keys" / "s.pem").write_text("hello")
    with pytest.raises(Misconfigured, match="no private key in PEM"):
        found.key()
    begin, end = (f"-----{word} PRIVATE KEY-----" for word in ("BEGIN", "END"))
    pem = f"{begin}\nAAAA\n{end}\n"
    (tmp_path / "keys" / "s.pem").write_text(pem)
    assert found.key() == pem.encode()


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("[[account", "not TOML"),
        ("[[accounts]]", "unknown field `accounts`"),
        ("account = 1", "account: Expected `array`"),
        ("[[account]]\n" + SMTP, "account 1: Object missing required field `address`"),
        (account(SMTP, ""), "account 1: address"),
        (account(SMTP, "Anna <anna@example.com>"), "account 1 (Anna <anna@example.com>): address"),
        (account(""), "anna@example.com: give it [account.smtp], [account.imap] or both"),
        (account(SMTP) + account(SMTP, "ANNA@example.com"), "anna@example.com stands there twice"),
        (account(IMAP) + account(IMAP + 'user = "anna@example.com"', "b@example.com"), "read the same mailbox"),
        (account("daily_limit = 0\n" + SMTP), "account 1 (anna@example.com): daily_limit: Expected `int` >= 1"),
        (account("daily_limit = 5\nhourly_limit = 6\n" + SMTP), "hourly_limit is more than daily_limit"),
        (account('name = "a\\nb"\n' + SMTP), "name: no control characters"),
        (account('envelope_domain = "no"\n' + SMTP), "envelope_domain"),
        (account('colour = "red"\n' + SMTP), "account 1 (anna@example.com): Object contains unknown field `colour`"),
        (account(SMTP + 'tls = "ssl"'), "account 1 (anna@example.com): smtp.tls: Invalid enum value 'ssl'"),
        (account(SMTP + "port = 70000"), "smtp.port"),
        (account(SMTP.replace("smtp.example.com", "smtp.example.com:25")), "smtp: host"),
        (account(SMTP.replace("smtp.example.com", "https://smtp.example.com")), "smtp: host"),
        (account(SMTP + 'user = "u"'), "smtp: user without password_env, oauth2_token_env or [account.oauth2]"),
        (account(SMTP + 'password_env = "A"\noauth2_token_env = "B"'), "not both"),
        (
            account('[account.imap]\nhost = "imap.example.com"'),
            "imap: password_env, oauth2_token_env or [account.oauth2] is missing",
        ),
        (account(IMAP + "folders = []"), "imap.folders"),
        (account(IMAP + 'folders = ["INBOX", "inbox"]'), "imap: folders: each a name, none twice"),
        (account(SMTP + '[account.dkim]\nselector = "a b"\nkey_file = "k"'), "dkim: selector"),
        (account(SMTP + '[account.dkim]\nselector = "s"\nkey_file = ""'), "dkim: key_file"),
        (account(SMTP + '[account.dkim]\nselector = "s"\nkey_file = "k"\ndomain = "x y"'), "dkim: domain"),
    ],
)
def test_a_mistake_is_explained_with_its_place(text: str, says: str) -> None:
    with pytest.raises(Misconfigured) as error:
        one(text)
    assert str(error.value).startswith("senders.toml: ")
    assert says in str(error.value)


def test_a_secret_that_was_put_into_the_file_is_refused_and_not_repeated() -> None:
    for wrong in (f'password = "{SECRET}"', f'password_env = "{SECRET}"', f'oauth2_token_env = "{SECRET}"'):
        with pytest.raises(Misconfigured) as error:
            one(account(SMTP + wrong))
        assert SECRET not in str(error.value)


OAUTH2 = (
    '[account.oauth2]\nprovider = "google"\nclient_id_env = "SL_ID"\nclient_secret_env = "SL_SECRET"\n'
    'refresh_token_env = "SL_REFRESH"\n'
)
BARE_IMAP = '[account.imap]\nhost = "imap.example.com"\n'


@pytest.mark.parametrize(
    ("place", "url", "scope"),
    [
        ('provider = "google"', "https://oauth2.googleapis.com/token", ""),
        (
            'provider = "microsoft"',
            "https://login.microsoftonline.com/common/oauth2/v2.0/token",
            "IMAP.AccessAsUser.All",
        ),
        (
            'provider = "microsoft"\ntenant = "t.example"\nscope = "a b"',
            "https://login.microsoftonline.com/t.example/oauth2/v2.0/token",
            "a b",
        ),
        ('token_url = "https://login.example.com/token"', "https://login.example.com/token", ""),
        ('token_url = "http://127.0.0.1:8080/token"', "http://127.0.0.1:8080/token", ""),
    ],
)
def test_the_token_endpoint_is_the_providers_or_the_one_that_is_named(place: str, url: str, scope: str) -> None:
    found = one(account(OAUTH2.replace('provider = "google"', place) + SMTP + BARE_IMAP))
    assert found.oauth2
    assert found.oauth2.token_url == url
    assert scope in found.oauth2.scope
    assert found.smtp
    assert found.imap
    assert found.smtp.oauth2 == found.imap.oauth2 == found.oauth2


def test_a_password_of_one_server_leaves_the_grant_to_the_other() -> None:
    found = one(account(OAUTH2 + SMTP + 'password_env = "SL_PASSWORD"\n' + BARE_IMAP))
    assert found.smtp
    assert found.imap
    assert found.smtp.oauth2 is None
    assert found.imap.oauth2 == found.oauth2


@pytest.mark.parametrize(
    ("text", "says"),
    [
        (OAUTH2.replace('provider = "google"', 'provider = "yahoo"') + BARE_IMAP, "oauth2.provider"),
        (OAUTH2.replace('provider = "google"\n', "") + BARE_IMAP, 'provider = "microsoft" or a token_url'),
        (OAUTH2 + 'token_url = "https://login.example.com/token"\n' + BARE_IMAP, "one of the three"),
        (OAUTH2 + 'tenant = "t.example"\n' + BARE_IMAP, "tenant: only with"),
        (OAUTH2.replace("google", "microsoft") + 'tenant = "a/b"\n' + BARE_IMAP, "tenant: want"),
        (OAUTH2 + 'scope = "a  b"\n' + BARE_IMAP, "scope: want"),
        (OAUTH2.replace('provider = "google"', 'token_url = "http://login.example.com/"') + BARE_IMAP, "want https://"),
        (
            OAUTH2.replace('provider = "google"', 'token_url = "https://u:p@example.com/"') + BARE_IMAP,
            "token_url: want",
        ),
        (OAUTH2.replace('provider = "google"', 'token_url = "https://[::1"') + BARE_IMAP, "oauth2"),
        (OAUTH2 + IMAP, "oauth2: no server uses it"),
        (OAUTH2.replace("SL_ID", f"{SECRET} ") + BARE_IMAP, "name variables, not the secrets"),
        (IMAP + OAUTH2.replace("account.oauth2", "account.imap.oauth2"), "one of them, not both"),
    ],
)
def test_a_mistake_in_a_grant_is_explained_with_its_place(text: str, says: str) -> None:
    with pytest.raises(Misconfigured) as error:
        one(account(text))
    assert "account 1 (anna@example.com)" in str(error.value)
    assert says in str(error.value)
    assert SECRET not in str(error.value)


def test_two_grants_do_not_share_the_variable_of_a_refresh_token() -> None:
    other = account(OAUTH2.replace("google", "microsoft") + SMTP, "ben@example.com")
    with pytest.raises(Misconfigured, match="SL_REFRESH is the refresh token of two different grants"):
        parse(account(OAUTH2 + SMTP) + other, Path("senders.toml"), "bounces.example.com")
    assert len(parse(account(OAUTH2 + SMTP) + account(OAUTH2 + SMTP, "ben@example.com"), Path("senders.toml"), "")) == 2


def test_every_variable_of_a_grant_must_be_set(monkeypatch: pytest.MonkeyPatch) -> None:
    senders = written(account(OAUTH2 + BARE_IMAP))
    (mailbox,) = senders.mailboxes
    assert mailbox.imap
    for name in ("SL_ID", "SL_SECRET", "SL_REFRESH"):
        with pytest.raises(Misconfigured, match=f"{name} is not set"):
            senders.check_variables(mailbox.imap)
        monkeypatch.setenv(name, SECRET)
    senders.check_variables(mailbox.imap)
    assert SECRET not in repr(senders.grant(mailbox.imap)).replace(f"client_id='{SECRET}'", "")


def test_a_file_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    with pytest.raises(Misconfigured, match="SENDLENS_SENDERS"):
        load(Settings(senders=tmp_path))
    (tmp_path / "latin").write_bytes(b"# \xe9\n")
    with pytest.raises(Misconfigured, match="SENDLENS_SENDERS"):
        load(Settings(senders=tmp_path / "latin"))
