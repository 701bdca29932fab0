"""A part, or all, is killed at every step of a pod's life: nothing is lost or done twice."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.harness import Mesh, agent_class, agent_pod, is_clear, processes_of, until
from tests.e2e.watching import AGENT_PODS, Watch

pytestmark = [pytest.mark.faults, pytest.mark.timeout(300)]

_PARTS = ("apiserver", "controller", "runner")
_SCRIPT = """
echo started >> "$AGENTSMESH_HOME/starts"; echo up
until [ -e "$AGENTSMESH_HOME/go" ]; do sleep 0.05; done
echo the-end; exit 7
"""


@dataclass
class _Life:
    """One pod, and who is killed at each of its steps."""

    mesh: Mesh
    name: str
    victims: tuple[str, ...]
    watch: Watch
    uid: str = ""

    def kill(self) -> None:
        """Kill the victims and have them back, as a user would: by themselves, or by `up`."""
        if len(self.victims) == len(_PARTS):
            self.mesh.kill_all()
            self.mesh.up()
        else:
            self.mesh.replace(*self.victims)

    def told(self, claim: Callable[[dict[str, Any]], Any], what: str, seconds: float = 60) -> Any:
        """Return the pod at the moment when *claim* holds for it."""
        return self.watch.wait(
            lambda pod: pod["metadata"]["name"] == self.name and claim(pod),
            what=f"{self.name}: {what}",
            seconds=seconds,
        )

    def phase(self, phase: str) -> None:
        self.told(lambda pod: pod.get("status", {}).get("phase") == phase, phase)

    @property
    def directory(self) -> Path | None:
        return next(self.mesh.data.rglob(f"pods/{self.uid}"), None)

    @property
    def starts(self) -> str:
        file = self.directory / "home" / "starts" if self.directory else None
        return file.read_text(encoding="utf-8") if file is not None and file.exists() else ""


@pytest.mark.parametrize("victims", [*((part,) for part in _PARTS), _PARTS], ids="-".join)
def test_killed_at_every_step_a_pod_starts_once_and_ends_as_it_should(
    mesh: Mesh, victims: tuple[str, ...]
):
    mesh.apply(agent_class("steps", _SCRIPT))
    name = f"steps-{'-'.join(victims)}"
    with Watch(mesh.kubeconfig, AGENT_PODS) as watch:
        life = _Life(mesh, name, victims, watch)
        mesh.apply(agent_pod(name, "steps", repositoryRef={"name": "origin"}))
        life.kill()  # it was accepted, and perhaps seen
        life.uid = life.told(lambda _: True, "is there")["metadata"]["uid"]

        life.told(lambda pod: pod.get("status", {}).get("placement"), "placed")
        life.kill()  # placed, and the runner perhaps told
        until(lambda: life.directory, seconds=60, what="the runner has begun")
        life.kill()  # preparing or starting
        try:
            until(lambda: life.starts, seconds=30, what="the agent runs")
        except AssertionError:
            raise AssertionError(mesh.get(name)["status"]) from None
        life.kill()  # running, and perhaps not told
        life.phase("Running")
        life.kill()
        directory = life.directory
        assert directory is not None
        (directory / "home" / "go").touch()
        until(lambda: not processes_of(life.uid), what="the agent has ended")
        life.kill()  # ended, and perhaps not told
        life.phase("Failed")
        assert life.starts == "started\n"
        pod = mesh.get(name)
        assert pod["status"]["observed"]["exitCode"] == 7
        assert pod["status"]["observed"].get("restarts", 0) == 0
        assert pod["status"]["placement"]["epoch"] == 1
        life.kill()
        assert mesh.logs_when_back(name).split() == ["up", "the-end"]

        mesh.kubectl("delete", "agentpod", name, "-n", "default", "--wait=false")
        life.kill()  # deleted, and perhaps seen
        until(lambda: not mesh.exists(name), seconds=60, what="the pod has gone")
        is_clear(mesh, life.uid)


@pytest.mark.parametrize("victims", [*((part,) for part in _PARTS), _PARTS], ids="-".join)
def test_killed_while_a_running_pod_is_torn_down_nothing_is_left(
    mesh: Mesh, victims: tuple[str, ...]
):
    mesh.apply(agent_class("slow-to-go", "trap '' TERM; echo up; while true; do sleep 1; done"))
    name = f"torn-{'-'.join(victims)}"
    with Watch(mesh.kubeconfig, AGENT_PODS) as watch:
        life = _Life(mesh, name, victims, watch)
        mesh.apply(agent_pod(name, "slow-to-go", repositoryRef={"name": "origin"}))
        life.uid = mesh.ready(name)["metadata"]["uid"]
        mesh.kubectl("delete", "agentpod", name, "-n", "default", "--wait=false")
        life.told(lambda pod: pod["metadata"].get("deletionTimestamp"), "is being deleted")
        life.kill()  # within the grace of a second
        until(lambda: not processes_of(life.uid), seconds=60, what="no process is left")
        life.kill()  # while files are cleared away, or just after
        until(lambda: not mesh.exists(name), seconds=60, what="the pod has gone")
        is_clear(mesh, life.uid)
