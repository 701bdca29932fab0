"""Ports that are taken: refused where one was asked for, else the next free one."""

import contextlib
import socket
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from tests.e2e.harness import PROGRAM, Mesh, agent_class, agent_pod

pytestmark = pytest.mark.timeout(120)

_USUAL = (6443, 7443, 7444)


@pytest.fixture
def folder() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="mesh-ports-", ignore_cleanup_errors=True) as text:
        (Path(text) / "git").mkdir()
        yield Path(text)


def test_where_the_usual_ports_are_taken_the_next_free_ones_are_used(folder: Path):
    with contextlib.ExitStack() as stack:
        for port in _USUAL:
            with contextlib.suppress(OSError):  # somebody has it: as good
                stack.enter_context(socket.create_server(("127.0.0.1", port)))
        mesh = Mesh(folder, folder / "data")
        mesh.up(port=None)
        try:
            server = yaml.safe_load(mesh.kubeconfig.read_text())["clusters"][0]["cluster"]["server"]
            assert int(server.rpartition(":")[2]) not in _USUAL
            mesh.apply(agent_class("idle", "exec sleep 100000"))
            mesh.apply(agent_pod("works", "idle"))
            mesh.ready("works")
            assert mesh.logs("works") == ""
            mesh.delete("works")
        finally:
            mesh.down()


def test_a_port_that_was_asked_for_and_is_taken_is_refused(folder: Path):
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = str(listener.getsockname()[1])
        argv = [PROGRAM, "up", "--data-dir", str(folder / "data"), "--detach", "--port", port]
        done = subprocess.run(argv, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert port in done.stderr
    assert "is taken" in done.stderr
    assert "Traceback" not in done.stderr
