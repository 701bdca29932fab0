"""An agent tries every way out of its pod: each isolation, as root and as an ordinary user."""

import ctypes
import json
import os
import shutil
import socket
import subprocess
import sysconfig
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.harness import (
    PROGRAM,
    Mesh,
    agent_pod,
    make_origin,
    pod_dir,
    processes_of,
    repository,
    until,
)
from tests.escape.table import COLUMNS, promised, ways

pytestmark = [
    pytest.mark.faults,
    pytest.mark.timeout(400),
    pytest.mark.skipif(os.geteuid() != 0, reason="only root can be both of them"),
]

ROOT = Path(__file__).parents[2]
AGENT = Path(__file__).with_name("agent.py")
CANARY = "canary-7f3kq9xw2m"
NOBODY = 65534
SHM_KEY = 0x45534350
VICTIM = """
mkdir -p "$HOME"; echo secret > "$HOME/secret"; touch "$TMPDIR/mine"; chmod 600 README
echo ready; exec sleep 86399
"""


@dataclass
class Range:
    """A mesh of one account, with bubblewrap or without."""

    mesh: Mesh
    account: str
    stack: ExitStack
    targets: dict[str, Any] = field(default_factory=dict)

    def owned(self, path: Path) -> Path:
        """Return the path, given to the mesh's account."""
        if self.account == "user":
            os.chown(path, NOBODY, NOBODY, follow_symlinks=False)
        return path


def program(account: str, path: str, home: Path) -> tuple[str, ...]:
    """Return how the account starts our program, with nothing of our environment."""
    who = ("setpriv", f"--reuid={NOBODY}", f"--regid={NOBODY}", "--clear-groups")
    paths = f"{ROOT}:{ROOT / 'proto'}:{sysconfig.get_path('purelib')}"
    words = [f"HOME={home}", f"PATH={path}", "LANG=C.UTF-8"]
    ways_in: list[tuple[str, ...]] = [
        ("env", "-i", *words, PROGRAM),
        ("env", "-i", *words, f"PYTHONPATH={paths}", "/usr/bin/python3", "-P", "-m", "cli.main"),
    ]
    for each in ways_in:
        argv = (*(who if account == "user" else ()), *each)
        if subprocess.run([*argv, "version"], capture_output=True, check=False).returncode == 0:
            return argv
    pytest.fail("an ordinary user can read neither our interpreter nor this tree")


@pytest.fixture(
    scope="module",
    params=[(account, bwrap) for account in ("root", "user") for bwrap in (True, False)],
    ids=lambda each: f"{each[0]}-{'bubblewrap' if each[1] else 'without'}",
)
def grounds(request: pytest.FixtureRequest) -> Iterator[tuple[Range, tuple[str, ...]]]:
    """A mesh, and the isolations that it has."""
    account, bwrap = request.param
    with ExitStack() as stack:
        text = stack.enter_context(
            tempfile.TemporaryDirectory(prefix="escape-", ignore_cleanup_errors=True)
        )
        folder = Path(text)
        folder.chmod(0o755)
        path = "/usr/local/bin:/usr/bin:/bin"
        if not bwrap:
            (folder / "bin").mkdir()
            (folder / "bin/bwrap").symlink_to("/bin/false")
            path = f"{folder / 'bin'}:{path}"
        make_origin(folder / "git")
        (folder / "home").mkdir()
        made = Range(
            Mesh(folder, folder / "data", program=program(account, path, folder / "home")),
            account,
            stack,
        )
        for each in (folder, *folder.rglob("*")):
            made.owned(each)
        made.mesh.up("--allow-no-isolation")
        stack.callback(made.mesh.down)
        made.mesh.apply(repository("origin", f"file://{folder}/git/origin.git"))
        surround(made)
        try:
            yield made, (("bubblewrap", "none") if bwrap else ("landlock",))
        finally:
            made.mesh.kubectl("delete", "agentpods", "--all", "-n", "default", "--timeout=60s")


def surround(made: Range) -> None:
    """Put onto the machine what no pod shall reach."""
    folder, data, stack = made.mesh.folder, made.mesh.data, made.stack
    secret = folder / "home" / "id_ed25519"
    secret.touch(mode=0o600)
    made.owned(secret).write_text(CANARY)
    abstract, named = socket.socket(socket.AF_UNIX), socket.socket(socket.AF_UNIX)
    name = f"agentsmesh-escape-{os.getpid()}-{made.account}"
    abstract.bind(f"\0{name}")
    named.bind(str(folder / "service.sock"))
    (folder / "service.sock").chmod(0o666)
    tcp = socket.create_server(("127.0.0.1", 0))
    for each in (abstract, named):
        each.listen()
    for each in (abstract, named, tcp):
        stack.callback(each.close)
    shared = Path("/dev/shm", name)  # noqa: S108  what is meant
    shared.touch(mode=0o600)
    stack.callback(shared.unlink)
    made.owned(shared).write_text(CANARY)
    system_v(made)
    runner = next(data.rglob("key.pem"))
    made.targets = {
        "data": str(data),
        "runner_key": str(runner),
        "runner_journal": str(next(data.rglob("journal.db"))),
        "kubeconfig": str(made.mesh.kubeconfig),
        "host_home": str(secret),
        "abstract": f"\0{name}",
        "socket": str(folder / "service.sock"),
        "shared": str(shared),
        "shm_key": SHM_KEY,
        "tcp": tcp.getsockname()[1],
        "runner_pid": made.mesh.pid("runner"),
    }


def system_v(made: Range) -> None:
    """Make a segment of shared memory of the account's."""
    libc = ctypes.CDLL(None, use_errno=True)
    number = libc.shmget(SHM_KEY, 4096, 0o1600)
    assert number >= 0, "a segment was left behind"
    made.stack.callback(lambda: libc.shmctl(number, 0, None))
    if made.account == "user":
        held = (ctypes.c_byte * 256)()
        assert libc.shmctl(number, 2, held) == 0
        ctypes.memmove(ctypes.addressof(held) + 4, (ctypes.c_uint * 2)(NOBODY, NOBODY), 8)
        assert libc.shmctl(number, 1, held) == 0


def klass(name: str, executable: str, *args: str) -> dict[str, Any]:
    return {
        "apiVersion": "agentsmesh.io/v1alpha1",
        "kind": "AgentClass",
        "metadata": {"name": name},
        "spec": {
            "executable": executable,
            "args": [each.replace("$", "$$") for each in args],
            "environment": [
                {"name": "SECRET_OF_ITS_OWN", "value": CANARY if name == "victim" else "x"}
            ],
            "prompt": {"position": "none"},
        },
    }


def pod(name: str, agent: str, level: str, network: str) -> dict[str, Any]:
    isolation = "none" if level == "none" else "preferred"
    sandbox = {"isolation": isolation, "network": network}
    return agent_pod(name, agent, sandbox=sandbox, repositoryRef={"name": "origin"})


def the_other(made: Range, level: str) -> dict[str, Any]:
    """Start another pod and return where it is."""
    mesh = made.mesh
    mesh.apply(klass("victim", "sh", "-c", VICTIM), pod("victim", "victim", level, "host"))
    found = mesh.ready("victim", seconds=60)
    assert found["status"]["sandbox"]["isolation"] == level
    until(lambda: "ready" in mesh.logs("victim"), what="the other pod is ready")
    folder = pod_dir(mesh, found["metadata"]["uid"])
    pid = next(
        pid
        for pid in processes_of(found["metadata"]["uid"])
        if b"86399" in Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")[1:2]
    )
    environment = Path(f"/proc/{pid}/environ").read_bytes().decode().split("\0")
    stat = Path(f"/proc/{pid}/stat").read_bytes().rpartition(b")")[2].split()
    return {
        "other": str(folder),
        "other_shim": str(next(folder.glob("runs/*/shim.sock"))),
        "other_pid": pid,
        "other_started": int(stat[19]),
        "other_terminal": str(Path(f"/proc/{pid}/fd/0").readlink()),
        "other_url": dict(each.split("=", 1) for each in environment if each)["AGENTSMESH_MCP_URL"],
    }


def tried(made: Range, level: str, network: str, other: dict[str, Any]) -> dict[str, str]:
    """Let an agent try; return what came of each way."""
    mesh, name = made.mesh, f"tries-{network}"
    mark, trap = Path(f"/tmp/escaped-{os.getpid()}-{name}"), mesh.folder / f"trap-{name}"  # noqa: S108  what is meant
    targets = {**made.targets, **other, "mark": str(mark), "trap": str(trap)}
    mesh.apply(
        klass(name, "python3", "-I", "-c", AGENT.read_text(), json.dumps(targets)),
        pod(name, name, level, network),
    )
    found = mesh.ready(name, seconds=60)
    assert found["status"]["sandbox"]["isolation"] == level
    until(lambda: "WAYS TRIED" in mesh.logs(name), seconds=90, what=f"{name}: {mesh.logs(name)}")
    lines = [line.split() for line in mesh.logs(name).splitlines() if line.startswith("WAY ")]
    results = {line[1]: " ".join(line[2:]) for line in lines}
    results["host_tmp"] = "open" if mark.exists() else "held"
    mark.unlink(missing_ok=True)
    until(
        lambda: mesh.get(name)["status"].get("worktree", {}).get("dirty"),
        seconds=60,
        what="the runner has looked at the files",
    )
    mesh.delete(name)
    results["runner_git"] = "open" if trap.exists() else "held"
    results["runner_held_up"] = "held"
    assert mesh.get("victim")["status"]["phase"] == "Running"
    return results


def test_each_way_out_leads_where_the_table_says(grounds: tuple[Range, tuple[str, ...]]) -> None:
    made, levels = grounds
    for level in levels:
        other = the_other(made, level)
        column = f"{level}/{made.account}"
        assert column in COLUMNS
        found: dict[str, str] = {}
        for network in ("host", "none"):
            if level == "none" and network == "none":
                continue
            for name, result in tried(made, level, network, other).items():
                if name in ways(by_network=True):
                    found[f"{name}@{network}"] = result
                elif found.get(name) != "open":
                    found[name] = result
        made.mesh.delete("victim")
        if folder := os.environ.get("ESCAPE_RECORD"):
            Path(folder, column.replace("/", "-") + ".json").write_text(json.dumps(found, indent=1))
        else:
            assert set(found.values()) <= {"held", "open"}, "an attempt went wrong by itself"
            assert not {way for way in promised(column) if found[way] != "held"}


def test_bubblewrap_is_there_to_be_tried() -> None:
    assert shutil.which("bwrap")
