"""How Channels and Tickets are reconciled, and which changes concern them."""

import time
from collections.abc import Callable, Iterable
from typing import Any, Final

from controller.kernel.key import Key
from controller.kernel.queue import WorkQueue
from controller.kernel.reconciler import Reconciler
from controller.kernel.store import Change, Store
from controller.placement.indexes import (
    BY_NAMESPACE,
    BY_TITLE,
    CLAIMED_BY,
    DEPENDS_ON,
    OF_PARENT,
)
from controller.reconcilers.channel import plan as channel_plan
from controller.reconcilers.channel import status as channel_status
from controller.reconcilers.channel.observe import ChannelObserver
from controller.reconcilers.ticket import plan as ticket_plan
from controller.reconcilers.ticket import status as ticket_status
from controller.reconcilers.ticket.observe import Origins, Runs, TicketObserver, Writes
from controller.services.deadlines import promptable
from controller.store.messages import MessageStore
from schemas.agentpod import AgentPod
from schemas.base import Status
from schemas.channel import Channel
from schemas.conditions import find
from schemas.names import CHANNEL, TICKET
from schemas.repository import Repository
from schemas.ticket import Ticket

NUMBERS_SECONDS: Final = 60.0
"""The numbers in a channel's status may lag behind this much, and are written no more often."""
_SOON_SECONDS: Final = 1.0
"""What is said together is counted together."""


class Cooperation:
    """Listens to the store and fills the queue with keys of Channels and Tickets."""

    def __init__(
        self, store: Store, queue: WorkQueue, *, ticks: Callable[[], float] = time.monotonic
    ) -> None:
        self._store = store
        self._queue = queue
        self._ticks = ticks
        self._counted: dict[Key, float] = {}
        """When the numbers of which channel were or will be brought up to date."""
        self._channels = store.of(Channel)
        self._tickets = store.of(Ticket)
        store.listen(Channel, self._channel)
        store.listen(Ticket, self._ticket)
        store.listen(AgentPod, self._pod)
        store.listen(Repository, self._repository)

    def reconcilers(
        self,
        messages: MessageStore,
        origins: Origins | None = None,
        runs: Runs | None = None,
        writes: Writes | None = None,
    ) -> list[Reconciler]:
        """Return how the two kinds are reconciled.

        Without *origins* no ticket lies in git, without *runs* none starts pods, and without
        *writes* nothing is known of changes of files.
        """
        return [
            Reconciler(
                CHANNEL.kind,
                ChannelObserver(self._store, messages).observe,
                channel_plan.plan,
                channel_status.report,
            ),
            Reconciler(
                TICKET.kind,
                TicketObserver(
                    self._store, origins, runs, writes, self._queue, ticks=self._ticks
                ).observe,
                ticket_plan.plan,
                ticket_status.report,
            ),
        ]

    def touched(self, channel: Channel) -> None:
        """Have the numbers in the channel's status brought up to date, once a minute at most."""
        self._count(channel.metadata.namespace, channel.metadata.name)

    def _channel(self, change: Change[Channel]) -> None:
        if change.new is None:
            self._counted.pop(_key(change.subject), None)
        elif not _numbers_only(change):
            self._queue.add(_key(change.new))
        titles = {one.title.casefold() for one in (change.old, change.new) if one is not None}
        if change.old is None or change.new is None or len(titles) > 1 or _leaves(change):
            for title in titles:
                where = (change.subject.metadata.namespace, title)
                self._add(self._channels.indexed(BY_TITLE, where))

    def _ticket(self, change: Change[Ticket]) -> None:
        """Have the ticket looked at, and whoever's status follows from it.

        A cycle is passed on from ticket to ticket: each that finds itself in one changes its
        conditions, and that concerns its neighbours.
        """
        if change.new is not None:
            self._queue.add(_key(change.new))
        if _same(change):
            return
        namespace, name = change.subject.metadata.namespace, change.subject.metadata.name
        for one in (change.old, change.new):
            if one is not None:
                named = (one.spec.parent, *one.spec.depends_on)
                there = (self._tickets.get(namespace, each) for each in named if each)
                self._add(ticket for ticket in there if ticket is not None)
        self._add(self._tickets.indexed(OF_PARENT, (namespace, name)))
        self._add(self._tickets.indexed(DEPENDS_ON, (namespace, name)))
        if change.old is None or change.new is None:
            self._add(
                channel
                for channel in self._channels.indexed(BY_NAMESPACE, namespace)
                if channel.spec.ticket_ref is not None and channel.spec.ticket_ref.name == name
            )

    def _pod(self, change: Change[AgentPod]) -> None:
        old, new = change.old, change.new
        namespace = change.subject.metadata.namespace
        if old is None or new is None or _shown(old) != _shown(new):
            for name in _tickets_of(change):
                self._queue.add(Key(TICKET.kind, namespace, name))
            for ticket in self._tickets.indexed(CLAIMED_BY, change.subject.metadata.uid):
                self._queue.add(_key(ticket))
        before, after = _channels_of(old), _channels_of(new)
        for name in before ^ after:
            self._count(namespace, name)

    def _repository(self, change: Change[Repository]) -> None:
        if change.old is not None and change.new is not None:
            return
        namespace, name = change.subject.metadata.namespace, change.subject.metadata.name
        for collection in (self._channels, self._tickets):
            self._add(
                item
                for item in collection.indexed(BY_NAMESPACE, namespace)
                if item.spec.repository_ref is not None and item.spec.repository_ref.name == name
            )

    def _count(self, namespace: str, name: str) -> None:
        now, key = self._ticks(), Key(CHANNEL.kind, namespace, name)
        before = self._counted.get(key, now - NUMBERS_SECONDS)
        at = before if before > now else max(now + _SOON_SECONDS, before + NUMBERS_SECONDS)
        self._counted[key] = at
        self._queue.add_after(key, at - now)

    def _add(self, items: Iterable[Any]) -> None:
        for item in items:
            self._queue.add(_key(item))


def _key(item: Any) -> Key:
    metadata = item.metadata
    return Key(item.definition.resource.kind, metadata.namespace, metadata.name)


def _numbers_only(change: Change[Channel]) -> bool:
    """Whether nothing but the numbers in its status changed: they would be written without end."""
    old, new = change.old, change.new
    if old is None or new is None:
        return False
    before, after = (
        one.model_copy(
            update={
                "metadata": one.metadata.model_copy(update={"resource_version": ""}),
                "status": Status(conditions=one.status.conditions),
            }
        )
        for one in (old, new)
    )
    return before == after


def _leaves(change: Change[Any]) -> bool:
    """Whether its deletion has begun."""
    old, new = change.old, change.new
    return bool(old and new and old.metadata.deleting != new.metadata.deleting)


def _same(change: Change[Ticket]) -> bool:
    """Whether nothing changed that other tickets' status follows from."""
    old, new = change.old, change.new
    if old is None or new is None or _leaves(change):
        return False
    return old.spec == new.spec and _stalled(old) == _stalled(new)


def _stalled(ticket: Ticket) -> list[tuple[str, str]]:
    return [(item.reason, item.message) for item in ticket.status.conditions]


def _tickets_of(change: Change[AgentPod]) -> set[str]:
    pods = (change.old, change.new)
    return {pod.spec.ticket_ref.name for pod in pods if pod and pod.spec.ticket_ref}


def _shown(pod: AgentPod) -> tuple[object, ...]:
    """Return what tickets tell of the pod: where its work is, or why it does not begin."""
    if pod.status.placement is not None:
        return (pod.status.worktree,)
    said = find(pod.status.conditions, "Scheduled")
    why = (said.status, said.reason, said.message) if said is not None else ()
    return pod.status.worktree, pod.status.phase, pod.metadata.deleting, why


def _channels_of(pod: AgentPod | None) -> set[str]:
    if pod is None or not promptable(pod):
        return set()
    return {reference.name for reference in pod.spec.channel_refs}
