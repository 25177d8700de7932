"""What `sendlens doctor` looks at."""

from __future__ import annotations

from commands.doctor import database, installation, kafka, mail
from commands.doctor.diagnosis import Check

# What is looked at, in the order in which it is told. Each runs in a thread of its own and is given up after its time.
CHECKS = (
    Check("settings", installation.settings),
    Check("disk", installation.disk),
    Check("spool", installation.spool),
    Check("ingest", installation.ingest),
    Check("kafka", kafka.kafka, seconds=30),
    Check("lag", kafka.lag, seconds=60),
    Check("dead letters", kafka.dead_letters, seconds=60),
    Check("unanswered", kafka.unanswered, seconds=70),
    Check("clickhouse", database.clickhouse, seconds=30),
    Check("rights", database.rights, seconds=30),
    Check("tables", database.tables, seconds=30),
    Check("dns", mail.names, seconds=60),
    Check("tracking", mail.tracking, seconds=60),
    Check("accounts", mail.accounts, seconds=90),
    Check("return mail", mail.return_mail, seconds=90, mail=True),
)
