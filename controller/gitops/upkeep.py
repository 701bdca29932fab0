"""Keeps a mirror small, and puts a new one in its place."""

import asyncio
import logging
import shutil
from pathlib import Path
from typing import Final

from controller.gitops.upstream import PROMISED, MirrorSettings
from gitaccess.command import Call, Git, GitRunError, Limits
from gitaccess.leavings import packs

logger = logging.getLogger(__name__)

_MANY_PACKS: Final = 50
_MANY_LOOSE: Final = 20
"""In one of 256 folders: about 5,000 in all."""
_UNUSED: Final = "1.hour.ago"
"""Of objects that nothing leads to: those of commits that were not taken."""


async def tidy(repository: Path, git: Git, settings: MirrorSettings) -> bool:
    """Join what has become many files; False: make the mirror anew, it is too large for that."""
    if not await asyncio.to_thread(_is_scattered, repository):
        return True
    if await asyncio.to_thread(_weight, repository) > 2 * settings.fetch_bytes:
        return False
    count = len(PROMISED)
    environment = {"GIT_CONFIG_COUNT": str(count)}
    for number, (key, value) in enumerate(PROMISED.items()):
        environment |= {f"GIT_CONFIG_KEY_{number}": key, f"GIT_CONFIG_VALUE_{number}": value}
    limits = Limits(settings.fetch_seconds, cpu_seconds=settings.fetch_cpu_seconds)
    try:
        for args in (("repack", "-a", "-d", "-q"), ("prune", f"--expire={_UNUSED}")):
            await git.run(Call(args, repository, None, environment, b"", limits))
    except GitRunError as exc:
        logger.warning("mirror cannot be tidied", extra={"reason": exc.stderr[-300:]})
        return False
    return True


def swap(repository: Path, new: Path) -> None:
    """Put *new* in the place of *repository*, which is deleted. Blocking."""
    old = repository.with_name("old.git")
    shutil.rmtree(old, ignore_errors=True)
    if repository.exists():
        repository.rename(old)
    new.rename(repository)
    shutil.rmtree(old, ignore_errors=True)


def _is_scattered(repository: Path) -> bool:
    loose = sum(1 for _ in repository.glob("objects/17/*"))
    return loose > _MANY_LOOSE or packs(repository) > _MANY_PACKS


def _weight(repository: Path) -> int:
    """Return the bytes of all packs."""
    return sum(path.stat().st_size for path in repository.glob("objects/pack/*.pack"))
