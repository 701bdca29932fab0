"""A pod's directories beside those of others, and what this machine can isolate with."""

import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest

from runner.drivers.sandbox.prepare import prepare
from runner.drivers.sandbox.probe import probe
from runner.drivers.sandbox.values import Capabilities, Prepared, SandboxRequest
from tests.unit.runner.drivers.sandbox.starting import started


@dataclass(frozen=True)
class Pod:
    """One pod's part of a runner's data directory."""

    data_dir: Path
    request: SandboxRequest

    def prepared(self, capabilities: Capabilities, *argv: str, **changes: Any) -> Prepared:
        return prepare(replace(self.request, argv=argv, **changes), capabilities)

    def run(
        self, capabilities: Capabilities, *argv: str, **changes: Any
    ) -> subprocess.CompletedProcess[str]:
        return execute(self.prepared(capabilities, *argv, **changes), self.request)


def execute(prepared: Prepared, request: SandboxRequest) -> subprocess.CompletedProcess[str]:
    with started(prepared, stdout=subprocess.PIPE, stderr=subprocess.PIPE, cwd=request.cwd) as it:
        out, err = it.communicate(timeout=30)
    return subprocess.CompletedProcess(prepared.argv, it.returncode, out, err)


def make_pod(data_dir: Path, uid: str) -> Pod:
    root = data_dir / "pods" / uid
    for name in ("home", "tmp", "worktree", "repo.git", "run"):
        (root / name).mkdir(parents=True, mode=0o700)
    request = SandboxRequest(
        (sys.executable,),
        root / "worktree",
        root / "home",
        root / "tmp",
        root / "run" / "sandbox",
        (root / "worktree", root / "repo.git"),
        environment={
            "PATH": "/usr/bin:/bin",
            "HOME": str(root / "home"),
            "TMPDIR": str(root / "tmp"),
        },
        protected=(data_dir,),
        search_path=(Path("/usr/bin"), Path("/bin")),
    )
    return Pod(data_dir, request)


@pytest.fixture(scope="session")
def machine() -> Capabilities:
    return probe()


@pytest.fixture(params=["bubblewrap", "landlock"])
def level(request: pytest.FixtureRequest, machine: Capabilities) -> Capabilities:
    """Each isolation that this machine has, alone."""
    if request.param == "bubblewrap":
        if machine.bubblewrap is None:
            pytest.skip("no bubblewrap here")
        return replace(machine, landlock=0, network_namespace=False)
    if not machine.landlock:
        pytest.skip("no Landlock here")
    return replace(machine, bubblewrap=None)


@pytest.fixture
def data_dir(tmp_path: Path) -> Path:
    path = tmp_path / "data"
    path.mkdir(mode=0o700)
    return path


@pytest.fixture
def pod(data_dir: Path) -> Iterator[Pod]:
    before = os.umask(0o077)
    yield make_pod(data_dir, "0001")
    os.umask(before)
