"""Emails whose outcome is unknown, for an operator to settle."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime

import msgspec

from agents.sender.wait_queue import WaitQueue, waiting_record, waits_view
from decisions.sending.answers import SmtpAccepted, delivered, left
from schemas.errors import Retry
from schemas.events import Delivery, Send, lines
from schemas.settings import Settings
from schemas.state.attempts import Wait, Waiting
from schemas.text import one_line
from schemas.topics import DELIVERIES, EVENTS, RETRIES, Topic
from stream.records import OutRecord
from stream.state import StateTopic, read_to_end
from stream.write_all import write_all

_PATIENCE_SECONDS = 60.0


class UnansweredEmails:
    """The topics as they are now. Raises Retry while the broker can't be reached."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._heads: StateTopic[Wait] = waits_view(settings)
        self._deliveries: StateTopic[Delivery] = StateTopic(
            settings, DELIVERIES, Delivery, key=lambda delivery: delivery.delivery_id
        )
        self._reading = read_to_end(self._heads, self._deliveries, patience=_PATIENCE_SECONDS)
        self._waits = WaitQueue(settings, self._heads)

    def list(self) -> list[Wait]:
        """Those that wait for a decision, longest first. One whose answer came late after all waits for none."""
        found = [
            wait
            for wait in self._heads
            if wait.state == "unanswered" and self._deliveries.get(wait.delivery_id) is None
        ]
        return sorted(found, key=lambda wait: wait.at)

    def sent(self, wait: Wait, now: datetime) -> None:
        """It went out: sent and delivered, at the moment of its attempt."""
        send = self._request(wait)
        mail = left(send, wait.message_id, wait.sender, self._settings.keyring)
        # An unanswered email waits as due at the moment of its attempt.
        answer = SmtpAccepted(wait.due_at, wait.due_at, "settled by an operator")
        events, delivery = delivered(send, mail, answer, wait.attempt)
        # Its delivery takes it off the list: after its events, so that whoever is killed in between can say it again.
        self._write((EVENTS, lines(events)), (DELIVERIES, msgspec.json.encode(delivery)), of=wait)
        self._settle(wait, send, "settled", now)

    def again(self, wait: Wait, now: datetime) -> None:
        """It did not: it goes out once more, if it still may."""
        self._settle(wait, self._request(wait), "again", now)

    def _settle(self, wait: Wait, send: Send, state: str, now: datetime) -> None:
        new: Waiting = waiting_record(
            send,
            wait.sender,
            "again" if state == "again" else "settled",
            attempt=wait.attempt,
            first_at=wait.first_at,
            due_at=now,
            now=now,
            message_id=wait.message_id,
        )
        self._write((RETRIES, msgspec.json.encode(new)), of=wait)

    def _request(self, wait: Wait) -> Send:
        for _, send in self._waits.requests_now([wait]):
            return send
        raise Retry(f"{wait.delivery_id} waits no more, or otherwise: see `sendlens unanswered list`")

    def _write(self, *records: tuple[Topic, bytes], of: Wait) -> None:
        """Write them in their order, each when the one before is there."""
        for topic, value in records:
            write_all(self._settings, [OutRecord.keyed(self._settings, topic, of.delivery_id, value)])

    def __enter__(self) -> UnansweredEmails:
        self._reading.__enter__()
        return self

    def __exit__(self, *_: object) -> None:
        self._reading.__exit__(None, None, None)
        self._waits.close()


def report_lines(waits: Sequence[Wait]) -> Iterator[str]:
    """A line of each: what to look for in the mail server's log, and what to settle."""
    for wait in waits:
        yield one_line(
            f"{wait.delivery_id}  {wait.due_at:%Y-%m-%d %H:%M:%S}Z  campaign {wait.campaign}, step {wait.step},"
            f" lead {wait.lead}, from {wait.sender}, message id {wait.message_id}"
        )
