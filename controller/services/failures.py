"""Tells senders that a mention has not reached its pod: in the channel, and as an Event."""

from dataclasses import dataclass
from typing import Final

from controller.kernel.store import Store
from controller.rpc.ports import Recorder, Subject
from controller.services.deadlines import TAKES_NO_PROMPTS
from controller.store.errors import ChannelGoneError, KeyConflictError, NotFoundError
from controller.store.messages import MessageStore
from controller.store.records import (
    ChannelRef,
    Delivery,
    DeliveryKind,
    MessageType,
    NewMessage,
    Sender,
    SenderKind,
)
from schemas.agentpod import AgentPod
from schemas.channel import Channel
from schemas.names import AGENT_POD

PLATFORM: Final = Sender(SenderKind.USER, "system:agentsmesh")
"""Who writes the platform's own messages. Kubernetes keeps names with ``system:`` for itself."""

REASON: Final = "DeliveryFailed"


@dataclass(frozen=True, slots=True)
class Told:
    """What the sender is told."""

    sender: Sender | None
    """None: nobody, for no message is behind it."""
    message: str


class Failures:
    """Writes the two notes."""

    def __init__(self, store: Store, messages: MessageStore, recorder: Recorder) -> None:
        self._pods = store.of(AgentPod)
        self._channels = store.of(Channel)
        self._messages = messages
        self._recorder = recorder

    async def note(self, delivery: Delivery, why: str) -> Told:
        """Answer the message in its channel, once however often this is called.

        An archived channel takes no messages: there the Event alone tells of it.
        """
        if delivery.kind is DeliveryKind.PROMPT:
            person = Sender(SenderKind.POD, delivery.pod_name, delivery.pod_uid)
            return Told(person, f"prompt {delivery.delivery_id} was not submitted: {why}")
        if delivery.kind is not DeliveryKind.MENTION or not delivery.message_id:
            return Told(None, "")
        original = await self._messages.by_id(delivery.channel_uid, delivery.message_id)
        if original is None:
            return Told(None, "")
        channel = self._channels.by_uid(delivery.channel_uid)
        name = channel.metadata.name if channel is not None else delivery.channel_uid
        said = (
            f"{REASON}: pod {delivery.pod_name} did not get message {original.sequence}"
            f" of channel {name} as a prompt: {why}"
        )
        if channel is not None and not channel.metadata.deleting and not channel.spec.archived:
            note = NewMessage(
                sender=PLATFORM,
                content=said,
                message_type=MessageType.SYSTEM,
                reply_to=original.message_id,
                idempotency_key=f"delivery-failed/{delivery.delivery_id}",
            )
            await self._append(ChannelRef(delivery.channel_uid, delivery.namespace), note)
        return Told(original.sender, said)

    def event(self, told: Told) -> None:
        """Write the Event on the pod that sent the message, or that a person gave the prompt to."""
        if told.sender is None or told.sender.kind is not SenderKind.POD:
            return
        pod = self._pods.by_uid(told.sender.uid)
        if pod is None:
            return
        about = Subject(AGENT_POD, pod.metadata.namespace, pod.metadata.name, pod.metadata.uid)
        self._recorder.event(about, warning=True, reason=REASON, message=told.message)

    def untyped(self, pod: AgentPod, message: str) -> None:
        """Write the Event that a pod takes no prompts: on it, or on the pod that mentioned it."""
        about = Subject(AGENT_POD, pod.metadata.namespace, pod.metadata.name, pod.metadata.uid)
        self._recorder.event(about, warning=True, reason=TAKES_NO_PROMPTS, message=message)

    async def _append(self, channel: ChannelRef, note: NewMessage) -> None:
        try:
            await self._messages.append(channel, note)
        except (ChannelGoneError, NotFoundError, KeyConflictError):
            return  # channel or message went meanwhile, or it was told before in other words
