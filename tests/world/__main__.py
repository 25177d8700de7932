"""`python -m tests.world`: play against a running Sendlens, show progress, compare with the truth."""

from __future__ import annotations

import argparse
import asyncio
import signal
import sys
import time

from clickhouse_connect.driver.client import Client

from clickhouse.store import connect
from schemas.settings import Settings, load
from tests.world.play import STEPS, Play
from tests.world.truth import answers, differences, page_answers

CAMPAIGN = "spring-seeds"
SEED = 8058
_LONGEST_LAG = 60.0


def say(text: str) -> None:
    print(text, flush=True)


async def main(leads: int, check: bool) -> int:
    settings = load()
    headers = {"Authorization": f"Bearer {settings.api_key}"} if settings.api_key else {}
    started = time.monotonic()
    async with Play(CAMPAIGN, settings.public_url, settings.smtp_port, leads, SEED, headers) as play:
        while not await play.ready():
            await asyncio.sleep(0.2)
        page = f"{settings.public_url}/?since=now-1h"
        say(f"ready after {time.monotonic() - started:.0f} s; watch it at {page}")
        showing = asyncio.create_task(_show(play))
        await play.declare()
        for step in STEPS:
            say(f"step {step}: asking for {leads} emails in two variants, some of them twice")
            await play.send_step(step)
            await play.finish_step()
        showing.cancel()
        say(f"everybody has done what they do ({time.monotonic() - started:.0f} s); comparing with the truth")
        with connect(settings) as client:
            wrong = await _compare(play, client, settings)
        for line in wrong:
            say(f"DIFFERENT: {line}")
        say(_verdict(play, wrong))
        if not check:
            say(f"the page keeps serving at {page} until Ctrl-C")
            await _until_stopped()
        return 1 if wrong else 0


async def _show(play: Play) -> None:
    while True:
        await asyncio.sleep(3)
        say(play.progress())


async def _compare(play: Play, client: Client, settings: Settings) -> list[str]:
    """The differences that stay: hits settle before they are judged, so what is new may take a while to count."""
    deadline = time.monotonic() + settings.settle_seconds + _LONGEST_LAG
    while True:
        said = await asyncio.to_thread(answers, client, play.campaign)
        said["the page"] = page_answers(await play.board(), play.campaign)
        wrong = differences(play.truths, said)
        if not wrong or time.monotonic() > deadline:
            return play.complaints + wrong
        await asyncio.sleep(0.5)


def _verdict(play: Play, wrong: list[str]) -> str:
    names = [name.replace("_", " ") for name in next(iter(play.truths.values())).numbers()]
    rows = ["", f"{'':9}" + "".join(f"  {name}" for name in names)]
    for (step, variant), truth in sorted(play.truths.items()):
        values = zip(truth.numbers().values(), names, strict=True)
        rows.append(f"step {step}, {variant}" + "".join(f"  {value:>{len(name)}}" for value, name in values))
    bots = sum(t.bot_hits for t in play.truths.values()) / max(1, sum(t.hits for t in play.truths.values()))
    rows.append(f"bot share {bots:.1%}")
    equal = "EQUAL: every number in ClickHouse, and on the page, is the truth"
    rows.append(f"{len(wrong)} differences" if wrong else equal)
    return "\n".join(rows)


async def _until_stopped() -> None:
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    await stop.wait()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(prog="python -m tests.world", description=__doc__)
    parser.add_argument("--leads", type=int, default=300)
    parser.add_argument("--check", action="store_true")
    arguments = parser.parse_args()
    sys.exit(asyncio.run(main(arguments.leads, arguments.check)))
