"""Channels: who sees them, who belongs to them, what is said and written in them.

Refusals are ``controller.tools.call.ToolError``, for tools and for people alike. A pod that is no
member of a private channel is answered as if the channel did not exist.
"""

import asyncio
import logging
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Final

from controller.kernel.clock import wall
from controller.kernel.store import Store
from controller.placement.indexes import BY_NAMESPACE
from controller.rpc.ports import Changes, Objects
from controller.services.channel_making import ChannelMaker, Wish
from controller.services.channel_values import (
    Described,
    Draft,
    Page,
    Participant,
    Posted,
    Wanted,
    current,
)
from controller.services.deliveries import Deliveries
from controller.services.membership import Membership, declared
from controller.services.prompts import mention
from controller.store.errors import (
    KeyConflictError,
    NotFoundError,
    RevisionConflictError,
    StoreError,
    UnavailableError,
)
from controller.store.messages import MessageStore
from controller.store.records import (
    Appended,
    Author,
    ChannelRef,
    Counts,
    Document,
    DocumentPut,
    Mention,
    NewDelivery,
    NewMessage,
    Query,
)
from controller.tools.call import Caller, ToolError
from schemas.agentpod import AgentPod
from schemas.channel import Channel, Visibility

logger = logging.getLogger(__name__)

MAX_DOCUMENT_BYTES: Final = 1_048_576
_RETENTION_SECONDS: Final = 600.0


class Channels:
    """All channels of all organizations. ``run`` keeps the retention."""

    def __init__(
        self,
        store: Store,
        messages: MessageStore,
        kube: Objects,
        deliveries: Deliveries,
        *,
        touched: Callable[[Channel], None] = lambda _: None,
        clock: Callable[[], float] = wall,
    ) -> None:
        """*touched* is called when the numbers of a channel have changed."""
        self._channels = store.of(Channel)
        self._pods = store.of(AgentPod)
        self._messages = messages
        self._deliveries = deliveries
        self._touched = touched
        self._clock = clock
        self._membership = Membership(store, messages)
        self._maker = ChannelMaker(store, self._membership, kube)

    async def run(self) -> None:
        """Delete what the channels' retention does not keep, until cancelled."""
        while True:
            try:
                await self.retain()
            except StoreError as exc:
                logger.warning("old messages are not deleted", extra={"reason": str(exc)})
            await asyncio.sleep(_RETENTION_SECONDS)

    async def retain(self) -> None:
        """Delete now what the channels' retention does not keep."""
        for channel in self._channels:
            if channel.spec.retention is None or channel.metadata.deleting:
                continue
            now = datetime.fromtimestamp(self._clock(), UTC)
            since = now - timedelta(days=channel.spec.retention.days)
            count = await self._messages.retain(channel.metadata.uid, since)
            if count:
                key = f"{channel.metadata.namespace}/{channel.metadata.name}"
                logger.info("old messages deleted", extra={"key": key, "count": count})
                self._touched(channel)

    # --- which channels ---------------------------------------------------------------------------

    async def find(self, who: Participant, channel_id: str) -> Channel:
        """Return the channel, if the participant may know of it. Raises ToolError."""
        channel = self._there(who, channel_id)
        if who.pod is not None and not await self._membership.sees(channel, who.pod):
            raise _unknown(who)
        return channel

    async def readable(self, who: Participant, channel_id: str) -> Channel:
        """Return the channel, if the participant may read and edit it. Raises ToolError."""
        channel = self._there(who, channel_id)
        if who.pod is None or await self._membership.has(channel, who.pod):
            return channel
        if channel.spec.visibility is Visibility.PRIVATE:
            raise _unknown(who)
        raise ToolError(
            "Forbidden",
            "only members can read this channel: join it by sending to it with"
            " send_channel_message",
        )

    async def describe(self, channel: Channel) -> Described:
        """Return the channel with its members and numbers."""
        (described,) = await self._described([channel])
        return described

    async def search(self, who: Participant, wanted: Wanted) -> tuple[list[Described], int]:
        """Return the channels of the page, by name, and how many there are on all pages."""
        joined = await self._membership.joined(who.pod) if who.pod is not None else frozenset()
        found = [
            channel
            for channel in self._channels.indexed(BY_NAMESPACE, who.namespace)
            if _fits(channel, wanted) and _sees(who, channel, joined)
        ]
        found.sort(key=lambda channel: (channel.title.casefold(), channel.metadata.name))
        page = found[wanted.offset : wanted.offset + wanted.limit]
        return await self._described(page), len(found)

    async def _described(self, channels: list[Channel]) -> list[Described]:
        counts = await self._messages.counts([channel.metadata.uid for channel in channels])
        described = []
        for channel in channels:
            numbers = counts.get(channel.metadata.uid, Counts())
            members = await self._membership.of(channel, numbers)
            described.append(Described(channel, members, numbers))
        return described

    async def create(self, caller: Caller, wish: Wish) -> Channel:
        """Make a channel and let the caller join it. Raises ToolError, KubeError."""
        channel = await self._maker.make(caller, wish)
        name = channel.metadata.name
        try:
            await self._messages.join(_ref(channel), caller.uid, caller.name)
        except UnavailableError as exc:
            raise ToolError(
                "Unavailable",
                f"channel {name} was made, but you could not join it: send to it to join",
                {"channel_id": name},
            ) from exc
        return channel

    # --- messages ---------------------------------------------------------------------------------

    async def send(self, who: Participant, channel_id: str, draft: Draft) -> Posted:
        """Store the message with the prompts for those it mentions; a sender becomes a member.

        Raises:
            ToolError: Nothing was stored, unless the sentence says otherwise.
            StoreError: The same, of the message store.
            KubeError: The API server refused or cannot be asked; nothing was stored.
        """
        channel = await self.find(who, channel_id)
        _refuse_archived(channel)
        mentioned = [await self._mentioned(who, channel, name) for name in _once(draft.mentions)]
        channel = await self._maker.held(channel)
        prompts = self._prompts(who, channel, draft, mentioned)
        appended = await self._append(who, channel, draft, mentioned, prompts)
        await self._join(who, channel)
        self._touched(channel)
        reached = {delivery.pod_uid for delivery in appended.deliveries} | {who.sender.uid}
        missed = [one for one in appended.message.mentions if one.pod_uid not in reached]
        if appended.created and who.pod is not None:
            self._deliveries.unprompted(who.pod, channel, appended.message, missed)
        return Posted(appended.message, tuple(one.pod_name for one in missed))

    async def read(
        self, who: Participant, channel_id: str, query: Query, mentioned_pod: str = ""
    ) -> Page:
        """Return messages in their order; with a name only those that mention the pod.

        Raises:
            ToolError: There is no such channel or pod, or the participant may not read it.
            StoreError: The message store is in trouble.
        """
        channel = await self.readable(who, channel_id)
        if mentioned_pod:
            pod = self._pods.get(who.namespace, mentioned_pod)
            if pod is None:
                raise ToolError("NotFound", f"mentioned_pod: {_no_pod(who, mentioned_pod)}")
            query = replace(query, mentioned_pod_uid=pod.metadata.uid)
        uid = channel.metadata.uid
        found = await self._messages.read(uid, query)
        counts = await self._messages.counts((uid,))
        return Page(found, counts.get(uid, Counts()).last_sequence)

    def changes(self, channel: Channel) -> AbstractContextManager[Changes]:
        """Listen to the messages of the channel."""
        return self._messages.changes(channel.metadata.uid)

    # --- the document -----------------------------------------------------------------------------

    async def document(self, who: Participant, channel_id: str) -> Document:
        """Return the channel's document. Raises ToolError, StoreError."""
        channel = await self.readable(who, channel_id)
        return await self._messages.document(channel.metadata.uid)

    async def write_document(
        self, who: Participant, channel_id: str, text: str, based_on: int | None
    ) -> DocumentPut:
        """Replace the channel's document. Raises ToolError, StoreError, KubeError."""
        if len(text.encode("utf-8", errors="replace")) > MAX_DOCUMENT_BYTES:
            raise ToolError("LimitExceeded", "document: it is larger than 1 MiB of UTF-8")
        channel = await self.readable(who, channel_id)
        _refuse_archived(channel)
        channel = await self._maker.held(channel)
        author = Author(who.sender.kind, who.sender.name)
        try:
            return await self._messages.put_document(_ref(channel), text, author, based_on)
        except RevisionConflictError as exc:
            raise ToolError("Conflict", str(exc), current(exc.current)) from exc

    def _there(self, who: Participant, channel_id: str) -> Channel:
        channel = self._channels.get(who.namespace, channel_id)
        if channel is None or channel.metadata.deleting:
            raise _unknown(who)
        return channel

    # --- parts of sending -------------------------------------------------------------------------

    async def _mentioned(self, who: Participant, channel: Channel, name: str) -> AgentPod:
        pod = self._pods.get(who.namespace, name)
        if pod is None:
            raise ToolError("NotFound", f"mentions: {_no_pod(who, name)}; nothing was sent")
        if channel.spec.visibility is Visibility.PRIVATE and not await self._membership.has(
            channel, pod
        ):
            raise ToolError(
                "Forbidden",
                f"mentions: pod {name} is no member of this private channel; nothing was sent",
            )
        return pod

    async def _join(self, who: Participant, channel: Channel) -> None:
        """Make the sender a member. Its message is stored: a failure here must not deny that."""
        try:
            if who.pod is not None and not await self._membership.has(channel, who.pod):
                await self._messages.join(_ref(channel), who.sender.uid, who.sender.name)
        except StoreError as exc:
            key = f"{channel.metadata.namespace}/{channel.metadata.name}"
            logger.warning("sender not joined", extra={"key": key, "reason": str(exc)})

    def _prompts(
        self, who: Participant, channel: Channel, draft: Draft, mentioned: list[AgentPod]
    ) -> list[NewDelivery]:
        text = mention(who.sender, channel.metadata.name, draft.content)
        return [
            self._deliveries.prompt(pod, text)
            for pod in mentioned
            if self._deliveries.takes(pod) and pod.metadata.uid != who.sender.uid
        ]

    async def _append(
        self,
        who: Participant,
        channel: Channel,
        draft: Draft,
        mentioned: list[AgentPod],
        prompts: list[NewDelivery],
    ) -> Appended:
        message = NewMessage(
            sender=who.sender,
            content=draft.content,
            message_type=draft.message_type,
            mentions=tuple(Mention(pod.metadata.name, pod.metadata.uid) for pod in mentioned),
            reply_to=draft.reply_to,
            idempotency_key=draft.idempotency_key,
        )
        try:
            return await self._deliveries.post(_ref(channel), message, prompts)
        except KeyConflictError as exc:
            first = {"message_id": exc.first.message_id, "sequence": exc.first.sequence}
            raise ToolError("Conflict", str(exc), first) from exc
        except NotFoundError as exc:
            raise ToolError(
                "NotFound", "reply_to: it is no message of this channel; nothing was sent"
            ) from exc


def _ref(channel: Channel) -> ChannelRef:
    return ChannelRef(channel.metadata.uid, channel.metadata.namespace)


def _once(names: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(names))


def _refuse_archived(channel: Channel) -> None:
    if channel.spec.archived:
        raise ToolError(
            "Forbidden",
            f"channel {channel.metadata.name} is archived: it can be read, not written to",
        )


def _unknown(who: Participant) -> ToolError:
    if who.pod is None:
        return ToolError("NotFound", f"there is no such channel in namespace {who.namespace}")
    return ToolError(
        "NotFound", "there is no such channel in your organization: search_channels finds them"
    )


def _no_pod(who: Participant, name: str) -> str:
    shown = "".join(letter if letter.isprintable() else "?" for letter in name)[:63]
    if who.pod is None:
        return f"there is no AgentPod {shown} in namespace {who.namespace}"
    return f"there is no pod {shown} in your organization: list_available_pods lists them"


def _fits(channel: Channel, wanted: Wanted) -> bool:
    spec = channel.spec
    repository = spec.repository_ref.name if spec.repository_ref is not None else ""
    ticket = spec.ticket_ref.name if spec.ticket_ref is not None else ""
    part = wanted.name.casefold()
    return (
        not channel.metadata.deleting
        and (part in channel.title.casefold() or part in channel.metadata.name)
        and wanted.repository in {"", repository}
        and wanted.ticket.lower() in {"", ticket}
        and wanted.archived in {None, spec.archived}
    )


def _sees(who: Participant, channel: Channel, joined: frozenset[str]) -> bool:
    if who.pod is None or channel.spec.visibility is Visibility.PUBLIC:
        return True
    return channel.metadata.uid in joined or declared(channel, who.pod)
