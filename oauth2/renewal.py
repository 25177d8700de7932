"""Renews access tokens: each ahead of its end, by one thread of one process, for all that share the data folder.

A login asks for a token. Mostly one is kept; else this thread asks the authorization server, while the others go on
with the old token as long as it is valid. A refresh token that the server replaced is kept before the new access token
is used, so that a restart begins with it.
"""

from __future__ import annotations

import random
import threading
import time
from collections import defaultdict
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from urllib.parse import urlsplit

import structlog

from oauth2.authorization_server import SECONDS, GrantRefused, NotRenewed, Renewed, ask
from oauth2.kept_tokens import KeptTokens, after, begun, next_step, without
from oauth2.renewal_metrics import RENEWALS, note
from oauth2.token_file import TokenFile
from schemas.errors import Misconfigured, Retry
from schemas.senders import AccessToken, GrantSecrets, Senders, load
from schemas.settings import Settings

log = structlog.get_logger()

Ask = Callable[[GrantSecrets], Renewed | GrantRefused | NotRenewed]
# Another process that asks has an answer by then, or a deadline behind it.
_PATIENCE = SECONDS + 2.0


def load_senders(settings: Settings) -> Senders:
    """The accounts of `senders.toml` for who logs in to their servers. Raises Misconfigured as `load` does."""
    return load(settings, TokenRenewal(settings))


class TokenRenewal:
    """The access tokens of this process, from any thread. `clock` gives seconds since 1970, `share` numbers of 0..1."""

    def __init__(
        self,
        settings: Settings,
        *,
        ask: Ask | None = None,
        clock: Callable[[], float] = time.time,
        share: Callable[[], float] = random.random,
    ) -> None:
        self._folder = Path(settings.access_tokens_dir) if settings.access_tokens_dir else settings.data_dir / "oauth2"
        self._ask = ask or _asking(settings.ca_file)
        self._clock = clock
        self._share = share
        self._asking: defaultdict[str, threading.Lock] = defaultdict(threading.Lock)
        self._shares: dict[str, float] = {}
        self._known: dict[str, KeptTokens] = {}
        self._unwritten: set[str] = set()

    def get(self, grant: GrantSecrets, *, insist: bool = False) -> AccessToken:
        """A token that is valid now, see AccessTokens."""
        known = self._known.get(grant.name)
        fresh = known is not None and known.request == grant.request and not (known.refused or insist)
        if known is not None and fresh and next_step(known, self._clock(), self._share_of(grant)).does == "use":
            return _token(known)
        kept = self._read(grant)
        step = next_step(kept, self._clock(), self._share_of(grant), insist=insist)
        if step.does == "ask":
            # Who has a token that is still valid waits for nobody.
            patience = 0.0 if kept.valid(self._clock()) and not insist else _PATIENCE
            kept = self._renewed(grant, patience, insist)
            step = next_step(kept, self._clock(), self._share_of(grant))
        if kept.valid(self._clock()):
            return _token(kept)
        place = urlsplit(grant.token_url).hostname
        if kept.refused:
            raise Misconfigured(f"{grant.name}: {place} does not renew the access token: {kept.refused}")
        raise Retry(f"{grant.name}: {place} gives no access token: {kept.trouble or 'another process asks for it'}")

    def refused(self, grant: GrantSecrets, token: str) -> None:
        """A mail server did not take this token: an older one is not used again."""
        kept = self._read(grant)
        left = without(kept, token, self._clock())
        if left is kept:
            return
        with TokenFile(self._folder, grant.name).locked(0.0) as mine:
            if mine:  # else it is being renewed already
                self._keep(grant, left)

    def _renewed(self, grant: GrantSecrets, patience: float, insist: bool) -> KeptTokens:
        """What is known after this thread asked, or waited for another that did."""
        lock = self._asking[grant.name]
        if not lock.acquire(timeout=patience):
            return self._read(grant)
        try:
            with TokenFile(self._folder, grant.name).locked(patience) as mine:
                kept = self._read(grant)
                if not mine or next_step(kept, self._clock(), self._share_of(grant), insist=insist).does != "ask":
                    return kept
                return self._asked(grant, kept)
        finally:
            lock.release()

    def _asked(self, grant: GrantSecrets, kept: KeptTokens) -> KeptTokens:
        at = self._clock()
        answer = self._ask(replace(grant, refresh_token=kept.refresh_token))
        found = after(kept, answer, at, self._share())
        if isinstance(answer, Renewed):
            RENEWALS.labels("renewed").inc()
            self._shares[grant.name] = self._share()
            if kept.refused or kept.trouble:
                log.info("an access token was renewed again", grant=grant.name)
        elif isinstance(answer, GrantRefused):
            RENEWALS.labels("refused").inc()
            if not kept.refused:
                log.error("access to a mailbox is no longer granted", grant=grant.name, why=answer.why)
        else:
            RENEWALS.labels("failed").inc()
            if not kept.trouble:
                log.warning("an access token could not be renewed, trying again", grant=grant.name, why=answer.why)
        self._keep(grant, found)
        return found

    def _keep(self, grant: GrantSecrets, kept: KeptTokens) -> None:
        """Write it down; where that fails this process goes on with what it knows."""
        try:
            TokenFile(self._folder, grant.name).write(kept)
        except OSError as error:
            if grant.name not in self._unwritten:
                log.warning(
                    "a grant's tokens could not be written to disk", grant=grant.name, why=error.strerror or str(error)
                )
            self._unwritten.add(grant.name)
        else:
            self._unwritten.discard(grant.name)
        self._note(grant, kept)

    def _read(self, grant: GrantSecrets) -> KeptTokens:
        """What the file says; what this process knows where that could not be written, or the file is of another
        refresh token because another process has another environment."""
        kept, known = TokenFile(self._folder, grant.name).read(), self._known.get(grant.name)
        if known is not None and known.chain == grant.chain:
            unwritten = grant.name in self._unwritten
            if kept is None or kept.chain != grant.chain or (unwritten and known.renewed_at >= kept.renewed_at):
                kept = known
        found = begun(grant, kept)
        self._note(grant, found)
        return found

    def _note(self, grant: GrantSecrets, kept: KeptTokens) -> None:
        self._known[grant.name] = kept
        note(grant.name, bool(kept.refused))

    def _share_of(self, grant: GrantSecrets) -> float:
        """This process's own moment to renew the token of today."""
        return self._shares.setdefault(grant.name, self._share())


def _asking(ca_file: str) -> Ask:
    return lambda grant: ask(grant, ca_file)


def _token(kept: KeptTokens) -> AccessToken:
    return AccessToken(kept.access_token, kept.expires_at, kept.refused or kept.trouble)
