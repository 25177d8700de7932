"""What user agents are called: the clients people open with, the browsers they click with, on which kind of device."""

from __future__ import annotations

import gzip
import json
from collections import Counter
from pathlib import Path
from typing import get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from decisions.clients.mail_clients import Device, MailClients
from decisions.clients.naming import named
from decisions.robots.rules import Rules
from decisions.tables import rows
from schemas.events import Clicked, Opened
from tests.decisions.robots.hits import CHROME, GMAIL_PROXY, hit

CORPUS = Path(__file__).parents[2] / "corpus" / "agents"
CLIENTS = MailClients.load()
_WEBKIT = "AppleWebKit/537.36 (KHTML, like Gecko)"
_IPHONE = "Mozilla/5.0 (iPhone; CPU iPhone OS 18_7 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko)"
_IPAD = "Mozilla/5.0 (iPad; CPU OS 18_7 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko)"
_MAC = "Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/605.1.15 (KHTML, like Gecko)"

# User agent; its name by an open and by a click; the device.
KNOWN = (
    (GMAIL_PROXY, "Gmail (proxy)", "Gmail (proxy)", "unknown"),
    ("YahooMailProxy; https://help.yahoo.com/kb/yahoo-mail-proxy-SLN28749.html", *["Yahoo Mail (proxy)"] * 2, "unknown"),
    ("Mozilla/5.0", "Apple Mail (proxy)", "unknown", "unknown"),
    (f"{_IPHONE} Mobile/15E148", "Apple Mail", "app on an Apple system", "mobile"),
    (f"{_IPAD} Mobile/15E148", "Apple Mail", "app on an Apple system", "tablet"),
    (_MAC, "Apple Mail", "app on an Apple system", "desktop"),
    ("Outlook-iOS/709.2226530.prod.iphone (3.24.1)", *["Outlook mobile"] * 2, "mobile"),
    ("Outlook-iOS/709.2226530.prod.ipad (3.24.1)", *["Outlook mobile"] * 2, "tablet"),
    ("Outlook-Android/2.0", *["Outlook mobile"] * 2, "mobile"),
    ("Mozilla/4.0 (compatible; MSIE 7.0; Windows NT 10.0; Trident/7.0; Microsoft Outlook 16.0.4266; ms-office; MSOffice 16)", *["Outlook desktop"] * 2, "desktop"),
    ("Mozilla/5.0 (Windows NT 10.0; Win64; x64; rv:128.0) Gecko/20100101 Thunderbird/128.5.0", *["Thunderbird"] * 2, "desktop"),
    ("SAMSUNG SM-G973F SamsungEmail/6.1", *["Samsung Email"] * 2, "mobile"),
    ("YahooMobileMail/1.0 (Android Mail; 6.1.0) (starqlteue;samsung;SM-G960U1;10)", *["Yahoo Mail app"] * 2, "mobile"),
    (CHROME, "Chrome", "Chrome", "desktop"),
    (f"{CHROME} Edg/124.0.0.0", "Edge", "Edge", "desktop"),
    (f"{CHROME} OPR/110.0.0.0", "Opera", "Opera", "desktop"),
    (f"Mozilla/5.0 (Linux; Android 10; K) {_WEBKIT} Chrome/140.0.0.0 Mobile Safari/537.36", "Chrome", "Chrome", "mobile"),
    (f"Mozilla/5.0 (Linux; Android 10; K) {_WEBKIT} Chrome/140.0.0.0 Safari/537.36", "Chrome", "Chrome", "tablet"),
    (f"Mozilla/5.0 (Linux; Android 10; K) {_WEBKIT} SamsungBrowser/30.0 Chrome/143.0.0.0 Mobile Safari/537.36", *["Samsung Internet"] * 2, "mobile"),
    (f"Mozilla/5.0 (Linux; Android 15; SM-X510 Build/AP3A; wv) {_WEBKIT} Version/4.0 Chrome/137.0.7151.118 Safari/537.36", *["Android app"] * 2, "tablet"),
    (f"{_IPHONE} Version/26.3 Mobile/15E148 Safari/604.1", "Safari", "Safari", "mobile"),
    (f"{_MAC} Version/18.3 Safari/605.1.15", "Safari", "Safari", "desktop"),
    (f"{_IPHONE} CriOS/135.0.7049.53 Mobile/15E148 Safari/604.1", "Chrome", "Chrome", "mobile"),
    (f"{_IPHONE} EdgiOS/153.0.4234.46 Version/26.0 Mobile/15E148 Safari/604.1", "Edge", "Edge", "mobile"),
    (f"{_IPAD} FxiOS/136.0 Mobile/15E148 Safari/605.1.15", "Firefox", "Firefox", "tablet"),
    ("Mozilla/5.0 (Android 15; Tablet; rv:136.0) Gecko/136.0 Firefox/136.0", "Firefox", "Firefox", "tablet"),
    (f"{_IPHONE} Mobile/15E148 [FBAN/FBIOS;FBDV/iPhone14,5]", *["Facebook app"] * 2, "mobile"),
    ("Dalvik/2.1.0 (Linux; U; Android 13; SM-S911B Build/TP1A)", *["Android app"] * 2, "unknown"),
    ("Mozilla/5.0 (Windows NT 6.1; WOW64; Trident/7.0; Tablet PC 2.0; rv:11.0) like Gecko", *["Internet Explorer"] * 2, "desktop"),
    (f"Mozilla/5.0 (SMART-TV; Linux; Tizen 6.0) {_WEBKIT} SamsungBrowser/4.0 Chrome/76.0.3809.146 TV Safari/537.36", *["Samsung Internet"] * 2, "other"),
    ("Mozilla/5.0 (PlayStation; PlayStation 5/6.00) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/13.0 Safari/605.1.15", "Safari", "Safari", "other"),
    ("Nobody's program 1", "unknown", "unknown", "unknown"),
    ("curl/8.11.0", "unknown", "unknown", "unknown"),
    ("", "unknown", "unknown", "unknown"),
)  # fmt: skip


@pytest.mark.parametrize(("user_agent", "on_open", "on_click", "device"), KNOWN, ids=range(len(KNOWN)))
def test_an_agent_has_its_names_and_its_device(user_agent: str, on_open: str, on_click: str, device: str) -> None:
    found = CLIENTS.find(user_agent)
    assert (found.on_open, found.on_click, found.device) == (on_open, on_click, device)


def test_every_browser_of_real_traffic_has_a_name_and_a_device() -> None:
    with gzip.open(CORPUS / "browsers.txt.gz", "rt") as lines:
        found = Counter(
            (CLIENTS.find(line.rstrip("\n")).on_click, CLIENTS.find(line.rstrip("\n")).device) for line in lines
        )
    assert not [known for known in found if "unknown" in known or known[0] == "other mail client"]
    assert found["Chrome", "mobile"] > found["Chrome", "desktop"] > found["Chrome", "tablet"] > 0


def test_every_mail_client_and_proxy_that_the_rules_know_has_a_name() -> None:
    texts = [(CORPUS / name).read_text() for name in ("named.ndjson", "seen.ndjson")]
    agents = [json.loads(line) for text in texts for line in text.splitlines()]
    mail = [one["user_agent"] for one in agents if one["label"] in ("mail-client", "mail-proxy")]
    assert len(mail) > 30
    nameless = {agent for agent in mail if CLIENTS.find(agent).on_open == "unknown"}
    assert {agent for agent in nameless if "Spicebird" not in agent} == set()


def test_an_event_is_named_by_its_kind_and_keeps_its_verdict(rules: Rules) -> None:
    apple = f"{_IPHONE} Mobile/15E148"
    opened = rules.event(hit(user_agent=apple, ip="192.0.2.7"), None)
    clicked = rules.event(hit(user_agent=apple, kind="click", link_id="f" * 64), None)
    assert isinstance(opened, Opened)
    assert isinstance(clicked, Clicked)
    now = named(opened, CLIENTS, "DE", "192.0.2.0/24")
    assert (now.client, now.device, now.country, now.ip) == ("Apple Mail", "mobile", "DE", "192.0.2.0/24")
    assert (now.id, now.verdict, now.reason) == (opened.id, opened.verdict, opened.reason)
    assert named(clicked, CLIENTS, "", "").client == "app on an Apple system"


@given(st.text(max_size=600))
def test_any_text_has_a_name_and_a_device(text: str) -> None:
    found = CLIENTS.find(text)
    assert found.device in get_args(Device)
    assert found.on_open
    assert found.on_click
    assert CLIENTS.find(text) == found


def test_what_is_remembered_is_bounded() -> None:
    clients = MailClients.load()
    for number in range(33_000):
        clients.find(f"Thunderbird/{number}")
    clients.find("Thunderbird/1 " + "x" * 600)
    assert clients._remembered.cache_info().currsize == 32_768  # type: ignore[attr-defined]


def test_a_row_is_reached_and_no_name_is_written_in_two_ways() -> None:
    table = list(rows("clients.tsv", 5))
    names = {name for _, (_, on_open, on_click, _, _) in table for name in (on_open, on_click)}
    assert len({name.lower() for name in names}) == len(names)
    patterns = [pattern for _, (pattern, *_) in table]
    assert len(set(patterns)) == len(patterns)
