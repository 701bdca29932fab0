"""The interface of the message store. SQLite and PostgreSQL implement it, one suite tests both.

What is promised, for each channel: one total order; sequence numbers from 1 without gaps, never
given out twice; what was answered survives the end of this process at any point, and a power cut
as far as ``fsync`` can promise. A call that is cancelled may or may not have happened.

Errors are those of ``controller.store.errors``. Any call may raise ``UnavailableError``: the store
has then retried for some seconds what it safely can. For use on one event loop; nothing blocks it.
"""

from collections.abc import Iterable, Mapping, Sequence
from contextlib import AbstractContextManager
from datetime import datetime
from typing import Protocol

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


class Changes(Protocol):
    """One listener. A change between two waits is never missed, several count as one."""

    async def wait(self) -> None:
        """Return as soon as there was a change since it began or since the last wait."""
        ...


class Messages(Protocol):
    """Messages of channels."""

    async def append(
        self, channel: ChannelRef, message: NewMessage, deliveries: Sequence[NewDelivery] = ()
    ) -> Appended:
        """Store the message and its deliveries, both or neither, and give it its sequence.

        A repeat with the sender's idempotency key returns the first message and writes nothing.

        Raises:
            KeyConflictError: The key was used for other content, type, mentions or reply.
            NotFoundError: ``reply_to`` is no message of this channel.
            ChannelGoneError: The channel was forgotten.
            TextError: The text cannot be stored.
        """
        ...

    async def read(self, channel_uid: str, query: Query) -> tuple[Message, ...]:
        """Return the messages that the query asks for, in ascending sequence."""
        ...

    async def by_id(self, channel_uid: str, message_id: str) -> Message | None:
        """Return the message if it is in this channel."""
        ...

    async def counts(self, channel_uids: Iterable[str]) -> Mapping[str, Counts]:
        """Return the numbers of each of these channels."""
        ...

    async def retain(self, channel_uid: str, since: datetime) -> int:
        """Delete what came before the first message of *since* or later; return how many those are.

        What goes is always the beginning of the channel: no gap arises where a clock was wrong.
        Idempotency keys go with their message. The last sequence stays known.
        """
        ...

    def changes(self, channel_uid: str) -> AbstractContextManager[Changes]:
        """Listen to the channel's messages and document, as far as this process changes them."""
        ...


class Documents(Protocol):
    """The one document of each channel."""

    async def document(self, channel_uid: str) -> Document:
        """Return the current document; revision 0 and no text if there is none."""
        ...

    async def put_document(
        self, channel: ChannelRef, text: str, by: Author, based_on: int | None = None
    ) -> DocumentPut:
        """Replace the document; the revision grows by one.

        With *based_on* only if that is the current revision (0: only if there is none); None:
        whatever is there is replaced.

        Raises:
            RevisionConflictError: It is at another revision. Has the current document.
            ChannelGoneError: The channel was forgotten.
            TextError: The text cannot be stored.
        """
        ...


class Members(Protocol):
    """Which pods are members of which channels."""

    async def join(self, channel: ChannelRef, pod_uid: str, pod_name: str) -> bool:
        """Make the pod a member; return whether it was none before.

        Raises:
            ChannelGoneError: The channel was forgotten.
        """
        ...

    async def leave(self, channel_uid: str, pod_uid: str) -> bool:
        """End the membership; return whether there was one."""
        ...

    async def members(self, channel_uid: str) -> tuple[Member, ...]:
        """Return the members in the order in which they joined."""
        ...

    async def channels_of(self, pod_uid: str) -> frozenset[str]:
        """Return the uids of the channels that the pod is a member of."""
        ...


class Deliveries(Protocol):
    """Prompts to pods."""

    async def add_delivery(self, namespace: str, delivery: NewDelivery) -> Delivery:
        """Store a prompt that comes from no message.

        With a ``delivery_id`` that is there already, return that one as it stands.

        Raises:
            TextError: The text cannot be stored.
        """
        ...

    async def open_deliveries(
        self, namespace: str = "", pod_uid: str = "", give_up_by: datetime | None = None
    ) -> tuple[Delivery, ...]:
        """Return what is not settled, oldest first; those to one pod of one channel in its order.

        Empty = of all namespaces, of all pods. With a time only those to be given up by then.
        """
        ...

    async def delivery(self, delivery_id: str) -> Delivery | None:
        """Return the delivery of that id."""
        ...

    async def deliveries_of(self, message_id: str) -> tuple[Delivery, ...]:
        """Return the deliveries of a message, in the order in which they were handed in."""
        ...

    async def mark(
        self, delivery_id: str, state: DeliveryState, reason: str = "", message: str = ""
    ) -> Marked:
        """Move the delivery, if ``records.MOVES`` allows it; else return it as it stands.

        Raises:
            NotFoundError: There is none of that id (any more).
        """
        ...

    async def purge_deliveries(self, settled_before: datetime) -> int:
        """Delete what was settled before that time; return how many those were."""
        ...

    def delivery_changes(self) -> AbstractContextManager[Changes]:
        """Listen to all deliveries: a new one, or one that moved, in this process."""
        ...


class Notifications(Protocol):
    """What webhooks are told."""

    async def add_notifications(self, new: Sequence[Notification]) -> int:
        """Store those that are not there yet; return how many these were."""
        ...

    async def awaited_notifications(self) -> tuple[Awaiting, ...]:
        """Return every webhook that is to be told something still, and when the first is due."""
        ...

    async def due_notifications(self, to: Awaiting, limit: int) -> tuple[Notification, ...]:
        """Return what the webhook is to be told by the time ``due_at``, oldest first."""
        ...

    async def tried_notification(self, attempt: Attempt) -> None:
        """Record how a try ended."""
        ...

    async def purge_notifications(self, settled_before: datetime) -> int:
        """Delete what was settled before that time; return how many those were."""
        ...


class MessageStore(Messages, Documents, Members, Deliveries, Notifications, Protocol):
    """All of it, and its end."""

    async def forget_channel(self, channel: ChannelRef) -> None:
        """Delete all that the channel has. From now on it takes nothing any more.

        Its open deliveries fail with reason ``ChannelDeleted``.
        """
        ...

    async def forget_pod(self, pod_uid: str) -> tuple[Delivery, ...]:
        """End the pod's memberships, and its open deliveries with reason ``AgentEnded``.

        Return the deliveries that failed by this. What the pod has written stays.
        """
        ...

    async def forget_namespace(self, namespace: str) -> None:
        """Delete all that the channels and pods of the namespace have."""
        ...

    async def close(self) -> None:
        """Finish what has begun, refuse what has not, and let the database go. Idempotent."""
        ...
