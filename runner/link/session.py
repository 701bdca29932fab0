"""One stream to the controller, from Hello to its end.

* writer: Hello; after Welcome all observed pods, then what changes, and heartbeats
* reader: desired states into the inbox; a silent or outdated controller ends the session
* which agents the controller would have found goes to ``Agents``, what was found goes back
"""

import asyncio
import logging
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Final, Protocol

import grpc
from meshwire.v1 import link_pb2

from runner.clock import boot_seconds
from runner.link.channel import control
from runner.link.inbox import Gap, Inbox, Wanted
from runner.link.pace import Pace

logger = logging.getLogger(__name__)

PROTOCOL: Final = 1
FEATURES: Final = ("agents", "warm")
"""What is understood beyond the protocol: catalogues of agents, worktrees to be kept ready."""
_WELCOME_SECONDS: Final = 20.0
_BATCH_BYTES: Final = 256 * 1024
_SILENT_BEATS: Final = 3

_REFUSALS: Final = frozenset(
    {
        grpc.StatusCode.UNAUTHENTICATED,
        grpc.StatusCode.PERMISSION_DENIED,
        grpc.StatusCode.INTERNAL,  # seen instead of UNAUTHENTICATED when aborted while writing
        grpc.StatusCode.NOT_FOUND,
        grpc.StatusCode.FAILED_PRECONDITION,
    }
)


class Feed(Protocol):
    """Changed pods for one session, each only in its latest state."""

    def take(self) -> list[link_pb2.PodObserved]:
        """Return what changed since the last call."""
        ...

    def close(self) -> None:
        """End the subscription."""
        ...


class Pods(Protocol):
    """The runner's side of the conversation."""

    @property
    def controller_epoch(self) -> int:
        """Highest epoch of a controller that was ever followed."""
        ...

    async def known_as(self, runner_uid: str) -> None:
        """Remember, durably, as which Runner this one speaks."""
        ...

    async def follow(self, controller_epoch: int) -> None:
        """Remember, durably, that a controller of this epoch is followed."""
        ...

    async def heard(self, sent_at: float) -> None:
        """Note that the controller answered what was sent then, by ``clock.boot_seconds``."""
        ...

    def want(self, wanted: Wanted) -> None:
        """Take the desired state; acted on in the background."""
        ...

    def observed(self) -> list[link_pb2.PodObserved]:
        """Return every pod that the runner knows of."""
        ...

    def subscribe(self, wake: Callable[[], None]) -> Feed:
        """Return a feed of changes from now on; *wake* is called when there is something."""
        ...


class Agents(Protocol):
    """Which agents are on the runner's machine."""

    def look_for(self, catalogue: link_pb2.AgentCatalogue) -> None:
        """Take the newest catalogue; looked for in the background."""
        ...

    def found(self) -> link_pb2.AgentsFound | None:
        """Return what was found last; None before the first look. Never changed afterwards."""
        ...

    def subscribe(self, wake: Callable[[], None]) -> Callable[[], None]:
        """Have *wake* called when something else is found; return what ends that."""
        ...


@dataclass(frozen=True, slots=True)
class Ending:
    """How a session ended."""

    reason: str
    """CamelCase: what the controller said, or Refused, Unreachable, Stale, Silent."""
    message: str
    welcomed: bool
    retry_after_seconds: float = 0.0

    @property
    def refused(self) -> bool:
        """Whether the controller did not take this runner as who it says it is."""
        return self.reason == "Refused"


class Session:
    """A single use of ``RunnerControl.Connect``."""

    def __init__(
        self,
        channel: grpc.aio.Channel,
        hello: link_pb2.Hello,
        pods: Pods,
        agents: Agents,
        on_bundle: Callable[[link_pb2.TrustBundle], Any],
        *,
        on_warm: Callable[[link_pb2.WarmRepositories], None] = lambda _: None,
    ) -> None:
        self._channel = channel
        self._hello = hello
        self._pods = pods
        self._agents = agents
        self._agents_asked = False
        self._agents_told: link_pb2.AgentsFound | None = None
        self._on_bundle = on_bundle
        self._on_warm = on_warm
        self._inbox = Inbox()
        self._welcome: link_pb2.Welcome | None = None
        self._ending: Ending | None = None
        self._wake = asyncio.Event()
        self._resync = ""
        self._goodbye = ""
        self._seq = 0
        self._beats_sent: dict[int, float] = {}
        """When those were sent that have no answer yet."""
        self._pace = Pace()
        self._heard = time.monotonic()
        self.ready = asyncio.Event()
        """Set once the controller told its whole desired state."""
        self.retired = False
        """Set when a newer session speaks for this runner: what this one hears does not count."""

    def say_goodbye(self, reason: str) -> None:
        """End the session from this side after what is still to be written."""
        self._goodbye = reason
        self._wake.set()

    async def run(self) -> Ending:
        """Hold the stream until it ends, and return how; only cancellation raises."""
        call = control(self._channel).Connect()
        try:
            async with asyncio.TaskGroup() as tasks:
                writer = tasks.create_task(self._write_all(call))
                watcher = tasks.create_task(self._watch(call))
                ending = await self._read_all(call)
                writer.cancel()
                watcher.cancel()
        finally:
            call.cancel()
        return ending

    async def _read_all(self, call: Any) -> Ending:
        try:
            async for message in call:
                self._heard = time.monotonic()
                ending = await self._take(message)
                if ending is not None:
                    return ending
        except grpc.aio.AioRpcError as exc:
            return self._ending or self._broken(exc)
        except asyncio.CancelledError:
            task = asyncio.current_task()
            if self._ending is None or task is None or task.cancelling():
                raise  # else the call was cancelled and not this task: grpc raises the same
        return self._ending or self._end("Closed", "the controller ended the stream")

    async def _take(self, message: link_pb2.ControllerMessage) -> Ending | None:
        epoch = message.controller_epoch
        if epoch < self._pods.controller_epoch:
            newest = self._pods.controller_epoch
            return self._end("Stale", f"controller of epoch {epoch}, but {newest} was followed")
        kind = message.WhichOneof("msg")
        if kind == "welcome":
            await self._pods.follow(epoch)
            self._welcome = message.welcome
            self._wake.set()
        elif kind == "close":
            return self._closed(message.close)
        elif kind == "heartbeat_ack":
            await self._answered(message.heartbeat_ack.beat)
        elif kind == "bundle":
            await self._on_bundle(message.bundle.bundle)
        elif self._welcome is not None:
            self._take_state(epoch, kind, message)
        return None

    async def _answered(self, beat: int) -> None:
        """Note that the controller had this heartbeat, and all before it."""
        sent_at = self._beats_sent.get(beat)
        self._beats_sent = {each: at for each, at in self._beats_sent.items() if each > beat}
        if sent_at is not None and not self.retired:
            await self._pods.heard(sent_at)

    def _take_state(
        self, epoch: int, kind: str | None, message: link_pb2.ControllerMessage
    ) -> None:
        if self.retired:
            return
        result: Wanted | Gap | None = None
        if kind == "snapshot":
            result = self._inbox.snapshot(epoch, message.snapshot)
        elif kind == "delta":
            result = self._inbox.delta(epoch, message.delta)
        elif kind == "agents":
            self._agents.look_for(message.agents)
            self._agents_asked = True
            self._wake.set()
        elif kind == "warm":
            self._on_warm(message.warm)
        if isinstance(result, Gap):
            self._resync = result.reason
            self._wake.set()
        elif result is not None:
            self._pods.want(result)
            self.ready.set()

    async def _write_all(self, call: Any) -> None:
        try:
            await self._write(call, hello=self._hello)
            while self._welcome is None and not self._goodbye:
                await self._wake.wait()
                self._wake.clear()
            if self._welcome is not None:
                await self._converse(call, self._welcome.heartbeat_ms / 1000 or 10.0)
            await self._write(call, goodbye=link_pb2.Goodbye(reason=self._goodbye))
            self._ending = self._end("Goodbye", self._goodbye)
            await call.done_writing()
        except (grpc.aio.AioRpcError, asyncio.InvalidStateError):
            return  # the reader learns why

    async def _converse(self, call: Any, beat_seconds: float) -> None:
        feed = self._pods.subscribe(self._wake.set)
        unsubscribe = self._agents.subscribe(self._wake.set)
        try:
            for piece in pieces(self._pods.observed()):
                await self._write(call, observed_snapshot=piece)
            beats, due = 0, time.monotonic()
            while not self._goodbye:
                if time.monotonic() >= due:
                    beats, due = beats + 1, time.monotonic() + beat_seconds
                    self._beats_sent[beats] = boot_seconds()
                    await self._write(call, heartbeat=link_pb2.Heartbeat(beat=beats))
                await self._write_changes(call, feed)
                await self._pause(due)
            await self._write_changes(call, feed)
        finally:
            unsubscribe()
            feed.close()

    async def _write_changes(self, call: Any, feed: Feed) -> None:
        if self._resync:
            reason, self._resync = self._resync, ""
            await self._write(call, resync=link_pb2.ResyncRequest(reason=reason))
        found = self._agents.found() if self._agents_asked else None
        if found is not None and found != self._agents_told:
            self._agents_told = found
            await self._write(call, agents=found)
        for piece in pieces(feed.take()):
            if piece.pods:
                self._pace.spend()
                await self._write(call, observed=link_pb2.Observed(pods=piece.pods))

    async def _pause(self, due: float) -> None:
        """Wait for something to say; many changes come in batches."""
        try:
            async with asyncio.timeout(max(0.0, due - time.monotonic())):
                await asyncio.sleep(self._pace.wait_seconds())
                await self._wake.wait()
        except TimeoutError:
            return
        self._wake.clear()

    async def _watch(self, call: Any) -> None:
        """End the session when the controller says nothing for too long."""
        limit = _WELCOME_SECONDS
        while True:
            await asyncio.sleep(max(0.05, min(1.0, limit / 4)))
            if self._welcome is not None:
                beat = self._welcome.heartbeat_ms / 1000 or 10.0
                limit = max(self._welcome.lease_ttl_ms / 1000, _SILENT_BEATS * beat)
            if time.monotonic() - self._heard > limit:
                self._ending = self._end("Silent", f"nothing heard for {limit:.0f} s")
                call.cancel()
                return

    async def _write(self, call: Any, **message: Any) -> None:
        self._seq += 1
        await call.write(link_pb2.RunnerMessage(seq=self._seq, **message))

    def _closed(self, close: link_pb2.CloseSession) -> Ending:
        return Ending(
            close.reason or "Closed",
            close.message,
            self._welcome is not None,
            close.retry_after_ms / 1000,
        )

    def _broken(self, exc: grpc.aio.AioRpcError) -> Ending:
        refused = self._welcome is None and exc.code() in _REFUSALS
        details = " ".join((exc.details() or "").split())[:300]
        if "CERTIFICATE_VERIFY_FAILED" in details or "certificate verify failed" in details:
            refused = True
        reason = "Refused" if refused else "Unreachable"
        return self._end(reason, f"{exc.code().name}: {details}")

    def _end(self, reason: str, message: str) -> Ending:
        return Ending(reason, message, self._welcome is not None)


def pieces(pods: list[link_pb2.PodObserved]) -> Iterator[link_pb2.ObservedSnapshot]:
    """Cut into messages of bounded size; the last one, maybe empty, is marked."""
    piece, size = link_pb2.ObservedSnapshot(), 0
    for pod in pods:
        weight = pod.ByteSize()
        if piece.pods and size + weight > _BATCH_BYTES:
            yield piece
            piece, size = link_pb2.ObservedSnapshot(), 0
        piece.pods.append(pod)
        size += weight
    piece.last = True
    yield piece
