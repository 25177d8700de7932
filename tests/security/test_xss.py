"""Texts of strangers in headless Chromium: on every board and every page that a recipient sees they stay text.

Nothing of them runs, nothing of them is fetched, and the content security policy has nothing to stop: a policy that
had to stop something would be an error here.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from urllib.parse import quote

import pytest

from dashboards.boards import BOARDS
from dashboards.panels import Board
from schemas.settings import Settings
from schemas.tokens import Claim, Purpose, delivery_id
from tests.security.house import house
from tests.support.broker import Broker
from tests.support.browser import CHROMIUM, Browser, Page, chromium

pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="no chromium here: apt-get install chromium")

WEEK = "since=2026-03-01T00:00:00Z&until=2026-03-09T00:00:00Z&timezone=UTC"
DRAWN = "document.querySelector('#board').getAttribute('aria-busy') === 'false'"
PAYLOADS = (
    "<script>alert(1)</script>",
    "</script><script>alert(1)//",
    "<script src=SPY/a></script>",
    "<img src=SPY/b onerror=alert(1)>",
    '"><img src=SPY/c onerror=alert(1)>',
    "'><svg onload=alert(1)>",
    '" onfocus=alert(1) autofocus x="',
    "<iframe src=SPY/d></iframe>",
    "<iframe srcdoc='<script>parent.alert(1)</script>'>",
    "<object data=SPY/e></object>",
    "<style>@import 'SPY/f'</style>",
    "<link rel=stylesheet href=SPY/g>",
    "<base href=SPY/h/>",
    "<meta http-equiv=refresh content=0;url=SPY/i>",
    "<a href=javascript:alert(1)>x</a>",
    "javascript:alert(1)",
    "<details open ontoggle=alert(1)>",
    "<math><style><img src=SPY/j onerror=alert(1)>",
    "&lt;img src=SPY/k onerror=alert(1)&gt;",
    "\\x3cimg src=SPY/l\\x3e",
    "{{constructor.constructor('alert(1)')()}}",
    "${alert(1)}",
    "{a|<img src=SPY/m>}",
    "__proto__",
)
LINKS = ("javascript:alert(1)", "data:text/html,<script>alert(1)</script>", "https://example.net/<img src=x>?a='\"")
# What a text could have become, had it been read as HTML. One frame is our own: the click map's, without rights.
GROWN = (
    "[...document.querySelectorAll('script:not([src]), [src*=SPY], [href*=SPY], object, base, img, [onerror], "
    'iframe:not(.clickmap > div > iframe[sandbox=""]:not([srcdoc]):is(:not([src]), [src^="click-map.html?"])), '
    '[onload], [onfocus], [ontoggle], meta[http-equiv=refresh], a[href^="javascript:" i], a[href^="data:" i]\')]'
    ".map((one) => one.outerHTML)"
)
OPEN_ALL = """
  for (const more of document.querySelectorAll('button.more')) if (!more.hidden) more.click();
  for (const one of document.querySelectorAll('details')) one.open = true;
  for (const one of document.querySelectorAll('thead button')) one.click();
"""
TIPS = """
  [...document.querySelectorAll('[data-tip]')].map((one) => {
    one.dispatchEvent(new MouseEvent('mouseover', {bubbles: true}));
    return document.querySelector('#tip').textContent;
  })
"""


@dataclass
class Spy:
    """A listener on loopback; its address stands in the payloads, and nobody may ask it."""

    url: str = ""
    asked: list[str] = field(default_factory=list)


@pytest.fixture(scope="module")
def spy() -> Iterator[Spy]:
    spy = Spy()

    class Listener(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            spy.asked.append(self.path)
            self.send_error(404)

        def log_message(self, format: str, *args: object) -> None:
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Listener)
    spy.url = f"http://127.0.0.1:{server.server_port}"
    thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
    thread.start()
    yield spy
    server.shutdown()
    server.server_close()
    thread.join()


@pytest.fixture(scope="module")
def payloads(spy: Spy) -> list[str]:
    found = [payload.replace("SPY", spy.url) for payload in PAYLOADS]
    assert max(map(len, found)) <= 64  # as long as an id may be
    return found


@pytest.fixture(scope="module")
def words_dir(tmp_path_factory: pytest.TempPathFactory, payloads: list[str]) -> Path:
    """A language of the operator's own whose words have markup in them: it is shown as text too."""
    folder = tmp_path_factory.mktemp("words")
    pages = (
        *("confirm", "unsubscribed", "resubscribed", "unclear", "unavailable", "not_found", "not_yet"),
        *("paused", "unpaused", "left", "rejoined"),
    )
    said = json.dumps(payloads[3])
    (folder / "xx.toml").write_text(
        "".join(f"[{page}]\ntitle = {said}\ntext = {said}\nbutton = {said}\n" for page in pages)
        + f"[choices]\nwhy = {said}\npause = {said}\nonly = {said}\n[reasons]\nother = {said}\n"
    )
    return folder


@pytest.fixture(scope="module")
def served_house(
    broker: Broker, tmp_path_factory: pytest.TempPathFactory, payloads: list[str], words_dir: Path
) -> Iterator[tuple[str, Settings]]:
    folder = tmp_path_factory.mktemp("hostile")
    with house(broker, folder, payloads, LINKS, brand=payloads[3], words_dir=str(words_dir)) as found:
        yield found


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chromium() as browser:
        yield browser


@pytest.fixture
def page(browser: Browser, spy: Spy, served_house: tuple[str, Settings]) -> Iterator[Page]:
    """A tab in which nothing of a payload may come alive, whatever the test does."""
    page = browser.page()
    page.look(height=3000)
    watch = "addEventListener('securitypolicyviolation', (found) => console.error('policy', found.blockedURI));"
    page.send("Page.addScriptToEvaluateOnNewDocument", source=f"alert = () => console.error('a script ran'); {watch}")
    yield page
    assert page.value(GROWN.replace("SPY", json.dumps(spy.url))) == []
    page.close()
    elsewhere = [url for url in page.requests if not url.startswith((served_house[0], "data:image/"))]
    # A page that is 404 by design is told of as an error of loading.
    errors = [error for error in page.errors if "responded with a status of 4" not in error]
    assert (errors, elsewhere, spy.asked) == ([], [], [])


@pytest.mark.parametrize("board", BOARDS, ids=lambda board: board.key)
def test_on_a_board_texts_of_strangers_are_text(
    page: Page, served_house: tuple[str, Settings], payloads: list[str], board: Board
) -> None:
    lead = payloads[3]
    page.open(f"{served_house[0]}/?{WEEK}&board={board.key}&lead={quote(lead, safe='')}")
    page.wait(f"location.search && {DRAWN}")
    page.value(OPEN_ALL)
    tips = page.value(TIPS)
    assert tips
    hover(page)
    if board.key != "pipeline":  # its texts are our own processes'
        assert any(lead in text for text in (page.value("document.body.textContent"), *tips))


def hover(page: Page) -> None:
    """Over every chart from left to right, so that the tooltip of each of its points is shown once."""
    boxes = page.value("[...document.querySelectorAll('.canvas')].map((one) => one.getBoundingClientRect().toJSON())")
    for box in boxes:
        for step in range(1, 20):
            x, y = box["x"] + box["width"] * step / 20, box["y"] + box["height"] / 2
            page.send("Input.dispatchMouseEvent", type="mouseMoved", x=x, y=y)


def test_a_chosen_campaign_and_the_lists_to_choose_from_are_text(
    page: Page, served_house: tuple[str, Settings], payloads: list[str]
) -> None:
    for payload in payloads[::4]:
        chosen = quote(payload, safe="")
        page.open(f"{served_house[0]}/?{WEEK}&board=campaign&campaign={chosen}&sender={chosen}&since={chosen}")
        page.wait("document.querySelector('#choose-campaign')")
    page.open(f"{served_house[0]}/?{WEEK}&board=campaign&campaign={quote(payloads[3], safe='')}")
    page.wait("document.querySelector('#choose-campaign summary') && " + DRAWN)
    page.click("#choose-campaign summary")
    assert payloads[4] in page.value("document.querySelector('#choose-campaign').textContent")
    assert payloads[3] in page.value("document.querySelector('#choose-campaign summary').textContent")


def test_the_click_map_of_a_hostile_variant_has_text_alone(
    page: Page, served_house: tuple[str, Settings], payloads: list[str]
) -> None:
    """Its own HTML is tried in tests/dashboards/test_click_map.py; here all else on the panel is a stranger's."""
    for n, payload in enumerate(payloads[:4]):
        page.open(f"{served_house[0]}/?{WEEK}&board=campaign&campaign={quote(payload, safe='')}")
        page.wait(f"document.querySelector('#panel-click-map') && {DRAWN}")
        page.value("document.querySelector('#panel-click-map').scrollIntoView()")
        page.wait("document.querySelectorAll('#panel-click-map tbody tr').length === 2")
        page.wait("document.querySelector('.clickmap iframe').src.includes('click-map.html?')")
        assert payload in page.value("document.querySelector('#click-map-of').textContent")
        assert LINKS[n % len(LINKS)] in page.value("document.querySelector('#panel-click-map tbody').textContent")
        page.value(OPEN_ALL)
        assert page.value("document.querySelectorAll('iframe').length") == 1


def test_a_lead_of_a_hostile_id_is_text(page: Page, served_house: tuple[str, Settings], payloads: list[str]) -> None:
    for payload in payloads[::4]:
        page.open(f"{served_house[0]}/?{WEEK}&board=lead&lead={quote(payload, safe='')}")
        page.wait(f"document.body.textContent.includes({json.dumps(payload)}) && {DRAWN}")
        page.value(OPEN_ALL)
        page.value(TIPS)


def test_what_a_recipient_sees_is_text(page: Page, served_house: tuple[str, Settings], payloads: list[str]) -> None:
    """Brand and words are the operator's, the token's campaign and lead the platform's, the path anybody's."""
    url, settings = served_house
    brand = payloads[3]
    page.send("Network.setExtraHTTPHeaders", headers={"Accept-Language": "xx"})
    for payload in payloads:
        claim = Claim(delivery_id(payload, 1, payload), payload, 1, payload[:8], payload, 1_790_000_000, (payload,))
        page.open(f"{url}/u/{settings.keyring.sign(Purpose.UNSUBSCRIBE, claim)}")
        page.wait("document.querySelector('form')")
        assert brand in page.text("main")
    page.click("button[name=list]")
    page.wait("document.querySelector('button[name=rejoin]')")
    assert brand in page.text("h1")
    page.click("button[name=rejoin]")
    page.wait("document.querySelector('button[name=confirm]')")
    for name in ("confirm", "undo"):
        page.click(f"button[name={name}]")
        page.wait(f"document.querySelector('button') && !document.querySelector('button[name={name}]')")
        assert brand in page.text("h1")
    for path in ("u", "c", "c/x", "static", "boards", "v1"):
        for payload in (payloads[3], payloads[0], payloads[16]):
            page.open(f"{url}/{path}/{quote(payload, safe='')}")
            page.wait("document.body")
    page.open(f"{url}/login?next={quote(payloads[15], safe='')}")
    page.wait("document.body")
