"""The guard at work: what follows from what happened. Events are its only cause, and it may see each of them twice.

A hard bounce, a complaint, an unsubscribe or a reply becomes a fact for which the sender skips; too many hard bounces
pause their campaign. Nothing is folded here that a duplicate could falsify: counts are asked of ClickHouse, where an
email is one row, together with what this process has seen and ClickHouse may not show yet. Before a campaign is paused
they are asked once more, with what other guards were handed (`agents/guard/ahead_of_store.py`).
"""

from __future__ import annotations

import asyncio
import time
from collections import OrderedDict
from collections.abc import Callable, Collection, Iterable, Sequence
from contextlib import suppress
from datetime import UTC, datetime, timedelta

import msgspec
import structlog

from agents.guard.ahead_of_store import AheadOfStore, CampaignEmails
from agents.guard.announce import Annotate, Announcer
from agents.guard.pause_email import PauseEmail
from agents.guard.unstored import UnstoredEmails
from agents.runtime.metrics import GUARD_FACTS, GUARD_PAUSES, GUARD_UNKNOWN_ADDRESSES
from clickhouse.ask import StageQueries
from decisions.effects import suppress as facts
from decisions.effects.pause import BounceCounts, detail, may_be_near, must_pause
from oauth2.renewal import load_senders
from schemas.errors import UNREADABLE, Retry
from schemas.events import (
    AnyEvent,
    Bounced,
    Campaign,
    CampaignPaused,
    CampaignResumed,
    EmailEvent,
    Event,
    Lead,
    Pause,
    Sent,
    lead_key,
    lines,
)
from schemas.settings import Settings
from schemas.state.pauses import paused, running_since
from schemas.topics import CAMPAIGNS, EVENTS, LEADS, PAUSES
from stream.records import Handler, HandleResult, OutRecord, PoisonRecord, Record, Write
from stream.state import StateTopic

log = structlog.get_logger()

# Most events have no effect and are recognised by their first bytes: decoding them all would cost ten times as much.
_WITHOUT_CONSEQUENCE = tuple(
    b'{"kind":"%s"' % kind
    for kind in (b"open", b"click", b"delivered", b"deferred", b"skipped", b"unanswered", b"auto_reply")
)
_VIEW_PATIENCE = 5.0
_STALE_SECONDS = 3.0  # a view is renewed several times a second
_REMEMBERED_ADDRESSES = 50_000  # about 13 MB
# How long an email may be missing from every table before its bounce is handled without its address.
_ADDRESS_PATIENCE = 10.0
_LOOK_AGAIN_EVERY = 0.25
_STORING_SECONDS = 2.0  # what an insert takes, beyond what rows wait for each other
_NOTHING = CampaignEmails()
_INCOMPLETE = " (of those known so far: the store is far behind)"
# Bounces before a start that a guard which died may not have come to think about again.
_LOOK_BACK = timedelta(hours=1)
_EVER = datetime(1970, 1, 1, tzinfo=UTC)


class Guard(Handler):
    """Writes facts and pauses as soon as their event is read. While ClickHouse is away all but facts of leads wait."""

    def __init__(
        self,
        settings: Settings,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
        annotate: Annotate | None = None,
    ) -> None:
        self._settings = settings
        self._clock = clock
        self._campaigns = StateTopic(settings, CAMPAIGNS, Campaign, key=lambda campaign: campaign.id)
        self._pauses = StateTopic(settings, PAUSES, Pause, key=lambda pause: pause.campaign)
        self._leads = StateTopic(settings, LEADS, Lead, key=lambda lead: lead.key)
        self._decode = msgspec.json.Decoder(AnyEvent).decode
        self._queries = StageQueries(settings)
        email = PauseEmail(settings, load_senders(settings), self._sender_of) if settings.notify_to else None
        self._announcer = Announcer(clock, annotate=annotate, email=email)
        self._unstored = UnstoredEmails()
        self._ahead = AheadOfStore(settings)
        self._shares = False  # whether other guards have partitions too
        self._addresses: OrderedDict[str, str] = OrderedDict()
        self._without_address: dict[str, float] = {}
        self._near: dict[str, bool] = {}  # whether sends alone may pause a campaign; one never looked at is not here
        self._look_again_at: dict[str, float] = {}
        self._one_at_a_time = asyncio.Lock()
        self._since = clock().timestamp()

    async def start(self, write: Write) -> None:
        self._write = write
        for view in (self._campaigns, self._pauses, self._leads):
            view.start()
        self._looking_again = asyncio.create_task(self._look_again(), name="guard-looks-again")

    def assigned(self, partitions: Collection[tuple[str, int]]) -> None:
        """Another guard's records may come: first see what it has written until now."""
        self._since = self._clock().timestamp()
        self._shares = len(partitions) < self._settings.partitions_of(EVENTS)

    async def stop(self) -> None:
        self._looking_again.cancel()
        with suppress(asyncio.CancelledError):
            await self._looking_again
        await self._announcer.stop()
        for view in (self._campaigns, self._pauses, self._leads):
            await asyncio.to_thread(view.stop)
        self._ahead.close()
        self._queries.close()

    async def handle(self, records: Sequence[Record]) -> HandleResult:
        """Facts of leads first, for they need nobody; then pauses; then facts of addresses. All may be done again."""
        handled = HandleResult()
        events: list[AnyEvent] = []
        for record in records:
            events += self._read(record, handled)
        of_emails = [event for event in events if isinstance(event, Event)]
        self._remember(of_emails)
        await self._views_show(self._since)
        of_emails += await self._unsubscribe(of_emails)
        await self._say(fact for event in of_emails if (fact := facts.of_lead(event)))
        for event in events:
            if isinstance(event, CampaignResumed):
                self._near.pop(event.campaign, None)
        for campaign in self._campaigns_to_check(of_emails):
            await self._check(campaign)
            # Other guards are handed bounces and sends that this one is not. Alone, one that was here before may have
            # been: ClickHouse has them a little later.
            later = 0.0 if self._shares else self._settings.store_seconds + _STORING_SECONDS
            self._look_again_at[campaign] = time.monotonic() + later
        await self._say(await self._facts_of_addresses(of_emails))
        for event in events:
            if isinstance(event, CampaignPaused | CampaignResumed):
                self._announcer.announce(event)
        return handled

    def _read(self, record: Record, handled: HandleResult) -> list[AnyEvent]:
        """The events of a record that have consequences. One that can't be read makes the record a dead letter."""
        events: list[AnyEvent] = []
        unreadable = ""
        for line in filter(None, record.value.split(b"\n")):
            if line.startswith(_WITHOUT_CONSEQUENCE):
                continue
            try:
                events.append(self._decode(line))
            except UNREADABLE as error:
                unreadable = unreadable or str(error)
        if unreadable:
            handled.dead.append(PoisonRecord(record, "unreadable", unreadable))
        return events

    def _remember(self, events: Iterable[EmailEvent]) -> None:
        for event in events:
            if isinstance(event, Sent):
                self._unstored.sent(event.campaign, event.delivery_id, event.at)
                self._addresses[event.delivery_id] = event.address
                if len(self._addresses) > _REMEMBERED_ADDRESSES:
                    self._addresses.popitem(last=False)
            elif isinstance(event, Bounced) and event.bounce_class == "hard":
                self._unstored.bounced_hard(event.campaign, event.delivery_id)

    async def _views_show(self, moment: float) -> None:
        for view in (self._campaigns, self._pauses, self._leads):
            if not await view.wait_until_current(moment, _VIEW_PATIENCE):
                raise Retry(f"the topic {view.topic} has not been read to its end yet")

    async def _say(self, found: Iterable[Lead]) -> None:
        """Write what is new of these facts."""
        new = facts.news(found, self._leads.get)
        if not new:
            return
        await self._write([OutRecord.keyed(self._settings, LEADS, fact.key, msgspec.json.encode(fact)) for fact in new])
        for fact in new:
            self._leads.put(fact)
            GUARD_FACTS.labels(fact.fact, fact.of).inc()

    async def _unsubscribe(self, events: Sequence[EmailEvent]) -> list[EmailEvent]:
        """Write what follows from replies that ask for no more mail. Written already is one whose fact holds, or was
        taken back since: the fact follows the event."""
        found: dict[str, EmailEvent] = {}
        for event in events:
            unsubscribed = facts.unsubscribe_of(event, self._campaigns.get(event.campaign))
            if unsubscribed is None:
                continue
            known = self._leads.get(lead_key(event.lead, "unsubscribed"))
            if known is None or known.at < unsubscribed.at:
                found[unsubscribed.id] = unsubscribed
        if found:
            some = [(event.delivery_id, lines([event])) for event in found.values()]
            await self._write([OutRecord.keyed(self._settings, EVENTS, *one) for one in some])
        return list(found.values())

    def _campaigns_to_check(self, events: Iterable[EmailEvent]) -> list[str]:
        """Those with a hard bounce; and those with sends that alone may pause them, or of which nothing is known."""
        wanted: dict[str, None] = {}
        for event in events:
            bounced = isinstance(event, Bounced) and event.bounce_class == "hard"
            if bounced or (isinstance(event, Sent) and self._near.get(event.campaign, True)):
                wanted[event.campaign] = None
        return list(wanted)

    async def _check(self, campaign_id: str, ahead: CampaignEmails | None = _NOTHING) -> None:
        """Pause the campaign if it is over its limit. Raises Retry while the counts are not known.

        `ahead` holds the events of all guards that ClickHouse does not have yet. Without it this guard's own counts are
        checked first, and the exact ones only if those are over the limit, which the exact ones need not be.
        """
        async with self._one_at_a_time:
            while True:
                pause = self._pauses.get(campaign_id)
                if pause is not None and pause.paused:
                    self._near[campaign_id] = False
                    return
                campaign = self._campaigns.get(campaign_id)
                if campaign is None:  # it may be on its way here
                    await self._views_show(self._clock().timestamp())
                    campaign = self._campaigns.get(campaign_id)
                if campaign is None:
                    log.warning("events of a campaign that nobody declared", campaign=campaign_id)
                    self._near[campaign_id] = False
                    return
                since = running_since(pause)
                counts = await self._count(campaign_id, since, ahead)
                if must_pause(campaign, counts):
                    ahead = await asyncio.to_thread(self._ahead.read)
                    counts = await self._count(campaign_id, since, ahead)
                # Where others send too, this guard's sends may be those that make up the number: it goes on looking.
                young = counts.sent < campaign.bounce_min_sends
                self._near[campaign_id] = young if self._shares else may_be_near(campaign, counts)
                if not must_pause(campaign, counts):
                    return
                # Stale views may hide that the campaign was paused, which does no harm, or that it was resumed since.
                await self._views_show(self._clock().timestamp() - _STALE_SECONDS)
                if self._pauses.get(campaign_id) == pause:
                    await self._pause(campaign, pause, counts, complete=ahead is not None)
                    return

    async def _all_ahead(self) -> CampaignEmails | None:
        async with self._one_at_a_time:
            return await asyncio.to_thread(self._ahead.read)

    async def _count(self, campaign: str, since: datetime | None, ahead: CampaignEmails | None) -> BounceCounts:
        ahead = ahead or _NOTHING
        seen_sent = self._unstored.sent_since(campaign, since) + ahead.sent_since(campaign, since)
        seen_hard = self._unstored.hard(campaign) + ahead.hard.get(campaign, [])
        ((sent, hard, sent_stored, hard_stored),) = await self._queries.ask(
            "campaign_bounces", campaign=campaign, since=since or _EVER, seen_sent=seen_sent, seen_hard=seen_hard
        )
        self._unstored.are_stored(campaign, map(str, sent_stored), map(str, hard_stored))
        return BounceCounts(sent, hard)

    async def _pause(self, campaign: Campaign, before: Pause | None, counts: BounceCounts, *, complete: bool) -> None:
        why = detail(campaign, counts) + ("" if complete else _INCOMPLETE)
        event, pause = paused(
            campaign.id,
            before,
            self._clock(),
            "bounces",
            detail=why,
            sent=counts.sent,
            hard_bounced=counts.hard_bounced,
        )
        await self._write([OutRecord.keyed(self._settings, EVENTS, campaign.id, lines([event]))])
        await self._write([OutRecord.keyed(self._settings, PAUSES, campaign.id, msgspec.json.encode(pause))])
        self._pauses.put(pause)
        self._near[campaign.id] = False
        GUARD_PAUSES.inc()
        log.warning("campaign paused", campaign=campaign.id, why=why)

    async def _sender_of(self, campaign: str) -> str:
        """The From address of the campaign's email that bounced last; '' while none is stored."""
        rows = await self._queries.ask("campaign_sender", campaign=campaign)
        return str(rows[0][0]) if rows else ""

    async def _facts_of_addresses(self, events: Sequence[EmailEvent]) -> list[Lead]:
        """Raises Retry while an email's address may still come to be known."""
        concerned = [event for event in events if facts.concerns_address(event)]
        wanted = {e.delivery_id: e.campaign for e in concerned if e.delivery_id not in self._addresses}
        stored: dict[str, str] = {}
        if wanted:
            rows = await self._queries.ask(
                "addresses", campaigns=sorted(set(wanted.values())), deliveries=sorted(wanted)
            )
            stored = {str(delivery): str(address) for delivery, address in rows}
            for delivery in stored:
                self._without_address.pop(delivery, None)
            self._wait_for(set(wanted) - set(stored))
        found = []
        for event in concerned:
            address = self._addresses.get(event.delivery_id) or stored.get(event.delivery_id, "")
            if address and (fact := facts.of_address(event, address)):
                found.append(fact)
        return found

    def _wait_for(self, missing: set[str]) -> None:
        """Raises Retry until these emails have been missing for so long that their address will not become known."""
        now = time.monotonic()
        since = [self._without_address.setdefault(delivery, now) for delivery in missing]
        if since and now - max(since) < _ADDRESS_PATIENCE:
            raise Retry(f"ClickHouse does not have {len(missing)} emails yet that something is known of")
        for delivery in missing:
            del self._without_address[delivery]
            GUARD_UNKNOWN_ADDRESSES.inc()
            log.warning("nobody knows the address of an email, its lead alone is marked", delivery=delivery)

    async def _look_again(self) -> None:
        """Check campaigns again once ClickHouse shows the events of other guards, and those that had bounces shortly
        before this guard started."""
        known_before = False
        while True:
            await asyncio.sleep(_LOOK_AGAIN_EVERY)
            try:
                if not known_before:
                    await self._views_show(self._since)
                    rows = await self._queries.ask("campaigns_bouncing", since=self._clock() - _LOOK_BACK)
                    self._look_again_at = {str(name): 0.0 for (name,) in rows} | self._look_again_at
                    known_before = True
                now = time.monotonic()
                # Removed before they are checked: a bounce that arrives meanwhile schedules another check.
                due = {name: at for name, at in self._look_again_at.items() if at <= now}
                for campaign in due:
                    del self._look_again_at[campaign]
                try:
                    ahead = await self._all_ahead() if due and self._shares else _NOTHING
                    for campaign in list(due):
                        at = due.pop(campaign)
                        try:
                            await self._check(campaign, ahead)
                        except Retry:
                            due[campaign] = at
                            raise
                finally:
                    self._look_again_at = due | self._look_again_at
            except Retry as error:
                log.debug("can't look at bounces again yet", why=str(error)[:200])
            except Exception:  # whatever it is, later bounces must be looked at
                log.exception("looking at bounces again failed")
