"""Real IMAP servers for tests and for the mail world, on a free loopback port, with as many mailboxes as are wanted.

Dovecot where it is installed (Debian's dovecot-imapd), and pymap, which comes from PyPI. Both keep Maildirs in a folder
of their own and come back after a restart with what they had. Every mailbox has INBOX and Junk and the same password.
"""

from __future__ import annotations

import contextlib
import os
import pwd
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from datetime import datetime
from pathlib import Path

from imapclient import IMAPClient

from tests.support.processes import free_port

PASSWORD = "a-password-of-the-tests"
KINDS = ("dovecot", "pymap")
_START_SECONDS = 20.0
_STOP_SECONDS = 10.0

# Unprivileged, or as root with the mails owned by nobody, whom Dovecot prefers.
_DOVECOT = """
base_dir = {folder}/run
state_dir = {folder}/run
log_path = {folder}/log
protocols = imap
listen = 127.0.0.1
default_internal_user = {user}
default_internal_group = {group}
default_login_user = {login_user}
first_valid_uid = {uid}
disable_plaintext_auth = no
ssl = {ssl}
{certificate}
mail_location = maildir:{folder}/mail/%u
mail_fsync = never
auth_failure_delay = 0
mail_max_userip_connections = 100
namespace inbox {{
  inbox = yes
  mailbox Junk {{
    special_use = \\Junk
    auto = create
  }}
}}
service anvil {{
  chroot =
}}
service imap-login {{
  chroot =
  service_count = 0
  client_limit = 400
  inet_listener imap {{
    port = {port}
  }}
  inet_listener imaps {{
    port = {tls_port}
  }}
}}
service imap {{
  process_limit = 200
}}
auth_mechanisms = plain login{oauth2_mechanism}
{oauth2}
passdb {{
  driver = static
  mechanisms = plain login
  args = password={password}
}}
userdb {{
  driver = static
  args = uid={uid} gid={gid} home={folder}/mail/%u
}}
"""

_OAUTH2 = """
passdb {{
  driver = oauth2
  mechanisms = xoauth2
  args = {folder}/oauth2.conf
}}
"""

# RFC 7662: Dovecot asks whose the token is, and whether it still lets in.
_INTROSPECTION = """
introspection_mode = post
introspection_url = {url}
force_introspection = yes
username_attribute = username
active_attribute = active
active_value = true
"""


def quickest() -> str:
    """Of the servers, for tests that are about our process: Dovecot where it is, else pymap."""
    return "pymap" if missing("dovecot") else "dovecot"


def missing(kind: str) -> str:
    """Why there is no such server here; empty when there is."""
    if kind == "dovecot" and dovecot() is None:
        return "no Dovecot here (Debian: dovecot-imapd)"
    return ""


def dovecot() -> str | None:
    """Where Dovecot is, which Debian keeps out of the path of ordinary people."""
    return shutil.which("dovecot", path=f"{os.environ.get('PATH', '')}:/usr/sbin:/usr/local/sbin")


class ImapServer:
    """One server of either kind. `start` and `stop` may be called again and again; `close` throws everything away."""

    def __init__(
        self,
        kind: str,
        mailboxes: Sequence[str],
        certificate: tuple[Path, Path] | None = None,
        *,
        port: int = 0,
        password: str = PASSWORD,
        introspection: str = "",
    ) -> None:
        """`introspection` is where Dovecot asks about access tokens; then it takes XOAUTH2 too."""
        self.kind = kind
        self.port = port or free_port()
        self.password = password
        self.tls_port = free_port() if certificate else 0
        self.mailboxes = tuple(mailboxes)
        # Not pytest's folder: that is its owner's alone, and the paths of Unix sockets must be short.
        self.folder = Path(tempfile.mkdtemp(prefix="sendlens-imap-"))
        self._certificate = certificate
        self._introspection = introspection
        self._process: subprocess.Popen[bytes] | None = None
        self._mails = 0
        (_write_dovecot if kind == "dovecot" else _write_pymap)(self)

    def start(self) -> None:
        """Start it, and wait until it answers."""
        assert self._process is None, "it runs already"
        with (self.folder / "out").open("ab") as out:
            self._process = subprocess.Popen(self._command(), stdout=out, stderr=out, start_new_session=True)
        deadline = time.monotonic() + _START_SECONDS
        while not self._answers():
            if self._process.poll() is not None or time.monotonic() > deadline:
                self.stop()
                raise RuntimeError(f"{self.kind} did not start:\n{self.log()}")
            time.sleep(0.05)

    def stop(self, number: signal.Signals = signal.SIGTERM) -> None:
        """End it with all its connections, as a crash would when `number` is SIGKILL."""
        process, self._process = self._process, None
        if process is None:
            return
        if number == signal.SIGTERM:
            process.terminate()
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(_STOP_SECONDS)
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)  # its own session: those who serve connections
        process.wait()
        self._wait_until_gone(process.pid)
        # Dovecot asks a socket that it finds whether somebody listens, and does not start if so. Nobody does now.
        shutil.rmtree(self.folder / "run", ignore_errors=True)

    def _wait_until_gone(self, session: int) -> None:
        """Those who served connections are init's now, and die when they get to it; until then their sockets answer."""
        deadline = time.monotonic() + _STOP_SECONDS
        while _runs(session):
            if time.monotonic() > deadline:
                raise RuntimeError(f"{self.kind}: processes of session {session} do not end")
            time.sleep(0.01)

    def restart(self) -> None:
        self.stop()
        self.start()

    def close(self) -> None:
        """Stop it and remove all mails."""
        self.stop(signal.SIGKILL)
        shutil.rmtree(self.folder, ignore_errors=True)

    def log(self) -> str:
        """What it said."""
        return "".join(p.read_text() for p in (self.folder / "out", self.folder / "log") if p.exists())[-4000:]

    def deliver(self, mailbox: str, mail: bytes, folder: str = "INBOX", at: datetime | None = None) -> int:
        """Put a mail into a folder, as new and unread; returns its uid."""
        with self.client(mailbox) as client:
            if folder != "INBOX" and not client.folder_exists(folder):
                client.create_folder(folder)
            client.append(folder, mail, (), at)
            client.select_folder(folder, readonly=True)
            return int(max(client.search(["UID", "*"])))

    def stock(self, mailbox: str, mails: Sequence[bytes]) -> None:
        """Put many mails into INBOX at once, by their files. For a mailbox that nobody is connected to."""
        box = self.folder / "mail" / mailbox
        for folder in (box, *(box / name for name in ("new", "cur", "tmp"))):
            folder.mkdir(parents=True, exist_ok=True)
            self._give_away(folder)
        for mail in mails:
            self._mails += 1
            file = box / "new" / f"{int(time.time())}.M{self._mails:06}P{os.getpid()}.tests"
            file.write_bytes(mail)
            self._give_away(file)

    def flags(self, mailbox: str, folder: str = "INBOX") -> dict[int, tuple[bytes, ...]]:
        """The flags of every mail, but `Recent`, which is about sessions and not about mails (gone in RFC 9051)."""
        with self.client(mailbox) as client:
            client.select_folder(folder, readonly=True)
            found = client.fetch(client.search("ALL"), ["FLAGS"])
        return {uid: tuple(f for f in said[b"FLAGS"] if f != b"\\Recent") for uid, said in found.items()}

    def mark(self, mailbox: str, uid: int, flag: bytes) -> None:
        """Set a flag, as somebody's mail program would."""
        with self.client(mailbox) as client:
            client.select_folder("INBOX")
            client.add_flags([uid], [flag])

    def renumber(self, mailbox: str) -> None:
        """Restart without what is known of INBOX's numbers: another UIDVALIDITY, other uids."""
        self.stop()
        for file in (self.folder / "mail" / mailbox).glob("dovecot*"):
            if file.is_file():
                file.unlink()
        time.sleep(1.0 if self.kind == "dovecot" else 0)  # its UIDVALIDITY is the second in which it is made
        self.start()

    @contextlib.contextmanager
    def client(self, mailbox: str) -> Iterator[IMAPClient]:
        """A connection of one's own."""
        client = self.connected(mailbox)
        try:
            yield client
        finally:
            client.shutdown()

    def connected(self, mailbox: str) -> IMAPClient:
        """The same, for as long as is wanted; `shutdown` ends it."""
        client = IMAPClient("127.0.0.1", self.port, ssl=False, timeout=20)
        try:
            client.login(mailbox, self.password)
        except BaseException:
            client.shutdown()
            raise
        return client

    def _command(self) -> list[str]:
        if self.kind == "dovecot":
            return [dovecot() or "dovecot", "-F", "-c", str(self.folder / "dovecot.conf")]
        program = "import sys; from pymap.main import main; sys.exit(main())"
        where = ["--host", "127.0.0.1", "--port", str(self.port), "--no-tls"]
        return [sys.executable, "-c", program, *where, "maildir", str(self.folder / "mail")]

    def _answers(self) -> bool:
        try:
            with self.client(self.mailboxes[0]):
                return True
        except (OSError, IMAPClient.Error):
            return False

    def _give_away(self, path: Path) -> None:
        if self.kind == "dovecot" and os.geteuid() == 0:
            os.chown(path, *_nobody())


def _runs(group: int) -> bool:
    """Whether a process of the group is alive; those that have ended and were not asked for it yet are not."""
    for stat in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):
            state, _, its_group = stat.read_text().rpartition(")")[2].split()[:3]
            if int(its_group) == group and state not in "ZX":
                return True
    return False


def _nobody() -> tuple[int, int]:
    entry = pwd.getpwnam("nobody")
    return entry.pw_uid, entry.pw_gid


def _write_dovecot(server: ImapServer) -> None:
    root = os.geteuid() == 0
    uid, gid = _nobody() if root else (os.getuid(), os.getgid())
    me = pwd.getpwuid(os.geteuid())
    certificate = ""
    if server._certificate:
        certificate = "ssl_cert = <{}\nssl_key = <{}".format(*server._certificate)
    (server.folder / "mail").mkdir()
    server.folder.chmod(0o755)
    asks = bool(server._introspection)
    if asks:
        (server.folder / "oauth2.conf").write_text(_INTROSPECTION.format(url=server._introspection))
    server._give_away(server.folder / "mail")
    (server.folder / "dovecot.conf").write_text(
        _DOVECOT.format(
            folder=server.folder,
            user=me.pw_name,
            group=_group_of(me.pw_gid),
            login_user="nobody" if root else me.pw_name,
            uid=uid,
            gid=gid,
            port=server.port,
            tls_port=server.tls_port,
            ssl="yes" if certificate else "no",
            certificate=certificate,
            password=server.password,
            oauth2_mechanism=" xoauth2" if asks else "",
            oauth2=_OAUTH2.format(folder=server.folder) if asks else "",
        )
    )


def _group_of(gid: int) -> str:
    import grp

    return grp.getgrgid(gid).gr_name


def _write_pymap(server: ImapServer) -> None:
    from pysasl.hashing import BuiltinHash

    base = server.folder / "mail"
    base.mkdir()
    hashed = BuiltinHash(rounds=1000).hash(server.password)
    (base / "pymap-etc-passwd").write_text("".join(f"{name}:x::::{name}:\n" for name in server.mailboxes))
    (base / "pymap-etc-shadow").write_text("".join(f"{name}:{hashed}:::::::\n" for name in server.mailboxes))
    for name in server.mailboxes:
        for folder in (base / name, base / name / ".Junk"):
            for part in ("new", "cur", "tmp"):
                (folder / part).mkdir(parents=True)
