"""Emails that go out: asked for at `/v1/sends`, taken by a real mail server, and what is told of each."""

from __future__ import annotations

import asyncio
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager

import httpx
from aiosmtpd.controller import Controller
from aiosmtpd.smtp import SMTP, Envelope, Session

from agents.sender.unanswered_emails import UnansweredEmails
from agents.sender.wait_queue import waits_view
from schemas.errors import Retry
from schemas.settings import Settings
from stream.state import read_to_end
from tests.faults.count import Count, example
from tests.faults.works import Works
from tests.support.processes import free_port
from tests.support.waiting import wait_until

CAMPAIGN = "outgoing"
_BATCH = 50
_ANSWER_SECONDS = 120.0
_PATIENCE_SECONDS = 30.0


class MailServer:
    """Takes every email, and remembers whose it was by its recipient. `slowness` is seconds before its yes."""

    def __init__(self, slowness: float = 0.0) -> None:
        self.port = free_port()
        self.taken: Counter[str] = Counter()  # by lead
        self.message_ids: Counter[str] = Counter()
        self.slowness = slowness
        self._controller = Controller(self, hostname="127.0.0.1", port=self.port)

    def start(self) -> None:
        self._controller.start()

    def stop(self) -> None:
        self._controller.stop()

    async def handle_DATA(self, server: SMTP, session: Session, envelope: Envelope) -> str:
        content = envelope.content
        assert isinstance(content, bytes)
        if self.slowness:
            await asyncio.sleep(self.slowness)
        (recipient,) = envelope.rcpt_tos
        head = content.partition(b"\r\n\r\n")[0]
        (message_id,) = [line for line in head.split(b"\r\n") if line.lower().startswith(b"message-id:")]
        self.message_ids[message_id.decode()] += 1
        self.taken[recipient.partition("@")[0]] += 1
        return "250 2.0.0 taken"


@contextmanager
def running_mail_server(slowness: float = 0.0) -> Iterator[MailServer]:
    server = MailServer(slowness)
    server.start()
    try:
        yield server
    finally:
        server.stop()


class Emails:
    """`total` emails, asked for in batches by a thread of its own, each batch again until it is answered."""

    def __init__(self, settings: Settings, total: int) -> None:
        self.total = total
        self.accepted: set[str] = set()  # leads
        self.slowest = 0.0
        self._settings = settings
        self._failure: BaseException | None = None
        self._thread = threading.Thread(target=self._work, name="emails", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def finish(self) -> None:
        """Wait until all are accepted."""
        self._thread.join(timeout=600)
        if self._failure is not None:
            raise self._failure
        assert not self._thread.is_alive(), f"not all were accepted: {len(self.accepted)} of {self.total}"

    def _work(self) -> None:
        try:
            with httpx.Client(
                base_url=f"http://127.0.0.1:{self._settings.ingest_port}",
                headers={"Authorization": f"Bearer {self._settings.api_key}"},
                timeout=_ANSWER_SECONDS,
            ) as client:
                self._post(client, "/v1/campaigns", {"id": CAMPAIGN, "name": CAMPAIGN}, "campaign")
                for first in range(0, self.total, _BATCH):
                    leads = [f"lead-{number}" for number in range(first, min(first + _BATCH, self.total))]
                    answer = self._post(client, "/v1/sends", {"sends": [_send(lead) for lead in leads]}, str(first))
                    assert answer["accepted"] == len(leads), answer
                    self.accepted |= set(leads)
        except BaseException as error:
            self._failure = error

    def _post(self, client: httpx.Client, path: str, body: object, key: str) -> dict[str, object]:
        began = time.monotonic()
        while True:
            try:
                answer = client.post(path, json=body, headers={"Idempotency-Key": key})
            except httpx.TransportError:
                answer = None
            if answer is not None and answer.status_code < 300:
                self.slowest = max(self.slowest, time.monotonic() - began)
                return dict(answer.json())
            assert answer is None or answer.status_code == 503, answer.text
            assert time.monotonic() - began < _ANSWER_SECONDS, "no answer"
            time.sleep(0.2)


def count_emails(works: Works, emails: Emails, server: MailServer) -> Count:
    """Wait until nothing is on its way, then: each accepted email was taken once and told as sent and delivered, or is
    unanswered; and nothing else is told.

    One is unanswered whose worker died while it was at the mail server: whether that took it only an operator can see.
    """
    settings = works.stream.settings
    works.stream.wait_until_drained(deadline=600)
    wait_until(lambda: _on_its_way(settings) == 0, 300, "emails that wait to be sent", every=1.0)
    works.stream.wait_until_drained(deadline=300)
    told: dict[str, Counter[str]] = {"sent": Counter(), "delivered": Counter(), "unanswered": Counter()}
    kinds = works.stream.ask(
        "SELECT kind, lead, count() FROM events FINAL WHERE campaign = {c:String} GROUP BY kind, lead",
        c=CAMPAIGN,
    )
    others = {kind for kind, _, _ in kinds} - set(told)
    for kind, lead, times in kinds:
        if kind in told:
            told[kind][lead] += times
    with UnansweredEmails(settings) as unanswered:
        unknown = {wait.lead for wait in unanswered.list()}
    sent, delivered, taken = set(told["sent"]), set(told["delivered"]), set(server.taken)
    lost = emails.accepted - taken - unknown
    often = {
        what: {lead for lead, times in counts.items() if times > 1}
        for what, counts in {"taken": server.taken, **told}.items()
    }
    twice = set().union(*often.values())
    untold = taken - (sent & delivered) - unknown
    invented = (delivered | sent) - taken
    both = delivered & unknown
    unsaid = unknown - set(told["unanswered"])
    dead = works.stream.dead()
    faults = (
        *example("accepted emails are neither taken nor unanswered", lost),
        *(fault for what, leads in often.items() for fault in example(f"emails were {what} twice", leads)),
        *example("emails were taken and are not told", untold),
        *example("emails were told as sent and never taken", invented),
        *example("emails are delivered and unanswered", both),
        *example("unanswered emails are not told", unsaid),
        *example("kinds of events that nothing brought about", others),
        *((f"{len(dead)} dead letters, the first {dead[0]}",) if dead else ()),
    )
    return Count(
        sent=emails.total,
        answered=len(emails.accepted),
        stored=len(sent & delivered),
        lost=len(lost),
        double=len(twice),
        changed=len(untold | invented | both | unsaid),
        longest=emails.slowest,
        note=f"{len(unknown)} unanswered, of which {len(unknown & taken)} were taken" if unknown else "",
        faults=faults,
    )


def _on_its_way(settings: Settings) -> int:
    """Emails that wait for their next attempt by themselves."""
    view = waits_view(settings)
    try:
        with read_to_end(view, patience=_PATIENCE_SECONDS):
            return sum(wait.state != "unanswered" for wait in view)
    except Retry:
        return -1


def _send(lead: str) -> dict[str, object]:
    return {
        "campaign": CAMPAIGN,
        "step": 1,
        "variant": "A",
        "lead": lead,
        "to": f"{lead}@example.com",
        "sender": "Garden Shop <news@example.net>",
        "subject": "A question about spring",
        "html": f'<p>Hello {lead}, <a href="https://example.com/offer">look</a></p>',
    }
