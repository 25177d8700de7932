"""What a viewer asks of a board, read from the address: a period, a timezone and choices."""

from __future__ import annotations

from collections.abc import Coroutine
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Annotated, Any, TypeVar

from fastapi import HTTPException, Query, Request

from clickhouse.query_client import AskerLeft, while_connected
from clickhouse.query_parameters import DEFAULT_SINCE, DEFAULT_UNTIL, QueryParameters, read_parameters
from dashboards.page.compare import CAMPAIGN, COMPARE, other
from dashboards.page.login import COOKIE
from schemas.errors import Reject

T = TypeVar("T")
_EVER = datetime.min.replace(tzinfo=UTC)
_Many = Annotated[list[str] | None, Query()]


@dataclass(frozen=True)
class BoardQuestion:
    """The question's parameters, those of the period or campaign it is compared with, and `same`: equal for
    questions that a moment later are the same."""

    parameters: QueryParameters
    compare: str
    compared: QueryParameters | None
    same: tuple[object, ...]

    @property
    def by_campaign(self) -> bool:
        """Whether it is another campaign that it is compared with."""
        return self.compare.startswith(CAMPAIGN)


def asked(
    since: str = DEFAULT_SINCE,
    until: str = DEFAULT_UNTIL,
    campaign: _Many = None,
    step: _Many = None,
    sender: _Many = None,
    variant: _Many = None,
    link: _Many = None,
    outcome: _Many = None,
    lead: str = "",
    timezone: str = "UTC",
    place: str = "",
    compare: Annotated[str, Query(pattern=f"^{COMPARE}$")] = "",
) -> BoardQuestion:
    """A dependency. Raises HTTPException 422 with what to write instead."""
    try:
        parameters = read_parameters(
            since,
            until,
            campaign,
            timezone,
            datetime.now(UTC),
            steps=step,
            senders=sender,
            lead=lead,
            variants=variant,
            links=link,
            outcomes=outcome,
            place=place,
        )
    except Reject as reject:
        raise HTTPException(422, str(reject)) from None
    return BoardQuestion(
        parameters, compare, other(parameters, compare), (since, until, replace(parameters, since=_EVER, until=_EVER))
    )


async def while_there(request: Request, work: Coroutine[Any, Any, T]) -> T:
    """The work's result. When the viewer leaves meanwhile the work is cancelled, and nobody reads what is raised."""
    try:
        return await while_connected(request.receive, work)
    except AskerLeft:
        raise HTTPException(408, "The viewer left.") from None


def viewer_of(request: Request) -> str:
    """Who takes turns with others: a session, else an address."""
    return request.cookies.get(COOKIE, "") or (request.client.host if request.client else "")
