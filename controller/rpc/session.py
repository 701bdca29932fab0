"""One runner's session: what it reports goes in, what it shall have goes out, latest wins.

Three parts run together and end together: a reader, a single writer, and a watch on silence. The
writer keeps no queue: it is woken, looks at what is due, and sends the newest state.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any, Final

import grpc
from meshwire.v1 import link_pb2

from controller.placement import programs, warm
from controller.rpc.caller import Caller
from controller.rpc.desired import Told
from controller.rpc.ports import Placement, RunnerKey
from controller.rpc.race import first_done
from controller.rpc.refusal import refuse
from controller.rpc.reports import own_pods

logger = logging.getLogger(__name__)

MAX_REPORTED_PODS: Final = 20_000
"""More in one observed snapshot is no runner of ours."""


@dataclass(frozen=True, slots=True)
class LinkSettings:
    """The rhythm of a session."""

    heartbeat_seconds: float = 5.0
    """How often a runner says that it lives."""

    silence_seconds: float = 20.0
    """A session without any message for so long is over."""

    lease_seconds: float = 40.0
    """How long a runner counts as alive after its last heartbeat."""

    hello_seconds: float = 10.0
    """How long a caller may take for its first message."""

    snapshot_seconds: float = 600.0
    """How often everything is told anew, in case something was lost."""

    confirm_seconds: float = 5.0
    """How long to wait, and between tries, for the word that a runner shall have nothing."""


class Session:
    """The state of one connected runner process."""

    def __init__(
        self,
        caller: Caller,
        hello: link_pb2.Hello,
        placement: Placement,
        settings: LinkSettings,
        first_revision: int,
    ) -> None:
        self.runner: RunnerKey = caller.runner
        self._caller = caller
        self._instance_id = hello.instance_id
        self._looks = programs.FEATURE in hello.features
        self._frees = warm.FEATURE in hello.features
        self._placement = placement
        self._settings = settings
        self._told = Told(first_revision)
        self._wake = asyncio.Event()
        self._beat: int | None = None
        self._snapshot_due = False
        self._delta_due = False
        self._began = False
        """Whether a snapshot was sent; deltas make sense only after it."""
        self._notice: link_pb2.CloseSession | None = None
        self._heard_at = asyncio.get_running_loop().time()
        self._reported: list[link_pb2.PodObserved] = []
        self._strangers: set[str] = set()
        self._lists_due = False
        """Whether lists may have changed: of agents, and of worktrees to be kept ready."""
        self._catalogue: link_pb2.AgentCatalogue | None = None
        self._warm: link_pb2.WarmRepositories | None = None
        """Both as the runner was told them last."""
        self._seq = 0

    @property
    def instance_id(self) -> str:
        """The runner process at the other end."""
        return self._instance_id

    def close(self, notice: link_pb2.CloseSession) -> None:
        """Take leave and end; nothing more that it reports is taken."""
        self._notice = self._notice or notice
        self._wake.set()

    async def run(
        self,
        read: Callable[[], Awaitable[Any]],
        write: Callable[[link_pb2.ControllerMessage], Awaitable[None]],
    ) -> None:
        """Exchange states until either side ends.

        Raises:
            Refusal: The runner broke the protocol or fell silent.
        """
        await first_done(
            self._read_reports(read),
            self._write_states(write),
            self._watch_silence(),
            self._watch_desired(),
            self._watch_caller(),
        )

    # --- in ---------------------------------------------------------------------------------------

    async def _read_reports(self, read: Callable[[], Awaitable[Any]]) -> None:
        while (message := await read()) is not grpc.aio.EOF:
            self._heard_at = asyncio.get_running_loop().time()
            if self._notice is not None:
                continue
            if self._take(message):
                return

    def _take(self, message: link_pb2.RunnerMessage) -> bool:
        """Take one message. Return whether the runner says good-bye."""
        match message.WhichOneof("msg"):
            case "heartbeat":
                self._beat = message.heartbeat.beat
                self._placement.heartbeat(self.runner, message.heartbeat)
                self._wake.set()
            case "observed":
                if own := self._own(message.observed.pods):
                    self._placement.observe(self.runner, own, complete=False)
            case "observed_snapshot":
                self._take_snapshot(message.observed_snapshot)
            case "resync":
                logger.info(
                    "runner asks for everything anew",
                    extra={"runner": self._name, "reason": message.resync.reason[:256]},
                )
                self._snapshot_due = True
                self._wake.set()
            case "agents":
                self._placement.found(self.runner, message.agents)
            case "goodbye":
                return True
            case "hello":
                refuse(grpc.StatusCode.INVALID_ARGUMENT, "Hello comes once, as the first message")
            case _:
                logger.debug("unknown message of a newer runner", extra={"runner": self._name})
        return False

    def _take_snapshot(self, part: link_pb2.ObservedSnapshot) -> None:
        self._reported.extend(part.pods)
        if len(self._reported) > MAX_REPORTED_PODS:
            refuse(grpc.StatusCode.RESOURCE_EXHAUSTED, "the runner reports too many pods")
        if part.last:
            pods, self._reported = self._reported, []
            self._placement.observe(self.runner, self._own(pods), complete=True)

    def _own(self, pods: Any) -> list[link_pb2.PodObserved]:
        own, foreign = own_pods(self.runner, pods, self._placement.pod)
        for uid in foreign:
            if uid not in self._strangers and len(self._strangers) < MAX_REPORTED_PODS:
                self._strangers.add(uid)
                logger.warning(
                    "report on a pod that is not placed on the runner ignored",
                    extra={"runner": self._name, "key": uid},
                )
        return own

    # --- out --------------------------------------------------------------------------------------

    async def _write_states(
        self, write: Callable[[link_pb2.ControllerMessage], Awaitable[None]]
    ) -> None:
        while True:
            await self._wake.wait()
            self._wake.clear()
            if self._notice is not None:
                await write(self._message(close=self._notice))
                return
            if self._beat is not None:
                beat, self._beat = self._beat, None
                await write(self._message(heartbeat_ack=link_pb2.HeartbeatAck(beat=beat)))
            for message in (*self._due_lists(), *await self._due()):
                await write(message)
                if self._notice is not None:
                    break  # the runner is told to go; the rest of the state is not for it

    async def _due(self) -> list[link_pb2.ControllerMessage]:
        """Return what the runner must be told now, and count it as told."""
        if self._snapshot_due:
            self._snapshot_due = self._delta_due = False
            return await self._snapshot()
        if self._delta_due and self._began:
            self._delta_due = False
            pods = self._placement.desired(self.runner)
            if not pods and self._told.anything:
                return await self._snapshot()  # the last one goes only when the API confirms it
            return [self._message(delta=delta) for delta in self._told.delta(pods)]
        return []

    def _due_lists(self) -> list[link_pb2.ControllerMessage]:
        """Return the lists that the runner does not have as they are."""
        due, self._lists_due = self._lists_due, False
        found = []
        if due and self._looks and (agents := self._placement.catalogue()) != self._catalogue:
            self._catalogue = agents
            found.append(self._message(agents=agents))
        if due and self._frees and (ready := self._placement.warm(self.runner)) != self._warm:
            self._warm = ready
            found.append(self._message(warm=ready))
        return found

    async def _snapshot(self) -> list[link_pb2.ControllerMessage]:
        pods = self._placement.desired(self.runner)
        if not pods and not await self._confirmed_empty():
            asyncio.get_running_loop().call_later(
                self._settings.confirm_seconds, self._ask_for_snapshot
            )
            return []
        pods = self._placement.desired(self.runner)
        self._began = True
        return [
            self._message(snapshot=part) for part in self._told.snapshot(pods, allow_empty=True)
        ]

    async def _confirmed_empty(self) -> bool:
        """Whether the API itself says that the runner has nothing: an empty store may lie."""
        try:
            async with asyncio.timeout(self._settings.confirm_seconds):
                return await self._placement.confirmed_empty(self.runner)
        except TimeoutError:
            return False

    def _ask_for_snapshot(self) -> None:
        self._snapshot_due = True
        self._wake.set()

    def _message(self, **content: Any) -> link_pb2.ControllerMessage:
        self._seq += 1
        return link_pb2.ControllerMessage(
            seq=self._seq, controller_epoch=self._placement.epoch(), **content
        )

    def welcome(self, session_id: str, protocol: int, now_unix_ms: int) -> Any:
        """Return the first message of the session."""
        return self._message(
            welcome=link_pb2.Welcome(
                session_id=session_id,
                protocol=protocol,
                heartbeat_ms=int(self._settings.heartbeat_seconds * 1000),
                lease_ttl_ms=int(self._settings.lease_seconds * 1000),
                server_time_unix_ms=now_unix_ms,
            )
        )

    # --- watches ----------------------------------------------------------------------------------

    async def _watch_desired(self) -> None:
        """Wake the writer when something changed, and now and then for everything."""
        with self._placement.changes(self.runner) as changes:
            await self._placement.wait_synced()
            self._lists_due = True
            self._ask_for_snapshot()
            loop = asyncio.get_running_loop()
            next_snapshot = loop.time() + self._settings.snapshot_seconds
            while True:
                try:
                    async with asyncio.timeout_at(next_snapshot):
                        await changes.wait()
                    self._delta_due = True
                    self._lists_due = True
                    self._snapshot_due |= not self._began
                    self._wake.set()
                except TimeoutError:
                    next_snapshot = loop.time() + self._settings.snapshot_seconds
                    self._ask_for_snapshot()

    async def _watch_silence(self) -> None:
        loop = asyncio.get_running_loop()
        silence = self._settings.silence_seconds
        while (left := self._heard_at + silence - loop.time()) > 0:  # noqa: ASYNC110 - the deadline moves
            await asyncio.sleep(left)
        refuse(
            grpc.StatusCode.DEADLINE_EXCEEDED,
            f"nothing was heard of the runner for {silence:g} seconds",
            "Silent",
        )

    async def _watch_caller(self) -> None:
        """Tell the runner why, when its certificate has ended or it was banned."""
        await self._caller.ending.wait()
        refusal = self._caller.refusal
        if refusal is not None:
            self.close(link_pb2.CloseSession(reason=refusal.reason, message=refusal.message))
        await asyncio.Event().wait()  # the writer ends the session once it has said so

    @property
    def _name(self) -> str:
        return f"{self.runner.namespace}/{self.runner.name}"
