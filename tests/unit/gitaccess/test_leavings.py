"""The git of a runner that was killed ends when the next one starts, and no other's does."""

import contextlib
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from gitaccess.command import Git

pytestmark = pytest.mark.timeout(60)

BUSY = ("sh", "-c", "sleep 300 & echo up; wait")


@pytest.fixture
def left(tmp_path: Path) -> Iterator[list[subprocess.Popen[bytes]]]:
    """Processes in sessions of their own: of the directory's runner, and of another's."""
    started = []
    for folder in ("git", "git2"):
        environment = {**os.environ, "GIT_CONFIG_GLOBAL": str(tmp_path / folder / "gitconfig")}
        process = subprocess.Popen(
            BUSY, env=environment, stdout=subprocess.PIPE, start_new_session=True
        )
        assert process.stdout is not None
        process.stdout.readline()
        started.append(process)
    yield started
    for process in started:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, 9)
        process.communicate()


def test_what_a_killed_runner_left_at_work_is_ended(
    tmp_path: Path, left: list[subprocess.Popen[bytes]]
) -> None:
    ours, others = left
    Git(tmp_path / "git").prepare()
    ours.wait(30)  # killed, or over because what it waited for was
    assert ours.stdout is not None
    assert ours.stdout.read() == b""  # what it had started has closed it, too
    assert others.poll() is None
