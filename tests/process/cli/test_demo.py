"""``make demo``: what a new user sees first."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from cli.datadir import DataDir, holder

pytestmark = pytest.mark.timeout(180)

ROOT = Path(__file__).resolve().parents[3]


@pytest.mark.parametrize("kubectl", [True, False], ids=["with kubectl", "without kubectl"])
def test_two_agents_work_and_everything_stops_again(tmp_path: Path, *, kubectl: bool):
    data = tmp_path / "data"
    environment = {
        **os.environ,
        "AGENTSMESH_DATA_DIR": str(data),
        "KUBECTL": "kubectl" if kubectl else "kubectl-that-is-not-installed",
    }
    done = subprocess.run(
        [sys.executable, "-m", "scripts.demo", "--once"],
        capture_output=True,
        text=True,
        check=False,
        timeout=150,
        env=environment,
        cwd=ROOT,
        stdin=subprocess.DEVNULL,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert re.search(r"^ada .*Running", done.stdout, re.MULTILINE)
    assert re.search(r"^grace .*Running", done.stdout, re.MULTILINE)
    assert "What shall I plant next?" in done.stdout
    assert re.search(r"^  [0-9a-f]{7} Plant a row of tulips$", done.stdout, re.MULTILINE)
    assert re.search(r"^  [0-9a-f]{7} Plant two apple trees$", done.stdout, re.MULTILINE)
    assert ("kubectl is not installed" in done.stdout) == (not kubectl)
    assert holder(DataDir(data)) is None
    assert not list((data / "runner" / "pods").glob("*"))


def test_a_demo_that_cannot_start_says_which_part_and_where_its_log_is(tmp_path: Path):
    data = tmp_path / "data"
    data.mkdir()
    (data / "up.pid").touch()  # ours already
    (data / "apiserver").write_text("in the way of a directory", encoding="utf-8")
    done = subprocess.run(
        [sys.executable, "-m", "scripts.demo", "--once"],
        capture_output=True,
        text=True,
        check=False,
        timeout=100,
        env={**os.environ, "AGENTSMESH_DATA_DIR": str(data)},
        cwd=ROOT,
        stdin=subprocess.DEVNULL,
    )
    assert done.returncode == 1
    assert "API server" in done.stderr
    assert str(data / "logs" / "apiserver.log") in done.stderr
