"""Channels: who sees them, who belongs to them, what is said and written in them.

Refusals are ``controller.tools.call.ToolError``, for tools and for people alike.
"""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

from controller.kernel.clock import wall
from controller.kernel.store import Store
from controller.rpc.ports import Objects
from controller.services.deliveries import Deliveries
from controller.store.messages import MessageStore
from controller.store.records import Counts, Document, DocumentPut, Message, Sender
from schemas.agentpod import AgentPod
from schemas.channel import Channel


@dataclass(frozen=True, slots=True)
class Participant:
    """Who reads or writes: a pod, or a person whom the API server lets into the namespace."""

    namespace: str
    sender: Sender
    pod: AgentPod | None = None
    """None: a person."""


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
        raise NotImplementedError

    async def run(self) -> None:
        """Delete what the channels' retention does not keep, until cancelled."""
        raise NotImplementedError
