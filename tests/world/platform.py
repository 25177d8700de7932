"""The campaign platform: a customer of Sendlens who declares campaigns and asks for emails over `/v1`."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import httpx

from tests.world.recipients import Kind

SENDER = "Garden Shop <news@shop.example.com>"
VARIANTS = ("A", "B")
SUBJECTS = {
    (1, "A"): "Your garden in spring",
    (1, "B"): "Three seeds to sow now",
    (2, "A"): "Still time",
    (2, "B"): "Last seeds",
}
_BATCH = 100

_HTML = """<!DOCTYPE html>
<html><body style="font-family: sans-serif">
<p>Hello {name},</p>
<p>The <a href="https://shop.example.com/seeds?step={step}&amp;variant={variant}">seeds of the season</a> are in, and
<a href='https://shop.example.com/guide'>our planting guide</a> says when to sow them.</p>
<p>Questions? <a href="mailto:help@example.com">Write</a> or <a href="tel:+15550100">call</a>.</p>
</body></html>"""


@dataclass(frozen=True)
class Lead:
    """One recipient. Everything about it is derived from its number and its list."""

    number: int
    kind: Kind
    prefix: str = "lead"
    domain: str = "example.net"

    @property
    def id(self) -> str:
        return f"{self.prefix}-{self.number:05}"

    @property
    def address(self) -> str:
        return f"{self.id}@{self.domain}"

    @property
    def variant(self) -> str:
        return VARIANTS[self.number % len(VARIANTS)]


class Platform:
    """Asks the Sendlens at `url`; `headers` go with every request. A refusal is a RuntimeError."""

    def __init__(self, url: str, headers: dict[str, str]) -> None:
        self.url = url
        self._http = httpx.AsyncClient(base_url=url, timeout=20, headers=headers)

    async def close(self) -> None:
        await self._http.aclose()

    async def ready(self) -> bool:
        """Whether ingest answers that it is ready."""
        try:
            return (await self._http.get("/readyz")).status_code == 200
        except httpx.TransportError:
            return False

    async def declare(self, campaign: str, name: str, **options: object) -> None:
        await self._asked("POST", "/v1/campaigns", json={"id": campaign, "name": name, **options})

    async def campaign(self, campaign: str) -> dict[str, Any]:
        """The campaign as `/v1` tells it: whether it is paused, and why."""
        return dict((await self._asked("GET", f"/v1/campaigns/{campaign}")).json())

    async def board(self, key: str, **question: str) -> dict[str, Any]:
        """A board of the last hour as the page gets it; `campaign`, `step` and `lead` choose."""
        return await self.said(f"/boards/{key}.json", since="now-1h", **question)

    async def said(self, path: str, **question: str) -> dict[str, Any]:
        """What the installation answers to the question."""
        return dict((await self._asked("GET", path, params=question)).json())

    async def ask(self, campaign: str, step: int, leads: Iterable[Lead], *, some_twice: bool = False) -> None:
        """Ask for a step's emails; with `some_twice` for every 25th once more, which is the same email."""
        asked = list(leads)
        for start in range(0, len(asked), _BATCH):
            batch = asked[start : start + _BATCH]
            again = [lead for lead in batch if some_twice and is_asked_twice(lead)]
            for some in filter(None, (batch, again)):
                sends = [_send(campaign, step, lead) for lead in some]
                await self._asked("POST", "/v1/sends", json={"sends": sends})

    async def _asked(self, method: str, path: str, **more: Any) -> httpx.Response:
        answer = await self._http.request(method, path, **more)
        if answer.is_error:
            raise RuntimeError(f"{path} was answered {answer.status_code}: {answer.text[:500]}")
        return answer


def is_asked_twice(lead: Lead) -> bool:
    return lead.number % 25 == 0


def _send(campaign: str, step: int, lead: Lead) -> dict[str, object]:
    return {
        "campaign": campaign,
        "step": step,
        "variant": lead.variant,
        "lead": lead.id,
        "to": lead.address,
        "sender": SENDER,
        "subject": SUBJECTS[step, lead.variant],
        "html": _HTML.format(name=lead.id, step=step, variant=lead.variant),
        "text": "The seeds of the season are in: https://shop.example.com/seeds",
    }
