"""A whole mesh on this machine: up, status, down, and all that can be killed in between."""

import contextlib
import json
import os
import select
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import ptyprocess
import pytest

from cli import processes
from cli.api import Api
from cli.kubeconfig import load

pytestmark = pytest.mark.timeout(180)

PROGRAM = str(Path(sys.executable).with_name("agentsmesh"))
PARTS = ("apiserver", "controller", "runner")


def run(*arguments: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [PROGRAM, *arguments],
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
        stdin=subprocess.DEVNULL,
    )


def until(claim: Callable[[], Any], what: str, seconds: float = 40) -> None:
    deadline = time.monotonic() + seconds
    while not claim():
        assert time.monotonic() < deadline, f"not within {seconds} s: {what}"
        time.sleep(0.05)


class Mesh:
    """A mesh and what is asked of it."""

    def __init__(self, data: Path) -> None:
        self.data = data

    def up(self, *extra: str) -> "subprocess.CompletedProcess[str]":
        return run("up", "--data-dir", str(self.data), "--port", "0", "--detach", *extra)

    def down(self) -> "subprocess.CompletedProcess[str]":
        return run("down", "--data-dir", str(self.data))

    def status(self) -> dict[str, Any]:
        done = run("status", "--data-dir", str(self.data), "-o", "json")
        return dict(json.loads(done.stdout))

    def pids(self) -> dict[str, int]:
        return {entry["name"]: entry["pid"] for entry in self.status()["processes"]}

    def ready(self) -> bool:
        return bool(self.status()["ready"])

    def get(self, path: str) -> Any:
        return json.loads(Api(load([self.data / "kubeconfig"])).raw(path))

    def runner_ready(self) -> bool:
        runner = self.get("/apis/agentsmesh.io/v1alpha1/namespaces/default/runners/local")
        conditions = runner["status"].get("conditions", [])
        return any(c["type"] == "Ready" and c["status"] == "True" for c in conditions)


@pytest.fixture(scope="module")
def mesh() -> Iterator[Mesh]:
    with tempfile.TemporaryDirectory(prefix="mesh-up-", ignore_cleanup_errors=True) as folder:
        made = Mesh(Path(folder) / "data")
        started = made.up()
        try:
            assert started.returncode == 0, started.stderr
            yield made
        finally:
            made.down()


def test_up_returns_when_everything_is_ready_and_says_how_to_go_on(mesh: Mesh):
    status = mesh.status()
    assert status["ready"]
    assert [entry["name"] for entry in status["processes"]] == list(PARTS)
    for entry in status["processes"]:
        assert entry["state"] == "ready"
        assert Path(entry["log"]).is_file()
    assert mesh.runner_ready()
    owner = mesh.get("/apis/agentsmesh.io/v1alpha1/organizations/default")["spec"]["members"][0]
    assert owner["role"] == "owner"


def test_everything_is_private_and_on_loopback(mesh: Mesh):
    assert mesh.data.stat().st_mode & 0o777 == 0o700
    assert (mesh.data / "kubeconfig").stat().st_mode & 0o777 == 0o600
    assert not (mesh.data / "join-token").exists()
    listening = Path("/proc/net/tcp").read_text(encoding="ascii").splitlines()[1:]
    ports = {f"{port:04X}" for port in mesh.status()["ports"].values()}
    addresses = {
        line.split()[1].split(":")[0]
        for line in listening
        if line.split()[1].split(":")[1] in ports and line.split()[3] == "0A"
    }
    assert addresses == {"0100007F"}


def test_no_token_is_in_any_log_or_command_line(mesh: Mesh):
    token = load([mesh.data / "kubeconfig"]).authorization.removeprefix("Bearer ")
    for log in (mesh.data / "logs").iterdir():
        text = log.read_text(encoding="utf-8", errors="replace")
        assert token not in text
        assert "amjt_" not in text
    for pid in mesh.pids().values():
        command = Path(f"/proc/{pid}/cmdline").read_bytes()
        assert token.encode() not in command
        assert b"amjt_" not in command


def test_a_second_up_is_refused_and_names_the_first(mesh: Mesh):
    supervisor = mesh.status()["supervisor"]["pid"]
    for again in (mesh.up(), run("up", "--data-dir", str(mesh.data))):
        assert again.returncode == 1
        assert f"process {supervisor}" in again.stderr
        assert "already" in again.stderr
    assert mesh.ready()


@pytest.mark.parametrize("part", PARTS)
def test_a_part_that_is_killed_comes_back(mesh: Mesh, part: str):
    before = mesh.pids()
    os.kill(before[part], signal.SIGKILL)
    until(lambda: mesh.pids()[part] not in {0, before[part]}, f"{part} is started again")
    until(mesh.ready, "everything is ready again")
    until(mesh.runner_ready, "the runner is connected")
    others = {name: pid for name, pid in before.items() if name != part}
    assert {name: pid for name, pid in mesh.pids().items() if name != part} == others


def test_all_killed_then_up_again_keeps_ports_objects_and_identity(mesh: Mesh):
    before, status = mesh.pids(), mesh.status()
    kubeconfig = (mesh.data / "kubeconfig").read_bytes()
    uid = mesh.get("/apis/agentsmesh.io/v1alpha1/namespaces/default/runners/local")["metadata"]
    for pid in [status["supervisor"]["pid"], *before.values()]:
        os.kill(pid, signal.SIGKILL)
    assert mesh.status()["running"] is False
    again = mesh.up()
    assert again.returncode == 0, again.stderr
    assert mesh.status()["ports"] == status["ports"]
    assert (mesh.data / "kubeconfig").read_bytes() == kubeconfig
    runner = mesh.get("/apis/agentsmesh.io/v1alpha1/namespaces/default/runners/local")
    assert runner["metadata"]["uid"] == uid["uid"]
    enrolments = "/apis/agentsmesh.io/v1alpha1/namespaces/default/runnerenrollments"
    assert len(mesh.get(enrolments)["items"]) == 1  # its certificate was still good


def test_the_supervisor_killed_takes_its_processes_with_it(mesh: Mesh):
    before = mesh.pids()
    os.kill(mesh.status()["supervisor"]["pid"], signal.SIGKILL)
    for name, pid in before.items():
        until(lambda pid=pid: processes.find(pid) is None, f"{name} has ended")
    again = mesh.up()
    assert again.returncode == 0, again.stderr


def test_a_frozen_leftover_is_ended_by_the_next_up(mesh: Mesh):
    before = mesh.pids()
    os.kill(before["controller"], signal.SIGSTOP)  # the word that its parent ended waits
    os.kill(mesh.status()["supervisor"]["pid"], signal.SIGKILL)
    again = mesh.up()
    assert again.returncode == 0, again.stderr
    assert "left behind" in again.stdout
    assert processes.find(before["controller"]) is None


def test_a_lost_identity_is_replaced_without_anybodys_help(mesh: Mesh):
    mesh.down()
    (mesh.data / "runner" / "identity" / "cert.pem").unlink()
    again = mesh.up()
    assert again.returncode == 0, again.stderr
    until(mesh.runner_ready, "the runner is connected with a new certificate")


def test_down_stops_everything_and_says_so_twice(mesh: Mesh):
    pids = [mesh.status()["supervisor"]["pid"], *mesh.pids().values()]
    first, second = mesh.down(), mesh.down()
    assert (first.returncode, second.returncode) == (0, 0)
    assert "agents go on" in first.stdout
    assert "nothing runs" in second.stdout
    assert not [pid for pid in pids if processes.find(pid)]
    again = mesh.up()
    assert again.returncode == 0, again.stderr


def test_in_the_foreground_it_stops_at_ctrl_c(tmp_path: Path):
    command = [PROGRAM, "up", "--data-dir", str(tmp_path / "data"), "--port", "0"]
    pty = ptyprocess.PtyProcess.spawn(command)
    try:
        assert b"the mesh is ready" in _read_until(pty, b"the mesh is ready")
        mesh = Mesh(tmp_path / "data")
        pids = list(mesh.pids().values())
        pty.write(b"\x03")
        assert b"agents go on" in _read_until(pty, b"finds them again")
        until(lambda: not pty.isalive(), "it has ended")
        assert pty.exitstatus == 0
        assert not [pid for pid in pids if processes.find(pid)]
    finally:
        pty.terminate(force=True)
        pty.close()


def _read_until(pty: Any, text: bytes) -> bytes:
    seen = b""
    deadline = time.monotonic() + 90
    while text not in seen:
        assert time.monotonic() < deadline, seen
        if select.select([pty.fd], [], [], 0.1)[0]:
            with contextlib.suppress(OSError):
                seen += os.read(pty.fd, 65536)
    return seen


def test_an_existing_cluster_is_used_when_it_is_named(tmp_path: Path):
    kubeconfig = tmp_path / "cluster" / "kubeconfig"
    server = [sys.executable, "-m", "apiserver", "--data-dir", str(tmp_path / "cluster")]
    with subprocess.Popen([*server, "--port", "0"], stdout=subprocess.PIPE) as cluster:
        try:
            assert cluster.stdout is not None
            assert b"ready" in cluster.stdout.readline()
            mesh = Mesh(tmp_path / "data")
            started = run(
                *("up", "--data-dir", str(mesh.data), "--kubeconfig", str(kubeconfig), "--detach"),
            )
            assert started.returncode == 0, started.stderr
            assert list(mesh.pids()) == ["controller", "runner"]
            assert mesh.status()["kubeconfig"] == str(kubeconfig)
            assert mesh.down().returncode == 0
        finally:
            cluster.terminate()
