"""Prompts to pods: stored first, sent to the pod's runner until it has told their end.

Each new stream of a runner gets all that is open for the runner's pods; the runner types each id
once. An end is recorded before the runner is told that it may forget. A mention that fails is told
in its channel and as an Event on the sender's pod. Senders are bounded, and take turns at a pod.

What is open is known here without texts; it is read as a whole at the start, in doubt, and now and
then. A text is read when it is sent.
"""

import asyncio
import logging
from collections.abc import Callable, Iterable, Sequence
from contextlib import AbstractContextManager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Final

from meshwire.v1 import link_pb2

from controller.kernel.clock import wall
from controller.kernel.redact import redact
from controller.kernel.store import Change, Store
from controller.rpc.ports import Changes, Recorder, RunnerKey
from controller.rpc.signals import Signals
from controller.services.deadlines import End, Failure, end, over, promptable
from controller.services.failures import Failures
from controller.services.outbox import Outbox
from controller.services.prompts import MAX_PROMPT_BYTES, cut, numbered, typeable
from controller.services.takers import Takers
from controller.store.errors import NotFoundError, StoreError
from controller.store.messages import MessageStore
from controller.store.records import (
    Appended,
    ChannelRef,
    Delivery,
    DeliveryKind,
    DeliveryState,
    Mention,
    Message,
    NewDelivery,
    NewMessage,
)
from schemas.agentclass import AgentClass
from schemas.agentpod import AgentPod
from schemas.agentpod_status import Placement
from schemas.channel import Channel

logger = logging.getLogger(__name__)

GIVE_UP_SECONDS: Final = 600.0
"""A prompt that no agent has begun to take by then has failed."""
_KEPT: Final = timedelta(days=7)
"""Settled deliveries are kept so long."""
_PURGE_SECONDS: Final = 3600.0
_RETRY_SECONDS: Final = 1.0

_REPORTED: Final = {
    link_pb2.DELIVERY_ACCEPTED: DeliveryState.ACCEPTED,
    link_pb2.DELIVERY_SUBMITTED: DeliveryState.SUBMITTED,
    link_pb2.DELIVERY_FAILED: DeliveryState.FAILED,
}


class Deliveries:
    """The open prompts of all pods. For use on one event loop; ``run`` must be running."""

    def __init__(
        self,
        store: Store,
        messages: MessageStore,
        recorder: Recorder,
        *,
        clock: Callable[[], float] = wall,
        give_up_seconds: float = GIVE_UP_SECONDS,
    ) -> None:
        self._pods = store.of(AgentPod)
        self._messages = messages
        self._failures = Failures(store, messages, recorder)
        self._clock = clock
        self._give_up = timedelta(seconds=give_up_seconds)
        self._takers = Takers(store)
        self._downs: dict[str, tuple[int, link_pb2.AskDown]] = {}  # with the epoch
        self._by_runner: dict[str, tuple[link_pb2.AskDown, ...]] = {}
        self._gone: set[str] = set()
        self._held: dict[str, datetime] = {}  # pods with open prompts: when last seen suspended
        self._signals: Signals[str] = Signals()
        self._settling = asyncio.Lock()  # a failure is told, then recorded: nothing comes between
        self._wake = asyncio.Event()
        self._outbox = Outbox(messages, self._wake.set)
        self._open = self._outbox.open
        store.listen(AgentPod, self._pod_changed)
        store.listen(AgentClass, lambda _: self._wake.set())
        store.listen(Channel, self._channel_changed)

    async def run(self) -> None:
        """Send what is stored, fail what nobody takes, forget pods that are gone."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._purge())
            await self._work()

    async def post(
        self, channel: ChannelRef, message: NewMessage, prompts: Sequence[NewDelivery]
    ) -> Appended:
        """Store a message of the channel with its prompts, as ``MessageStore.append`` does.

        Raises:
            ToolError: Too many prompts of the sender wait for a pod already; nothing was stored.
            StoreError: See there.
        """
        return await self._outbox.post(channel, message, prompts)

    async def tell(
        self,
        namespace: str,
        pod_uid: str,
        text: str,
        *,
        key: str,
        kind: DeliveryKind = DeliveryKind.BINDING,
    ) -> None:
        """Have the text typed and submitted at the pod, once; return when that is durable.

        A *key* that was used within seven days changes nothing. A pod that has ended is told
        nothing; at one that takes no prompts an Event tells it.

        Raises:
            UnavailableError: It could not be stored: call again.
        """
        pod = self._pods.by_uid(pod_uid)
        if pod is None or pod.metadata.namespace != namespace or not promptable(pod):
            return
        if why := self._takers.refusal(pod):
            self._failures.untyped(pod, f"{why}; this was not typed: {text}")
            return
        prompt = self.prompt(pod, cut(typeable(text), MAX_PROMPT_BYTES), kind, key)
        await self._outbox.add(namespace, prompt)

    async def submit(self, namespace: str, prompt: NewDelivery) -> Delivery:
        """Store a person's prompt, and return it, or the one of its id, as it stands.

        Raises:
            ToolError: Too many prompts of the person wait for the pod already; it was not stored.
            StoreError: It could not be stored, or nobody knows.
        """
        return await self._outbox.submit(namespace, prompt)

    def refusal(self, pod: AgentPod) -> str:
        """Return why the pod's terminal takes no prompts; empty: it takes them."""
        return self._takers.refusal(pod)

    def takes(self, pod: AgentPod) -> bool:
        """Whether the pod can be given a prompt."""
        return self._takers.takes(pod)

    def unprompted(
        self, sender: AgentPod, channel: Channel, message: Message, missed: Iterable[Mention]
    ) -> None:
        """Tell the pod that sent the message, as an Event, who of the *missed* takes no prompts."""
        what = f"message {message.sequence} of channel {channel.metadata.name} was not typed"
        for mention in missed:
            pod = self._pods.by_uid(mention.pod_uid)
            if pod is not None and (why := self._takers.refusal(pod)):
                self._failures.untyped(sender, f"{why}; {what}")

    def prompt(
        self,
        pod: AgentPod,
        text: str,
        kind: DeliveryKind = DeliveryKind.MENTION,
        delivery_id: str = "",
    ) -> NewDelivery:
        """Return a prompt to the pod that begins to count now."""
        return NewDelivery(
            pod_uid=pod.metadata.uid,
            pod_name=pod.metadata.name,
            text=text,
            give_up_at=self._now() + self._give_up,
            kind=kind,
            delivery_id=delivery_id,
        )

    def open(self, runner: RunnerKey) -> Sequence[link_pb2.AskDown]:
        """Return what the runner is to deliver to its pods, oldest first: whole states."""
        downs = self._by_runner.get(runner.uid, ())
        return tuple(down for down in downs if not self._open.has_ended(down.deliver.id))

    def changes(self, runner: RunnerKey) -> AbstractContextManager[Changes]:
        """Listen for changes of ``open(runner)``."""
        return self._signals.subscribe(runner.uid)

    async def reported(self, runner: RunnerKey, report: link_pb2.DeliveryReport) -> bool:
        """Record what the runner says; return whether it may forget the delivery now.

        Raises:
            UnavailableError: It could not be stored: the runner will say it again.
        """
        state = _REPORTED.get(report.state)
        if state is None:
            return False
        async with self._settling:
            delivery = await self._messages.delivery(report.id)
            if delivery is None or delivery.settled:
                return True
            if not self._is_theirs(runner, delivery, report.ref):
                logger.warning(
                    "a delivery was reported by a runner that has not its pod",
                    extra={"runner": f"{runner.namespace}/{runner.name}"},
                )
                return state is not DeliveryState.ACCEPTED
            if state is DeliveryState.FAILED:
                why = Failure(_reason(report.reason), redact(report.message, 500))
                await self._failed(delivery, why)
                return True
            await self._mark(delivery, state)
            return state is DeliveryState.SUBMITTED

    async def look(self) -> float | None:
        """Fail what is due, tell the runners what is open; return when to look again."""
        for uid in tuple(self._gone):
            await self._forget(uid)
        await self._outbox.known()
        self._note_held()
        for one in self._open:
            if self._end(one.delivery).at <= self._now():
                await self._fail_due(one.delivery.delivery_id)
        await self._write_downs()
        ends = [self._end(one.delivery).at for one in self._open]
        return max((min(ends) - self._now()).total_seconds(), 0.0) if ends else None

    async def _fail_due(self, delivery_id: str) -> None:
        """Fail the delivery, unless something was heard of it meanwhile."""
        async with self._settling:
            one = self._open.find(delivery_id)
            if one is not None and (end := self._end(one)).at <= self._now():
                await self._failed(one, end.failure)

    async def _work(self) -> None:
        while True:
            self._wake.clear()
            try:
                pause = await self.look()
            except StoreError as exc:
                logger.warning("prompts cannot be looked at", extra={"reason": str(exc)})
                pause = _RETRY_SECONDS
            reread = self._outbox.pause() or _RETRY_SECONDS
            try:
                async with asyncio.timeout(reread if pause is None else min(pause, reread)):
                    await self._wake.wait()
            except TimeoutError:
                continue

    async def _purge(self) -> None:
        while True:
            try:
                await self._messages.purge_deliveries(self._now() - _KEPT)
            except StoreError as exc:
                logger.warning("old prompts are not purged", extra={"reason": str(exc)})
            await asyncio.sleep(_PURGE_SECONDS)

    def _pod_changed(self, change: Change[AgentPod]) -> None:
        uid = change.subject.metadata.uid
        if change.new is None:
            self._gone.add(uid)
            self._wake.set()
        elif uid in self._open.pods():
            self._wake.set()

    def _channel_changed(self, change: Change[Channel]) -> None:
        """Look what has gone with a channel."""
        if change.new is None:
            self._outbox.reread()

    async def _forget(self, uid: str) -> None:
        """Fail what is open for a pod that is gone, and end its memberships."""
        for delivery in await self._messages.open_deliveries(pod_uid=uid):
            async with self._settling:
                await self._failed(delivery, over(delivery))
        await self._messages.forget_pod(uid)
        self._gone.discard(uid)

    def _end(self, delivery: Delivery) -> End:
        pod = self._pods.by_uid(delivery.pod_uid)
        refusal = self._takers.refusal(pod) if pod else ""
        return end(self._patient(delivery), pod, self._now(), refusal)

    def _note_held(self) -> None:
        """Note which pods are suspended: what waits for them waits on, and its time begins anew."""
        for uid in self._held.keys() - set(self._open.pods()):
            del self._held[uid]
        for uid in self._open.pods():
            pod = self._pods.by_uid(uid)
            if pod is not None and pod.spec.suspend:
                self._held[uid] = self._now()

    def _patient(self, delivery: Delivery) -> Delivery:
        """Return the delivery with the time at which it is given up, its pod's pause left out."""
        held = self._held.get(delivery.pod_uid)
        if held is None:
            return delivery
        return replace(delivery, give_up_at=max(delivery.give_up_at, held + self._give_up))

    async def _write_downs(self) -> None:
        """Write what each runner is to be told, and wake those for whom that has changed."""
        downs: dict[str, tuple[int, link_pb2.AskDown]] = {}
        by_runner: dict[str, list[link_pb2.AskDown]] = {}
        sent = {delivery_id: place for place, delivery_id in enumerate(self._downs)}
        due = [one for uid in self._open.pods() for one in self._open.due(uid, sent)]
        for delivery in due:
            pod = self._pods.by_uid(delivery.pod_uid)
            placement = _placed(pod, delivery)
            if placement is None or (pod is not None and pod.spec.suspend):
                continue  # once it goes on, its runner is told with the time that is left then
            known = self._downs.get(delivery.delivery_id)
            if known is None or known[0] != placement.epoch:
                down = await self._down(delivery, placement.epoch)
                if down is None:
                    continue
                known = (placement.epoch, down)
            downs[delivery.delivery_id] = known
            by_runner.setdefault(placement.runner_uid, []).append(known[1])
        before = self._by_runner
        self._downs = downs
        self._by_runner = {uid: tuple(found) for uid, found in by_runner.items()}
        for uid in before.keys() | self._by_runner.keys():
            if before.get(uid) != self._by_runner.get(uid):
                self._signals.notify(uid)

    async def _down(self, delivery: Delivery, epoch: int) -> link_pb2.AskDown | None:
        """Return what the runner is told; None: it was settled meanwhile."""
        stored = await self._messages.delivery(delivery.delivery_id)
        if stored is None or stored.settled:
            self._open.settle(delivery.delivery_id)
            return None
        text = stored.text
        if delivery.kind is DeliveryKind.MENTION and delivery.message_id:
            message = await self._messages.by_id(delivery.channel_uid, delivery.message_id)
            text = numbered(text, message) if message is not None else text
        return link_pb2.AskDown(
            ref=link_pb2.PodRef(pod_uid=delivery.pod_uid, epoch=epoch),
            deliver=link_pb2.Deliver(
                id=delivery.delivery_id,
                text=text,
                give_up_unix_ms=int(self._patient(delivery).give_up_at.timestamp() * 1000),
            ),
        )

    def _is_theirs(self, runner: RunnerKey, delivery: Delivery, ref: link_pb2.PodRef) -> bool:
        placement = _placed(self._pods.by_uid(delivery.pod_uid), delivery)
        return (
            placement is not None
            and ref.pod_uid == delivery.pod_uid
            and delivery.namespace == runner.namespace
            and (placement.runner_uid, placement.epoch) == (runner.uid, ref.epoch)
        )

    async def _failed(self, delivery: Delivery, why: Failure) -> None:
        """Tell the sender, then record it: a crash in between tells it neither never nor twice."""
        told = await self._failures.note(delivery, why.message)
        if await self._mark(delivery, DeliveryState.FAILED, why):
            self._failures.event(told)
            logger.info(
                "prompt failed",
                extra={"key": f"{delivery.namespace}/{delivery.pod_name}", "reason": why.reason},
            )

    async def _mark(
        self, delivery: Delivery, state: DeliveryState, why: Failure | None = None
    ) -> bool:
        """Record the state; return whether that was news."""
        reason, message = why or ("", "")
        try:
            marked = await self._messages.mark(delivery.delivery_id, state, reason, message)
        except NotFoundError:
            self._open.settle(delivery.delivery_id)
            return False  # it went with its message
        self._open.moved(marked.delivery)
        if marked.delivery.settled:
            self._wake.set()  # the next one's turn
        return marked.moved

    def _now(self) -> datetime:
        return datetime.fromtimestamp(self._clock(), UTC)


def _placed(pod: AgentPod | None, delivery: Delivery) -> Placement | None:
    if pod is None or pod.metadata.namespace != delivery.namespace:
        return None
    return pod.status.placement


def _reason(word: str) -> str:
    """Return a runner's word for a failure, if it is one."""
    return word if word.isascii() and word.isalnum() and len(word) <= 64 else "Failed"
