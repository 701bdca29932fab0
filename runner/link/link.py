"""Holds a session with the controller for as long as the runner lives.

A lost session is opened again, with waits that spread many runners. When the certificate was
renewed, a new session is opened first and the old one closed once the new one has spoken: at no
moment is the runner cut off because of a renewal.
"""

import asyncio
import logging
from collections.abc import Callable
from typing import Final

import grpc
from meshwire.v1 import link_pb2

from runner.link.backoff import Backoff
from runner.link.channel import control, mutual
from runner.link.enrol import refusal_of
from runner.link.errors import Unreachable
from runner.link.identity import Identity
from runner.link.keeper import Keeper
from runner.link.session import Agents, Ending, Pods, Session

logger = logging.getLogger(__name__)

_TAKEOVER_SECONDS: Final = 20.0
_GOODBYE_SECONDS: Final = 2.0
_SECRETS_SECONDS: Final = 10.0


class Link:
    """The control connection. ``run`` holds it; ``close`` says goodbye."""

    def __init__(
        self,
        endpoint: str,
        keeper: Keeper,
        pods: Pods,
        agents: Agents,
        hello: Callable[[Identity], link_pb2.Hello],
    ) -> None:
        self._endpoint = endpoint
        self._keeper = keeper
        self._pods = pods
        self._agents = agents
        self._hello = hello
        self._session: Session | None = None
        self._channel: grpc.aio.Channel | None = None
        self._closing = False
        self._gone = asyncio.Event()
        self.connected: Callable[[], None] = lambda: None
        """Called whenever the controller has welcomed a session."""
        self.warm: Callable[[link_pb2.WarmRepositories], None] = lambda _: None
        """Takes the newest list of worktrees to be kept ready."""

    async def run(self) -> None:
        """Hold a session until ``close``."""
        backoff = Backoff()
        told = ""
        while not self._closing:
            ending = await self._hold()
            if self._closing:
                break
            if ending.welcomed:
                backoff.reset()
            if ending.refused or self._keeper.is_out_of_time():
                self._keeper.doubt()
            sentence = f"{ending.reason}: {ending.message}"
            if sentence != told or ending.welcomed:
                logger.warning("not connected to the controller: %s", sentence)
                told = sentence
            await asyncio.sleep(backoff.next_seconds(ending.retry_after_seconds))
        self._gone.set()

    async def close(self, reason: str) -> None:
        """Say goodbye and end; bounded, for a controller that does not listen."""
        self._closing = True
        if self._session is not None:
            self._session.say_goodbye(reason)
            try:
                async with asyncio.timeout(_GOODBYE_SECONDS):
                    await self._gone.wait()
            except TimeoutError:
                logger.info("the controller did not hear the goodbye")

    async def secrets(self, ref: link_pb2.PodRef) -> link_pb2.FetchSecretsResponse:
        """Return what the pod needs and no journal may hold.

        Raises:
            LinkError: The controller cannot be asked now, or refuses.
        """
        if self._channel is None:
            raise Unreachable("The controller is not connected, and only it has the credentials.")
        request = link_pb2.FetchSecretsRequest(ref=ref)
        try:
            answer: link_pb2.FetchSecretsResponse = await control(self._channel).FetchSecrets(
                request, timeout=_SECRETS_SECONDS
            )
        except grpc.aio.AioRpcError as exc:
            raise refusal_of(exc, "request for credentials") from exc
        return answer

    async def _hold(self) -> Ending:
        """Hold sessions, one certificate after the other, until one ends by itself."""
        identity = await self._keeper.valid()
        async with asyncio.TaskGroup() as tasks:
            held = tasks.create_task(self._one(identity, None))
            while True:
                renewed = tasks.create_task(self._keeper.replaced(identity))
                await asyncio.wait({held, renewed}, return_when=asyncio.FIRST_COMPLETED)
                renewed.cancel()
                if held.done():
                    return held.result()
                identity = await self._keeper.valid()
                held = await self._move(tasks, identity, held)

    async def _move(
        self, tasks: asyncio.TaskGroup, identity: Identity, held: "asyncio.Task[Ending]"
    ) -> "asyncio.Task[Ending]":
        """Open a session with the new certificate; then end the old one."""
        previous = self._session
        took_over = asyncio.Event()
        successor = tasks.create_task(self._one(identity, took_over))
        waiting = tasks.create_task(took_over.wait())
        await asyncio.wait(
            {successor, waiting}, timeout=_TAKEOVER_SECONDS, return_when=asyncio.FIRST_COMPLETED
        )
        waiting.cancel()
        if previous is not None:
            previous.retired = True
            previous.say_goodbye("Renewed")
        await asyncio.wait({held}, timeout=_GOODBYE_SECONDS)
        held.cancel()
        logger.info("moved to a connection with the renewed certificate")
        return successor

    async def _one(self, identity: Identity, took_over: asyncio.Event | None) -> Ending:
        await self._pods.known_as(identity.about.uid)
        channel = mutual(self._endpoint, identity)
        session = Session(
            channel,
            self._hello(identity),
            self._pods,
            self._agents,
            self._keeper.take_bundle,
            on_warm=self.warm,
        )
        before = self._session, self._channel
        self._session, self._channel = session, channel
        logger.debug("connecting", extra={"endpoint": self._endpoint})
        try:
            async with asyncio.TaskGroup() as tasks:
                telling = tasks.create_task(self._tell_ready(session, took_over, before[0]))
                ending = await session.run()
                telling.cancel()
            return ending
        finally:
            if self._session is session:
                self._session, self._channel = None, None
            await channel.close()

    async def _tell_ready(
        self, session: Session, took_over: asyncio.Event | None, previous: Session | None
    ) -> None:
        await session.ready.wait()
        logger.info("connected to the controller", extra={"endpoint": self._endpoint})
        self.connected()
        if previous is not None:
            previous.retired = True
        if took_over is not None:
            took_over.set()
