"""Handing a payload over: what an endpoint may say, and where no payload is ever sent."""

from __future__ import annotations

import socket
from collections.abc import AsyncIterator
from dataclasses import dataclass, field

import pytest
from aiohttp import web

from agents.webhooks.http import EndpointClient
from schemas.errors import Reject
from schemas.state.endpoints import check_url


@dataclass
class Endpoint:
    """A real HTTP server that remembers what it was asked, and answers what it is told to."""

    port: int = 0
    answer: web.Response = field(default_factory=lambda: web.Response(status=204))
    got: list[tuple[dict[str, str], bytes]] = field(default_factory=list)

    def url(self, path: str = "/hook") -> str:
        return f"http://127.0.0.1:{self.port}{path}"

    async def take(self, request: web.Request) -> web.StreamResponse:
        self.got.append((dict(request.headers), await request.read()))
        return self.answer


@pytest.fixture
async def endpoint() -> AsyncIterator[Endpoint]:
    there = Endpoint()
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", there.take)
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    assert site._server is not None
    there.port = site._server.sockets[0].getsockname()[1]  # type: ignore[attr-defined]
    yield there
    await runner.cleanup()


@pytest.fixture
async def private() -> AsyncIterator[EndpointClient]:
    endpoints = EndpointClient(private=True, seconds=2.0)
    yield endpoints
    await endpoints.close()


async def test_a_payload_arrives_as_it_is(endpoint: Endpoint, private: EndpointClient) -> None:
    answer = await private.post(endpoint.url(), {"webhook-id": "1"}, b'{"type":"reply"}')
    assert (answer.taken, answer.status) == (True, 204)
    ((headers, body),) = endpoint.got
    assert body == b'{"type":"reply"}'
    assert (headers["webhook-id"], headers["Content-Type"]) == ("1", "application/json")


async def test_what_the_endpoint_says_is_told(endpoint: Endpoint, private: EndpointClient) -> None:
    endpoint.answer = web.Response(status=503, text="not\r\nnow", headers={"Retry-After": "7"})
    answer = await private.post(endpoint.url(), {}, b"{}")
    assert (answer.taken, answer.gone, answer.status, answer.words, answer.asked) == (False, False, 503, "not now", 7)


async def test_an_endpoint_that_is_gone_says_so(endpoint: Endpoint, private: EndpointClient) -> None:
    endpoint.answer = web.Response(status=410)
    assert (await private.post(endpoint.url(), {}, b"{}")).gone


async def test_a_redirect_is_not_followed(endpoint: Endpoint, private: EndpointClient) -> None:
    endpoint.answer = web.Response(status=302, headers={"Location": endpoint.url("/elsewhere")})
    answer = await private.post(endpoint.url(), {}, b"{}")
    assert (answer.taken, answer.status, len(endpoint.got)) == (False, 302, 1)


async def test_nobody_there_and_nobody_answering_are_answers_too(private: EndpointClient) -> None:
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        nobody = await private.post(f"http://127.0.0.1:{silent.getsockname()[1]}/", {}, b"{}")
        assert (nobody.taken, nobody.status) == (False, 0)
        silent.listen()
        slow = await private.post(f"http://127.0.0.1:{silent.getsockname()[1]}/", {}, b"{}")
        assert (slow.taken, slow.words) == (False, "no answer in time")


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1", "[::1]", "2130706433", "0x7f.1"])
async def test_no_private_address_is_ever_connected_to_unless_allowed(endpoint: Endpoint, host: str) -> None:
    public = EndpointClient(private=False, seconds=2.0)
    try:
        answer = await public.post(f"https://{host}:{endpoint.port}/", {}, b"{}")
    finally:
        await public.close()
    assert (answer.taken, answer.status) == (False, 0)
    assert "open internet" in answer.words
    assert endpoint.got == []


@pytest.mark.parametrize(
    "url",
    ["http://example.com/", "ftp://example.com/", "https://", "https://user:x@example.com/", "https://[::1", "/path"],
)
def test_what_is_no_endpoint_is_refused_with_what_is_wanted(url: str) -> None:
    with pytest.raises(Reject, match="https://host/path"):
        check_url(url, private=False)
