"""A mailbox over IMAP. The connection only ever looks: EXAMINE and BODY.PEEK, so no flag changes."""

from __future__ import annotations

import contextlib
import re
import select
import socket
import ssl
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from imapclient import IMAPClient, SocketTimeout
from imapclient.exceptions import IMAPClientAbortError, IMAPClientError, LoginError
from imapclient.imapclient import JUNK

from ingest.inbox.imap_response import Given, read
from ingest.inbox.mailbox import FolderRefused, LoginRefused, MailRefused
from ingest.inbox.position import SMALL_BYTES, FetchedMail, FolderSearch, FolderState, FoundMail
from schemas.certificates import with_advice
from schemas.errors import Misconfigured, Retry
from schemas.senders import Account, Credential, Imap, Senders
from schemas.topics import MAX_MAIL_BYTES

CONNECT_SECONDS = 10.0
ANSWER_SECONDS = 60.0

_MOST_SAID = 1000  # characters that are read of what a server says is wrong
# How many mails' sizes are asked for at once.
_SOME = 1000
_MOST_HEADERS = 500


@contextlib.contextmanager
def _explained(what: str) -> Iterator[None]:
    """Whatever goes wrong on a connection, as Retry."""
    try:
        yield
    except Retry:
        raise
    except ssl.SSLError as error:
        raise Retry(f"{what}: TLS: {with_advice(error)}") from error
    except (IMAPClientError, OSError, ValueError, EOFError) as error:
        raise Retry(f"{what}: {_line(error)}") from error


def open_line(login: Imap) -> IMAPClient:
    """Connect, secured as the account says; never less. Raises Retry with what failed."""
    with _explained(f"{login.host}:{login.port}"):
        context = None if login.tls == "none" else login.tls_context()
        timeout = SocketTimeout(CONNECT_SECONDS, ANSWER_SECONDS)
        secured = login.tls == "tls"
        client = IMAPClient(
            login.host, login.port, ssl=secured, ssl_context=context if secured else None, timeout=timeout
        )
        client.normalise_times = False
        if login.tls == "starttls":
            try:
                client.starttls(context)
            except BaseException:
                hang_up(client)
                raise
        return client


def log_in(client: IMAPClient, credential: Credential) -> None:
    """By LOGIN or XOAUTH2. Raises LoginRefused; what the server says is in it, the secret is not."""
    with _explained("login"):
        try:
            if credential.kind == "oauth2":
                client.oauth2_login(credential.user, credential.secret)
            else:
                client.login(credential.user, credential.secret)
        except LoginError as error:
            credential.refused()
            raise LoginRefused(f"login refused: {_line(error).replace(credential.secret, '...')}") from None


def connect(account: Account, senders: Senders) -> ImapMailbox:
    """Log in to the account's mailbox. Raises as `Connect` says."""
    login = account.imap
    credential = None if login is None else senders.credential(login)
    if login is None or credential is None:
        raise Misconfigured(f"{account.address}: nothing to log in with")
    client = open_line(login)
    try:
        log_in(client, credential)
        return ImapMailbox(account.address, client)
    except BaseException:
        hang_up(client)
        raise


class ImapMailbox:
    """A logged-in connection for one mailbox."""

    def __init__(self, mailbox: str, client: IMAPClient) -> None:
        self._mailbox = mailbox
        self._client = client
        self._socket: socket.socket = client.socket()
        with _explained(mailbox):
            self.tells: bool = client.has_capability("IDLE")

    def names_of(self, folders: Sequence[str]) -> list[str]:
        """The folders' names here: `Junk` is what the server says is that (RFC 6154), if none has the name."""
        with _explained("LIST"):
            there = self.all_names()
            junk = self._client.find_special_folder(JUNK) if "Junk" in folders and "Junk" not in there else None
        names = [junk if junk and name == "Junk" else name for name in folders]
        return list(dict.fromkeys(names))

    def all_names(self) -> list[str]:
        """Every folder of the mailbox."""
        with _explained("LIST"):
            return sorted(str(name) for _, _, name in self._client.list_folders())

    def examine(self, name: str) -> FolderState:
        """Open a folder for reading alone. Raises FolderRefused when the server does not give it."""
        with _explained("EXAMINE"):
            try:
                said: dict[bytes, Any] = self._client.select_folder(name, readonly=True)
            except IMAPClientAbortError:
                raise
            except IMAPClientError as error:
                raise FolderRefused(_line(error)) from None
        if b"UIDVALIDITY" not in said:
            raise FolderRefused("the server gives its mails no lasting numbers (UIDVALIDITY)")
        uidnext = int(said.get(b"UIDNEXT", 0))  # RFC 9051 wants it, old servers leave it out
        last = uidnext - 1 if uidnext else max(self.search(["UID", "*"]) if said.get(b"EXISTS") else [0])
        return FolderState(self._mailbox, name, int(said[b"UIDVALIDITY"]), uidnext, last)

    def search(self, criteria: list[object]) -> list[int]:
        """The uids in the open folder that match."""
        with _explained("SEARCH"):
            return [int(uid) for uid in self._client.search(criteria)]

    def find(self, search: FolderSearch) -> list[FoundMail]:
        """The mails in the open folder that a search finds, by rising uids."""
        criteria = criteria_of(search)
        uids = sorted(uid for uid in self.search(criteria) if uid > search.above)
        large = sorted(set(self.search([*criteria, "LARGER", SMALL_BYTES])).intersection(uids)) if uids else []
        sizes: dict[int, int] = {}
        for first in range(0, len(large), _SOME):
            with _explained("FETCH"):
                answers = self._client.fetch(large[first : first + _SOME], ["RFC822.SIZE"])
            sizes |= {uid: int(said[b"RFC822.SIZE"]) for uid, said in answers.items() if b"RFC822.SIZE" in said}
        return [FoundMail(uid, sizes.get(uid, 0)) for uid in uids]

    def fetch(self, mails: Sequence[FoundMail]) -> list[FetchedMail]:
        """The mails in their order, of a large one its first MAX_MAIL_BYTES; without those that are gone meanwhile.

        Raises MailRefused when the server says no to one of them.
        """
        whole = [mail.uid for mail in mails if mail.size <= MAX_MAIL_BYTES]
        large = [mail.uid for mail in mails if mail.size > MAX_MAIL_BYTES]
        given: dict[int, Given] = {}
        for uids, what in ((whole, b"BODY.PEEK[]"), (large, b"BODY.PEEK[]<0.%d>" % MAX_MAIL_BYTES)):
            if uids:
                given |= {one[0]: one for one in self._give(uids, what)}
        now = datetime.now(UTC)  # a mail without a date is one of now: it is wanted
        return [
            FetchedMail(mail.uid, one[1] or now, mail.size, one[2])
            for mail in mails
            if (one := given.get(mail.uid)) is not None
        ]

    def header(self, name: str, above: int) -> list[str]:
        """What this header says in each mail of the open folder that has it and came after the mail of that uid; of
        the newest five hundred."""
        uids = [uid for uid in self.search(["UID", f"{above + 1}:*"]) if uid > above][-_MOST_HEADERS:]
        if not uids:
            return []
        with _explained("FETCH"):
            answers: dict[int, dict[bytes, bytes]] = self._client.fetch(uids, [f"BODY.PEEK[HEADER.FIELDS ({name})]"])
        texts = [text for said in answers.values() for key, text in said.items() if key.startswith(b"BODY[")]
        return [text.partition(b":")[2].decode("ascii", "replace").strip() for text in texts if text.strip()]

    def _give(self, uids: Sequence[int], what: bytes) -> list[Given]:
        with _explained("FETCH"):
            ids = ",".join(map(str, uids)).encode()
            try:
                # What `fetch` of imapclient does, but for its parser.
                return read(self._client._raw_command_untagged(b"FETCH", [ids, b"(INTERNALDATE %b)" % what]))
            except IMAPClientAbortError:
                raise
            except IMAPClientError as error:
                raise MailRefused(_line(error)) from None

    def wait(self, seconds: float, waker: int) -> None:
        """IDLE: return when the server says something of the open folder, `waker` is readable, or time is up."""
        with _explained("IDLE"):
            self._client.idle()
            poll = select.poll()
            poll.register(self._socket, select.POLLIN)
            poll.register(waker, select.POLLIN)
            if not (isinstance(self._socket, ssl.SSLSocket) and self._socket.pending()):
                poll.poll(seconds * 1000)
            self._client.idle_done()  # reads what was said; it says that something changed, and we look ourselves

    def break_off(self) -> None:
        """End whatever another thread waits for on this connection."""
        with contextlib.suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        hang_up(self._client)


def criteria_of(search: FolderSearch) -> list[object]:
    """A search as IMAP has it. SINCE knows days alone, by the server's clock; `n:*` gives the last mail whatever its
    uid."""
    criteria: list[object] = ["UID", f"{search.above + 1}:{'*' if search.until is None else search.until}"]
    if search.since is not None:
        criteria += ["SINCE", (search.since - timedelta(days=1)).date()]
    return criteria


def hang_up(client: IMAPClient) -> None:
    """Close the connection without ceremony: nothing is left to be said, and the server may not be there."""
    with contextlib.suppress(IMAPClientError, OSError, EOFError):
        client.shutdown()


def _line(error: BaseException) -> str:
    """What the server or the system said, as one line of decent length."""
    said = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
    if said.startswith("b'") and said.endswith("'"):
        said = said[2:-1]
    said = re.sub(r"\(\d+\.\d+ \+ .*? secs\)", "", said[:_MOST_SAID])  # Dovecot says how long it took
    return " ".join(said.split())[:300] or type(error).__name__
