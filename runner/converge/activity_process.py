"""What a pod's processes do, as the system tells it: who is at work, who reads the terminal.

Blocking; a look costs some 50 us for each process. What the system does not tell is not guessed.
"""

import os
import platform
import re
from dataclasses import dataclass
from typing import Final

from runner.converge.activity import Processes
from runner.shim import tree
from runner.shim.records import stat

_BUSY_SHARE: Final = 0.1
"""Of one processor: an agent that draws its spinner uses less, a compiler more."""

_WRAPPERS: Final = frozenset({"bwrap"})
"""Around the agent, and not it."""

_STALE_SECONDS: Final = 60.0
"""An earlier look says nothing about now any more."""

_TICKS: Final = os.sysconf("SC_CLK_TCK")

_READ: Final = {"x86_64": 0, "aarch64": 63}.get(platform.machine(), -1)
"""Number of read(2). Source: Linux, unistd.h."""

_STDIN_LIKE: Final = re.compile(r"/(dev/)?(pts/\d+|tty\w*|console)$")


@dataclass(frozen=True, slots=True)
class Terminal:
    """What the pod's shim says of its terminal."""

    line_mode: bool = False
    """Whole lines are collected for the program."""
    echo: bool = True
    """What is typed is shown."""


@dataclass(frozen=True, slots=True)
class _Member:
    """One process, from its stat. Source: proc(5)."""

    pid: int
    name: str
    state: str
    group: int
    terminal_group: int
    ticks: int
    """Of its own, and of children that have ended and were collected."""


class Sampler:
    """Looks at the processes below one; remembers, to tell what changed."""

    def __init__(self, root: int, agent: int) -> None:
        """*root* is the shim, *agent* the process that it started."""
        self._root = root
        self._agent = agent
        self._ticks: dict[int, int] = {}
        self._at = 0.0
        self._busy_since = 0.0

    def look(self, now: float, terminal: Terminal) -> Processes | None:
        """Return what they do; None: nothing can be told yet, as there was no look before."""
        below = tree.descendants(self._root) if self._root > 1 else []
        members = [found for each in below if (found := _member(each.pid))]
        passed, before = now - self._at, self._ticks
        first = not before or passed > _STALE_SECONDS
        self._ticks, self._at = {each.pid: each.ticks for each in members}, now
        if not members or first or passed <= 0:
            return None
        busy = _busiest(members, before, passed)
        self._busy_since = (self._busy_since or now - passed) if busy else 0.0
        return self._told(members, busy, now, terminal)

    def _told(self, members: list[_Member], busy: str, now: float, terminal: Terminal) -> Processes:
        others = self._others(members)
        reads = [_reads_terminal(each.pid) for each in others]
        reader = next((o.name for o, r in zip(others, reads, strict=True) if r), "")
        known = bool(reads) and all(read is not None for read in reads)
        name = others[0].name if others else ""
        return Processes(
            at=now,
            busy=busy,
            busy_since=self._busy_since,
            line_reader=reader,
            foreground=name if known and not reader else "",
            is_unsure=bool(others) and not known and not reader,
            hides_input=terminal.line_mode and not terminal.echo,
        )

    def _others(self, members: list[_Member]) -> list[_Member]:
        """Return the processes that have the terminal and are not of the agent's own group."""
        groups = {each.terminal_group for each in members if each.terminal_group > 0}
        below = {each.pid for each in tree.descendants(self._agent)} | {self._agent}
        inner = [each for each in members if each.pid in below]
        first = next((each for each in inner if each.name not in _WRAPPERS), None)
        own = {each.group for each in inner if each.name in _WRAPPERS}
        own |= {first.group} if first is not None else set()
        return [each for each in members if each.group in groups - own]


def _busiest(members: list[_Member], before: dict[int, int], passed: float) -> str:
    """Return the process that used most, if all together used enough; else nothing."""
    used = {each: max(0, each.ticks - before.get(each.pid, 0)) for each in members}
    if sum(used.values()) / _TICKS / passed < _BUSY_SHARE:
        return ""
    return max(used, key=lambda each: used[each]).name


def _member(pid: int) -> _Member | None:
    fields = stat(pid)
    if fields is None or fields[0] in ("Z", "X"):
        return None
    state, group, terminal_group = fields[0], int(fields[2]), int(fields[5])
    ticks = sum(map(int, fields[11:15]))
    return _Member(pid, _printable(tree.name(pid)), state, group, terminal_group, ticks)


def _printable(name: str) -> str:
    return "".join(c for c in name if c.isprintable())[:15] or "a process"


def _reads_terminal(pid: int) -> bool | None:
    """Whether it is blocked in reading a terminal; None: the system does not tell."""
    try:
        with open(f"/proc/{pid}/syscall", "rb") as file:  # noqa: PTH123  a hot path
            words = file.read().split()
        if not words or words[0] == b"running" or int(words[0]) != _READ:
            return False if _READ >= 0 else None
        return bool(_STDIN_LIKE.search(os.readlink(f"/proc/{pid}/fd/{int(words[1], 16)}")))  # noqa: PTH115
    except (OSError, ValueError, IndexError):
        return None
