"""Whatever the order of things, and whatever the watch keeps back: one end (KOPF-05)."""

import asyncio
from collections.abc import Callable
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from controller.kernel.sweep import Sweep
from schemas.names import AGENT_POD, RUNNER

THINGS = ["organization", "class", "runner", "pod", "connect"]
TROUBLES = [
    "watch-some",
    "disconnect",
    "reconnect",
    "lose-events",
    "sweep",
    "touch-runner",
    "touch-pod",
    "successor",
    "work",
]


class Story:
    """Things happen to a mesh; at the end everybody is given time."""

    def __init__(self, mesh: Any, successor: Callable[[Any], Any]) -> None:
        self.mesh = mesh
        self._successor = successor
        self.uid = ""
        self.touched = 0

    async def happen(self, what: str) -> None:
        if what in {"organization", "class", "runner", "pod"}:
            await self._make(what)
        elif what in {"connect", "reconnect", "disconnect"}:
            self._connection(what)
        elif what in {"touch-runner", "touch-pod"}:
            await self._touch(what)
        else:
            await self._trouble(what)

    async def _make(self, what: str) -> None:
        match what:
            case "organization":
                await self.mesh.organization()
            case "class":
                await self.mesh.agent_class()
            case "runner":
                await self.mesh.runner()
            case "pod":
                self.uid = await self.mesh.pod()

    def _connection(self, what: str) -> None:
        runner = self.mesh.runners.get("r1")
        if runner is None:
            return
        runner.disconnect()
        if what != "disconnect":
            runner.connect()

    async def _trouble(self, what: str) -> None:
        mesh = self.mesh
        match what:
            case "watch-some":
                mesh.watch(limit=2)
            case "lose-events":
                mesh.forget_events()
            case "sweep":
                await Sweep(mesh.kube, mesh.store).once()
            case "work":
                await mesh.settle(seconds=3)
            case "successor":
                await self._succeed()

    async def end(self) -> None:
        mesh = self.mesh
        mesh.runners["r1"].connect()
        await Sweep(mesh.kube, mesh.store).once()
        await mesh.settle(seconds=60)

    async def _succeed(self) -> None:
        """Another controller takes over with an empty memory."""
        old = self.mesh
        self.mesh = self._successor(old.kube)
        await Sweep(old.kube, self.mesh.store).once()
        for name, runner in old.runners.items():
            runner.fleet, runner.connected = self.mesh.fleet, False
            self.mesh.runners[name] = runner
            runner.connect()

    async def _touch(self, what: str) -> None:
        resource, name = (RUNNER, "r1") if what == "touch-runner" else (AGENT_POD, "fix")
        if (resource.kind, "acme", name) in self.mesh.kube.objects:
            self.touched += 1
            labels = {"metadata": {"labels": {"touched": str(self.touched)}}}
            await self.mesh.kube.patch(resource, "acme", name, labels)


STORIES = st.tuples(
    st.permutations(THINGS), st.lists(st.sampled_from(TROUBLES), max_size=12), st.randoms()
)


def interleaved(things: list[str], troubles: list[str], random: Any) -> list[str]:
    order = list(things)
    for trouble in troubles:
        order.insert(random.randint(0, len(order)), trouble)
    return order


@given(STORIES)
@settings(
    max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
def test_a_pod_runs_exactly_once_whatever_the_order(make_mesh: Any, story: Any) -> None:
    async def told() -> None:
        tale = Story(make_mesh(), make_mesh)
        for what in interleaved(*story):
            await tale.happen(what)
        await tale.end()
        mesh = tale.mesh
        assert mesh.status()["phase"] == "Running"
        assert mesh.condition("Ready")["status"] == "True"
        assert mesh.runners["r1"].starts == {(tale.uid, 1): 1}
        writes = len(mesh.kube.writes)
        await mesh.settle(seconds=300)
        assert len(mesh.kube.writes) == writes, "it goes on writing although nothing changes"

    asyncio.run(told())


@given(STORIES)
@settings(
    max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
def test_a_deleted_pod_leaves_nothing_whatever_the_order(make_mesh: Any, story: Any) -> None:
    async def told() -> None:
        tale = Story(make_mesh(), make_mesh)
        for what in interleaved(*story):
            await tale.happen(what)
        await tale.mesh.kube.delete(AGENT_POD, "acme", "fix")
        await tale.end()
        mesh = tale.mesh
        assert ("AgentPod", "acme", "fix") not in mesh.kube.objects
        assert mesh.runners["r1"].has == {}
        assert all(times == 1 for times in mesh.runners["r1"].starts.values())

    asyncio.run(told())
