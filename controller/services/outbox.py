"""What is open, as the message store has it: prompts go in here, and are known without their texts.

All is read at the start, in doubt, and now and then; between that it is known from the answers to
our own writes. So a change costs no reading of what was there before.
"""

import asyncio
from collections.abc import Callable, Sequence
from typing import Final

from controller.services.waiting import MAX_WAITING, Waiting, WaitingRoom, identity
from controller.store.errors import UnavailableError
from controller.store.messages import MessageStore
from controller.store.records import (
    Appended,
    ChannelRef,
    Delivery,
    DeliveryKind,
    NewDelivery,
    NewMessage,
)
from controller.tools.call import ToolError

_REREAD_SECONDS: Final = 60.0
"""So often all that is open is read, whatever was heard of it."""
_DOUBT_SECONDS: Final = 5.0
"""A write whose outcome is not known has come through by then, or mostly will not."""


class Outbox:
    """Stores prompts and knows those that are open."""

    def __init__(self, messages: MessageStore, changed: Callable[[], None]) -> None:
        """*changed* is called when it is time to look again."""
        self._messages = messages
        self._changed = changed
        self._reread_at = 0.0  # by the clock of the event loop
        self._reading = asyncio.Lock()
        self.open = WaitingRoom()
        """Complete once ``known`` has returned."""

    async def post(
        self, channel: ChannelRef, message: NewMessage, prompts: Sequence[NewDelivery]
    ) -> Appended:
        """Store a message of the channel with its prompts, as ``MessageStore.append`` does.

        Raises:
            ToolError: Too many prompts of the sender wait for a pod already; nothing was stored.
            StoreError: See there.
        """
        sender = identity(message.sender)
        await self.known()
        full = [one for one in prompts if self.open.count(sender, one.pod_uid) >= MAX_WAITING]
        if full and not await self._is_repeat(channel, message, full[0].pod_uid):
            raise _full(full[0].pod_name)
        with self.open.reserved(sender, [one.pod_uid for one in prompts]):
            try:
                appended = await self._messages.append(channel, message, prompts)
            except (UnavailableError, asyncio.CancelledError):
                self._doubt()
                raise
            self._take_in(appended.deliveries, sender)
        return appended

    async def submit(self, namespace: str, prompt: NewDelivery) -> Delivery:
        """Store a person's prompt, as ``MessageStore.add_delivery`` does.

        Raises:
            ToolError: Too many prompts of the person wait for the pod already; it was not stored.
            StoreError: See there.
        """
        sender = _person(prompt.delivery_id)
        await self.known()
        if self.open.count(sender, prompt.pod_uid) >= MAX_WAITING:
            raise ToolError(
                "LimitExceeded",
                f"{MAX_WAITING} prompts of yours wait for pod {prompt.pod_name}, and more are not"
                " taken: try again once it has taken some",
            )
        with self.open.reserved(sender, [prompt.pod_uid]):
            return await self._add(namespace, prompt, sender)

    async def add(self, namespace: str, prompt: NewDelivery) -> None:
        """Store a prompt of the platform's own, as ``MessageStore.add_delivery`` does."""
        await self._add(namespace, prompt, "")

    async def _add(self, namespace: str, prompt: NewDelivery, sender: str) -> Delivery:
        try:
            delivery = await self._messages.add_delivery(namespace, prompt)
        except (UnavailableError, asyncio.CancelledError):
            self._doubt()
            raise
        self._take_in((delivery,), sender)
        return delivery

    async def known(self) -> None:
        """Read all that is open, if it is time. Raises UnavailableError."""
        async with self._reading:
            now = asyncio.get_running_loop().time()
            if now < self._reread_at:
                return
            self._reread_at = now + _REREAD_SECONDS
            try:
                await self._read()
            except BaseException:
                self._reread_at = 0.0
                raise

    def reread(self) -> None:
        """Have all that is open read anew."""
        self._reread_at = 0.0
        self._changed()

    def pause(self) -> float:
        """Return in how many seconds it is time to call ``known`` again."""
        return max(self._reread_at - asyncio.get_running_loop().time(), 0.0)

    async def _read(self) -> None:
        before = self.open.ids()
        found = [
            Waiting.of(delivery, await self._sender(delivery))
            for delivery in await self._messages.open_deliveries()
        ]
        self.open.correct(found, before)

    async def _sender(self, delivery: Delivery) -> str:
        known = self.open.sender(delivery.delivery_id)
        if delivery.kind is DeliveryKind.PROMPT:
            return _person(delivery.delivery_id)
        if known is not None or not delivery.message_id:
            return known or ""
        message = await self._messages.by_id(delivery.channel_uid, delivery.message_id)
        return identity(message.sender) if message is not None else ""

    async def _is_repeat(self, channel: ChannelRef, message: NewMessage, pod_uid: str) -> bool:
        """Whether the message is one of those whose prompts wait for the pod."""
        for delivery in self.open.between(identity(message.sender), pod_uid):
            if message.idempotency_key and delivery.channel_uid == channel.uid:
                first = await self._messages.by_id(channel.uid, delivery.message_id)
                if first is not None and first.idempotency_key == message.idempotency_key:
                    return True
        return False

    def _take_in(self, deliveries: Sequence[Delivery], sender: str) -> None:
        for delivery in deliveries:
            self.open.add(Waiting.of(delivery, sender))
        if deliveries:
            self._changed()

    def _doubt(self) -> None:
        """Read all anew in a moment: nobody knows whether something was stored."""
        soon = asyncio.get_running_loop().time() + _DOUBT_SECONDS
        self._reread_at = min(self._reread_at, soon)
        self._changed()


def _person(delivery_id: str) -> str:
    """Return what tells persons apart who gave prompts: the beginning of their ids."""
    return delivery_id.rpartition("-")[0]


def _full(pod_name: str) -> ToolError:
    return ToolError(
        "LimitExceeded",
        f"mentions: {MAX_WAITING} prompts of yours wait for pod {pod_name}, and more are not"
        " taken: try again once it has taken some, or send without mentioning it; nothing was sent",
    )
