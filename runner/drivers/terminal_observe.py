"""What the files and processes of a run tell. Blocking; every call is short."""

import contextlib
import fcntl
import os
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from runner.drivers.terminal_values import Absent, Alive, Exited, Observed
from runner.shim import records

_SETTLE_SECONDS: Final = 2.0
"""A shim needs less from its lock to its identity, and from its exit record to its end."""

_LOOK_AGAIN_SECONDS: Final = 0.005


def observe(run_dir: Path) -> Observed:
    """Return what is known of the run, from the operating system alone."""
    deadline = time.monotonic() + _SETTLE_SECONDS
    while True:
        # In this order: a shim that ends between the two looks has written its record before.
        held = _is_held(run_dir)
        if (record := records.load(str(run_dir / records.EXIT))) is not None:
            return _exited(record)
        identity = records.load(str(run_dir / records.IDENTITY))
        if not held:
            return Absent(died=identity is not None)
        if identity and _is_current(identity):
            return alive(identity)
        if time.monotonic() > deadline:
            return Absent(died=identity is not None)
        time.sleep(_LOOK_AGAIN_SECONDS)


def identity_of(run_dir: Path) -> Mapping[str, Any] | None:
    """Return what the run's shim wrote of itself; None when none did in this boot."""
    identity = records.load(str(run_dir / records.IDENTITY))
    if identity is None or identity.get("boot_id") != records.boot_id():
        return None
    return identity


def protocol_of(run_dir: Path) -> int:
    """Return which frames the run's shim knows; 0 when no shim has written of itself."""
    identity = records.load(str(run_dir / records.IDENTITY))
    return int(identity.get("protocol", 0)) if identity else 0


def mcp_port_of(run_dir: Path) -> int:
    """Return the port of the run's MCP server, also when the run is over; 0 when it had none."""
    identity = records.load(str(run_dir / records.IDENTITY))
    return int(identity.get("mcp_port", 0)) if identity else 0


def last_offset(runs_dir: Path) -> int:
    """Return where the transcript ended according to the runs that have ended."""
    offset = 0
    with contextlib.suppress(FileNotFoundError):
        for run_dir in runs_dir.iterdir():
            record = records.load(str(run_dir / records.EXIT))
            if record is not None:
                offset = max(offset, int(record["offset"]))
    return offset


def _is_held(run_dir: Path) -> bool:
    try:
        fd = os.open(run_dir / records.LOCK, os.O_RDONLY | os.O_CLOEXEC)
    except (FileNotFoundError, NotADirectoryError):
        return False
    try:
        fcntl.flock(fd, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(fd)
    return False


def _is_current(identity: Mapping[str, Any]) -> bool:
    """Whether its program was started, and the shim that says so is still there."""
    return bool(
        identity["child_pid"] != 0
        and identity["boot_id"] == records.boot_id()
        and records.start_time(identity["pid"]) == identity["start_time"]
    )


def alive(identity: Mapping[str, Any]) -> Alive:
    """Return the run that a shim wrote of."""
    return Alive(
        uid=identity["uid"],
        epoch=identity["epoch"],
        restart=identity["restart"],
        pid=identity["pid"],
        child_pid=identity["child_pid"],
        started_at=identity["started_at"],
    )


def _exited(record: Mapping[str, Any]) -> Exited:
    return Exited(
        exit_code=record["exit_code"],
        signal=record["signal"],
        finished_at=record["finished_at"],
        offset=record["offset"],
        lost_bytes=record["lost_bytes"],
        step=record.get("step", ""),
        cause=record.get("cause", ""),  # an older shim does not tell
        detail=record.get("detail", ""),
        full_pids=record.get("full_pids", 0),
    )
