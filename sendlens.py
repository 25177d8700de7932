"""The composition root: the `sendlens` command. The only file that sees every room."""

from __future__ import annotations

import sys

if sys.argv[1:2] == ["sql"]:  # its Ctrl-C counts before the second is over that the rest takes to load
    from commands.cancelling import end_at_ctrl_c

    end_at_ctrl_c()

import asyncio
import secrets
import shutil
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Annotated, Any

import typer

from commands import boards, check_senders, dead, judge, token_keys, unanswered, webhooks
from commands.backup.cli import backup, restore, rewind
from commands.broker.broker import broker, check_broker, described
from commands.doctor.doctor import doctor
from commands.doctor.lag import lag
from commands.edge import DAYS, explained, read_settings
from commands.people import lead, suppressions
from commands.rebuild import rebuild
from commands.reports.report import report
from commands.sql import sql
from schemas.errors import Misconfigured
from schemas.settings import Settings

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    help="Sendlens: what really happened to every email of a campaign.",
)
_GROUPS = {
    "boards": boards,
    "dead": dead,
    "judge": judge,
    "lead": lead,
    "senders": check_senders,
    "suppressions": suppressions,
    "token-keys": token_keys,
    "unanswered": unanswered,
    "webhooks": webhooks,
}
for name, group in _GROUPS.items():
    app.add_typer(group.app, name=name)
app.command()(backup)
app.command()(broker)
app.command()(doctor)
app.command()(lag)
app.command()(rebuild)
app.command()(report)
app.command()(restore)
app.command()(rewind)
app.command()(sql)

_PREFIX = "SENDLENS_"
# The mailbox of the demo's sender: the world serves it, the inbox reads it.
_DEMO_SENDERS = """\
[[account]]
address = "news@shop.example.com"

[account.imap]
host = "127.0.0.1"
port = {port}
tls = "none"
password_env = "DEMO_MAILBOX_PASSWORD"
"""
# Whatever the operator's settings are, nothing of the demo leaves this machine.
_DEMO_ALONE = {
    "SENDLENS_SMTP_HOST": "127.0.0.1",
    "SENDLENS_SMTP_TLS": "none",
    "SENDLENS_SMTP_USER": "",
    "SENDLENS_GRAFANA_URL": "",
    "SENDLENS_NOTIFY_TO": "",
    "SENDLENS_PAUSE_WEBHOOK": "",
    "SENDLENS_REPORT_TO": "",
    "SENDLENS_RELAY_LIST_URL": "",
}


@app.command()
def up() -> None:
    """Run everything on this machine: broker, database, ingest, worker, inbox, report. Ctrl-C stops it all."""
    with explained():
        from schemas.senders import load

        settings = read_settings()
        also = [("inbox", "sendlens inbox")] if load(settings).mailboxes else []
        also += [("report", "sendlens report --stay")] if settings.report_to else []
        raise typer.Exit(_run_stack(settings, _ports(settings), also))


@app.command()
def demo(
    check: Annotated[
        bool, typer.Option("--check", help="Play, compare with the truth, exit 1 on a difference.")
    ] = False,
    leads: Annotated[int, typer.Option(min=20, help="Leads of the campaign; each gets two emails.")] = 300,
) -> None:
    """Run everything and play a mail world with known truth against it."""
    with explained():
        from stack import free_port

        if not (Path(__file__).parent / "tests" / "world").is_dir():
            raise Misconfigured("the mail world lives in the source checkout: run the demo from there")
        settings = read_settings()
        if settings.broker == "auto":  # a play is over before records on disk are worth their start
            settings = settings.model_copy(update={"broker": "memory"})
        ports = _ports(settings)
        data_dir = settings.data_dir / "demo"
        shutil.rmtree(data_dir, ignore_errors=True)  # the demo's own folder: each play starts from nothing
        senders = data_dir / "senders.toml"  # never the operator's own accounts
        data_dir.mkdir(parents=True)
        senders.write_text(_DEMO_SENDERS.format(port=free_port()))
        environment = ports | {
            **_DEMO_ALONE,
            "SENDLENS_SMTP_PORT": str(free_port()),
            "SENDLENS_DATA_DIR": str(data_dir),
            # The operator's own, so that `sendlens sql` and what a tool remembers are good for every play.
            "SENDLENS_CLICKHOUSE_PASSWORD": settings.clickhouse_password,
            "SENDLENS_CLICKHOUSE_READER_PASSWORD": settings.clickhouse_reader_password,
            "SENDLENS_SENDERS": str(senders),
            "SENDLENS_INBOX_POLL_SECONDS": "0.5",
            "SENDLENS_HONEYPOT": "true",
            "DEMO_MAILBOX_PASSWORD": secrets.token_urlsafe(),
        }
        world = f"exec {sys.executable} -m tests.world --leads {leads}" + (" --check" if check else "")
        raise typer.Exit(_run_stack(settings, environment, [("inbox", "exec sendlens inbox"), ("world", world)]))


def _ports(settings: Settings) -> dict[str, str]:
    """Where the processes of one machine find each other: the ports wanted, or free ones when those are taken."""
    from stack import port_of, port_or_free

    if settings.mode != "embedded":
        raise Misconfigured("SENDLENS_MODE=cluster: `up` and `demo` run the embedded broker and database only")
    check_broker(settings)
    ingest = port_or_free(settings.ingest_port)
    public = settings.public_url
    if port_of(public) == settings.ingest_port:
        public = public.replace(f":{settings.ingest_port}", f":{ingest}")
    return {
        "SENDLENS_BROKER": "memory" if settings.broker_in_memory else "kafka",
        "SENDLENS_KAFKA": f"127.0.0.1:{port_or_free(port_of(settings.kafka))}",
        "SENDLENS_CLICKHOUSE_URL": f"http://127.0.0.1:{port_or_free(port_of(settings.clickhouse_url))}",
        "SENDLENS_INGEST_PORT": str(ingest),
        "SENDLENS_PUBLIC_URL": public,
    }


def _run_stack(settings: Settings, environment: dict[str, str], extra: list[tuple[str, str]]) -> int:
    from schemas.running import announced
    from schemas.settings import load
    from stack import Stack
    from stream.gate.broker_gate import BrokerGate

    attendant = None
    if settings.broker_in_memory:
        from commands.broker.replacement import BrokerReplacement

        ours = {name: value for name, value in environment.items() if name.startswith(_PREFIX)}
        attendant = BrokerReplacement(load(**{name.removeprefix(_PREFIX).lower(): ours[name] for name in ours}))
    print(f"Sendlens starts: {environment['SENDLENS_PUBLIC_URL']} (page, API docs at /docs)", flush=True)
    print(described(settings), flush=True)
    with announced(settings.data_dir, environment["SENDLENS_CLICKHOUSE_URL"]):
        if attendant is None:  # a broker in memory that ran here before may have left its gate closed
            BrokerGate(settings.data_dir.absolute()).forget()
        return Stack(environment, extra, attendant).run()


@app.command()
def clickhouse() -> None:
    """Run the embedded ClickHouse over HTTP, its data in SENDLENS_DATA_DIR."""
    with explained():
        from urllib.parse import urlsplit

        from prometheus_client import CollectorRegistry, ProcessCollector

        from clickhouse.embedded import Access, User, serve
        from clickhouse.samples import Sampler

        settings = read_settings()
        if settings.mode != "embedded":
            raise Misconfigured("SENDLENS_MODE=cluster: `clickhouse` runs the embedded database only")
        url = urlsplit(settings.clickhouse_url)
        registry = CollectorRegistry()
        ProcessCollector(registry=registry)
        Sampler(settings, "clickhouse", registry).start()  # a client of itself; its last sample dies with it
        serve(
            url.hostname or "127.0.0.1",
            url.port or 8123,
            settings.data_dir / "clickhouse",
            users=[
                User(settings.clickhouse_user, settings.clickhouse_password, Access.FULL),
                User("reader", settings.clickhouse_reader_password, Access.GUEST),
            ],
            # Where Grafana reaches us through a name that leads to this machine, it says so in Host.
            hosts=filter(None, [urlsplit(settings.grafana_clickhouse_url).hostname]),
        )


@app.command()
def migrate(
    wait: Annotated[float, typer.Option(help="Seconds to wait for Kafka and ClickHouse to answer.")] = 60.0,
    show: Annotated[
        bool, typer.Option("--print", help="Only print what makes ClickHouse's tables, for one server or the cluster.")
    ] = False,
) -> None:
    """Bring ClickHouse's tables and Kafka's topics to today's shape, and refill an empty broker. Safe to repeat."""
    with explained():
        if show:
            from clickhouse.migrate import rendered

            for name, statement in rendered(read_settings()):
                print(f"-- {name}\n{statement};\n")
            return
        from commands.migration import bring_up_to_date

        bring_up_to_date(read_settings(), wait)


@app.command()
def ingest() -> None:
    """Take in hits, unsubscribes and the API; serve the page."""
    with explained():
        from ingest.serve import serve

        serve(read_settings(), "sendlens:ingest_app")


def ingest_app() -> Any:
    """The ASGI app of `sendlens ingest`, with the built-in page."""
    from dashboards.page.page import router
    from ingest.app import create_app
    from ingest.drain import Drain
    from schemas.senders import load

    settings = read_settings()
    return Drain(create_app(settings, load(settings), router(settings)))


@app.command()
def key(
    name: Annotated[str, typer.Argument(help="Whose it is: letters, digits, dot, dash, underscore.")],
    scope: Annotated[list[str] | None, typer.Option(help="May be repeated. Default: campaigns and sends.")] = None,
) -> None:
    """Make an API key. It is shown once; SENDLENS_API_KEYS keeps its hash."""
    with explained():
        from schemas.keys import new_key, parse

        given, kept = new_key()
        entry = f"{name}={'+'.join(scope or ['campaigns', 'sends'])}={kept}"
        parse(entry)
        print(f"For {name}, to send as Authorization: Bearer\n  {given}")
        print(f"For SENDLENS_API_KEYS, after a comma if it has others\n  {entry}")


@app.command()
def work(
    stage: Annotated[list[str] | None, typer.Option(help="A stage to run; may be repeated. Default: all.")] = None,
    drain: Annotated[bool, typer.Option(help="When told to stop, first finish what is on the topics.")] = False,
) -> None:
    """Run stages of the stream: sender, judge, reader, guard, store, webhooks."""
    with explained():
        from agents import worker

        settings = read_settings()
        to_grafana = None
        if settings.grafana_url:
            from dashboards.grafana.annotations import annotate

            to_grafana = partial(annotate, settings)
        given = worker.StageFactory(settings, annotate=to_grafana)
        asyncio.run(worker.work(given, worker.stages_named(stage or []), drain=drain))


@app.command()
def inbox() -> None:
    """Read the senders' mailboxes: every mail goes to the topic mail, and nothing changes in the mailbox."""
    with explained():
        from ingest.inbox.serve import serve
        from oauth2.renewal import load_senders

        settings = read_settings()
        asyncio.run(serve(settings, load_senders(settings)))


@app.command()
def reclassify(
    start: Annotated[datetime, typer.Option("--from", formats=DAYS, help="First moment, UTC.")],
    end: Annotated[datetime | None, typer.Option("--to", formats=DAYS, help="End, UTC. Default: 10 min ago.")] = None,
) -> None:
    """Judge stored hits again under today's rules and rebuild the numbers. Interrupted, the same command goes on."""
    with explained():
        from agents.judge.asn import asn_lookup
        from agents.judge.country_file import country_file
        from agents.judge.relay_refresh import cached_relay_list
        from clickhouse.store import connect
        from commands.reclassify import Reclassification, span
        from decisions.robots.rules import Rules

        first, until = span(start, end, datetime.now(UTC))
        settings = read_settings()
        rules = Rules.load(asn_lookup(settings.asn_database))
        countries = country_file(settings.country_file)
        country_of = None if countries is None else countries.find
        if settings.relay_list_url and (found := cached_relay_list(settings)):
            rules = rules.with_relay(found[1])
        with connect(settings) as client:
            run = Reclassification(settings, client, rules, lambda far: print(far, flush=True), country_of)
            done = run.run(first, until)
        print(f"{done.hits} hits by rules {rules.version}: {done.changed} changed, {done.rebuilt} emails rebuilt")


def main() -> None:
    """The command's entry point."""
    app()


if __name__ == "__main__":
    main()
