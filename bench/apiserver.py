"""The embedded API server against the real one (``KUBEBUILDER_ASSETS``), in turns.

The real one's etcd runs without fsync here, ours with: create and patch are measured against
more than a durable store would give.
"""

import contextlib
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench.api import Api
from bench.processes import pss_bytes
from bench.report import Row, percentile
from scripts.realserver import real_server

WRITES = 300
LISTED = 5000
CONFIG_MAPS = "/api/v1/namespaces/default/configmaps"


@dataclass(frozen=True, slots=True)
class Server:
    """A running API server."""

    api: Api
    ready_seconds: float
    pids: tuple[int, ...]


def measure() -> list[Row]:
    """Return each measure of the embedded server beside the real server's."""
    if not os.environ.get("KUBEBUILDER_ASSETS"):
        sys.stderr.write("bench apiserver: left out, KUBEBUILDER_ASSETS names no real server\n")
        return []
    with embedded() as ours, real() as theirs:
        rows = [
            Row("API server ready", "s", ours.ready_seconds, "real", theirs.ready_seconds, "≤ 1 s")
        ]
        rows.append(_memory("idle", ours, theirs))
        for measure_one in (_writes, _watch, _list):
            rows += measure_one(ours, theirs)
        rows.append(_memory(f"{LISTED:,} objects", ours, theirs))
    return rows


@contextlib.contextmanager
def embedded() -> Iterator[Server]:
    """Start the embedded server."""
    with tempfile.TemporaryDirectory() as folder:
        kubeconfig = Path(folder) / "kubeconfig"
        argv = (sys.executable, "-m", "apiserver", "--data-dir", f"{folder}/data")
        start = time.perf_counter()
        process = subprocess.Popen([*argv, "--port", "0", "--kubeconfig", str(kubeconfig)])
        try:
            api = _ready(kubeconfig, process)
            yield Server(api, time.perf_counter() - start, (process.pid,))
        finally:
            process.terminate()
            process.wait(30)


@contextlib.contextmanager
def real() -> Iterator[Server]:
    """Start the real server and its etcd."""
    with tempfile.TemporaryDirectory() as folder:
        start = time.perf_counter()
        with real_server(Path(folder)) as server:
            api = _ready(server.kubeconfig)  # the first namespaces come after /readyz
            yield Server(api, time.perf_counter() - start, server.pids)


def _ready(kubeconfig: Path, process: subprocess.Popen[bytes] | None = None) -> Api:
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        if process is not None and process.poll() is not None:
            raise RuntimeError(f"the embedded API server ended with {process.returncode}")
        with contextlib.suppress(OSError, RuntimeError):
            api = Api(kubeconfig)
            api.call("GET", "/api/v1/namespaces/default")
            return api
        time.sleep(0.01)
    raise RuntimeError("an API server was not ready within 30 s")


def _config_map(name: str) -> dict[str, Any]:
    return {"metadata": {"name": name}, "data": {"text": "x" * 800}}


def _writes(ours: Server, theirs: Server) -> list[Row]:
    times: dict[str, list[float]] = {}
    for number in range(WRITES):
        for label, server in (("ours", ours), ("real", theirs)):
            name = f"write-{number}"
            took = server.api.timed("POST", CONFIG_MAPS, _config_map(name))
            times.setdefault(f"create {label}", []).append(took)
            patch = {"metadata": {"labels": {"n": str(number)}}}
            path = f"{CONFIG_MAPS}/{name}"
            took = server.api.timed("PATCH", path, patch, "application/merge-patch+json")
            times.setdefault(f"patch {label}", []).append(took)
    return [
        Row(
            f"{verb}, one writer, p{percent}",
            "ms",
            percentile(times[f"{verb} ours"], percent),
            "real",
            percentile(times[f"{verb} real"], percent),
            "≤ 1" if percent == 50 else "",
        )
        for verb in ("create", "patch")
        for percent in (50, 99)
    ]


def _watch(ours: Server, theirs: Server) -> list[Row]:
    result: dict[str, list[float]] = {"ours": [], "real": []}
    with contextlib.ExitStack() as stack:
        streams = {
            label: (server, stack.enter_context(server.api.watch(_from_now(server))))
            for label, server in (("ours", ours), ("real", theirs))
        }
        for number in range(100):
            for label, (server, events) in streams.items():
                start = time.perf_counter()
                server.api.call("POST", CONFIG_MAPS, _config_map(f"watch-{number}"))
                moment, _ = next(events)
                result[label].append((moment - start) * 1000)
    return [
        Row(
            f"create → watch event, p{percent}",
            "ms",
            percentile(result["ours"], percent),
            "real",
            percentile(result["real"], percent),
        )
        for percent in (50, 99)
    ]


def _from_now(server: Server) -> str:
    version = server.api.call("GET", f"{CONFIG_MAPS}?limit=1")["metadata"]["resourceVersion"]
    return f"{CONFIG_MAPS}?watch=1&resourceVersion={version}&timeoutSeconds=60"


def _list(ours: Server, theirs: Server) -> list[Row]:
    for server in (ours, theirs):
        for number in range(LISTED - WRITES - 100):
            server.api.call("POST", CONFIG_MAPS, _config_map(f"list-{number}"))
    times: dict[str, list[float]] = {"ours": [], "real": []}
    for _ in range(5):
        for label, server in (("ours", ours), ("real", theirs)):
            times[label].append(server.api.timed("GET", CONFIG_MAPS))
    ours_ms, real_ms = percentile(times["ours"], 50), percentile(times["real"], 50)
    return [Row(f"list of {LISTED:,}", "ms", ours_ms, "real", real_ms)]


def _memory(when: str, ours: Server, theirs: Server) -> Row:
    mine = sum(pss_bytes(pid) for pid in ours.pids) / 2**20
    other = sum(pss_bytes(pid) for pid in theirs.pids) / 2**20
    return Row(f"API server memory, {when}", "MiB", mine, "real + etcd", other, "≤ 0.2")
