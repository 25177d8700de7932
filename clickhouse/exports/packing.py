"""Answers of questions, compressed on their way: a board with its numbers is 85 kB of JSON and 9 kB of gzip."""

from __future__ import annotations

import asyncio
import gzip

from fastapi import Request
from fastapi.responses import Response

_LEAST = 1_000  # bytes; a shorter answer is a packet or two either way
_LEVEL = 5  # as nginx' and Starlette's users set it: 6 takes a fifth longer for a hundredth less


async def packed(request: Request, answer: Response) -> Response:
    """The answer with its body compressed, where that helps and the asker takes it; else as it is, and streams always.

    The length of what is compressed can tell a secret to who listens on the line, if he makes a victim's browser ask
    with guesses that stand in the answer too (BREACH, https://www.breachattack.com). No answer that comes here has a
    token, and a browser says of what another site made it ask that it did: that is not compressed at all.
    """
    body = getattr(answer, "body", b"")
    if len(body) < _LEAST or "content-encoding" in answer.headers:
        return answer
    answer.headers.add_vary_header("Accept-Encoding")
    of_another_site = request.headers.get("sec-fetch-site", "none") not in ("none", "same-origin")
    if of_another_site or not takes_gzip(request):
        return answer
    # The loop answers hits meanwhile.
    answer.body = await asyncio.to_thread(gzip.compress, body, _LEVEL, mtime=0)
    answer.headers["Content-Encoding"] = "gzip"
    answer.headers["Content-Length"] = str(len(answer.body))
    return answer


def takes_gzip(request: Request) -> bool:
    """Whether the asker takes gzip (RFC 9110, 12.5.3): it names it, or anything, and not with a weight of 0."""
    weights: dict[str, str] = {}
    for entry in request.headers.get("accept-encoding", "").lower().split(","):
        coding, _, parameter = entry.partition(";")
        weights[coding.strip()] = parameter.replace(" ", "").removeprefix("q=") or "1"
    weight = weights.get("gzip", weights.get("*", "0"))
    return weight.strip("0.") != ""
