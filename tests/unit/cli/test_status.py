"""What `agentsmesh status` says of processes that are there, and of those that are not."""

import json
import subprocess
import sys
from argparse import Namespace
from collections.abc import Iterator
from pathlib import Path

import pytest

from cli import processes
from cli.datadir import DataDir, held
from cli.status import status
from cli.up.ports import Ports
from cli.up.state import PartState, UpState


@pytest.fixture
def mesh(tmp_path: Path) -> Iterator[UpState]:
    """Give what an `up` wrote down that holds the data directory: two parts that are ready."""
    directory = DataDir(tmp_path)
    parts = [
        PartState(name, "log", "ready", processes.me(), 0, "") for name in ("controller", "runner")
    ]
    known = UpState(processes.me(), "kubeconfig", Ports(), embedded=True, ready=True, parts=parts)
    with held(directory):
        known.write(directory)
        yield known


def asked(tmp_path: Path, output: str = "json") -> int:
    return status(Namespace(data_dir=str(tmp_path), output=output))


@pytest.mark.usefixtures("mesh")
def test_what_runs_is_ready(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert asked(tmp_path) == 0
    document = json.loads(capsys.readouterr().out)
    assert document["ready"]
    assert [entry["state"] for entry in document["processes"]] == ["ready", "ready"]


@pytest.mark.parametrize("state", ["ready", "starting"])
def test_a_process_that_has_ended_is_not_said_to_be_ready(
    tmp_path: Path, mesh: UpState, state: str, capsys: pytest.CaptureFixture[str]
) -> None:
    ended = subprocess.Popen([sys.executable, "-c", ""])
    mesh.parts[1].process, mesh.parts[1].state = processes.find(ended.pid), state
    ended.wait()
    mesh.write(DataDir(tmp_path))  # and nothing later: the disk is full
    asked(tmp_path)
    document = json.loads(capsys.readouterr().out)
    assert not document["ready"]
    runner = document["processes"][1]
    assert (runner["pid"], runner["state"]) == (0, "restarting")
    asked(tmp_path, output="text")
    assert "runner: its process has ended" in capsys.readouterr().out
