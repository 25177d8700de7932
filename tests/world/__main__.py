"""`python -m tests.world`: play against a running Sendlens, show progress, compare with the truth."""

from __future__ import annotations

import argparse
import asyncio
import signal
import sys
import time

from clickhouse.store import connect
from schemas.settings import load
from tests.world.play import STEPS
from tests.world.world import World


def say(text: str) -> None:
    print(text, flush=True)


async def main(leads: int, check: bool) -> int:
    settings = load()
    started = time.monotonic()
    here = asyncio.current_task()
    assert here is not None
    for number in (signal.SIGTERM, signal.SIGINT):  # in the middle too the mailbox's server must end with us
        asyncio.get_running_loop().add_signal_handler(number, here.cancel)
    async with World(settings, leads) as world:
        play = world.play
        while not await world.platform.ready():
            await asyncio.sleep(0.2)
        page = f"{settings.public_url}/?since=now-15m"
        say(f"the page is there after {_since(started)}: open {page} and watch (some 50 s until all is compared)")
        showing = asyncio.create_task(_show(world))
        await play.declare()
        with connect(settings) as client, connect(settings) as another:
            for step in STEPS:
                say(f"step {step} of {STEPS[-1]}: {leads} emails are asked for, in two variants, some of them twice")
                await play.send_step(step)
                await play.all_arrived()
                if step == STEPS[-1]:
                    say("beside it, a campaign with a bad list: 15 % of its addresses are nobody's, so it must pause")
                    await world.bad.play()
                    bad = asyncio.create_task(world.bad_list_compared(another))
                say("all have arrived; now people read, click and answer, and robots do what robots do")
                await play.all_done()
                await world.facts_known(client)
            showing.cancel()
            say(f"everybody is done ({_since(started)}); comparing with the truth, once the last hits are judged")
            wrong = await bad + await world.compared(client)
        for line in wrong:
            say(f"DIFFERENT: {line}")
        say(world.verdict(wrong))
        say(f"played and compared in {_since(started)}")
        if not check:
            say(f"the page keeps serving: {page}")
            say("Ctrl-C stops everything; the next `make demo` starts anew")
            await _until_stopped()
        return 1 if wrong else 0


def _since(started: float) -> str:
    return f"{time.monotonic() - started:.0f} s"


async def _show(world: World) -> None:
    while True:
        await asyncio.sleep(3)
        say(world.play.progress())


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
    try:
        sys.exit(asyncio.run(main(arguments.leads, arguments.check)))
    except asyncio.CancelledError:
        sys.exit("stopped in the middle of the play")
