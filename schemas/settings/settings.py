"""Every setting, read from the environment (`SENDLENS_*`) or a `.env` file; nothing else configures Sendlens.

Embedded and cluster differ here alone. In embedded mode the secrets may be left out: they are made at the first start
and kept in the data directory, because a link in a mail that was sent must still verify after a restart.
"""

from __future__ import annotations

import ipaddress
from functools import cached_property
from pathlib import Path
from typing import Literal

from pydantic import Field
from pydantic_settings import BaseSettings, SettingsConfigDict

from schemas.keys import ApiKey, parse, whole
from schemas.settings.kafka_files import kafka_missing
from schemas.settings.kinds import EndpointOrEmpty, Hosts, Networks, Servers, Timezone, Url, UrlOrEmpty
from schemas.tokens import Keyring
from schemas.topics import Topic, delivery_partition, is_delivery, text_partition

# Nothing, or what nobody guesses: as many characters as an API key has at the least.
_UNGUESSABLE = r"^(\S{22,})?$"


class Settings(BaseSettings):
    """The settings with their defaults, checked. The table of docs/settings.md is made of the descriptions."""

    model_config = SettingsConfigDict(env_prefix="SENDLENS_", env_file=".env", extra="ignore", frozen=True)

    mode: Literal["embedded", "cluster"] = Field(
        "embedded", description="`embedded`: broker and database come with us, on one machine. `cluster`: yours."
    )
    broker: Literal["auto", "kafka", "memory"] = Field(
        "auto",
        description="The broker of embedded mode. `kafka`: Apache Kafka of `make kafka`, its log in the data folder. "
        "`memory`: one that keeps everything in memory, to try Sendlens. `auto`: Kafka where it is there.",
    )
    broker_mb: int = Field(
        512,
        ge=0,
        description="Memory of the broker in memory, in MB, beyond which it is drained and replaced by an empty one; "
        "hits go to the spool meanwhile. 0: never.",
    )
    data_dir: Path = Field(
        Path("var"),
        description="Where the spool, a copy of the links, generated secrets, Kafka's log and the embedded database "
        "live.",
    )
    token_keys: str = Field(
        "",
        description="Signing keys as `id:secret,id:secret`; the first signs, all verify. `sendlens token-keys add` "
        "begins to rotate them. Embedded: made for you.",
    )
    api_key: str = Field(
        "",
        description="The key to `/v1` and the page, as `Authorization: Bearer`: 22 characters or more, or their "
        "`sha256:` hash. Embedded on loopback: none needed.",
    )
    api_keys: str = Field(
        "",
        description="Keys to parts of it, `name=scope+scope=sha256:HASH,...`, made by `sendlens key NAME`. Scopes: "
        "`campaigns`, `sends`, `read`, `export`, `page`, `webhooks`, `suppressions`, `metrics`.",
    )

    kafka: Servers = Field(
        "127.0.0.1:9092", description="Kafka bootstrap servers, `host:port,host:port`, without TLS and SASL."
    )
    topic_prefix: str = Field("", description="Put before every topic and consumer group name, to share a cluster.")
    partitions: int = Field(
        12, ge=1, le=1000, description="Partitions of the hot topics; the most workers a stage can use."
    )
    replication: int = Field(1, ge=1, le=5, description="Replicas of every topic; 3 on a real cluster.")

    clickhouse_url: Url = Field("http://127.0.0.1:8123", description="ClickHouse's HTTP interface.")
    clickhouse_user: str = Field("default", description="ClickHouse user that may write.")
    clickhouse_password: str = Field("", description="Its password. Embedded: made for you.")
    clickhouse_database: str = Field("sendlens", pattern=r"^[A-Za-z_][A-Za-z0-9_]*$", description="Database to use.")
    clickhouse_cluster: str = Field(
        "",
        pattern=r"^(\{cluster\}|[A-Za-z_][\w-]*)?$",
        description="ClickHouse's cluster, by its name in the servers' configuration, or `{cluster}` for their macro: "
        "tables are made on all its nodes, replicated. Empty: one server.",
    )
    clickhouse_reader_password: str = Field(
        "",
        description="Password of the read-only user `reader`, for Grafana and SQL. Embedded: made for you, and printed "
        "by `sendlens sql --dsn`. Cluster: set your own.",
    )

    ingest_host: str = Field("127.0.0.1", description="Address that ingest listens on.")
    ingest_port: int = Field(8080, ge=1, le=65535, description="Port that ingest listens on.")
    public_url: Url = Field(
        "http://127.0.0.1:8080",
        description="Where recipients reach ingest; goes into every pixel and link, unless `tracking_url` of the "
        "campaign or of the account says otherwise.",
    )
    tracking_hosts: Hosts = Field(
        "",
        description="Further hosts that recipients' links are answered on, as `t.example.com,old.example.com`. With "
        "one, or a `tracking_url` in `senders.toml`, hosts that are not known get 404 there. `*`: any is answered.",
    )
    trusted_proxies: Networks = Field(
        "",
        description="Proxies in front of ingest, as `10.0.0.0/8,2001:db8::/32`: whose `X-Forwarded-For` is believed.",
    )
    client_ip: Literal["full", "truncated", "hashed", "none"] = Field(
        "full",
        description="What is kept of clients' addresses in ClickHouse and told to webhooks: all, the network (/24, of "
        "IPv6 /48), a keyed hash, or nothing. The judge sees all, from a topic that is kept for 7 days.",
    )
    source_hits_per_second: int = Field(
        100, ge=0, description="Hits a second of one address beyond which repeats of the same hit are shed; 0: never."
    )
    group_commit_ms: float = Field(
        1.0, ge=0, le=1000, description="How long a hit may wait for others to share its Kafka record."
    )
    in_flight_hits: int = Field(
        20_000, ge=1, description="Hits that may await Kafka or the disk before more are refused."
    )
    answer_within_ms: int = Field(
        2000, ge=50, description="After this long without Kafka's answer a hit goes to the spool on disk instead."
    )
    spool_mb: int = Field(
        1024, ge=0, description="Megabytes of hits that the spool may hold while Kafka is away; then hits are refused."
    )

    brand: str = Field("", max_length=100, description="Name above the pages that recipients see; empty for none.")
    brand_color: str = Field(
        "", pattern=r"^(#[0-9A-Fa-f]{6})?$", description="Colour of the buttons on those pages, as `#0b57d0`."
    )
    language: str = Field(
        "en",
        description="Language of the unsubscribe link in emails whose html names none that is known (`<html lang>`).",
    )
    words_dir: str = Field(
        "",
        description="Folder of further languages for those pages, or other words: TOML files like schemas/words.",
    )

    unsubscribe_reasons: str = Field(
        "too-many,not-relevant,never-asked,other",
        pattern=r"^([a-z0-9-]{1,32}(,[a-z0-9-]{1,32}){0,9})?$",
        description="Reasons to choose from on the unsubscribe page, which nobody has to: codes that the words have, "
        "commas between, at most 10; empty: it asks for none.",
    )
    unsubscribe_pause_days: int = Field(
        30, ge=0, le=365, description="Days of the pause that the unsubscribe page offers instead; 0: it offers none."
    )

    smtp_host: str = Field("127.0.0.1", description="Mail server that emails leave through.")
    smtp_port: int = Field(1025, ge=1, le=65535, description="Its port.")
    smtp_tls: Literal["none", "starttls", "tls"] = Field("none", description="How the connection to it is secured.")
    smtp_user: str = Field("", description="User to log in with; empty for none.")
    smtp_password: str = Field("", description="Its password.")
    smtp_connections: int = Field(4, ge=1, le=100, description="Connections kept open to the mail server.")
    envelope_domain: str = Field(
        "bounces.example.com", description="Domain of the return path; bounces must come back to a mailbox of it."
    )
    senders: Path = Field(
        Path("senders.toml"),
        description="File of the accounts that send and are read, see `senders.example.toml`. Not there: mail leaves "
        "through `SENDLENS_SMTP_HOST`, and no mailbox is read.",
    )
    access_tokens_dir: str = Field(
        "",
        description="Where renewed OAuth 2.0 tokens are kept, best in one folder for worker and inbox; empty: `oauth2` "
        "in `SENDLENS_DATA_DIR`.",
    )

    ses_topics: str = Field(
        "",
        description="ARNs of the SNS topics by which Amazon SES reports, commas between; `POST /v1/providers/ses`.",
    )
    sendgrid_public_key: str = Field(
        "", description="Verification key of SendGrid's signed Event Webhook; `POST /v1/providers/sendgrid`."
    )
    postmark_secret: str = Field(
        "",
        pattern=_UNGUESSABLE,
        description="Password in the address of Postmark's webhooks, 22 characters or more; "
        "`POST /v1/providers/postmark`.",
    )
    mailgun_signing_key: str = Field(
        "", description="Mailgun's HTTP webhook signing key; `POST /v1/providers/mailgun`."
    )
    brevo_secret: str = Field(
        "",
        pattern=_UNGUESSABLE,
        description="Password or token of Brevo's webhooks, 22 characters or more; `POST /v1/providers/brevo`.",
    )

    inbox_days: int = Field(
        2,
        ge=0,
        le=3650,
        description="Days of mail that are read of a mailbox seen for the first time, and again when Kafka has lost "
        "what it had.",
    )
    inbox_poll_seconds: float = Field(
        5.0,
        ge=0.1,
        le=300,
        description="How often a mailbox is looked at whose server can't tell of new mail by itself (IDLE).",
    )
    inbox_metrics_port: int = Field(
        0, ge=0, le=65535, description="Port of `/metrics` of `sendlens inbox`; 0 for none."
    )

    settle_seconds: float = Field(
        5.0, ge=0, le=300, description="How long a hit waits before it is judged, once and for good."
    )
    scanner_window_seconds: float = Field(
        2.0, ge=0, le=60, description="A hit sooner than this after delivery is a robot's."
    )
    honeypot: bool = Field(
        False, description="Put a link that no person can see into every email; whoever follows it is a robot."
    )
    webhooks_private: bool = Field(
        False, description="Allow webhooks to plain http and to addresses of private networks, this machine included."
    )
    webhooks_to: bool = Field(
        False,
        description="Keep the addresses that emails are sent to, for webhooks that ask for `to` and for nothing else. "
        "Erasing a person erases them.",
    )

    asn_database: str = Field(
        "", description="A MaxMind DB file of AS numbers (GeoLite2-ASN); with it more scanners' networks are known."
    )
    country_file: str = Field(
        "",
        description="A MaxMind DB file of countries (GeoLite2-Country); with it boards and the click log show in which "
        "country people open and click. It is read again once it changes.",
    )
    grafana_url: UrlOrEmpty = Field(
        "", description="Grafana's address: pauses of campaigns become annotations there, and `boards push` goes there."
    )
    grafana_token: str = Field(
        "", description="Token of a Grafana service account: Editor for annotations, Admin for `boards push`."
    )
    grafana_clickhouse_url: UrlOrEmpty = Field(
        "", description="ClickHouse's HTTP interface as Grafana reaches it; empty: as we do. For `boards push`."
    )
    notify_to: str = Field(
        "", description="Who gets an email when a campaign was paused for its bounces: `a@example.com,b@example.com`."
    )
    notify_from: str = Field(
        "",
        description="Sender of that email and of the report; empty: the account that the campaign's emails leave by, "
        "or, without `senders.toml`, `sendlens@` the envelope domain.",
    )
    pause_webhook: EndpointOrEmpty = Field(
        "",
        description="Incoming webhook of a chat that is told when a campaign is paused or resumed. A secret: with it "
        "anybody writes there.",
    )
    pause_webhook_form: Literal["slack", "teams"] = Field(
        "slack", description="What it takes: Slack's `text` (Mattermost too), or an Adaptive Card of a Teams workflow."
    )
    report_to: str = Field(
        "",
        description="Who gets the report, the Overview as an email: `a@example.com,b@example.com`. `sendlens up` sends "
        "it by itself; elsewhere a timer runs `sendlens report`.",
    )
    report_period: Literal["weekly", "daily"] = Field(
        "weekly", description="What a report is about: the last week, from Monday, or the last day."
    )
    report_timezone: Timezone = Field(
        "UTC", description="By whose calendar that is, by the IANA database, such as Europe/Paris."
    )
    report_hour: int = Field(
        7, ge=0, le=23, description="Hour of that timezone at which `sendlens up` sends it once its period is over."
    )
    relay_list_url: EndpointOrEmpty = Field(
        "https://mask-api.icloud.com/egress-ip-ranges.csv",
        description="Where the list of Apple's relay addresses is refreshed from; empty: never, the packaged one is "
        "used. Embedded: never unless you set it.",
    )
    relay_list_hours: float = Field(24.0, ge=0.001, le=8760, description="Hours from one refresh of it to the next.")
    session_seconds: float = Field(
        30.0,
        ge=6,
        le=80,
        description="How long Kafka hears nothing of a worker before it gives its work to others. With the broker in "
        "memory: 6.",
    )
    store_rows: int = Field(50_000, ge=1, description="Rows of one ClickHouse insert at the most.")
    store_seconds: float = Field(
        0.2, ge=0, le=60, description="How long rows may wait for others to share their insert."
    )
    worker_metrics_port: int = Field(0, ge=0, le=65535, description="Port of the worker's `/metrics`; 0 for none.")
    metrics_host: str = Field(
        "127.0.0.1",
        description="Address that the worker's and the inbox' `/metrics` listen on. They ask for no key: see that only "
        "your Prometheus reaches it.",
    )
    sample_seconds: float = Field(
        10.0,
        ge=0,
        le=20,
        description="How often each process writes its own figures to ClickHouse, for the board Pipeline; 0: never.",
    )

    ca_file: str = Field(
        "",
        description="Certificates (PEM) of private authorities, believed beside this machine's: for mail servers, "
        "Grafana, ClickHouse, webhooks and the relay list. `senders.toml` may name one for each server.",
    )
    keep_hits_days: int = Field(
        90, ge=0, description="Days that raw hits are kept, to be judged again under new rules; 3 or more, 0: for ever."
    )
    keep_attempts_days: int = Field(
        90, ge=0, description="Days that attempts to hand over an email are kept; 15 or more, 0: for ever."
    )
    keep_retries_days: int = Field(
        90, ge=0, description="Days that emails are kept which waited for another attempt; 15 or more, 0: for ever."
    )
    keep_calls_days: int = Field(
        30, ge=0, description="Days that calls are kept which a webhook did not take at once; 7 or more, 0: for ever."
    )
    keep_samples_days: int = Field(
        14, ge=0, description="Days that the processes' own figures are kept, every 10 s; 0: for ever."
    )
    keep_half_hours_days: int = Field(
        90, ge=0, description="Days that the same figures are kept by the half hour; 0: for ever."
    )
    blank_after_days: int = Field(
        0,
        ge=0,
        description="Days after which events lose people's IP addresses and user agents, and raw hits are deleted; no "
        "number changes. 0: never.",
    )

    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = Field("INFO", description="How much is logged.")
    log_format: Literal["console", "json"] = Field("console", description="Logs for eyes or for machines.")

    @cached_property
    def broker_in_memory(self) -> bool:
        """Whether the broker is the one that keeps everything in memory, and nothing when it ends."""
        wanted = self.broker == "memory" or (self.broker == "auto" and bool(kafka_missing()))
        return self.mode == "embedded" and wanted

    @property
    def callers(self) -> list[ApiKey]:
        """The API keys. Raises Misconfigured when one can't be read, or is too short."""
        return ([whole(self.api_key)] if self.api_key else []) + parse(self.api_keys)

    @property
    def proxies(self) -> tuple[ipaddress.IPv4Network | ipaddress.IPv6Network, ...]:
        """The networks of `trusted_proxies`."""
        given = filter(None, map(str.strip, self.trusted_proxies.split(",")))
        return tuple(ipaddress.ip_network(network) for network in given)

    @property
    def reasons(self) -> list[str]:
        """The codes of `unsubscribe_reasons`."""
        return list(filter(None, self.unsubscribe_reasons.split(",")))

    @property
    def ses_topic_arns(self) -> list[str]:
        """The topics of `ses_topics`."""
        return list(filter(None, map(str.strip, self.ses_topics.split(","))))

    def topic(self, topic: Topic) -> str:
        """The topic's name on this deployment's Kafka."""
        return self.topic_prefix + topic.name

    def partitions_of(self, topic: Topic) -> int:
        """How many partitions the topic has on this deployment."""
        return topic.partitions or self.partitions

    def partition_of(self, topic: Topic, key: str) -> int:
        """The partition of a record under this key.

        Events are keyed by their delivery, but for the few that are of none: a pause is its campaign's.
        """
        home = delivery_partition if topic.key == "delivery" and is_delivery(key) else text_partition
        return home(key, self.partitions_of(topic))

    @property
    def kafka_servers(self) -> list[str]:
        return [server.strip() for server in self.kafka.split(",") if server.strip()]

    @cached_property
    def keyring(self) -> Keyring:
        """The token keys. Raises Misconfigured when there are none."""
        return Keyring.parse(self.token_keys)
