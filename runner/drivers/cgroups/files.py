"""Writes limits into a group's files, and reads what is used. v1 and v2 name them differently."""

from collections.abc import Sequence
from pathlib import Path
from typing import Final

from runner.drivers.cgroups.values import CPU, MEMORY, PIDS, GroupLimits, Usage
from runner.shim.group import Group

_PERIOD_MICROSECONDS: Final = 100_000
_SHORTEST_QUOTA: Final = 1_000
_NANOSECONDS: Final = 1_000_000_000
_MICROSECONDS: Final = 1_000_000


def limit(directories: Sequence[str], limits: GroupLimits) -> frozenset[str]:
    """Set the limits; return those that no directory has a file for.

    Raises:
        OSError: A file is there, and does not take it.
    """
    asked = {MEMORY: limits.memory_bytes, CPU: limits.cpu_millis, PIDS: limits.pids}
    setters = {MEMORY: _limit_memory, CPU: _limit_cpu, PIDS: _limit_pids}
    paths = [Path(each) for each in directories]
    return frozenset(
        name
        for name, value in asked.items()
        if value and not any([setters[name](path, value) for path in paths])  # noqa: C419  each
    )


def usage(group: Group) -> Usage:
    """Return what the group uses."""
    memory = _first(group, "memory.current", "memory.usage_in_bytes")
    return Usage(
        memory_bytes=int(memory) if memory else None,
        cpu_seconds=_cpu_seconds(group),
        pids=int(pids) if (pids := _first(group, "pids.current")) else None,
        oom_kills=group.oom_kills(),
    )


def _limit_memory(directory: Path, value: int) -> bool:
    if (directory / "memory.max").exists():
        _write(directory / "memory.max", value)
        _write_if_there(directory / "memory.swap.max", 0)
        _write_if_there(directory / "memory.oom.group", 1)  # the pod and not one child
        return True
    if (directory / "memory.limit_in_bytes").exists():
        _write(directory / "memory.limit_in_bytes", value)
        _write_if_there(directory / "memory.memsw.limit_in_bytes", value)
        return True
    return False


def _limit_cpu(directory: Path, millis: int) -> bool:
    quota = max(_SHORTEST_QUOTA, millis * _PERIOD_MICROSECONDS // 1000)
    if (directory / "cpu.max").exists():
        (directory / "cpu.max").write_text(f"{quota} {_PERIOD_MICROSECONDS}", encoding="ascii")
        return True
    if (directory / "cpu.cfs_quota_us").exists():
        _write(directory / "cpu.cfs_period_us", _PERIOD_MICROSECONDS)
        _write(directory / "cpu.cfs_quota_us", min(quota, _quota_above(directory) or quota))
        return True
    return False


def _quota_above(directory: Path) -> int:
    """Return the quota that holds for us already, in our period; v1 takes no larger ones."""
    quotas = []
    for folder in directory.parents:
        try:
            quota = int((folder / "cpu.cfs_quota_us").read_text(encoding="ascii"))
            period = int((folder / "cpu.cfs_period_us").read_text(encoding="ascii"))
        except (OSError, ValueError):
            break
        if quota > 0:
            quotas.append(quota * _PERIOD_MICROSECONDS // period)
    return min(quotas, default=0)


def _limit_pids(directory: Path, value: int) -> bool:
    if not (directory / "pids.max").exists():
        return False
    _write(directory / "pids.max", value)
    return True


def _cpu_seconds(group: Group) -> float | None:
    for directory in group.directories:
        for name, divisor in (("cpuacct.usage", _NANOSECONDS), ("cpu.stat", _MICROSECONDS)):
            try:
                text = (Path(directory) / name).read_text(encoding="ascii")
            except OSError:
                continue
            fields = text.split()
            if len(fields) == 1:
                return int(text) / divisor
            if fields and fields[0] == "usage_usec":
                return int(fields[1]) / divisor
    return None


def _first(group: Group, *names: str) -> str:
    for directory in group.directories:
        for name in names:
            try:
                return (Path(directory) / name).read_text(encoding="ascii").strip()
            except OSError:
                continue
    return ""


def _write(path: Path, value: int) -> None:
    path.write_text(str(value), encoding="ascii")


def _write_if_there(path: Path, value: int) -> None:
    if path.exists():
        _write(path, value)
