"""An ingest application as Granian serves it, in a process of its own: `python -m tests.ingest.served`."""

from __future__ import annotations

from ingest.app import create_app
from ingest.drain import Drain
from ingest.hits.hits import App
from ingest.serve import serve
from schemas import senders
from schemas.settings import load


def app() -> App:
    settings = load()
    return Drain(create_app(settings, senders.load(settings)))


if __name__ == "__main__":
    serve(load(), "tests.ingest.served:app")
