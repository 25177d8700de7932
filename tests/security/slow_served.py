"""An ingest application whose bodies have two seconds, as Granian serves it: `python -m tests.security.slow_served`."""

from __future__ import annotations

from ingest import bodies
from ingest.hits.hits import App
from ingest.serve import serve
from schemas.settings import load
from tests.ingest import served

SECONDS = 2.0


def app() -> App:
    bodies.SECONDS = SECONDS
    return served.app()


if __name__ == "__main__":
    serve(load(), "tests.security.slow_served:app")
