"""A host that hangs harms only those who use it: sources against real git and a silent server."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from schemas.names import GIT_SOURCE, REPOSITORY, TICKET
from tests.unit.controller.gitops.source_scene import SECONDS, Controller, Scene, ticket, until

pytestmark = pytest.mark.anyio

_MANY = 8
"""More sources than passes that are made at the same time."""


@pytest.fixture
def scene(tmp_path: Path) -> Scene:
    return Scene(tmp_path)


class Silent:
    """A server that takes connections and never says a word."""

    def __init__(self) -> None:
        self.port = 0
        self.open = 0
        """Connections that wait for an answer."""

    async def _hang(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.open += 1
        try:
            while await reader.read(4096):
                pass
        except OSError:
            pass  # whoever asked has been ended
        finally:
            self.open -= 1
            writer.close()


@asynccontextmanager
async def silent() -> AsyncIterator[Silent]:
    made = Silent()
    server = await asyncio.start_server(made._hang, "127.0.0.1", 0)
    made.port = server.sockets[0].getsockname()[1]
    try:
        yield made
    finally:
        server.close()
        await until(lambda: not made.open)


async def _hanging(scene: Scene, server: Silent) -> None:
    """Make many sources of another organization at the server."""
    spec = {"url": f"https://127.0.0.1:{server.port}/team.git", "defaultBranch": "main"}
    body = {"metadata": {"name": "slow"}, "spec": spec}
    await scene.kube.create(REPOSITORY, "rival", body)
    for number in range(_MANY):
        await _source(scene, f"slow-{number}", "slow")


async def _source(scene: Scene, name: str, repository: str) -> None:
    spec = {"repositoryRef": {"name": repository}, "interval": "1h"}
    body = {"metadata": {"name": name}, "spec": spec}
    await scene.kube.create(GIT_SOURCE, "rival", body)


async def _works(scene: Scene, controller: Controller, commit: str) -> None:
    """Have the healthy source read, and a further commit after that."""
    await scene.make()
    await controller.applied(commit)
    await controller.applied(scene.team.push({"tickets/tk-2.md": ticket("tk-2")}))
    assert scene.names(TICKET) == {"tk-1", "tk-2"}


async def test_sources_at_a_host_that_hangs_hold_up_no_other_organization(scene: Scene) -> None:
    commit = scene.team.push({"tickets/tk-1.md": ticket("tk-1")})
    async with silent() as server, scene.controller() as controller:
        await _hanging(scene, server)
        await until(lambda: server.open)
        await _works(scene, controller, commit)
        assert server.open  # they hang still


async def test_a_push_that_hangs_holds_up_no_other_organization(scene: Scene) -> None:
    commit = scene.team.push({"tickets/tk-1.md": ticket("tk-1")})
    async with silent() as server, scene.controller() as controller:
        await _hanging(scene, server)
        await until(lambda: controller.sources.mirror("rival", f"slow-{_MANY - 1}"))
        async with asyncio.TaskGroup() as tasks:
            pushes = []
            for number in range(_MANY):
                name = f"slow-{number}"
                mirror = controller.sources.mirror("rival", name)
                assert mirror is not None
                mirror.use(await controller.sources.remote("rival", name))
                pushes.append(tasks.create_task(mirror.push(commit, commit)))
            await until(lambda: server.open)
            await _works(scene, controller, commit)
            assert not any(push.done() for push in pushes)
            for push in pushes:
                push.cancel()


async def test_one_organization_asks_a_host_only_so_often_at_once(scene: Scene) -> None:
    async with silent() as server, scene.controller() as controller:
        await _hanging(scene, server)
        await until(lambda: server.open == 3)
        commit = scene.team.push({"tickets/tk-1.md": ticket("tk-1")})
        await _works(scene, controller, commit)  # time enough for a fourth one to come
        assert server.open == 3


async def test_an_organization_reads_its_other_repositories_while_one_host_hangs(
    scene: Scene,
) -> None:
    commit = scene.team.push({"tickets/tk-1.md": ticket("tk-1")})
    async with silent() as server, scene.controller() as controller:
        await _hanging(scene, server)
        await until(lambda: server.open)
        spec = {"url": str(scene.team.bare), "defaultBranch": "main"}
        body = {"metadata": {"name": "shop"}, "spec": spec}
        await scene.kube.create(REPOSITORY, "rival", body)
        await _source(scene, "plan", "shop")
        async with asyncio.timeout(SECONDS):
            assert await controller.sources.sync("rival", "plan")
        found = scene.kube.objects[TICKET.kind, "rival", "tk-1"]
        assert found["metadata"]["name"] == "tk-1"
        assert commit == scene.team.tip()
