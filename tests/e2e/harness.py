"""The words in which the tests talk to a whole mesh: kubectl, git, real processes."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from cli.datadir import DataDir
from cli.up import state

PROGRAM = str(Path(sys.executable).with_name("agentsmesh"))


def run(*argv: str, stdin: str | None = None, cwd: Path | None = None) -> str:
    """Run *argv* and return what it printed on stdout."""
    done = subprocess.run(argv, input=stdin, capture_output=True, text=True, cwd=cwd, check=False)
    assert done.returncode == 0, f"{argv}: {done.returncode}\n{done.stdout}\n{done.stderr}"
    return done.stdout


def until(claim: Callable[[], Any], *, seconds: float = 30, what: str = "") -> Any:
    """Return *claim*'s first true answer; fail after *seconds*."""
    deadline = time.monotonic() + seconds
    answer = claim()
    while not answer:
        assert time.monotonic() < deadline, f"not within {seconds} s: {what or claim}"
        time.sleep(0.05)
        answer = claim()
    return answer


def processes_of(uid: str) -> list[int]:
    """Return the processes that carry the pod's uid in their environment."""
    found = []
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit():
            continue
        try:
            environment = (entry / "environ").read_bytes()
        except OSError:
            continue
        if uid.encode() in environment:
            found.append(int(entry.name))
    return found


@dataclass
class Mesh:
    """A running mesh and the words to talk to it."""

    folder: Path
    data: Path
    cluster: Path | None = None
    """Kubeconfig of an existing cluster; None: the embedded API server."""
    program: tuple[str, ...] = (PROGRAM,)
    """How to start our program, perhaps as another user."""

    @property
    def kubeconfig(self) -> Path:
        return self.cluster or self.data / "kubeconfig"

    def up(self, *extra: str, port: int | None = 0) -> str:
        """Start the mesh; without a *port* on the usual ones."""
        where = ["--kubeconfig", str(self.cluster)] if self.cluster else ["--port", str(port)]
        where = where if port is not None else []
        return run(
            *(*self.program, "up", "--data-dir", str(self.data), "--detach", *where),
            *("--allow-local-repositories", str(self.folder / "git"), "--max-pods", "40", *extra),
        )

    def down(self) -> None:
        run(*self.program, "down", "--data-dir", str(self.data))

    def processes(self) -> dict[str, tuple[int, bool]]:
        """Return each process and whether it is ready, as `up` has written it down.

        Read here: on two cores a program that is asked again and again is in the way of those
        that start.
        """
        known = state.read(DataDir(self.data))
        if known is None or not known.supervisor.alive():
            return {}
        return {part.name: _standing(part) for part in known.parts}

    def pid(self, name: str) -> int:
        """Return the process of that name; 0 while there is none."""
        return self.processes().get(name, (0, False))[0]

    def all_ready(self) -> bool:
        """Whether every process is alive and ready."""
        found = self.processes().values()
        return bool(found) and all(ready for _, ready in found)

    def kill(self, name: str) -> int:
        """Kill a process, which the supervisor starts again; return which it was."""
        pid = int(until(lambda: self.pid(name), what=f"{name} has a process"))  # 0 is all of ours
        os.kill(pid, signal.SIGKILL)
        return pid

    def replace(self, *names: str) -> None:
        """Kill processes and return once others are ready in their place."""
        before = {name: self.kill(name) for name in names}

        def again() -> bool:
            now = self.processes()
            found = {name: now.get(name, (0, False)) for name in names}
            return all(
                ready and found[name][0] != before[name] for name, (_, ready) in found.items()
            )

        until(again, seconds=90, what=f"{names} are back")

    def kill_all(self) -> None:
        """Kill the supervisor and everything that it runs, at once."""
        supervisor = int((self.data / "up.pid").read_text(encoding="utf-8"))
        for pid in [supervisor, *(pid for pid, _ in self.processes().values())]:
            if pid:
                os.kill(pid, signal.SIGKILL)

    def kubectl(self, *arguments: str, stdin: str | None = None) -> str:
        return run("kubectl", "--kubeconfig", str(self.kubeconfig), *arguments, stdin=stdin)

    def refused(self, *arguments: str, stdin: str | None = None) -> str:
        """Run kubectl, which must fail; return what it said."""
        argv = ["kubectl", "--kubeconfig", str(self.kubeconfig), *arguments]
        done = subprocess.run(argv, input=stdin, capture_output=True, text=True, check=False)
        assert done.returncode != 0, done.stdout
        return done.stderr

    def apply(self, *manifests: dict[str, Any]) -> None:
        self.kubectl("apply", "-f", "-", stdin=yaml.safe_dump_all(manifests))

    def get(self, name: str, kind: str = "agentpod") -> dict[str, Any]:
        return dict(json.loads(self.kubectl("get", kind, name, "-n", "default", "-o", "json")))

    def exists(self, name: str, kind: str = "agentpod") -> bool:
        out = self.kubectl("get", kind, name, "-n", "default", "--ignore-not-found", "-o", "name")
        return bool(out.strip())

    def condition(self, name: str, kind: str, of: str = "agentpod") -> dict[str, Any]:
        conditions = self.get(name, of).get("status", {}).get("conditions", [])
        return next((c for c in conditions if c["type"] == kind), {})

    def ready(self, name: str, seconds: int = 30) -> dict[str, Any]:
        wait = ("wait", "-n", "default", f"agentpod/{name}", "--for=condition=Ready")
        try:
            self.kubectl(*wait, f"--timeout={seconds}s")
        except AssertionError as exc:
            exc.add_note(json.dumps(self.get(name), indent=1))
            raise
        return self.get(name)

    def phase(self, name: str, phase: str, seconds: float = 30) -> dict[str, Any]:
        def reached() -> dict[str, Any] | None:
            pod = self.get(name)
            return pod if pod.get("status", {}).get("phase") == phase else None

        return dict(until(reached, seconds=seconds, what=f"{name} is {phase}"))

    def delete(self, name: str) -> None:
        self.kubectl("delete", "agentpod", name, "-n", "default", "--timeout=50s")

    def logs(self, name: str, *extra: str) -> str:
        return run(
            *(PROGRAM, "logs", name, "-n", "default", "--kubeconfig", str(self.kubeconfig), *extra),
        )

    def logs_when_back(self, name: str) -> str:
        """Return the transcript once the runner has found a controller that was replaced."""
        argv = [PROGRAM, "logs", name, "-n", "default", "--kubeconfig", str(self.kubeconfig)]

        def answered() -> "subprocess.CompletedProcess[str] | None":
            done = subprocess.run(argv, capture_output=True, text=True, check=False)
            assert done.returncode in {0, 5}, done.stderr
            return done if done.returncode == 0 else None

        found: subprocess.CompletedProcess[str] = until(answered, seconds=60, what="logs answers")
        return found.stdout

    def private(self, name: str, text: str) -> Path:
        """Write a file that nobody else can read."""
        file = self.folder / name
        file.touch(mode=0o600)
        file.write_text(text.strip(), encoding="utf-8")
        return file


def _standing(part: state.PartState) -> tuple[int, bool]:
    if part.process is None or not part.process.alive():
        return 0, False
    return part.process.pid, part.state == "ready"


def pod_dir(mesh: Mesh, uid: str) -> Path:
    """Return the pod's directory on the runner."""
    return next(mesh.data.rglob(f"pods/{uid}"))


def leftovers(mesh: Mesh, uid: str) -> list[Any]:
    """Return every process and file that is the pod's, but the work that is kept of it."""
    kept = ("/refs/agentsmesh/saved", f"/saved/{uid}.json")  # docs/git.md: and how it is found
    walk = os.walk(mesh.data)  # unlike rglob it goes on when a directory vanishes meanwhile
    named = [f"{at}/{name}" for at, folders, files in walk for name in folders + files]
    found = [name for name in named if uid in name.rpartition("/")[2]]
    return [*processes_of(uid), *(name for name in found if not any(k in name for k in kept))]


def is_clear(mesh: Mesh, uid: str, seconds: float = 30) -> None:
    """Wait until nothing of the pod is left."""
    left: list[Any] = []

    def gone() -> bool:
        left[:] = leftovers(mesh, uid)
        return not left

    try:
        until(gone, seconds=seconds)
    except AssertionError:
        raise AssertionError(f"not within {seconds} s: nothing is left, but {left}") from None


def agent_class(name: str, script: str, prompt: str = "none") -> dict[str, Any]:
    """Return a class that runs *script* by sh; with a prompt it is $1."""
    return {
        "apiVersion": "agentsmesh.io/v1alpha1",
        "kind": "AgentClass",
        "metadata": {"name": name},
        "spec": {
            "executable": "sh",
            "args": ["-c", script.replace("$", "$$"), "agent"],
            "prompt": {"position": prompt},
        },
    }


def agent_pod(name: str, agent: str, **spec: Any) -> dict[str, Any]:
    """Return an AgentPod of class *agent*."""
    return {
        "apiVersion": "agentsmesh.io/v1alpha1",
        "kind": "AgentPod",
        "metadata": {"name": name, "namespace": "default"},
        "spec": {"agentClassName": agent, "terminationGracePeriodSeconds": 1, **spec},
    }


def repository(name: str, url: str, **spec: Any) -> dict[str, Any]:
    """Return a Repository at *url*."""
    return {
        "apiVersion": "agentsmesh.io/v1alpha1",
        "kind": "Repository",
        "metadata": {"name": name, "namespace": "default"},
        "spec": {"url": url, **spec},
    }


def make_origin(folder: Path) -> Path:
    """Make a bare repository with a branch ``main`` and a branch ``feature``."""
    work, bare = folder / "seed", folder / "origin.git"
    work.mkdir(parents=True)
    git = ("git", "-c", "user.name=Test", "-c", "user.email=test@example.invalid")
    run(*git, "init", "-q", "-b", "main", ".", cwd=work)
    (work / "README").write_text("hello\n", encoding="utf-8")
    run(*git, "add", ".", cwd=work)
    run(*git, "commit", "-qm", "Begin", cwd=work)
    run(*git, "branch", "feature", cwd=work)
    run("git", "clone", "-q", "--bare", str(work), str(bare))
    return bare
