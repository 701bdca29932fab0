"""Channels, tickets and deliveries over the world of the tools, with a real message store."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from typing_extensions import override

from controller.rpc.ports import RunnerKey, Subject
from controller.services.channels import Channels
from controller.services.claims import Claims
from controller.services.deliveries import Deliveries
from controller.services.tickets import Tickets
from controller.store.messages import MessageStore
from controller.store.open import StoreSettings, opened
from controller.tools import channels as channel_tools
from controller.tools import tickets as ticket_tools
from schemas.agentpod import AgentPod
from schemas.channel import Channel
from schemas.names import CHANNEL
from tests.unit.controller.tools.world import ORG, World


class Recorder:
    """Events, as (name of the subject, reason, message)."""

    def __init__(self) -> None:
        self.events: list[tuple[str, str, str]] = []

    def event(self, about: Subject, *, warning: bool, reason: str, message: str) -> None:
        assert warning
        self.events.append((about.name, reason, message))


class Talk(World):
    """The world with a message store."""

    def __init__(self, messages: MessageStore) -> None:
        super().__init__()
        self.messages = messages
        self.recorder = Recorder()
        self.counted: list[str] = []
        self.restart()

    def restart(self) -> None:
        """Make the services anew, as a controller that was started again."""
        self.deliveries = Deliveries(self.store, self.messages, self.recorder, clock=self.clock)
        self.channels = Channels(
            self.store,
            self.messages,
            self.kube,
            self.deliveries,
            touched=lambda channel: self.counted.append(channel.metadata.name),
            clock=self.clock,
        )
        self.tickets = Tickets(self.store, self.kube)
        self.handlers = {
            **channel_tools.handlers(self.channels),
            **ticket_tools.handlers(self.tickets, Claims(self.store, self.kube, self.clock)),
        }

    @override
    async def pod(self, name: str, **values: Any) -> AgentPod:
        """Make a pod that runs; its class is there, as nothing runs without one."""
        wanted = values.get("agentClassName", "greeter")
        if ("AgentClass", "", wanted) not in self.kube.objects:
            await self.agent_class(wanted)
        return await super().pod(name, **values)

    async def channel(self, name: str, org: str = ORG, **spec: Any) -> Channel:
        """Apply a Channel as a person would."""
        made = await self.make(CHANNEL, name, org, spec=spec)
        return Channel.model_validate(made.manifest())

    def stored(self, name: str) -> Channel:
        """Return the Channel as the API has it."""
        return Channel.model_validate(self.manifest(CHANNEL, name))

    def runner_of(self, pod: AgentPod) -> RunnerKey:
        return self.caller(pod).runner

    async def said(self, pod: AgentPod, channel: str, **arguments: Any) -> list[str]:
        """Return the contents that the pod reads."""
        found = await self.call(pod, "get_channel_messages", channel_id=channel, **arguments)
        return [message["content"] for message in found["messages"]]


@asynccontextmanager
async def talk(folder: Path) -> AsyncIterator[Talk]:
    """Give the world on an SQLite store in the folder."""
    clock = _Clock()
    messages = await opened(StoreSettings(path=folder / "messages.db"), clock)
    world = Talk(messages)
    clock.world = world
    try:
        yield world
    finally:
        await messages.close()


class _Clock:
    """The world's clock, which exists later than the store."""

    world: World | None = None

    def __call__(self) -> float:
        return self.world.now if self.world is not None else 0.0
