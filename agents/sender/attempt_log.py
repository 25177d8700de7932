"""The record that an email is about to be handed to its mail server, written beforehand: an attempt without an outcome
means that the worker died mid-send, so the outcome is unknown."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Awaitable, Callable

from msgspec.structs import replace

from schemas.settings import Settings
from schemas.state.attempts import Attempt
from schemas.topics import ATTEMPTS
from stream.state import StateTopic

_REMEMBERED = 100_000


def attempts_view(settings: Settings, seen: Callable[[Attempt], object] | None = None) -> StateTopic[Attempt]:
    """The attempts without an outcome; `seen` is called with all."""
    return StateTopic(
        settings,
        ATTEMPTS,
        Attempt,
        key=lambda attempt: attempt.delivery_id,
        forget_after=ATTEMPTS.retention_ms / 1000,
        over=lambda attempt: attempt.outcome != "",
        seen=seen,
    )


class AttemptLog:
    """Begins and ends attempts, and knows which are open. `publish` returns once the broker has acknowledged."""

    def __init__(self, view: StateTopic[Attempt], publish: Callable[[Attempt], Awaitable[None]]) -> None:
        self.view = view
        self._publish = publish
        # Those of this process that it knows the outcome of, or that nothing left of: until the topic shows that too.
        self._ended: OrderedDict[tuple[str, int], None] = OrderedDict()

    def open(self, delivery_id: str) -> Attempt | None:
        """An attempt of this email without an outcome."""
        found = self.view.get(delivery_id)
        return None if found is None or (delivery_id, found.attempt) in self._ended else found

    async def begin(self, attempt: Attempt) -> None:
        """Return when it is known for good that the email may have left. Raises what `publish` does."""
        await self._publish(attempt)
        self.view.put(attempt)

    def end(self, attempt: Attempt, outcome: str) -> Attempt:
        """What is to be written of its outcome; here it counts from now on."""
        ended = replace(attempt, outcome=outcome)
        self.view.put(ended)
        self.void(attempt)
        return ended

    def void(self, attempt: Attempt) -> None:
        """Nothing left in this attempt: it is as if it had not been begun."""
        self._ended[attempt.delivery_id, attempt.attempt] = None
        if len(self._ended) > _REMEMBERED:
            self._ended.popitem(last=False)
