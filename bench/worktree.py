"""Worktrees: made with and without some that are ready, and what it costs to watch 200 of them.

The repository has 10,000 files in 200 folders; "theirs" is the same start with none ready. The pods
that are watched have 500 files each.
"""

import asyncio
import resource
import subprocess
import tempfile
import time
from pathlib import Path

from bench.report import Row, median, percentile
from runner.converge.freshness import Freshness
from runner.drivers.trash import Trash
from runner.drivers.worktree import GitWorktrees, WorktreeSettings
from runner.drivers.worktree_values import WorktreeRequest

FILES, FOLDERS, STARTS = 10_000, 200, 10
PODS, SMALL_FILES, SMALL_FOLDERS = 200, 500, 25
CHANGES_A_SECOND = 5
QUIET_SECONDS, BUSY_SECONDS = 10.0, 15.0


def measure() -> list[Row]:
    """Make worktrees side by side, then watch many."""
    with tempfile.TemporaryDirectory(prefix="bench-worktree-") as text:
        return asyncio.run(_measured(Path(text)))


async def _measured(root: Path) -> list[Row]:
    cold, warm = await _starts(root)
    idle, busy, delays = await _watched(root)
    note = f"{FILES:,} files, {STARTS} starts each, in turns"
    low, high = percentile(warm, 99), percentile(cold, 99)
    share, many = "% of a core", f"{PODS} worktrees watched"
    changing = f"{many}, {CHANGES_A_SECOND} change each second"
    return [
        Row("worktree made, p50", "ms", median(warm), "none ready", median(cold), note=note),
        Row("worktree made, p99", "ms", low, "none ready", high),
        Row(f"{many}, nothing changes", share, idle, "-", 0.0),
        Row(changing, share, busy, "-", 0.0),
        Row("from a change to the look at it, longest", "s", max(delays), "-", 0.0, goal="≤ 5"),
    ]


async def _starts(root: Path) -> tuple[list[float], list[float]]:
    upstream = await asyncio.to_thread(_repository, root / "large", FILES, FOLDERS)
    sides = [_worktrees(root, "cold"), _worktrees(root, "warm")]
    for side, number in zip(sides, (0, STARTS), strict=True):
        await side.ensure(_request(upstream, 9999, number))  # fetches
    async with asyncio.TaskGroup() as tasks:
        tending = tasks.create_task(sides[1].tend())
        async with asyncio.timeout(120):
            while await asyncio.to_thread(_ready, root / "warm/warm") < STARTS:
                await asyncio.sleep(0.1)
        tending.cancel()
    found: tuple[list[float], list[float]] = ([], [])
    for number in range(STARTS):
        for side, seconds in zip(sides, found, strict=True):
            began = time.monotonic()
            await side.ensure(_request(upstream, number, 0))
            seconds.append((time.monotonic() - began) * 1000)
    for side in sides:
        side.eyes.close()
    return found


async def _watched(root: Path) -> tuple[float, float, list[float]]:
    """Return the processor's share while nothing changes, while some do, and the delays."""
    upstream = await asyncio.to_thread(_repository, root / "small", SMALL_FILES, SMALL_FOLDERS)
    worktrees = _worktrees(root, "watched")
    trees = {}
    for number in range(PODS):
        request = _request(upstream, number, 0)
        trees[request.uid] = (await worktrees.ensure(request)).path
        await worktrees.inspect(request.uid)
    eye = _Eye(worktrees, list(trees))
    await eye.look(QUIET_SECONDS / 2, {})  # each is new, once
    while eye.looked < PODS:
        await eye.look(1.0, {})
    idle = await eye.look(QUIET_SECONDS, {})
    eye.delays.clear()
    busy = await eye.look(BUSY_SECONDS, trees)
    worktrees.eyes.close()
    return idle, busy, eye.delays


class _Eye:
    """Looks at worktrees as the runner's loop does."""

    def __init__(self, worktrees: GitWorktrees, uids: list[str]) -> None:
        self._worktrees = worktrees
        self._sizes = dict.fromkeys(uids, 1)
        self._freshness = Freshness(worktrees.eyes)
        self._changed: dict[str, float] = {}
        self.looked = 0
        self.delays: list[float] = []

    async def look(self, seconds: float, trees: dict[str, Path]) -> float:
        """Look for so long while files of *trees* change; return the share of a core in percent."""
        began, spent, step = time.monotonic(), _cpu(), 0
        while time.monotonic() - began < seconds:
            await asyncio.sleep(0.5)
            for uid in list(trees)[step : step + CHANGES_A_SECOND]:
                (trees[uid] / "folder1/file1").write_text(str(step))
                self._changed.setdefault(uid, time.monotonic())
            step = (step + CHANGES_A_SECOND) if time.monotonic() - began > step / 5 else step
            self._freshness.see(self._sizes)
            self._freshness.look()
            await self._due()
        return (_cpu() - spent) / (time.monotonic() - began) * 100

    async def _due(self) -> None:
        while (uid := self._freshness.due()) is not None:
            began = time.monotonic()
            await self._worktrees.inspect(uid)
            self.looked += 1
            if (since := self._changed.pop(uid, None)) is not None:
                self.delays.append(time.monotonic() - since)
            await asyncio.sleep(time.monotonic() - began)


def _cpu() -> float:
    uses = (resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    return sum(use.ru_utime + use.ru_stime for use in uses)


def _worktrees(root: Path, name: str) -> GitWorktrees:
    return GitWorktrees(root / name, Trash(root / name / "trash"), WorktreeSettings((root,)))


def _request(upstream: Path, number: int, warm: int) -> WorktreeRequest:
    uid = f"{number:08d}-1111-2222-3333-444444444444"
    return WorktreeRequest(uid=uid, pod=f"pod-{number}", url=str(upstream), warm=warm)


def _ready(folder: Path) -> int:
    return sum(path.name.isdigit() for path in folder.glob("*/*"))


def _repository(path: Path, files: int, folders: int) -> Path:
    for number in range(folders):
        (path / f"folder{number}").mkdir(parents=True)
    for number in range(files):
        file = path / f"folder{number % folders}" / f"file{number // folders}"
        file.write_text(f"{number}\n" * 300)
    who = ("-c", "user.name=bench", "-c", "user.email=bench@example.invalid")
    for verb in (("init", "-q", "-b", "main"), ("add", "-A"), ("commit", "-q", "-m", "Begin")):
        subprocess.run(("git", *who, *verb), cwd=path, check=True)
    return path
