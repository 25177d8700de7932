"""Why a campaign was paused is said in Grafana and by email, once, and whatever goes wrong there hinders nothing.

Grafana is a real HTTP server with the documented shape of /api/annotations; the mail server is aiosmtpd.
"""

from __future__ import annotations

import email
import email.policy
from collections.abc import Iterator
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from prometheus_client import REGISTRY

from agents.guard.announce import Announcer
from agents.guard.pause_email import PauseEmail
from dashboards.grafana.annotations import annotate
from schemas.events import CampaignPaused
from schemas.senders import load
from schemas.settings import Settings
from schemas.state.pauses import paused, resumed
from tests.agents.guard.guarded import now
from tests.agents.transport.smtp_server import Server
from tests.support.grafana import TOKEN, Grafana, serving
from tests.support.waiting import until


@pytest.fixture
def grafana() -> Iterator[Grafana]:
    with serving() as server:
        yield server


def a_pause(campaign: str = "spring") -> CampaignPaused:
    event, _ = paused(campaign, None, now(), "bounces", detail="2 of 25 emails bounced hard", sent=25, hard_bounced=2)
    return event


def announcer(campaign_sender: str = "", **given: Any) -> Announcer:
    settings = Settings(_env_file=None, token_keys="1:a-key-of-these-tests", **given)

    async def sender_of(campaign: str) -> str:
        return campaign_sender

    return Announcer(
        now,
        annotate=partial(annotate, settings) if settings.grafana_url else None,
        email=PauseEmail(settings, load(settings), sender_of) if settings.notify_to else None,
        pauses=(0.01, 0.02),
    )


def counted(to: str, result: str) -> float:
    return REGISTRY.get_sample_value("sendlens_announcements_total", {"to": to, "result": result}) or 0.0


async def test_a_pause_becomes_an_annotation_that_says_why(grafana: Grafana) -> None:
    says, event = announcer(grafana_url=grafana.url, grafana_token=TOKEN), a_pause()
    says.announce(event)
    await until(lambda: grafana.annotations)
    await says.stop()
    (annotation,) = grafana.annotations
    at = int(event.at.timestamp() * 1000)
    assert (annotation["time"], annotation["text"]) == (
        at,
        "Campaign spring was paused: 2 of 25 emails bounced hard",
    )
    assert annotation["tags"] == ["sendlens", "paused", "campaign:spring", f"event:{event.id}"]


async def test_it_is_said_once_also_by_a_worker_that_knows_nothing_of_the_first(grafana: Grafana) -> None:
    event, settings = a_pause(), {"grafana_url": grafana.url, "grafana_token": TOKEN}
    for _ in range(2):
        says = announcer(**settings)
        for _ in range(3):
            says.announce(event)
        await says.stop()
    assert len(grafana.annotations) == 1
    assert grafana.requests == 3  # asked, written; asked


async def test_a_resumed_campaign_is_annotated_too(grafana: Grafana) -> None:
    says = announcer(grafana_url=grafana.url, grafana_token=TOKEN)
    _, pause = paused("spring", None, now(), "operator")
    says.announce(resumed(pause, now())[0])
    await says.stop()
    assert [one["text"] for one in grafana.annotations] == ["Campaign spring was resumed"]


async def test_a_grafana_that_fails_is_tried_again_and_then_let_be(grafana: Grafana) -> None:
    says = announcer(grafana_url=grafana.url, grafana_token=TOKEN)
    grafana.failures = 1
    says.announce(a_pause("again"))
    await until(lambda: grafana.annotations)
    await says.stop()
    before = counted("grafana", "failed")
    says = announcer(grafana_url=grafana.url, grafana_token="of-somebody-else")
    says.announce(a_pause("refused"))
    await until(lambda: counted("grafana", "failed") == before + 1)
    await says.stop()
    assert len(grafana.annotations) == 1


async def test_what_is_read_again_days_later_is_no_news(grafana: Grafana) -> None:
    says = announcer(grafana_url=grafana.url, grafana_token=TOKEN)
    event, _ = paused("old", None, now() - timedelta(days=2), "bounces")
    says.announce(event)
    await says.stop()
    assert grafana.requests == 0


async def test_who_wants_to_know_gets_an_email() -> None:
    async with Server() as server:
        says, event = announcer(smtp_port=server.port, notify_to="ops@example.com"), a_pause()
        says.announce(event)
        await until(lambda: server.mails)
        await says.stop()
    (taken,) = server.mails
    mail = email.message_from_bytes(taken.content, policy=email.policy.default)
    assert taken.envelope_to == "ops@example.com"
    assert mail["From"] == "sendlens@bounces.example.com"
    assert mail["Subject"] == "Campaign spring was paused"
    assert mail["Message-ID"] == f"<{event.id}@bounces.example.com>"
    assert "2 of 25 emails bounced hard" in mail.get_content()
    assert "/v1/campaigns/spring/resume" in mail.get_content()


async def test_an_operators_own_pause_mails_nobody_and_without_settings_nothing_is_said(grafana: Grafana) -> None:
    async with Server() as server:
        says = announcer(smtp_port=server.port, notify_to="ops@example.com")
        says.announce(paused("spring", None, now(), "operator")[0])
        await says.stop()
        assert server.connections == 0
        says = announcer(smtp_port=server.port)
        says.announce(a_pause())
        await says.stop()
    assert (server.connections, grafana.requests) == (0, 0)


async def test_the_email_leaves_by_the_account_that_the_campaign_was_sent_by(tmp_path: Path) -> None:
    async with Server() as others, Server() as its_own:
        senders = tmp_path / "senders.toml"
        account = '[[account]]\naddress = "{}"\n[account.smtp]\nhost = "127.0.0.1"\nport = {}\ntls = "none"\n'
        senders.write_text(
            account.format("shop@example.net", others.port) + account.format("news@example.org", its_own.port)
        )
        says = announcer("news@example.org", senders=senders, notify_to="ops@example.com, cto@example.com")
        says.announce(a_pause("own-account"))
        await until(lambda: len(its_own.mails) == 2)
        await says.stop()
        says = announcer("elsewhere@example.org", senders=senders, notify_to="ops@example.com")
        says.announce(a_pause("of-no-account"))
        await until(lambda: others.mails)
        await says.stop()
    assert [(mail.envelope_from, mail.envelope_to) for mail in its_own.mails] == [
        ("news@example.org", "ops@example.com"),
        ("news@example.org", "cto@example.com"),
    ]
    assert [mail.envelope_from for mail in others.mails] == ["shop@example.net"]
    assert email.message_from_bytes(its_own.mails[0].content)["From"] == "news@example.org"


async def test_who_was_told_is_not_told_again_when_another_is_refused() -> None:
    async with Server() as server:
        server.at_rcpt["cto@example.com"].append("451 later")
        says = announcer(smtp_port=server.port, notify_to="ops@example.com,cto@example.com")
        says.announce(a_pause("greylisted"))
        await until(lambda: len(server.mails) == 2)
        await says.stop()
    assert [mail.envelope_to for mail in server.mails] == ["ops@example.com", "cto@example.com"]
