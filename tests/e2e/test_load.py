"""Much output, viewers that do not read, a disk that is full: the agent and the others go on."""

import gzip
import os
import select
import shutil
import signal
import subprocess
from pathlib import Path
from typing import Any

import ptyprocess
import pytest

from tests.e2e.harness import PROGRAM, Mesh, agent_class, agent_pod, pod_dir, run, until
from tests.e2e.watching import Server

pytestmark = pytest.mark.timeout(240)

_LEASES = "/apis/coordination.k8s.io/v1/namespaces/default/leases"


def _parent(pid: int) -> int:
    stat = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8")
    return int(stat.rpartition(")")[2].split()[1])


def _memory_megabytes(pid: int) -> float:
    status = Path(f"/proc/{pid}/status").read_text(encoding="utf-8")
    line = next(line for line in status.splitlines() if line.startswith("VmRSS"))
    return int(line.split()[1]) / 1024


def _renewed(mesh: Mesh) -> dict[str, Any]:
    """Return when each runner's Lease was renewed last."""
    leases = Server(mesh.kubeconfig).read(_LEASES)["items"]
    return {lease["metadata"]["name"]: lease["spec"].get("renewTime") for lease in leases}


def _bytes_kept(transcript: Path) -> int:
    """Return how much output the files of a transcript hold, packed or not; 0 while they change."""
    sizes: dict[str, int] = {}
    try:
        for file in transcript.glob("*.log"):
            sizes[file.name[:20]] = file.stat().st_size
        for file in transcript.glob("*.log.gz"):
            sizes[file.name[:20]] = len(gzip.decompress(file.read_bytes()))
    except FileNotFoundError:
        return 0
    return sum(sizes.values())


def test_a_hundred_megabytes_cost_little_memory_and_nobody_anything(mesh: Mesh):
    script = "head -c 100000000 /dev/zero | tr '\\0' x | fold -w 99; echo; echo the-end; sleep 9999"
    mesh.apply(agent_class("loud", script))
    mesh.apply(agent_pod("quiet-one", "idle"))
    before = {part: _memory_megabytes(mesh.pid(part)) for part in ("controller", "runner")}
    mesh.apply(agent_pod("loud", "loud"))
    pod = mesh.ready("loud")
    mesh.ready("quiet-one")  # meanwhile
    until(lambda: "the-end" in mesh.logs("loud", "--tail", "3"), seconds=90, what="all is printed")
    uid = pod["metadata"]["uid"]
    with (mesh.folder / "all").open("wb") as file:
        argv = [PROGRAM, "logs", "loud", "-n", "default", "--kubeconfig", str(mesh.kubeconfig)]
        subprocess.run([*argv, "--raw"], stdout=file, check=True)
    size = (mesh.folder / "all").stat().st_size
    assert size >= 100_000_000
    kept = pod_dir(mesh, uid) / "transcript"
    until(lambda: _bytes_kept(kept) == size, what="all of it, and nothing else, is on disk")
    for part, megabytes in before.items():
        assert _memory_megabytes(mesh.pid(part)) < megabytes + 40, part
    (mesh.folder / "all").unlink()
    mesh.delete("loud")
    mesh.delete("quiet-one")


def test_a_viewer_that_never_reads_stalls_nobody(mesh: Mesh):
    script = """
echo hello; until [ -e "$AGENTSMESH_HOME/go" ]; do sleep 0.05; done
head -c 30000000 /dev/zero | tr '\\0' x | fold -w 99; echo
touch "$AGENTSMESH_HOME/done"; echo the-end; exec sleep 100000
"""
    mesh.apply(agent_class("watched", script))
    mesh.apply(agent_pod("watched", "watched"))
    home = pod_dir(mesh, mesh.ready("watched")["metadata"]["uid"]) / "home"
    argv = [PROGRAM, "attach", "watched", "-n", "default", "--kubeconfig", str(mesh.kubeconfig)]
    stuck = ptyprocess.PtyProcess.spawn(argv, dimensions=(30, 100))
    other = subprocess.Popen([*argv[:1], "logs", "-f", *argv[2:]], stdout=subprocess.PIPE)
    try:
        until(lambda: b"hello" in _available(stuck.fd), what="the viewer is attached")
        os.kill(stuck.pid, signal.SIGSTOP)
        renewed = _renewed(mesh)
        (home / "go").touch()
        until((home / "done").exists, seconds=60, what="the agent has printed all")
        _read_until(other, b"the-end")
        until(lambda: _renewed(mesh) != renewed, seconds=30, what="the heart beats on")
        assert mesh.condition("watched", "Ready")["status"] == "True"
        os.kill(stuck.pid, signal.SIGCONT)  # it is shown where things stand now
        until(lambda: b"the-end" in _available(stuck.fd), seconds=30, what="it catches up")
    finally:
        other.kill()
        other.communicate()
        stuck.kill(signal.SIGKILL)
        stuck.wait()
        stuck.close()
    mesh.delete("watched")


def _read_until(process: "subprocess.Popen[bytes]", words: bytes) -> None:
    assert process.stdout is not None
    seen = b""

    def arrived() -> bool:
        nonlocal seen
        seen = seen[-100:] + _available(process.stdout.fileno() if process.stdout else -1)
        return words in seen

    until(arrived, seconds=60, what=f"{words!r} is read")


def _available(fd: int) -> bytes:
    """Return what can be read now, up to some 10 MB; waits a moment for the first byte."""
    seen = b""
    while len(seen) < 10_000_000 and select.select([fd], [], [], 0.1)[0]:
        try:
            piece = os.read(fd, 1 << 16)
        except OSError:
            break
        if not piece:
            break
        seen += piece
    return seen


@pytest.mark.skipif(shutil.which("prlimit") is None, reason="needs prlimit")
def test_a_full_disk_stops_no_agent_and_the_gap_is_said(mesh: Mesh):
    script = """
i=0; while :; do i=$((i+1)); echo "line $i"; echo $i > "$AGENTSMESH_HOME/count"; sleep 0.01; done
"""
    mesh.apply(agent_class("writes", script))
    mesh.apply(agent_pod("writes", "writes"))
    pod = mesh.ready("writes")
    pid = pod["status"]["observed"]["pid"]
    count = pod_dir(mesh, pod["metadata"]["uid"]) / "home" / "count"
    until(lambda: _number(count) > 10, what="it writes")
    shim = _parent(pid)
    run("prlimit", "--pid", str(shim), "--fsize=0:")  # its disk is full
    at = _number(count)
    until(lambda: _number(count) > at + 100, what="the agent goes on")
    run("prlimit", "--pid", str(shim), "--fsize=unlimited:")
    again = _number(count)
    until(lambda: _last(mesh.logs("writes", "--tail", "3")) > again, what="it is written again")
    argv = [PROGRAM, "logs", "writes", "-n", "default", "--kubeconfig", str(mesh.kubeconfig)]
    done = subprocess.run(argv, capture_output=True, text=True, check=True)
    numbers = [int(line.split()[1]) for line in done.stdout.splitlines() if line.startswith("line")]
    assert len(numbers) < numbers[-1]
    assert "bytes" in done.stderr, done.stderr
    assert mesh.get("writes")["status"]["observed"]["pid"] == pid
    mesh.delete("writes")


def _last(output: str) -> int:
    """Return the number of the last whole line."""
    numbers = [line.split()[1] for line in output.splitlines()[:-1] if line.startswith("line ")]
    return int(numbers[-1]) if numbers else 0


def _number(file: Path) -> int:
    text = file.read_text(encoding="utf-8") if file.exists() else ""
    return int(text or 0)
