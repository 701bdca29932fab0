"""Prompts for agents, each submitted once: first ones, mentions, whatever is to be said to a pod.

The controller sends what it wants delivered until it has heard how it ended; here it is written
down before that is said, carried out in the order of its coming, one at a time per pod, and
reported until the controller says that it knows. A crash at any point loses and doubles nothing.
"""

import asyncio
import contextlib
import dataclasses
import logging
from collections.abc import Callable
from typing import Final

from meshwire.v1 import link_pb2

from runner.clock import wall_ms
from runner.converge.delivery_bout import Bout, Ground, Over, Terminals, ended
from runner.converge.delivery_sight import Screen
from runner.converge.delivery_states import FIRST, Delivery, Outcome, Stage, first_id
from runner.converge.diff import may_restart
from runner.converge.journal import Journal, JournalError
from runner.converge.places import Places
from runner.converge.prompt import is_typed, plain
from runner.converge.states import ENDED, Row, State

logger = logging.getLogger(__name__)

_TEXT_BYTES: Final = 128 * 1024
_ID_BYTES: Final = 200
_PATIENCE_MS: Final = 24 * 3600 * 1000
"""A delivery that says nothing of giving up waits so long for its agent."""

_RETRY_SECONDS: Final = 2.0
_RESUMED_MS: Final = 600 * 1000
"""A pod that was suspended has so long for the prompts that waited meanwhile."""

_HOLD_SECONDS: Final = 60.0
_MEMORY_MS: Final = 7 * 24 * 3600 * 1000
"""An end that the controller never settles is remembered so long."""

_STATES: Final = {
    Outcome.ACCEPTED: link_pb2.DELIVERY_ACCEPTED,
    Outcome.SUBMITTED: link_pb2.DELIVERY_SUBMITTED,
    Outcome.FAILED: link_pb2.DELIVERY_FAILED,
}


class Feed:
    """Reports that one listener has not taken yet; at first, all there are."""

    def __init__(self, wake: Callable[[], None], leave: "Callable[[Feed], None]") -> None:
        self._wake = wake
        self._leave = leave
        self._changed: dict[str, link_pb2.DeliveryReport] = {}

    def changed(self, delivery: Delivery) -> None:
        """Note how a delivery stands, in place of an earlier word."""
        self._changed[delivery.id] = _report(delivery)
        self._wake()

    def take(self) -> list[link_pb2.DeliveryReport]:
        """Return what changed since the last call."""
        changed, self._changed = self._changed, {}
        return list(changed.values())

    def close(self) -> None:
        """End the subscription."""
        self._leave(self)


class Deliveries:
    """All deliveries of this runner. Fulfils ``runner.link.tools.Deliveries``."""

    def __init__(
        self,
        places: Places,
        journal: Journal,
        terminals: Terminals,
        screen: Callable[[int, int], Screen],
    ) -> None:
        self._places = places
        self._journal = journal
        self._ground = Ground(journal, terminals, screen, self._put, self._say, self._say_given)
        self._feeds: set[Feed] = set()
        self._working: set[str] = set()
        self._bouts: dict[str, Bout] = {}
        self._news: dict[str, asyncio.Event] = {}
        self._forgetting: set[str] = set()
        self.wake: Callable[[], None] = lambda: None
        """Called when there is work: ``running`` is to be called then."""
        self.note: Callable[[str, str, str], None] = lambda _uid, _text, _reason: None
        """Says something about a pod until its state changes."""
        self.given: Callable[[str], None] = lambda _uid: None
        """Says, once it is written down, that a pod's first prompt is given."""

    # --- the link's side -------------------------------------------------------------------------

    async def want(self, ref: link_pb2.PodRef, deliver: link_pb2.Deliver) -> None:
        """Take a delivery, durably, once; when it is known already, only report it again.

        Raises:
            JournalError: It could not be written down, and is not taken.
        """
        known = self._journal.deliveries.get(deliver.id)
        if known is not None:
            self._tell(known)
            return
        if not 0 < len(deliver.id.encode()) <= _ID_BYTES or deliver.id.startswith(FIRST):
            logger.error("the controller wants a delivery with an impossible id")
            return
        now = wall_ms()
        give_up = deliver.give_up_unix_ms or now + _PATIENCE_MS
        delivery = Delivery(
            deliver.id, ref.pod_uid, ref.epoch, deliver.text, give_up_ms=give_up, created_ms=now
        )
        if (refusal := _refusal(deliver.text)) is not None:
            delivery = ended(delivery, Outcome.FAILED, "NotSubmitted", refusal)
        await self._put(delivery)
        self.wake()

    async def settled(self, delivery_id: str) -> None:
        """Forget a delivery, whose end the controller knows; one that waits still is given up.

        Raises:
            JournalError: It could not be written down.
        """
        known = self._journal.deliveries.get(delivery_id)
        if known is None or known.is_first:
            return
        if known.is_open and known.stage is not Stage.WAITING:
            return  # it is being typed: how that ends is told, and settled then
        await self._journal.forget_delivery(delivery_id)
        self._wake_pod(known.uid)

    def subscribe(self, wake: Callable[[], None]) -> Feed:
        """Return a feed of reports; *wake* is called when there is something to take."""
        feed = Feed(wake, self._feeds.discard)
        self._feeds.add(feed)
        for delivery in self._journal.deliveries.values():
            if not delivery.is_first:
                feed.changed(delivery)
        return feed

    # --- the loop's side -------------------------------------------------------------------------

    def running(self, tasks: asyncio.TaskGroup) -> None:
        """Begin to work for every pod that has something to be delivered; called in each cycle."""
        uids = {each.uid for each in self._journal.deliveries.values() if each.is_open}
        uids |= {row.uid for row in self._journal.rows.values() if self._lacks_first(row)}
        for uid in uids:
            if uid in self._working:
                self._wake_pod(uid)
            else:
                self._working.add(uid)
                tasks.create_task(self._work(uid), name=f"deliver to {uid}")
        if late := [each for each in self._journal.deliveries.values() if self._is_late(each)]:
            tasks.create_task(self._expire(late), name="give up deliveries")
        if stale := [each.id for each in self._journal.deliveries.values() if self._is_stale(each)]:
            self._forgetting.update(stale)
            tasks.create_task(self._forget(stale), name="forget deliveries")

    def tools_listed(self, uid: str) -> None:
        """Look again: the pod's agent has listed its tools."""
        self._wake_pod(uid)

    def _wake_pod(self, uid: str) -> None:
        if (event := self._news.get(uid)) is not None:
            event.set()
        if (bout := self._bouts.get(uid)) is not None:
            bout.wake()

    # --- one pod ---------------------------------------------------------------------------------

    async def _work(self, uid: str) -> None:
        """Deliver all that there is for the pod."""
        self._news[uid] = asyncio.Event()
        try:
            while True:
                self._news[uid].clear()
                try:
                    delivery = await self._next(uid)
                    if delivery is None:
                        return
                    await self._attend(delivery)
                except Exception:
                    logger.exception("delivering a prompt failed", extra={"pod": uid})
                    await asyncio.sleep(_RETRY_SECONDS)
        finally:
            self._working.discard(uid)
            del self._news[uid]

    async def _next(self, uid: str) -> Delivery | None:
        """Return what is to be delivered next to the pod: the first prompt before all others."""
        row = self._journal.rows.get(uid)
        if row is not None and self._lacks_first(row):
            delivery_id = first_id(uid, row.epoch, row.restart)
            text, now = row.pod().spec.prompt, wall_ms()
            first = Delivery(delivery_id, uid, row.epoch, text, restart=row.restart, created_ms=now)
            await self._put(first)
        found = [d for d in self._journal.deliveries.values() if d.uid == uid and d.is_open]
        return next((d for d in found if d.is_first), found[0] if found else None)

    async def _attend(self, delivery: Delivery) -> None:
        """Do what can be done about a delivery now, or wait."""
        row = self._journal.rows.get(delivery.uid)
        if row is not None and row.state is State.RUNNING and row.epoch == delivery.epoch:
            if delivery.restart not in {-1, row.restart}:
                await self._lost(delivery, row)
            elif row.is_held:
                await self._hold(delivery)
            elif await self._carry(row, delivery):
                await self._wait(delivery, _RETRY_SECONDS)
        elif self._is_gone(delivery, row):
            await self._gone(delivery)
        else:
            await self._wait(delivery)

    async def _carry(self, row: Row, delivery: Delivery) -> bool:
        """Deliver into the row's run; return whether that is over, before its row says so."""
        uid = row.uid
        dirs = (self._places.transcript(uid), self._places.run(uid, row.epoch, row.restart))
        bout = self._bouts[uid] = Bout(self._ground, row, delivery, dirs)
        try:
            await bout.carry()
        except Over:
            now = self._journal.rows.get(uid)
            stays = now is not None and (now.restart, now.state) == (row.restart, row.state)
            return stays and delivery.id in self._journal.deliveries
        finally:
            del self._bouts[uid]
        return False

    async def _wait(self, delivery: Delivery, seconds: float | None = None) -> None:
        """Wait for news of the pod, not for longer than so; give up what was not begun in time."""
        if delivery.give_up_ms:
            left = (delivery.give_up_ms - wall_ms()) / 1000
            if left <= 0 and delivery.stage is Stage.WAITING:
                text = "The agent did not run in time."
                await self._put(ended(delivery, Outcome.FAILED, "NotReady", text))
                return
            seconds = max(left, 1.0) if seconds is None else seconds
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._news[delivery.uid].wait()

    async def _hold(self, delivery: Delivery) -> None:
        """Wait for news of a pod that is suspended; the time of what waits for it begins anew."""
        for each in [
            each for each in self._journal.deliveries.values() if each.uid == delivery.uid
        ]:
            is_counted = each.is_open and each.stage is Stage.WAITING and each.give_up_ms
            if is_counted and each.give_up_ms - wall_ms() < _RESUMED_MS - _HOLD_SECONDS * 1000:
                await self._put(dataclasses.replace(each, give_up_ms=wall_ms() + _RESUMED_MS))
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_HOLD_SECONDS):
                await self._news[delivery.uid].wait()

    def _is_late(self, delivery: Delivery) -> bool:
        """Whether its time passed while it stood behind others; one in its bout is told there."""
        if not delivery.is_open or delivery.stage is not Stage.WAITING or not delivery.give_up_ms:
            return False
        bout = self._bouts.get(delivery.uid)
        is_behind = bout is not None and bout.delivery_id != delivery.id
        return is_behind and delivery.give_up_ms <= wall_ms()

    async def _expire(self, late: list[Delivery]) -> None:
        for delivery in late:
            bout = self._bouts.get(delivery.uid)
            text = "An earlier prompt stood before it until its time was over."
            if bout is not None and bout.obstacle:
                text = f"{text} {bout.obstacle}"
            if self._journal.deliveries.get(delivery.id) is delivery and self._is_late(delivery):
                await self._put(ended(delivery, Outcome.FAILED, "NotReady", text))

    async def _lost(self, delivery: Delivery, row: Row) -> None:
        """Go on after the run, into which something was typed, ended and another one began."""
        if delivery.stage is Stage.PRESSED or delivery.is_first:
            await self._gone(delivery)
            return
        logger.info("a prompt is typed anew", extra={"pod": row.uid, "delivery": delivery.id})
        await self._put(dataclasses.replace(delivery, stage=Stage.WAITING, restart=-1))

    async def _gone(self, delivery: Delivery) -> None:
        text = "The agent ended before the prompt was submitted"
        if delivery.stage is Stage.PRESSED:
            text = "The agent ended while the prompt was submitted: it may have been taken"
        await self._put(ended(delivery, Outcome.FAILED, "AgentEnded", f"{text}."))

    @staticmethod
    def _is_gone(delivery: Delivery, row: Row | None) -> bool:
        """Whether the agent, for which it is meant, is there no more."""
        if row is None or row.epoch < delivery.epoch:
            return delivery.is_first
        if row.epoch > delivery.epoch or (delivery.is_first and row.restart != delivery.restart):
            return True
        if row.state in ENDED:
            return delivery.is_first or not may_restart(row.pod(), row)
        return row.state in {State.STOPPING, State.REMOVED}

    def _lacks_first(self, row: Row) -> bool:
        """Whether the run has a first prompt to be typed of which nothing is known yet."""
        if row.state is not State.RUNNING or row.prompt_sent:
            return False
        if row.prompt_given and not row.pod().spec.resume.prompt:
            return False  # to an earlier run
        known = first_id(row.uid, row.epoch, row.restart) in self._journal.deliveries
        return not known and is_typed(row.pod())

    # --- writing down ----------------------------------------------------------------------------

    async def _put(self, delivery: Delivery) -> None:
        await self._journal.put_delivery(delivery)
        self._tell(delivery)

    def _tell(self, delivery: Delivery) -> None:
        if delivery.is_first:
            return
        for feed in self._feeds:
            feed.changed(delivery)

    def _say(self, uid: str, text: str, reason: str) -> None:
        self.note(uid, text, reason)

    def _say_given(self, uid: str) -> None:
        self.given(uid)

    def _is_stale(self, delivery: Delivery) -> bool:
        """Whether an ended delivery is nobody's business any more."""
        if delivery.is_open or delivery.id in self._forgetting:
            return False
        if not delivery.is_first:
            return not 0 <= wall_ms() - delivery.created_ms < _MEMORY_MS
        row = self._journal.rows.get(delivery.uid)
        return row is None or (row.epoch, row.restart) != (delivery.epoch, delivery.restart)

    async def _forget(self, ids: list[str]) -> None:
        try:
            for delivery_id in ids:
                await self._journal.forget_delivery(delivery_id)
        except JournalError as exc:
            logger.warning("deliveries are not forgotten yet: %s", exc)
        finally:
            self._forgetting.difference_update(ids)


def _refusal(text: str) -> str | None:
    """Return why a text cannot be typed."""
    if not plain(text).strip():
        return "The prompt holds nothing that can be typed."
    if len(text.encode()) > _TEXT_BYTES:
        return f"The prompt is longer than {_TEXT_BYTES} bytes."
    return None


def _report(delivery: Delivery) -> link_pb2.DeliveryReport:
    return link_pb2.DeliveryReport(
        ref=link_pb2.PodRef(pod_uid=delivery.uid, epoch=delivery.epoch),
        id=delivery.id,
        state=_STATES[delivery.state],
        reason=delivery.reason,
        message=delivery.message,
    )
