"""Programs with an input line, held by real shims, and what of a runner brings prompts to them."""

import asyncio
import json
import shutil
import sys
import tempfile
import uuid
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from meshwire.v1 import link_pb2

from runner.converge.deliveries import Deliveries
from runner.converge.delivery_states import Delivery
from runner.converge.journal import Journal
from runner.converge.places import Places
from runner.converge.states import Row, State, begun
from runner.drivers.screen import Screen
from runner.drivers.terminal import Launch, Terminals

HERE = Path(__file__).parent
ROOT = HERE.parents[2]
UID = f"pod-{uuid.uuid4()}"
"""No other run of these tests has it: what tests leave behind is found by it, and ended."""

EMPTY_INPUT = "^>$"
"""How the programs' input line looks when it is empty: the text of a screen has no blank ends."""


@dataclass
class Agent:
    """A program in a pod, the journal's row of it, and what was submitted to it."""

    directory: Path
    terminals: Terminals
    restart: int = 0
    uid: str = UID

    @property
    def places(self) -> Places:
        return Places(self.directory)

    @property
    def file(self) -> Path:
        return self.directory / "submitted"

    @property
    def run_dir(self) -> Path:
        return self.places.run(UID, 1, self.restart)

    def submitted(self) -> list[str]:
        """Return what the program took, in order."""
        if not self.file.exists():
            return []
        return [json.loads(line) for line in self.file.read_text().splitlines()]

    async def start(
        self, program: str, kind: str, regex: str = "", timeout_seconds: int = 0, **spec: Any
    ) -> None:
        """Start the program and write the row of a runner that has started it."""
        python = (sys.executable, "-I", "-S", "-u")
        launch = Launch(
            UID,
            1,
            self.restart,
            self.run_dir,
            self.places.transcript(UID),
            (*python, str(HERE / "stubs" / program), kind, str(self.file)),
            {"PATH": "/usr/bin:/bin", "TERM": "xterm-256color"},
            self.directory,
        )
        begin = self.terminals.size(launch.transcript_dir)
        alive = await self.terminals.start(launch)
        readiness = link_pb2.Readiness(regex=regex, timeout_seconds=timeout_seconds)
        pod = link_pb2.PodDesired(
            ref=link_pb2.PodRef(pod_uid=UID, epoch=1),
            spec=link_pb2.RunSpec(readiness=readiness, **spec),
        )
        self.row = begun(
            pod,
            State.RUNNING,
            restart=self.restart,
            pid=alive.pid,
            child_pid=alive.child_pid,
            started_ms=1,
            output_begin=begin,
        )
        await self.write(self.row)

    async def write(self, row: Row) -> None:
        journal = Journal(self.places.journal)
        await journal.open()
        await journal.put(row)
        await journal.close()

    async def accept(self, *deliveries: Delivery) -> None:
        """Write deliveries down as a runner that was killed right after it."""
        journal = Journal(self.places.journal)
        await journal.open()
        for delivery in deliveries:
            await journal.put_delivery(delivery)
        await journal.close()

    async def carried(self, point: int = 0, seconds: float = 180.0) -> int:
        """Have another process bring what is to be brought; return how it ended."""
        arguments = (str(HERE / "carrier.py"), str(self.directory), str(point))
        environment = {"PYTHONPATH": f"{ROOT}:{ROOT / 'proto'}", "PATH": "/usr/bin:/bin"}
        process = await asyncio.create_subprocess_exec(
            sys.executable, *arguments, cwd=ROOT, env=environment
        )
        try:
            async with asyncio.timeout(seconds):
                return await process.wait()
        finally:
            if process.returncode is None:
                process.kill()
                await process.wait()

    async def stop(self) -> None:
        async with asyncio.timeout(60):
            await self.terminals.stop(self.run_dir, 0)
            await self.terminals.watch_exit(self.run_dir)


class Runner:
    """What of a runner brings prompts, in this process."""

    def __init__(self, agent: Agent) -> None:
        self.agent = agent
        self.notes: list[str] = []
        self.given: list[tuple[str, list[str]]] = []
        """Pods that are said to have got their first prompt, and what they had submitted then."""
        self.wake = asyncio.Event()

    async def __aenter__(self) -> "Runner":
        places = self.agent.places
        self.journal = Journal(places.journal)
        await self.journal.open()
        self.deliveries = Deliveries(
            places,
            self.journal,
            self.agent.terminals,
            Screen,
        )
        self.deliveries.wake = self.wake.set
        self.deliveries.note = lambda _uid, text, _reason: self.notes.append(text)
        self.deliveries.given = lambda uid: self.given.append((uid, self.agent.submitted()))
        self.heard = asyncio.Event()
        self.feed = self.deliveries.subscribe(self.heard.set)
        self.reports: dict[str, list[link_pb2.DeliveryReport]] = {}
        self.tasks = asyncio.TaskGroup()
        await self.tasks.__aenter__()
        self.loop = self.tasks.create_task(self.run())
        return self

    async def run(self) -> None:
        async with asyncio.TaskGroup() as tasks:
            while True:
                self.deliveries.running(tasks)
                await self.wake.wait()
                self.wake.clear()

    async def __aexit__(self, *_: object) -> None:
        self.loop.cancel()
        await self.tasks.__aexit__(None, None, None)
        await self.journal.close()

    async def want(self, delivery_id: str, text: str, give_up_ms: int = 0) -> None:
        ref = link_pb2.PodRef(pod_uid=UID, epoch=1)
        deliver = link_pb2.Deliver(id=delivery_id, text=text, give_up_unix_ms=give_up_ms)
        await self.deliveries.want(ref, deliver)

    async def end_of(self, delivery_id: str, seconds: float = 120.0) -> link_pb2.DeliveryReport:
        """Wait until a delivery is reported as ended."""
        async with asyncio.timeout(seconds):
            while True:
                for report in self.feed.take():
                    self.reports.setdefault(report.id, []).append(report)
                told = self.reports.get(delivery_id, [])
                if told and told[-1].state != link_pb2.DELIVERY_ACCEPTED:
                    return told[-1]
                self.heard.clear()
                await self.heard.wait()

    async def put(self, row: Row) -> None:
        """Write a row as the loop does, which then looks around."""
        await self.journal.put(row)
        self.wake.set()


@pytest.fixture
async def terminals() -> AsyncIterator[Terminals]:
    async with Terminals() as terminals:
        yield terminals


@pytest.fixture
async def make_agent(terminals: Terminals) -> AsyncIterator[Callable[[], Agent]]:
    """Give what makes a pod's place; all programs are ended after the test."""
    made: list[Agent] = []

    def make() -> Agent:
        directory = Path(tempfile.mkdtemp(prefix="deliver-", dir="/tmp"))
        agent = Agent(directory, terminals)
        made.append(agent)
        return agent

    yield make
    for agent in made:
        await agent.stop()
        shutil.rmtree(agent.directory, ignore_errors=True)


@pytest.fixture
def agent(make_agent: Callable[[], Agent]) -> Agent:
    return make_agent()


@pytest.fixture
def runner(agent: Agent) -> Runner:
    return Runner(agent)


@pytest.fixture
def make_runner(agent: Agent) -> Callable[[], Runner]:
    """Give what makes a runner, one after the other."""
    return lambda: Runner(agent)
