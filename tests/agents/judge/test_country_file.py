"""The operator's country file, which the test writes: looked up before an address is cut, and read again once it changes."""

from __future__ import annotations

import os
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any
from unittest.mock import patch
from uuid import uuid4

import msgspec
import pytest
from structlog.testing import capture_logs

from agents.judge.country_file import CountryFile, country_file
from agents.judge.judge import Judge
from agents.runtime.metrics import COUNTRY_FILES
from decisions.robots.rules import Rules
from schemas.errors import Misconfigured
from schemas.events import Clicked, Hit, Opened, lines
from schemas.settings import load
from schemas.topics import HITS
from stream.records import Record
from tests.agents.paper_kafka import Log, View
from tests.decisions.robots.hits import CHROME, GMAIL_PROXY, hit
from tests.support.maxmind import write_maxmind
from tests.support.waiting import wait_until

# The networks set aside for documents: RFC 5737, RFC 3849.
NETWORKS = {"192.0.2.0/24": "DE", "198.51.100.0/25": "FR", "2001:db8::/32": "CH"}


def countries(path: Path, networks: dict[str, Any] = NETWORKS, kind: str = "GeoLite2-Country") -> str:
    records = {
        network: {"country": {"iso_code": code, "names": {"en": f"The land of {code}"}}}
        for network, code in networks.items()
    }
    return write_maxmind(path, kind, records)


def damaged(path: Path, first: int) -> str:
    """A file whose records are nonsense but for the first ones."""
    whole = Path(countries(path)).read_bytes()
    record = b"\xe1\x47country"  # a map of one, whose key is a text of seven characters
    begins = [at for at in range(len(whole)) if whole.startswith(record, at)][first]
    ends = whole.rindex(b"\xab\xcd\xefMaxMind.com")
    path.write_bytes(whole[:begins] + b"\xff" * (ends - begins) + whole[ends:])
    return str(path)


def counted(result: str) -> float:
    return float(COUNTRY_FILES.labels(result)._value.get())


def replace_file(path: Path, **how: Any) -> None:
    """As geoipupdate does: a new file under the old one's name."""
    countries(path.with_suffix(".new"), **how)
    path.with_suffix(".new").replace(path)


def test_an_address_has_the_country_of_its_network(tmp_path: Path) -> None:
    file = country_file(countries(tmp_path / "c.mmdb"))
    assert file is not None
    asked = ("192.0.2.77", "198.51.100.9", "198.51.100.200", "2001:db8::9", "192.0.2.0/24", "no address", "", "::1%lo")
    assert [file.find(ip) for ip in asked] == ["DE", "FR", "", "CH", "", "", "", ""]
    assert country_file("") is None


def test_a_city_file_will_do_and_what_is_no_country_code_counts_as_none(tmp_path: Path) -> None:
    networks = {"192.0.2.0/25": "DE", "192.0.2.128/26": "Germany", "192.0.2.192/26": 49}
    file = CountryFile(countries(tmp_path / "c.mmdb", networks, "GeoIP2-City"))
    assert [file.find(ip) for ip in ("192.0.2.1", "192.0.2.129", "192.0.2.193")] == ["DE", "", ""]


def test_a_file_that_is_missing_or_holds_something_else_is_refused_at_the_start(tmp_path: Path) -> None:
    (tmp_path / "text").write_text("no database")
    for path in (tmp_path / "missing", tmp_path / "text", tmp_path):
        with pytest.raises(Misconfigured, match=r"SENDLENS_COUNTRY_FILE: .* can't be read"):
            country_file(str(path))
    flat = write_maxmind(tmp_path / "flat.mmdb", "generic_country", {"192.0.2.0/24": {"country": "DE"}})
    with pytest.raises(Misconfigured, match=r"SENDLENS_COUNTRY_FILE: .* says no country\.iso_code"):
        country_file(flat)
    with pytest.raises(Misconfigured, match=r"SENDLENS_COUNTRY_FILE: .* is damaged .*: fetch it again"):
        country_file(damaged(tmp_path / "damaged.mmdb", first=0))
    with pytest.raises(Misconfigured, match="holds GeoLite2-ASN, not countries: take GeoLite2-Country"):
        country_file(countries(tmp_path / "asn.mmdb", kind="GeoLite2-ASN"))


def test_a_file_that_changes_is_read_again_and_one_that_can_not_be_read_leaves_the_old_in_use(tmp_path: Path) -> None:
    path = tmp_path / "c.mmdb"
    file = CountryFile(countries(path))
    new, refused = counted("new"), counted("refused")
    assert (file.find("192.0.2.77"), file.look()) == ("DE", "unchanged")

    replace_file(path, networks={"192.0.2.0/24": "AT"})
    assert (file.look(), file.find("192.0.2.77"), file.look()) == ("new", "AT", "unchanged")
    assert (counted("new"), counted("refused")) == (new + 1, refused)

    path.write_bytes(path.read_bytes()[:200])
    with capture_logs() as logged:
        assert (file.look(), file.find("192.0.2.77"), file.look()) == ("refused", "AT", "unchanged")
    assert [line["event"] for line in logged] == ["the new country file can't be used, the one in use stays"]
    assert counted("refused") == refused + 1

    path.unlink()
    assert (file.look(), file.find("192.0.2.77")) == ("unchanged", "AT")
    countries(path, {"192.0.2.0/24": "LI"})
    os.utime(path, ns=(1, 1))
    assert (file.look(), file.find("192.0.2.77")) == ("new", "LI")


def test_the_file_is_looked_at_while_the_worker_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("agents.judge.country_file._LOOK_EVERY", 0.01)
    path = tmp_path / "c.mmdb"
    file = CountryFile(countries(path))
    file.start()
    try:
        replace_file(path, networks={"192.0.2.0/24": "AT"})
        wait_until(lambda: file.find("192.0.2.77") == "AT", 20, "the new file in use")
    finally:
        file.stop()


def test_a_damaged_file_costs_a_country_and_no_hit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("agents.judge.country_file._PROBED", 1)
    path = damaged(tmp_path / "c.mmdb", first=1)
    file, before = CountryFile(path), counted("damaged")
    with capture_logs() as logged:
        assert [file.find(ip) for ip in ("192.0.2.77", "198.51.100.9", "2001:db8::9", "203.0.113.1")] == [
            "DE",
            "",
            "",
            "",
        ]
    assert [line["event"] for line in logged] == ["the country file is damaged, some countries stay unknown"]
    assert counted("damaged") == before + 2


async def judged(judge: Judge, hits: Sequence[Hit]) -> list[Opened | Clicked]:
    """What the judge writes of a record of hits."""
    judge._deliveries = View(Log(time.time))  # type: ignore[assignment]
    with patch("agents.judge.judge.records_before", lambda *_: []):
        handled = await judge.handle([Record(HITS, 0, 0, b"", lines(hits), hits[0].at.timestamp())])
    decoder = msgspec.json.Decoder(Opened | Clicked)
    return [event for record in handled.out for event in decoder.decode_lines(record.value or b"")]


@pytest.mark.parametrize(
    ("client_ip", "kept"), [("full", "192.0.2.77"), ("truncated", "192.0.2.0/24"), ("hashed", "hashed:"), ("none", "")]
)
async def test_the_country_is_looked_up_where_the_address_is_whole(
    tmp_path: Path, rules: Rules, client_ip: str, kept: str
) -> None:
    file = CountryFile(countries(tmp_path / "c.mmdb"))
    settings = load(client_ip=client_ip, token_keys="1:0123456789abcdef0123456789abcdef")
    hits = [
        hit(id=str(uuid4()), ip="192.0.2.77"),
        hit(id=str(uuid4()), ip="203.0.113.9", user_agent=GMAIL_PROXY),
        hit(id=str(uuid4()), ip="192.0.2.77", kind="click", link_id="f" * 64),
    ]
    events = await judged(Judge(settings, rules, countries=file), hits)
    assert [(event.country, event.client, event.device) for event in events] == [
        ("DE", "Chrome", "desktop"),
        ("", "Gmail (proxy)", "unknown"),
        ("DE", "Chrome", "desktop"),
    ]
    assert [event.user_agent for event in events] == [CHROME, GMAIL_PROXY, CHROME]
    assert (events[0].ip if client_ip != "hashed" else events[0].ip[:7]) == kept
    without = await judged(Judge(settings, rules), hits)
    assert {event.country for event in without} == {""}
    assert [event.client for event in without] == [event.client for event in events]
