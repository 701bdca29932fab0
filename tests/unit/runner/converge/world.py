"""A runner's loop on a world of its own: processes that outlive any daemon, and crashes of it."""

import asyncio
import contextlib
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from meshwire.v1 import link_pb2

from runner.clock import wall_ms
from runner.converge.journal import Journal
from runner.converge.loop import Converger
from runner.converge.perform import Performer
from runner.converge.places import Places
from runner.converge.reports import Reports
from runner.converge.unprepared import NotPreparedError
from runner.converge.workshop import Cleared, Plan, Ready
from runner.drivers.terminal_values import (
    Absent,
    Alive,
    Exited,
    Launch,
    LaunchError,
    NotRunning,
    Observed,
)
from runner.drivers.terminal_values import State as ShimState
from runner.drivers.worktree_values import Worktree, WorktreeState
from runner.link.inbox import Wanted


class World:
    """Processes and directories that outlive any daemon."""

    def __init__(self) -> None:
        self.runs: dict[Path, Observed] = {}
        self.starts: Counter[tuple[str, int, int]] = Counter()
        self.cleared: Counter[str] = Counter()
        self.ended = asyncio.Condition()
        self.may_end = asyncio.Event()
        """Cleared: what is asked to end takes its time."""
        self.may_end.set()
        self.wrong: list[str] = []
        """What must never happen, and did; asserting there would only count as a failed attempt."""
        self.broken: dict[str, NotPreparedError] = {}
        self.trees: dict[str, WorktreeState] = {}
        self.made: dict[str, Worktree] = {}
        self.plans: list[tuple[int, bool, bool]] = []
        """Restart, resumed, prompted of each start that was planned."""
        self.frozen: set[Path] = set()
        self.prompts: Counter[str] = Counter()
        """How often an agent was started with its prompt, in the life of its pod."""

    def alive(self, uid: str) -> list[Alive]:
        runs = self.runs.values()
        return [run for run in runs if isinstance(run, Alive) and run.uid == uid]

    async def end(self, run_dir: Path, exit_code: int | None, signal: int | None = None) -> None:
        if isinstance(self.runs.get(run_dir), Alive):
            self.frozen.discard(run_dir)
            self.runs[run_dir] = Exited(exit_code, signal, wall_ms() / 1000, 0, 0)
            async with self.ended:
                self.ended.notify_all()


class FakeTerminals:
    """A terminal driver whose processes live in the world."""

    def __init__(self, world: World) -> None:
        self.world = world

    async def start(self, launch: Launch) -> Alive:
        await asyncio.sleep(0)
        key = (launch.uid, launch.epoch, launch.restart)
        if self.world.starts[key]:
            self.world.wrong.append(f"a start was tried twice: {key}")
        if launch.run_dir in self.world.runs:
            raise LaunchError("AlreadyStarted", "it was started")
        if self.world.alive(launch.uid):
            self.world.wrong.append(f"two runs of one pod at a time: {key}")
        alive = Alive(launch.uid, launch.epoch, launch.restart, 1, 2, wall_ms() / 1000)
        self.world.runs[launch.run_dir] = alive
        self.world.starts[key] += 1
        self.world.prompts[launch.uid] += "prompt" in launch.argv
        launch.run_dir.mkdir(parents=True)
        await asyncio.sleep(0.003)  # a wide window to die in
        return alive

    async def observe(self, run_dir: Path) -> Observed:
        await asyncio.sleep(0)
        return self.world.runs.get(run_dir, Absent(died=False))

    async def stop(self, run_dir: Path, grace_seconds: float) -> None:  # noqa: ARG002  the Protocol's
        await asyncio.sleep(0)
        if run_dir in self.world.frozen:
            self.world.wrong.append(f"what is frozen was asked to end: {run_dir}")
        await self.world.may_end.wait()
        await self.world.end(run_dir, None, 15)

    async def freeze(self, run_dir: Path) -> None:
        await asyncio.sleep(0)
        if not isinstance(self.world.runs.get(run_dir), Alive):
            raise NotRunning("it has ended")
        self.world.frozen.add(run_dir)

    async def thaw(self, run_dir: Path) -> None:
        await asyncio.sleep(0)
        self.world.frozen.discard(run_dir)

    async def watch_exit(self, run_dir: Path) -> Exited | Absent:
        async with self.world.ended:
            while isinstance(found := self.world.runs.get(run_dir, Absent(died=False)), Alive):
                await self.world.ended.wait()
        return found

    async def state(self, run_dir: Path) -> ShimState:
        raise NotRunning(run_dir)

    def size(self, transcript_dir: Path) -> int:  # noqa: ARG002  the Protocol's
        return 0


class FakeWorkshop:
    """Worktrees that are only directories."""

    def __init__(self, world: World, places: Places) -> None:
        self.world = world
        self.places = places

    async def prepare(self, pod: link_pb2.PodDesired, secrets: object) -> Ready:  # noqa: ARG002  the Protocol's
        await asyncio.sleep(0)
        if pod.ref.pod_uid in self.world.broken:
            raise self.world.broken[pod.ref.pod_uid]
        home = self.places.home(pod.ref.pod_uid)
        home.mkdir(parents=True, exist_ok=True)
        return Ready(self.world.made.get(pod.ref.pod_uid), home)

    async def plan(
        self,
        pod: link_pb2.PodDesired,
        restart: int,
        ready: Ready,
        *,
        resumed: bool = False,
        prompted: bool = True,
    ) -> Plan:
        argv = ("sh", *(["again"] if resumed else []), *(["prompt"] if prompted else []))
        self.world.plans.append((restart, resumed, prompted))
        uid, epoch = pod.ref.pod_uid, pod.ref.epoch
        run_dir, transcript = self.places.run(uid, epoch, restart), self.places.transcript(uid)
        launch = Launch(uid, epoch, restart, run_dir, transcript, argv, {}, ready.home)
        return Plan(launch, "none", "host", "")

    async def inspect(self, uid: str) -> WorktreeState | None:
        await asyncio.sleep(0)
        return self.world.trees.get(uid)

    async def clear(self, uid: str) -> Cleared:
        if self.world.alive(uid):
            self.world.wrong.append(f"cleared under a living agent: {uid}")
        await asyncio.sleep(0)
        for _, _, run_dir in self.places.runs(uid):
            self.world.runs.pop(run_dir, None)
        trash = self.places.data_dir / f"trash-{uid}-{self.world.cleared[uid]}"
        with contextlib.suppress(FileNotFoundError):
            self.places.pod(uid).rename(trash)
        self.world.cleared[uid] += 1
        del self.world.prompts[uid]
        return Cleared()


class NoSecrets:
    async def fetch(self, ref: link_pb2.PodRef) -> None:
        raise AssertionError(ref)


class NoPrompts:
    given: Callable[[str], None]

    def running(self, tasks: asyncio.TaskGroup) -> None:
        pass

    def tools_listed(self, uid: str) -> None:
        pass


@dataclass
class Machine:
    """A runner's loop on a world; it may crash and come again."""

    directory: Path
    world: World
    max_pods: int = 0
    boot_id: str = "boot-1"

    async def __aenter__(self) -> "Machine":
        places = Places(self.directory)
        self.journal = Journal(places.journal)
        await self.journal.open()
        self.reports = Reports()
        terminals = self.terminals = FakeTerminals(self.world)
        self.workshop = FakeWorkshop(self.world, places)
        performer = self.performer = Performer(
            places,
            self.journal,
            self.reports,
            terminals,
            self.workshop,
            NoSecrets(),
            self.boot_id,
        )
        self.prompts = NoPrompts()
        self.converger = Converger(
            places, self.journal, self.reports, performer, terminals, self.prompts, self.max_pods
        )
        await self.converger.look_around()
        self.tasks = asyncio.TaskGroup()
        await self.tasks.__aenter__()
        self.loop = self.tasks.create_task(self.converger.run())
        return self

    async def __aexit__(self, *_: object) -> None:
        self.loop.cancel()
        await self.tasks.__aexit__(None, None, None)
        await self.journal.close()

    async def settle(self) -> None:
        """Wait until nothing is being done any more."""
        calm = 0
        async with asyncio.timeout(10):
            while calm < 3:
                await asyncio.sleep(0.001)
                calm = 0 if self.converger.is_busy else calm + 1


def wanted(pods: Any, epoch: Any = 1, *, allow_empty: Any = True) -> Wanted:
    return Wanted(epoch, 1, tuple(pods), allow_empty)


def pod(
    uid: str,
    desired: Any = link_pb2.RUN,
    epoch: Any = 1,
    *,
    restart: Any = False,
    **fields: Any,
) -> link_pb2.PodDesired:
    policy = link_pb2.RESTART_ON_FAILURE if restart else link_pb2.RESTART_NEVER
    return link_pb2.PodDesired(
        ref=link_pb2.PodRef(pod_uid=uid, epoch=epoch),
        namespace="acme",
        name=uid,
        desired=desired,
        keep_stopped=desired == link_pb2.STOP,
        spec=link_pb2.RunSpec(
            restart_policy=policy, prompt="do it", prompt_position=link_pb2.PROMPT_ARGUMENT
        ),
        **fields,
    )
