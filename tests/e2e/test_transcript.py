"""Whoever is killed while an agent prints, a viewer that stays sees every byte, once."""

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e.harness import PROGRAM, Mesh, agent_class, agent_pod, pod_dir, until

pytestmark = [pytest.mark.timeout(600), pytest.mark.faults]

KILLS, LINES_EACH = 50, 2000
_PRINTER = f"""
i=0; batch=0
while [ $batch -lt {KILLS} ]; do
  while [ ! -e "$AGENTSMESH_HOME/go-$batch" ]; do sleep 0.05; done
  batch=$((batch+1)); end=$((batch*{LINES_EACH}))
  while [ $i -lt $end ]; do i=$((i+1)); echo "line $i"; done
done; echo the-end; exec sleep 100000
"""


@pytest.fixture
def viewer(mesh: Mesh, tmp_path: Path) -> Iterator[Path]:
    """Follow the pod ``prints`` as soon as it is there; give the file of what was shown."""
    mesh.apply(agent_class("printer", _PRINTER), agent_pod("prints", "printer"))
    mesh.ready("prints", 60)
    shown = tmp_path / "shown"
    argv = [PROGRAM, "logs", "prints", "--follow", "--raw", "-n", "default"]
    with shown.open("wb") as out:
        process = subprocess.Popen([*argv, "--kubeconfig", str(mesh.kubeconfig)], stdout=out)
    yield shown
    process.kill()
    process.wait()
    mesh.delete("prints")


def test_a_viewer_sees_every_line_once_across_fifty_kills(mesh: Mesh, viewer: Path):
    home = pod_dir(mesh, mesh.get("prints")["metadata"]["uid"]) / "home"
    (home / "go-0").touch()
    until(lambda: viewer.stat().st_size, seconds=60, what="the viewer sees something")
    for kill in range(KILLS):
        (home / f"go-{kill}").touch()
        mesh.replace("runner", *(["controller"] if kill % 10 == 5 else []))
    until(lambda: viewer.read_bytes().endswith(b"the-end\r\n"), seconds=120, what="all is shown")
    expected = b"".join(b"line %d\r\n" % number for number in range(1, KILLS * LINES_EACH + 1))
    assert viewer.read_bytes() == expected + b"the-end\r\n"
