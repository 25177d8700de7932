# One image for ingest, worker and migrate: docker-compose.yml says which. The embedded broker and database stay out.
# requirements-cluster.lock has a wheel for everything on this Python, so nothing is compiled.
FROM python:3.11.15-slim-bookworm AS build

COPY requirements-cluster.lock /build/
RUN python -m venv /opt/venv \
    && /opt/venv/bin/pip install --no-cache-dir --disable-pip-version-check --only-binary :all: --require-hashes \
       --no-deps -r /build/requirements-cluster.lock
COPY agents /app/agents
COPY clickhouse /app/clickhouse
COPY commands /app/commands
COPY dashboards /app/dashboards
COPY decisions /app/decisions
COPY ingest /app/ingest
COPY oauth2 /app/oauth2
COPY schemas /app/schemas
COPY stream /app/stream
COPY sendlens.py LICENSE /app/
RUN /opt/venv/bin/python -m compileall -q /app


FROM python:3.11.15-slim-bookworm

LABEL org.opencontainers.image.title="Sendlens" \
      org.opencontainers.image.licenses="Apache-2.0"

# A folder's owner becomes that of the volume that is mounted on it.
RUN useradd --system --uid 10001 --no-create-home --shell /usr/sbin/nologin sendlens \
    && install -d -o 10001 -g 10001 -m 0700 /var/lib/sendlens /var/lib/sendlens-oauth2
COPY --from=build /opt/venv /opt/venv
COPY --from=build /app /app

# Cluster mode, so that a container that was given no secrets says so and stops.
ENV PATH="/opt/venv/bin:$PATH" \
    PYTHONPATH=/app \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1 \
    SENDLENS_MODE=cluster \
    SENDLENS_DATA_DIR=/tmp/sendlens

WORKDIR /app
USER 10001
ENTRYPOINT ["python", "-m", "sendlens"]
CMD ["--help"]
