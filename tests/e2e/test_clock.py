"""The wall clock jumps by a day and an hour, for every process at once: agents and people go on."""

import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e.harness import Mesh, agent_class, agent_pod, run

pytestmark = [
    pytest.mark.timeout(240),
    pytest.mark.skipif(shutil.which("cc") is None, reason="needs a C compiler"),
]

_JUMP_SECONDS = 25 * 3600
"""More than the life of a runner's certificate."""


class _Clock:
    """The wall clock of whatever is started while it is in the environment."""

    def __init__(self, folder: Path) -> None:
        self._library, self._file = folder / "clock.so", folder / "jump"
        source = Path(__file__).with_name("clock.c")
        run("cc", "-shared", "-fPIC", "-O1", "-o", str(self._library), str(source))
        self.jump(0)

    def jump(self, seconds: int) -> None:
        """Set the clock so far from the real one."""
        scratch = self._file.with_suffix(".new")
        scratch.write_text(str(seconds), encoding="utf-8")
        scratch.replace(self._file)

    @property
    def environment(self) -> dict[str, str]:
        return {"LD_PRELOAD": str(self._library), "JUMP_FILE": str(self._file)}


@pytest.fixture
def clock(tmp_path: Path) -> _Clock:
    return _Clock(tmp_path)


@pytest.fixture
def mesh(clock: _Clock, monkeypatch: pytest.MonkeyPatch) -> Iterator[Mesh]:
    """Start a mesh, and all that talks to it, under the clock; kubectl alone has the real one."""
    with tempfile.TemporaryDirectory(prefix="mesh-clock-", ignore_cleanup_errors=True) as text:
        folder = Path(text)
        (folder / "git").mkdir()
        made = Mesh(folder, folder / "data")
        for name, value in clock.environment.items():
            monkeypatch.setenv(name, value)
        made.up()
        try:
            made.apply(agent_class("idle", "exec sleep 100000"))
            yield made
            made.kubectl("delete", "agentpods", "--all", "-n", "default", "--timeout=60s")
        finally:
            clock.jump(0)
            made.down()


@pytest.mark.parametrize("jump", [_JUMP_SECONDS, -_JUMP_SECONDS], ids=["on", "back"])
def test_a_clock_that_jumps_costs_no_agent_and_blocks_no_new_one(
    mesh: Mesh, clock: _Clock, jump: int
):
    mesh.apply(agent_pod("before", "idle"), agent_pod("timed", "idle", activeDeadlineSeconds=14400))
    pid = mesh.ready("before")["status"]["observed"]["pid"]
    mesh.ready("timed")
    clock.jump(jump)
    mesh.apply(agent_pod("after", "idle"))
    mesh.ready("after", 60)
    assert mesh.get("timed")["status"]["phase"] == "Running"  # nobody has worked for a day
    mesh.delete("timed")

    mesh.replace("runner")  # its certificate is out of time now
    mesh.apply(agent_pod("later", "idle"))
    mesh.ready("later", 60)
    assert mesh.ready("before", 60)["status"]["observed"]["pid"] == pid
    os.kill(pid, 0)
    mesh.replace("controller")
    mesh.apply(agent_pod("last", "idle"))
    mesh.ready("last", 60)
    assert mesh.logs_when_back("last") == ""
