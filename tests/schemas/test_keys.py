"""API keys: kept as hashes, found whatever their place, never shown in an error."""

from __future__ import annotations

import pytest

from schemas.errors import Misconfigured
from schemas.keys import find, new_key, parse
from schemas.settings import load
from tests.commands.test_command import sendlens
from tests.docs.command import complaint


def test_a_key_is_found_among_others_and_its_hash_is_no_key() -> None:
    made = {name: new_key() for name in ("crm", "reports")}
    keys = parse(f"crm=sends+campaigns={made['crm'][1]}, reports=page={made['reports'][1]}")
    for name, (given, kept) in made.items():
        found = find(keys, given.encode())
        assert found is not None
        assert found.name == name
        assert find(keys, kept.encode()) is None
        assert given not in repr(keys)
    assert [sorted(key.scopes) for key in keys] == [["campaigns", "sends"], ["page"]]
    assert find(keys, b"") is None
    assert find([], b"") is None


@pytest.mark.parametrize(
    "entry",
    [
        "crm=sends=secret",
        "crm=sends",
        "=sends=HASH",
        "crm=all=HASH",
        "crm==HASH",
        "a b=sends=HASH",
        "crm=sends=HASH,crm=page=HASH",
    ],
)
def test_a_key_that_cannot_be_read_is_named_by_its_place_and_not_shown(entry: str) -> None:
    text = entry.replace("HASH", new_key()[1])
    with pytest.raises(Misconfigured, match=r"SENDLENS_API_KEYS: entry \d") as error:
        load(api_keys=text)
    assert "secret" not in str(error.value)


def test_the_whole_key_may_be_given_as_its_hash() -> None:
    given, kept = new_key()
    for api_key in (given, kept):
        [key] = load(api_key=api_key).callers
        assert find([key], given.encode()) is key


def test_the_command_makes_a_key_that_the_settings_take() -> None:
    assert complaint(["key", "crm", "--scope", "sends"]) is None
    done = sendlens("key", "crm", "--scope", "sends", "--scope", "page")
    assert done.returncode == 0, done.stderr
    _, given, _, entry = (line.strip() for line in done.stdout.splitlines())
    found = find(load(api_keys=entry).callers, given.encode())
    assert found is not None
    assert (found.name, found.scopes) == ("crm", {"sends", "page"})
    assert sendlens("key", "no name").returncode == 2
