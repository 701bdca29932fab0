"""A whole mesh in a temporary directory, as a user starts it."""

import contextlib
import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

PROGRAM = str(Path(sys.executable).with_name("agentsmesh"))
NAMESPACE = "default-bench"


@dataclass(frozen=True, slots=True)
class Mesh:
    """A running mesh."""

    data: Path
    kubeconfig: Path
    origin: Path
    """A bare git repository with one commit, registered as Repository ``origin``."""

    def status(self) -> dict[str, Any]:
        """Return what ``agentsmesh status -o json`` says."""
        text = run(PROGRAM, "status", "--data-dir", str(self.data), "-o", "json")
        return dict(json.loads(text))

    def runs(self, *pods: str) -> list[dict[str, Any]]:
        """Return what the shims of the pods (of all, if none is named) say about themselves.

        ``pid`` is the shim's, ``child_pid`` that of what it started.
        """
        listed = json.loads(self.kubectl("get", "agentpods", "-n", "default", "-o", "json"))
        found = []
        for item in listed["items"]:
            if not pods or item["metadata"]["name"] in pods:
                folder = self.data / "runner" / "pods" / item["metadata"]["uid"] / "runs"
                found += [json.loads(each.read_text()) for each in folder.glob("*/identity.json")]
        return found

    def kubectl(self, *arguments: str, stdin: str | None = None) -> str:
        """Run kubectl on the mesh and return its output."""
        return run("kubectl", "--kubeconfig", str(self.kubeconfig), *arguments, stdin=stdin)

    def apply(self, *manifests: dict[str, Any]) -> None:
        """Apply *manifests* by kubectl."""
        self.kubectl("apply", "-f", "-", stdin=yaml.safe_dump_all(manifests))


def run(*argv: str, stdin: str | None = None, cwd: Path | None = None) -> str:
    """Run *argv*, return what it printed; its stderr is in the error if it fails."""
    done = subprocess.run(argv, input=stdin, capture_output=True, text=True, cwd=cwd, check=False)
    if done.returncode:
        raise RuntimeError(f"{argv[:4]} ended with {done.returncode}: {done.stderr.strip()}")
    return done.stdout


def make_origin(folder: Path, files: int = 20) -> Path:
    """Make a bare repository of *files* small files with one commit on ``main``."""
    work, bare = folder / "seed", folder / "origin.git"
    work.mkdir(parents=True)
    for number in range(files):
        (work / f"file{number}.txt").write_text(f"{number}\n" * 10, encoding="utf-8")
    git = ("git", "-c", "user.name=Bench", "-c", "user.email=bench@example.invalid")
    run(*git, "init", "-q", "-b", "main", ".", cwd=work)
    run(*git, "add", ".", cwd=work)
    run(*git, "commit", "-qm", "Seed", cwd=work)
    run("git", "clone", "-q", "--bare", str(work), str(bare))
    return bare


def pod(name: str, agent: str, *, prompt: str = "", repository: bool = True) -> dict[str, Any]:
    """Return an AgentPod's manifest."""
    spec: dict[str, Any] = {"agentClassName": agent, "terminationGracePeriodSeconds": 1}
    if prompt:
        spec["prompt"] = prompt
    if repository:
        spec["repositoryRef"] = {"name": "origin"}
    return {
        "apiVersion": "agentsmesh.io/v1alpha1",
        "kind": "AgentPod",
        "metadata": {"name": name, "namespace": "default"},
        "spec": spec,
    }


def shell_class(name: str, script: str) -> dict[str, Any]:
    """Return an AgentClass that runs *script* by sh."""
    return {
        "apiVersion": "agentsmesh.io/v1alpha1",
        "kind": "AgentClass",
        "metadata": {"name": name},
        "spec": {
            "executable": "sh",
            "args": ["-c", script.replace("$", "$$")],
            "prompt": {"position": "none"},
        },
    }


@contextlib.contextmanager
def mesh(max_pods: int = 200, extra: Sequence[str] = ()) -> Iterator[Mesh]:
    """Start a mesh with *extra* on its command line, stop it and its pods at the end."""
    folder = Path(tempfile.mkdtemp(prefix="mesh-bench-"))
    data = folder / "data"
    try:
        origin = make_origin(folder / "git")
        run(
            *(PROGRAM, "up", "--data-dir", str(data), "--port", "0", "--detach"),
            *("--allow-local-repositories", str(folder / "git"), "--max-pods", str(max_pods)),
            *extra,
        )
        result = Mesh(data, data / "kubeconfig", origin)
        result.apply(
            {
                "apiVersion": "agentsmesh.io/v1alpha1",
                "kind": "Repository",
                "metadata": {"name": "origin", "namespace": "default"},
                "spec": {"url": f"file://{origin}"},
            },
            shell_class("idle", "exec sleep 100000"),
        )
        try:
            yield result
        finally:
            with contextlib.suppress(RuntimeError):
                result.kubectl("delete", "agentpods", "--all", "-n", "default", "--timeout=60s")
            run(PROGRAM, "down", "--data-dir", str(data))
    finally:
        if not os.environ.get("BENCH_KEEP"):
            shutil.rmtree(folder, ignore_errors=True)
