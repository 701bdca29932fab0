"""A second runner beside the one of ``agentsmesh up``, as another machine would have it."""

import contextlib
import hashlib
import json
import secrets
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

from bench.mesh import Mesh

NAME = "second"
_START_SECONDS = 60.0


@contextlib.contextmanager
def second_runner(running: Mesh, folder: Path) -> Iterator[int]:
    """Enrol and start it; give its process id. Its pods must be gone at the end."""
    token = f"amjt_{NAME}.{secrets.token_urlsafe(32)}"
    digest = hashlib.sha256(token.encode()).hexdigest()
    running.apply(
        {
            "apiVersion": "agentsmesh.io/v1alpha1",
            "kind": "RunnerEnrollment",
            "metadata": {"name": NAME, "namespace": "default"},
            "spec": {"runnerName": NAME, "tokenHash": digest},
        }
    )
    listed = running.kubectl("get", "cm", "agentsmesh-trust-bundle", "-n", "default", "-o", "json")
    data = json.loads(listed)["data"]
    argv = [sys.executable, "-m", "runner", "--data-dir", str(folder / NAME)]
    argv += ["--organization", "default", "--name", NAME]
    argv += ["--controller", data["runnerEndpoint"], "--enroll", data["publicEndpoint"]]
    argv += ["--join-token-file", _private(folder / "token", token)]
    argv += ["--ca-file", _private(folder / "ca.crt", data["ca.crt"])]
    with (folder / "second.log").open("ab") as log:
        process = subprocess.Popen(argv, stdout=log, stderr=log)
    try:
        deadline = time.monotonic() + _START_SECONDS
        while _phase(running) != "Online":
            if time.monotonic() > deadline:
                raise RuntimeError("the second runner is not online")
            time.sleep(0.1)
        yield process.pid
    finally:
        process.terminate()
        process.wait(30)


def _phase(running: Mesh) -> str:
    path = "jsonpath={.status.phase}"
    where = ("-n", "default", "--ignore-not-found", "-o", path)
    return running.kubectl("get", "runner", NAME, *where).strip()


def _private(file: Path, text: str) -> str:
    file.touch(mode=0o600)
    file.write_text(text, encoding="utf-8")
    return str(file)
