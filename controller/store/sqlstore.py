"""The message store on an SQL database: ``messages.MessageStore``, for both of them."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import replace
from datetime import datetime
from functools import partial
from typing import Final, TypeVar

from controller.rpc.signals import Signals, Subscription
from controller.store import (
    channel_rows,
    delivery_rows,
    document_rows,
    member_rows,
    message_rows,
    notification_rows,
)
from controller.store.access import Access
from controller.store.database import Clock, Database
from controller.store.notification_rows import Attempt, Awaiting, Notification
from controller.store.records import (
    Appended,
    Author,
    ChannelRef,
    Counts,
    Delivery,
    DeliveryState,
    Document,
    DocumentPut,
    Marked,
    Member,
    Message,
    NewDelivery,
    NewMessage,
    Query,
)
from controller.store.tables import DELIVERIES
from controller.store.turn import Turn
from controller.store.values import check_texts, cleaned, micros, moment, new_id

T = TypeVar("T")

_DELIVERIES: Final = "deliveries"
"""The lane of reports: they share their commits."""
_NOTIFICATIONS: Final = "notifications"
"""The lane of what webhooks are told."""
_DELIVERY_CHANGES: Final = ""
"""The signal of all deliveries; those of channels go by their uid."""

_CHANNEL_DELETED: Final = delivery_rows.Move(
    DeliveryState.FAILED, "ChannelDeleted", "the channel was deleted before the prompt was typed"
)
_AGENT_ENDED: Final = delivery_rows.Move(
    DeliveryState.FAILED, "AgentEnded", "the pod ended before the prompt was typed"
)


class SqlMessageStore:
    """What the interface says, word for word there."""

    def __init__(self, database: Database, clock: Clock) -> None:
        self._access = Access(database, clock)
        self._clock = clock
        self._signals: Signals[str] = Signals()

    async def append(
        self, channel: ChannelRef, message: NewMessage, deliveries: Sequence[NewDelivery] = ()
    ) -> Appended:
        """Store the message and its deliveries, and give it its sequence."""
        check_texts(
            content=message.content,
            idempotency_key=message.idempotency_key,
            sender=message.sender.name,
        )
        wanted = message_rows.Append(
            channel, message, tuple(self._ready(d) for d in deliveries), self._new_id()
        )

        def changed(appended: Appended) -> None:
            if appended.created:
                self._signals.notify(channel.uid)
            if appended.created and appended.deliveries:
                self._signals.notify(_DELIVERY_CHANGES)

        return await self._access.write(
            channel.uid, lambda turn: message_rows.append(turn, wanted), changed
        )

    async def read(self, channel_uid: str, query: Query) -> tuple[Message, ...]:
        """Return the messages that the query asks for, in ascending sequence."""
        return await self._access.read(
            partial(message_rows.read, channel_uid=channel_uid, query=query)
        )

    async def by_id(self, channel_uid: str, message_id: str) -> Message | None:
        """Return the message if it is in this channel."""
        return await self._access.read(
            partial(message_rows.by_id, channel_uid=channel_uid, message_id=message_id)
        )

    async def counts(self, channel_uids: Iterable[str]) -> Mapping[str, Counts]:
        """Return the numbers of each of these channels."""
        return await self._access.read(partial(channel_rows.counts, uids=tuple(channel_uids)))

    async def retain(self, channel_uid: str, since: datetime) -> int:
        """Delete what came before the first message of *since* or later; return how many."""
        return await self._in_pieces(
            channel_uid, lambda turn: channel_rows.trim(turn, channel_uid, micros(since))
        )

    def changes(self, channel_uid: str) -> AbstractContextManager[Subscription]:
        """Listen to the channel's messages and document."""
        return self._signals.subscribe(channel_uid)

    async def document(self, channel_uid: str) -> Document:
        """Return the current document; revision 0 and no text if there is none."""
        return await self._access.read(partial(document_rows.current, channel_uid=channel_uid))

    async def put_document(
        self, channel: ChannelRef, text: str, by: Author, based_on: int | None = None
    ) -> DocumentPut:
        """Replace the document; the revision grows by one."""
        check_texts(document=text, author=by.name)
        wanted = document_rows.Put(channel, text, by, based_on, self._new_id())
        return await self._access.write(
            channel.uid,
            lambda turn: document_rows.put(turn, wanted),
            lambda _: self._signals.notify(channel.uid),
        )

    async def join(self, channel: ChannelRef, pod_uid: str, pod_name: str) -> bool:
        """Make the pod a member; return whether it was none before."""
        member = Member(pod_uid, pod_name, moment(self._now()))
        return await self._access.write(
            channel.uid, lambda turn: member_rows.join(turn, channel, member)
        )

    async def leave(self, channel_uid: str, pod_uid: str) -> bool:
        """End the membership; return whether there was one."""
        return await self._access.write(
            channel_uid, lambda turn: member_rows.leave(turn, channel_uid, pod_uid)
        )

    async def members(self, channel_uid: str) -> tuple[Member, ...]:
        """Return the members in the order in which they joined."""
        return await self._access.read(partial(member_rows.of_channel, channel_uid=channel_uid))

    async def channels_of(self, pod_uid: str) -> frozenset[str]:
        """Return the uids of the channels that the pod is a member of."""
        return await self._access.read(partial(member_rows.of_pod, pod_uid=pod_uid))

    async def add_delivery(self, namespace: str, delivery: NewDelivery) -> Delivery:
        """Store a prompt that comes from no message."""
        wanted, origin = self._ready(delivery), delivery_rows.Origin(namespace)
        return await self._access.write(
            _DELIVERIES,
            lambda turn: delivery_rows.add(turn, origin, wanted),
            self._delivery_changed,
        )

    async def open_deliveries(
        self, namespace: str = "", pod_uid: str = "", give_up_by: datetime | None = None
    ) -> tuple[Delivery, ...]:
        """Return what is not settled, oldest first."""
        return await self._access.read(
            partial(
                delivery_rows.unsettled,
                namespace=namespace,
                pod_uid=pod_uid,
                give_up_by=give_up_by,
            )
        )

    async def delivery(self, delivery_id: str) -> Delivery | None:
        """Return the delivery of that id."""
        return await self._access.read(partial(delivery_rows.by_id, delivery_id=delivery_id))

    async def deliveries_of(self, message_id: str) -> tuple[Delivery, ...]:
        """Return the deliveries of a message, in the order in which they were handed in."""
        return await self._access.read(partial(delivery_rows.of_message, message_id=message_id))

    async def mark(
        self, delivery_id: str, state: DeliveryState, reason: str = "", message: str = ""
    ) -> Marked:
        """Move the delivery, if ``records.MOVES`` allows it; else return it as it stands."""
        move = delivery_rows.Move(state, cleaned(reason), cleaned(message))

        def changed(marked: Marked) -> None:
            if marked.moved:
                self._signals.notify(_DELIVERY_CHANGES)

        return await self._access.write(
            _DELIVERIES, lambda turn: delivery_rows.mark(turn, delivery_id, move), changed
        )

    async def purge_deliveries(self, settled_before: datetime) -> int:
        """Delete what was settled before that time; return how many those were."""
        return await self._in_pieces(
            _DELIVERIES,
            lambda turn: delivery_rows.purge(turn, settled_before, channel_rows.PIECE),
        )

    async def add_notifications(self, new: Sequence[Notification]) -> int:
        """Store those that are not there yet; return how many these were."""
        check_texts(**{f"notification_{number}": each.body for number, each in enumerate(new)})
        return await self._access.write(
            _NOTIFICATIONS, lambda turn: notification_rows.add(turn, new)
        )

    async def awaited_notifications(self) -> tuple[Awaiting, ...]:
        """Return every webhook that is to be told something still, and when the first is due."""
        return await self._access.read(notification_rows.awaited)

    async def due_notifications(self, to: Awaiting, limit: int) -> tuple[Notification, ...]:
        """Return what the webhook is to be told by the time ``due_at``, oldest first."""
        return await self._access.read(partial(notification_rows.due, to=to, limit=limit))

    async def tried_notification(self, attempt: Attempt) -> None:
        """Record how a try ended."""
        await self._access.write(
            _NOTIFICATIONS, lambda turn: notification_rows.tried(turn, attempt)
        )

    async def purge_notifications(self, settled_before: datetime) -> int:
        """Delete what was settled before that time; return how many those were."""
        before = micros(settled_before)
        return await self._in_pieces(
            _NOTIFICATIONS,
            lambda turn: notification_rows.purge(turn, before, channel_rows.PIECE),
        )

    def delivery_changes(self) -> AbstractContextManager[Subscription]:
        """Listen to all deliveries."""
        return self._signals.subscribe(_DELIVERY_CHANGES)

    async def forget_channel(self, channel: ChannelRef) -> None:
        """Delete all that the channel has. From now on it takes nothing any more."""
        now, its_own = self._now(), DELIVERIES.c.channel_uid == channel.uid

        def bury(turn: Turn) -> None:
            channel_rows.bury(turn, channel)
            delivery_rows.fail_all(turn, its_own, _CHANNEL_DELETED, now)

        await self._access.write(channel.uid, bury, self._delivery_changed)
        self._signals.notify(channel.uid)
        await self._in_pieces(channel.uid, lambda turn: channel_rows.crumble(turn, channel.uid))
        await self._access.write(channel.uid, channel_rows.sweep_tombstones)

    async def forget_pod(self, pod_uid: str) -> tuple[Delivery, ...]:
        """End the pod's memberships and open deliveries; return those that failed by this."""
        now, its_own = self._now(), DELIVERIES.c.pod_uid == pod_uid

        def end(turn: Turn) -> tuple[Delivery, ...]:
            member_rows.leave_all(turn, pod_uid)
            return delivery_rows.fail_all(turn, its_own, _AGENT_ENDED, now)

        return await self._access.write(_DELIVERIES, end, self._delivery_changed)

    async def forget_namespace(self, namespace: str) -> None:
        """Delete all that the channels and pods of the namespace have."""
        uids = await self._access.read(partial(channel_rows.of_namespace, namespace=namespace))
        for uid in uids:
            await self.forget_channel(ChannelRef(uid, namespace))
        await self._access.write(
            _DELIVERIES,
            lambda turn: delivery_rows.delete_of_namespace(turn, namespace),
            self._delivery_changed,
        )

    async def close(self) -> None:
        """Finish what has begun, refuse what has not, and let the database go. Idempotent."""
        await self._access.close()

    async def _in_pieces(self, lane: str, action: Callable[[Turn], int]) -> int:
        """Repeat what deletes a piece at a time until nothing is left; return how many went."""
        total = 0
        while gone := await self._access.write(lane, action):
            total += gone
        return total

    def _now(self) -> int:
        return round(self._clock() * 1_000_000)

    def _new_id(self) -> str:
        return new_id(self._now())

    def _ready(self, delivery: NewDelivery) -> NewDelivery:
        """Return the delivery with an id, if it can be stored."""
        check_texts(prompt=delivery.text, delivery_id=delivery.delivery_id)
        return replace(delivery, delivery_id=delivery.delivery_id or self._new_id())

    def _delivery_changed(self, _: object) -> None:
        self._signals.notify(_DELIVERY_CHANGES)
