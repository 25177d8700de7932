"""The ingest application, put together: the hot path in front, FastAPI behind, one lifespan for both."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial

import structlog
from fastapi import APIRouter, FastAPI

from clickhouse.exports.exporting import Exports
from clickhouse.query_client import QueryClient
from clickhouse.samples import Sampler
from clickhouse.store import connect
from decisions.sending.own_system import terms_of
from ingest.api.ab import ab_routes
from ingest.api.campaign_list import campaign_list_routes
from ingest.api.campaigns import finder
from ingest.api.export import export_routes
from ingest.api.http import openapi
from ingest.api.http.docs import docs_routes
from ingest.api.http.key_guesses import KeyGuesses
from ingest.api.http.problems import answer_with_problems
from ingest.api.instrument.instrument_pool import InstrumentPool
from ingest.api.leads import lead_routes
from ingest.api.named_queries import NamedQueries
from ingest.api.own_systems.own_system import own_system_routes
from ingest.api.previews.preview_routes import preview_routes
from ingest.api.providers.intake import ProviderIntake
from ingest.api.providers.routes import provider_routes
from ingest.api.recipient_list import recipient_routes
from ingest.api.senders import sender_routes
from ingest.api.sends import api_routes
from ingest.api.stats import stats_routes
from ingest.api.suppressions import suppression_routes
from ingest.api.timeline import timeline_routes
from ingest.api.webhooks import webhook_routes
from ingest.bodies import BodyDeadline
from ingest.gate_follower import GateFollower
from ingest.health import Readiness, health_routes
from ingest.hits.commit import GroupCommit
from ingest.hits.hits import App, Hits
from ingest.hits.replay import SpoolReplay
from ingest.hits.source import RealClient, Source
from ingest.hits.source_rate import SourceRateLimit
from ingest.hits.spool import Spool
from ingest.metrics import IngestMetrics
from ingest.origin import SameOrigin
from ingest.pages.pages import Pages
from ingest.pages.unsubscribe import unsubscribe_routes
from ingest.tracking_hosts import CampaignHosts, HostGate, TrackingHosts, tls_routes
from schemas.events import Campaign, Link, Pause
from schemas.senders import Senders
from schemas.settings import Settings
from schemas.topics import CAMPAIGNS, DELIVERIES, EVENTS, HITS, LEADS, LINKS, PAUSES, PREVIEWS, SENDS, WEBHOOKS
from stream.endpoints_view import endpoints_view
from stream.facts import ActiveFacts
from stream.gate.broker_gate import gate_of
from stream.memory_tuning import freeze_loaded_objects
from stream.publisher import Publisher
from stream.snapshot import Snapshot
from stream.state import StateTopic

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


def create_app(settings: Settings, senders: Senders, *routers: APIRouter) -> App:
    """The ASGI application of ingest. `routers` are served beside its own routes. Connects when it is started."""
    _keep_kafka_quiet()
    metrics = IngestMetrics()
    metrics.broker_in_memory.set(settings.broker_in_memory)
    publisher = Publisher(
        settings, (HITS, EVENTS, SENDS, CAMPAIGNS, PAUSES, LEADS, LINKS, DELIVERIES, WEBHOOKS, PREVIEWS), busy=HITS
    )
    spool = Spool(settings, metrics)
    commit = GroupCommit(settings, publisher, spool, metrics)
    replay = SpoolReplay(settings, spool, publisher, metrics, commit.heard)
    pages = Pages(settings)
    rate_limit = SourceRateLimit(settings.source_hits_per_second)
    kept = Snapshot(settings.data_dir / "links" / "snapshot", settings.topic(LINKS))
    links = StateTopic(settings, LINKS, Link, lambda link: link.link_id, snapshot=kept)
    of_campaigns = CampaignHosts()
    campaigns = StateTopic(settings, CAMPAIGNS, Campaign, lambda campaign: campaign.id, seen=of_campaigns.saw)
    hosts = TrackingHosts(settings, senders, campaigns, of_campaigns)
    pauses = StateTopic(settings, PAUSES, Pause, lambda pause: pause.campaign)
    endpoints = endpoints_view(settings)
    facts = ActiveFacts(settings)
    sampler = Sampler(settings, "ingest", metrics.registry)
    reader = QueryClient(partial(connect, settings, connect_timeout=3, send_receive_timeout=20, query_retries=0))
    exporting = Exports(partial(connect, settings, connect_timeout=3, send_receive_timeout=300, compress=False))
    named_queries, known = NamedQueries(reader), finder(campaigns)
    others = [
        stats_routes(settings, named_queries, known),
        campaign_list_routes(settings, named_queries),
        preview_routes(settings, publisher, known),
        ab_routes(settings, named_queries, known),
        timeline_routes(settings, named_queries),
        lead_routes(settings, named_queries),
        recipient_routes(settings, named_queries),
        sender_routes(settings, reader),
        export_routes(settings, exporting, metrics),
        webhook_routes(settings, publisher, endpoints),
        suppression_routes(settings, publisher, facts, reader, metrics),
        provider_routes(settings, ProviderIntake(settings.keyring, publisher, reader, metrics), metrics),
    ]
    pool = InstrumentPool(terms_of(settings, senders))
    others += own_system_routes(settings, pool, publisher, campaigns, pauses, facts, links, metrics)

    gate = gate_of(settings)
    views = (links, campaigns, pauses, endpoints)
    at_gate = None if gate is None else GateFollower(gate, commit, replay, publisher, (*views, facts))

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        freeze_loaded_objects()
        if at_gate is not None:
            await at_gate.start()
        publisher.start()
        commit.start()
        replay.start()
        for view in views:
            view.start()
        sampler.start()
        log.info("ingest serves", host=settings.ingest_host, port=settings.ingest_port)
        yield
        if at_gate is not None:
            await at_gate.stop()
        await replay.stop()
        await commit.stop(_DRAIN_PATIENCE)
        await spool.stop()
        await asyncio.to_thread(pool.stop)
        await asyncio.gather(
            publisher.stop(_CLOSE_PATIENCE),
            *(asyncio.to_thread(part.stop) for part in (*views, facts, sampler)),
            *(asyncio.to_thread(asked.close) for asked in (reader, exporting)),
        )
        log.info("ingest stopped", hits_lost=commit.in_flight)

    app = FastAPI(
        title="Sendlens",
        description=_DESCRIPTION,
        lifespan=lifespan,
        docs_url=None,  # FastAPI's own pages load their parts from another host; ours do not
        redoc_url=None,
        generate_unique_id_function=openapi.operation_id,
        max_body_size=_DEFAULT_BODY_BYTES,
    )
    answer_with_problems(app)
    openapi.with_components(app)
    app.include_router(unsubscribe_routes(settings, publisher, pages, metrics))
    app.include_router(api_routes(settings, senders, publisher, campaigns, pauses, metrics, *others))
    readiness = Readiness(publisher, commit, spool, (links, campaigns, pauses))
    app.include_router(health_routes(settings, readiness, metrics))
    app.include_router(tls_routes(hosts))
    app.include_router(docs_routes(app))
    for router in routers:
        app.include_router(router)
    source = Source(settings.proxies)
    behind = RealClient(KeyGuesses(SameOrigin(BodyDeadline(app), settings), metrics.wrong_keys), source)
    front = Hits(behind, settings.keyring, links, commit, source, rate_limit, pages, metrics)
    return HostGate(front, hosts, source, pages, metrics) if hosts.checked else front


def _keep_kafka_quiet() -> None:
    """At DEBUG kafka-python logs whole records, people and all; below WARNING it says nothing an operator needs."""
    logging.getLogger("kafka").setLevel(logging.WARNING)
