"""AS numbers from a MaxMind DB file that the test writes."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest

from agents.judge.asn import asn_lookup
from decisions.robots.rules import Rules
from schemas.errors import Misconfigured
from tests.decisions.robots.hits import DELIVERED, hit
from tests.support.maxmind import write_maxmind


def _database(path: Path, networks: dict[str, int], kind: str = "GeoLite2-ASN") -> str:
    return write_maxmind(
        path,
        kind,
        {
            network: {"autonomous_system_number": asn, "autonomous_system_organization": f"AS {asn}"}
            for network, asn in networks.items()
        },
    )


def test_an_address_is_looked_up_in_the_operators_file(tmp_path: Path) -> None:
    asn_of = asn_lookup(_database(tmp_path / "asn.mmdb", {"203.0.113.0/24": 8075, "2001:db8::/32": 22843}))
    assert asn_of is not None
    assert [asn_of(ip) for ip in ("203.0.113.9", "203.0.114.9", "2001:db8::9", "no address", "")] == [
        8075, None, 22843, None, None,
    ]  # fmt: skip


def test_the_rules_know_a_scanner_by_its_number_once_there_is_a_file(tmp_path: Path) -> None:
    rules = Rules.load(asn_lookup(_database(tmp_path / "asn.mmdb", {"198.51.100.0/24": 22843})))
    within = hit(ip="198.51.100.7", at=DELIVERED + timedelta(minutes=1))
    assert rules.judge(within, DELIVERED).reason == "probable-network"
    assert Rules.load(asn_lookup("")).judge(within, DELIVERED).reason == "browser"


def test_a_file_that_is_none_or_holds_something_else_is_refused_at_the_start(tmp_path: Path) -> None:
    (tmp_path / "text").write_text("no database")
    for path in (tmp_path / "missing", tmp_path / "text", tmp_path):
        with pytest.raises(Misconfigured, match="SENDLENS_ASN_DATABASE"):
            asn_lookup(str(path))
    with pytest.raises(Misconfigured, match="not AS numbers"):
        asn_lookup(_database(tmp_path / "city.mmdb", {"192.0.2.0/24": 1}, kind="GeoLite2-City"))
