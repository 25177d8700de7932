"""The ingest application, put together: the hot path in front, FastAPI behind, one lifespan for both."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial

import structlog
from fastapi import APIRouter, FastAPI

from clickhouse.reader import Reader
from clickhouse.samples import Sampler
from clickhouse.store import connect
from ingest.ab import ab_routes
from ingest.api import api_routes
from ingest.asking import Asking
from ingest.campaigns import finder
from ingest.commit import GroupCommit
from ingest.docs import docs_routes
from ingest.export import export_routes
from ingest.exporting import Exporting
from ingest.health import health_routes
from ingest.hits import App, Hits
from ingest.metrics import Metrics
from ingest.ownsystem import own_system_routes
from ingest.pages import Pages
from ingest.problems import answer_with_problems
from ingest.publisher import Publisher
from ingest.replay import Replay
from ingest.share import Shares
from ingest.source import Source
from ingest.spool import Spool
from ingest.stats import stats_routes
from ingest.timeline import timeline_routes
from ingest.unsubscribe import unsubscribe_routes
from ingest.webhooks import webhook_routes
from schemas.collector import spare_the_collector
from schemas.endpoints import endpoints_view
from schemas.events import Campaign, Link, Pause
from schemas.facts import Facts
from schemas.ownsystem import OwnSystem
from schemas.settings import Settings
from schemas.snapshot import Snapshot
from schemas.state import StateTopic
from schemas.topics import CAMPAIGNS, DELIVERIES, EVENTS, HITS, LEADS, LINKS, PAUSES, SENDS, WEBHOOKS

log = structlog.get_logger()

# Together under what process managers grant before they kill: 10 s (Docker). In seconds.
_DRAIN_PATIENCE = 5.0
_CLOSE_PATIENCE = 2.0
_DEFAULT_BODY_BYTES = 64 * 1024

_DESCRIPTION = """
What a campaign platform calls (`/v1`), what recipients and their mail clients fetch (`/o/`, `/c/`, `/u/`), and what
operators look at. Errors are problem details (RFC 9457).

`GET /o/{token}.gif` is always answered with a transparent pixel. `GET /c/{token}/{link_id}` redirects to a link that
was in the mail, and to nothing else. Both are recorded before they are answered; a pixel of status 503 was not.
"""


def create_app(settings: Settings, *routers: APIRouter, own: OwnSystem | None = None) -> App:
    """The ASGI application of ingest. `routers` are served beside its own routes; `own` are the decisions for those who
    send by themselves. Connects when it is started."""
    _keep_kafka_quiet()
    metrics = Metrics()
    publisher = Publisher(settings, (HITS, EVENTS, SENDS, CAMPAIGNS, PAUSES, LEADS, LINKS, DELIVERIES, WEBHOOKS))
    spool = Spool(settings, metrics)
    commit = GroupCommit(settings, publisher, spool, metrics)
    replay = Replay(settings, spool, publisher, metrics, commit.heard)
    pages = Pages(settings)
    shares = Shares(settings.source_hits_per_second)
    kept = Snapshot(settings.data_dir / "links" / "snapshot", settings.topic(LINKS))
    links = StateTopic(settings, LINKS, Link, lambda link: link.link_id, snapshot=kept)
    campaigns = StateTopic(settings, CAMPAIGNS, Campaign, lambda campaign: campaign.id)
    pauses = StateTopic(settings, PAUSES, Pause, lambda pause: pause.campaign)
    endpoints = endpoints_view(settings)
    facts = Facts(settings)
    sampler = Sampler(settings, "ingest", metrics.registry)
    reader = Reader(partial(connect, settings, connect_timeout=3, send_receive_timeout=20, query_retries=0))
    exporting = Exporting(partial(connect, settings, connect_timeout=3, send_receive_timeout=300, compress=False))
    asking, known = Asking(reader), finder(campaigns)
    others = [
        stats_routes(settings, asking, known),
        ab_routes(settings, asking, known),
        timeline_routes(settings, asking),
        export_routes(settings, exporting, metrics),
        webhook_routes(settings, publisher, endpoints),
    ]
    if own:
        others += own_system_routes(settings, own, publisher, campaigns, pauses, facts, links, metrics)

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        spare_the_collector()
        publisher.start()
        commit.start()
        replay.start()
        links.start()
        campaigns.start()
        pauses.start()
        endpoints.start()
        sampler.start()
        log.info("ingest serves", host=settings.ingest_host, port=settings.ingest_port)
        yield
        await replay.stop()
        await commit.stop(_DRAIN_PATIENCE)
        await spool.stop()
        await asyncio.gather(
            publisher.stop(_CLOSE_PATIENCE),
            *(asyncio.to_thread(part.stop) for part in (links, campaigns, pauses, endpoints, facts, sampler)),
            *(asyncio.to_thread(asked.close) for asked in (reader, exporting)),
        )
        log.info("ingest stopped", hits_lost=commit.in_flight)

    app = FastAPI(
        title="Sendlens",
        description=_DESCRIPTION,
        lifespan=lifespan,
        docs_url=None,  # FastAPI's own pages load their parts from another host; ours do not
        redoc_url=None,
        max_body_size=_DEFAULT_BODY_BYTES,
    )
    answer_with_problems(app)
    app.include_router(unsubscribe_routes(settings, publisher, pages, metrics))
    app.include_router(api_routes(settings, publisher, campaigns, pauses, metrics, *others))
    app.include_router(health_routes(publisher, (links, campaigns, pauses), metrics))
    app.include_router(docs_routes(app))
    for router in routers:
        app.include_router(router)
    return Hits(app, settings.keyring, links, commit, Source(settings.proxies), shares, pages, metrics)


def _keep_kafka_quiet() -> None:
    """At DEBUG kafka-python logs whole records, people and all; below WARNING it says nothing an operator needs."""
    logging.getLogger("kafka").setLevel(logging.WARNING)
