"""``agentsmesh status``: what of a mesh runs, and where."""

import json
from argparse import Namespace
from dataclasses import asdict
from typing import Any, Final

from cli.datadir import DataDir, holder, locate
from cli.errors import NotFound
from cli.up import state

_RUNNING: Final = frozenset({"starting", "ready"})
"""States of a part that has a process, and is to have one."""


def status(arguments: Namespace) -> int:
    """Print what runs on a data directory; exit code 3 if nothing does."""
    directory = locate(arguments.data_dir)
    supervisor = holder(directory)
    known = state.read(directory)
    running = supervisor is not None and known is not None
    if arguments.output == "json":
        print(
            json.dumps(_document(directory, known, supervisor.pid if supervisor else 0), indent=2)
        )
    elif running and known is not None:
        print(_table(directory, known))
    if not running:
        raise NotFound(
            f"no mesh runs on {directory.root}: start one with `agentsmesh up{directory.option}`"
        )
    return 0


def _document(directory: DataDir, known: state.UpState | None, supervisor: int) -> dict[str, Any]:
    """Return the JSON document that scripts read."""
    parts = known.parts if known is not None else []
    listed = [_process(part, alive=bool(supervisor)) for part in parts]
    return {
        "running": bool(supervisor),
        "ready": bool(supervisor)
        and all(entry["state"] == "ready" for entry in listed)
        and bool(listed),
        "dataDir": str(directory.root),
        "supervisor": {"pid": supervisor, "log": str(directory.log("up"))},
        "processes": listed,
        "kubeconfig": known.kubeconfig if known is not None else str(directory.kubeconfig),
        "ports": asdict(known.ports) if known is not None else {},
        "console": None,
    }


def _process(part: state.PartState, *, alive: bool) -> dict[str, Any]:
    here = alive and part.process is not None and part.process.alive()
    state, message = part.state if alive else "stopped", part.message
    if alive and not here and state in _RUNNING:  # what was written down is not so any more
        state, message = "restarting", message or "its process has ended"
    return {
        "name": part.name,
        "pid": part.process.pid if here and part.process is not None else 0,
        "state": state,
        "restarts": part.restarts,
        "message": message,
        "log": part.log,
    }


def _table(directory: DataDir, known: state.UpState) -> str:
    rows = [("NAME", "PID", "STATE", "RESTARTS", "LOG")]
    listed = [_process(part, alive=True) for part in known.parts]
    for entry in listed:
        cells = (entry["name"], entry["pid"], entry["state"], entry["restarts"], entry["log"])
        rows.append(tuple(str(cell) for cell in cells))  # type: ignore[arg-type] # five, as above
    widths = [max(len(row[column]) for row in rows) for column in range(5)]
    lines = [
        "   ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        for row in rows
    ]
    lines += [f"{entry['name']}: {entry['message']}" for entry in listed if entry["message"]]
    lines.append(f"kubeconfig: {known.kubeconfig}")
    lines.append(f"data: {directory.root}")
    return "\n".join(lines)
