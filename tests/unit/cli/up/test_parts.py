"""When the parts of a mesh count as ready."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from cli.datadir import DataDir
from cli.errors import CommandError
from cli.up.parts import Parts
from cli.up.ports import Ports
from cli.up.settings import Settings
from cli.up.supervise import Part
from tests.unit.cli.served import Served, serve

pytestmark = pytest.mark.anyio

RUNNER = "/apis/agentsmesh.io/v1alpha1/namespaces/default/runners/local"
READY = {"status": {"conditions": [{"type": "Ready", "status": "True"}]}}
KUBECONFIG = """
apiVersion: v1
kind: Config
current-context: here
contexts: [{{name: here, context: {{cluster: here, user: me}}}}]
clusters: [{{name: here, cluster: {{server: "{server}"}}}}]
users: [{{name: me, user: {{token: t}}}}]
"""


@pytest.fixture
def served() -> Iterator[Served]:
    with serve() as server:
        server.answers[RUNNER] = (200, READY)
        yield server


@pytest.fixture
def connected(tmp_path: Path) -> Path:
    """Give the file whose time tells of a session of the runner's."""
    (tmp_path / "runner").mkdir()
    return tmp_path / "runner" / "connected"


@pytest.fixture
def runner(tmp_path: Path, served: Served) -> Part:
    kubeconfig = tmp_path / "kubeconfig"
    kubeconfig.write_text(KUBECONFIG.format(server=served.address))
    kubeconfig.chmod(0o600)
    return Parts(Settings(DataDir(tmp_path), 0, kubeconfig, (), None), Ports()).runner()


async def test_a_runner_that_was_ready_before_is_so_again_once_it_has_connected(
    runner: Part, connected: Path
) -> None:
    connected.touch()
    assert await runner.ready()
    runner.before()  # it ended, and is started again; its Runner is Ready for a while still
    with pytest.raises(CommandError, match="not connected to the controller yet"):
        await runner.ready()
    connected.touch()
    assert await runner.ready()


async def test_a_runner_that_connected_is_ready_when_the_controller_says_so(
    runner: Part, served: Served, connected: Path
) -> None:
    connected.touch()
    served.answers[RUNNER] = (200, {"status": {"conditions": []}})
    with pytest.raises(CommandError, match="the Runner local is not ready"):
        await runner.ready()


async def test_before_its_first_start_there_is_nothing_to_forget(
    runner: Part, connected: Path
) -> None:
    runner.before()
    assert not connected.exists()
    connected.touch()
    os.utime(connected, (0, 0))
    with pytest.raises(CommandError):
        await runner.ready()
