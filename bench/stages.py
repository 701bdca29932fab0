"""Where the time of a start goes, from the logs of controller and runner."""

import datetime as dt
import itertools
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from bench.mesh import Mesh

STAGES: Final = (
    "create, until answered",
    "controller: watch event, checks, finalizer",
    "controller: placement in the status",
    "runner: told, journalled",
    "runner: repository asked, worktree made",
    "runner: shim and sandbox started",
    "report, status written, seen by the watch",
    "agent's first output after that",
)


@dataclass(slots=True)
class Moments:
    """Of one start, in seconds since 1970."""

    name: str
    begin: float
    created: float = 0.0
    seen: float = 0.0
    """Running, by a watch."""
    output: float = 0.0
    """The agent's first."""
    uid: str = ""

    @property
    def milliseconds(self) -> float:
        """How long it took until the pod was seen Running and its agent had printed."""
        return (max(self.seen, self.output) - self.begin) * 1000


def stages(mesh: Mesh, moments: Moments) -> dict[str, float]:
    """Return how long each stage took in milliseconds; empty if the logs do not tell."""
    key = f"AgentPod/default/{moments.name}"
    controller = [line for line in _lines(mesh, "controller") if line.get("key") == key]
    written = [_moment(line) for line in controller if line["message"] == "status"]
    finalized = [_moment(line) for line in controller if line.get("why") == "about to be placed"]
    started = [
        line
        for line in _lines(mesh, "runner")
        if line.get("pod") == moments.uid and line["message"] == "pod started"
    ]
    if len(finalized) != 1 or len(written) < 2 or len(started) != 1:
        return {}
    running = _moment(started[0])
    spawned = running - started[0]["spawn_ms"] / 1000
    marks = [
        moments.begin,
        moments.created,
        finalized[0],
        written[0],
        spawned - started[0]["prepare_ms"] / 1000,
        spawned,
        running,
        moments.seen,
        max(moments.seen, moments.output),
    ]
    return {
        name: (end - begin) * 1000
        for name, (begin, end) in zip(STAGES, itertools.pairwise(marks), strict=True)
    }


def _lines(mesh: Mesh, process: str) -> Iterator[dict[str, Any]]:
    path: Path = mesh.data / "logs" / f"{process}.log"
    for line in path.read_text(encoding="utf-8").splitlines(keepends=True):
        if line.startswith("{") and line.endswith("}\n"):  # not one that is being written
            yield json.loads(line)


def _moment(line: dict[str, Any]) -> float:
    return dt.datetime.fromisoformat(line["time"]).timestamp()
