"""Finds the work of pods that are gone, and packs it for whoever wants it back.

The refs in the caches are the truth. Beside them there is a note for each pod, below ``saved/`` in
the data directory: whose it was, for a pod is asked for by its name when its uid is forgotten.
"""

import json
import os
import re
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

from gitaccess.command import Call, Git, Limits
from gitaccess.places import is_commit
from runner.drivers.worktree_files import write_through
from runner.git.cache import OTHERS, SAVED
from runner.git.refs import UnreadableError, read_refs

_UID: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9-]{3,63}")
_MOST_HAVE: Final = 1024


@dataclass(frozen=True, slots=True)
class Kept:
    """What is kept of one pod."""

    uid: str
    namespace: str
    """Empty where it is not known: kept by an earlier release."""
    pod: str
    branch: str
    cache: str
    """Name of the cache's folder; empty where nothing is kept under a ref."""
    saved_ms: int
    ref: str = ""
    """Of the files as they were left; empty where only other refs have work."""
    refs: tuple[tuple[str, str], ...] = ()
    """Every ref that keeps something of it, with its commit."""
    files: str = ""
    """Where files were kept that no commit can hold; a path on the runner."""

    @property
    def commit(self) -> str:
        """The commit of ``ref``; empty without one."""
        return dict(self.refs).get(self.ref, "")


class KeptWork:
    """All work that is kept below one data directory."""

    def __init__(self, data_dir: Path, git: Git, limits: Limits) -> None:
        self._notes = data_dir / "saved"
        self._caches = data_dir / "caches"
        self._git = git
        self._limits = limits

    def note(self, kept: Kept) -> None:
        """Write down, through to the disk, whose work is kept."""
        self._notes.mkdir(mode=0o700, exist_ok=True)
        known = self._noted(self._notes / f"{kept.uid}.json")
        if known is not None and not kept.files:
            kept = replace(kept, files=known.files)
        write_through(self._notes / f"{kept.uid}.json", kept)

    def note_files(self, uid: str, files: Path) -> None:
        """Add where the files of a pod are that could not be kept under a ref."""
        known = self._noted(self._notes / f"{uid}.json")
        if known is not None:
            self.note(replace(known, files=str(files)))

    def find(self, namespace: str, uid: str, pod: str) -> Kept | None:
        """Return what is kept of the pod with this uid, else of the latest one of that name.

        Only of pods of *namespace*: the runner may have been another organization's before.
        """
        if uid and _UID.fullmatch(uid):
            found = self._noted(self._notes / f"{uid}.json")
            if found is not None and found.namespace == namespace:
                return self._current(found)
        named = [
            each
            for path in self._notes.glob("*.json")
            if (each := self._noted(path)) and (each.namespace, each.pod) == (namespace, pod)
        ]
        for each in sorted(named, key=lambda kept: kept.saved_ms, reverse=True):
            if (current := self._current(each)) is not None:
                return current
        return None

    def _noted(self, path: Path) -> Kept | None:
        try:
            fields = json.loads(path.read_text(encoding="utf-8"))
            refs = tuple((name, commit) for name, commit in fields["refs"])
            return Kept(**{**fields, "refs": refs})
        except (OSError, ValueError, TypeError, KeyError):
            return None

    def _current(self, kept: Kept) -> Kept | None:
        """Return *kept* with the refs that are still there; None when nothing is."""
        refs: tuple[tuple[str, str], ...] = ()
        if kept.cache:
            try:
                have = read_refs(self._caches / kept.cache / "repo.git")
            except (UnreadableError, OSError):
                have = {}
            refs = tuple((name, have[name]) for name, _ in kept.refs if name in have)
        if not refs and not (kept.files and Path(kept.files).exists()):
            return None
        names = {name for name, _ in refs}
        return replace(kept, refs=refs, ref=kept.ref if kept.ref in names else "")

    async def missing(self, kept: Kept, have: Sequence[str]) -> tuple[str, ...]:
        """Return which of *have* the cache knows, when a bundle without them holds anything.

        Raises:
            GitRunError: The cache cannot be read.
            NothingMissingError: All commits are there already.
        """
        known = await self._known(kept, have)
        lines = [*(commit for _, commit in kept.refs), *(f"^{commit}" for commit in known)]
        found = await self._run(kept, ("rev-list", "--max-count=1", "--stdin"), lines)
        if not found.strip():
            raise NothingMissingError
        return known

    async def bundle(self, kept: Kept, known: Sequence[str], path: Path) -> None:
        """Write a git bundle of all refs without *known* and what is before it.

        Raises:
            GitRunError: The cache cannot be read, or the disk is full.
        """
        lines = [*(name for name, _ in kept.refs), *(f"^{commit}" for commit in known)]
        await self._run(kept, ("bundle", "create", "--quiet", str(path), "--stdin"), lines)

    @contextmanager
    def room(self) -> Iterator[Path]:
        """Yield the name of a file for a bundle, and remove it afterwards."""
        number, name = tempfile.mkstemp(prefix="once-", dir=self._git.directory)
        os.close(number)
        try:
            yield Path(name)
        finally:
            Path(name).unlink(missing_ok=True)
            Path(f"{name}.lock").unlink(missing_ok=True)

    async def _known(self, kept: Kept, have: Sequence[str]) -> tuple[str, ...]:
        asked = tuple(dict.fromkeys(each for each in have if is_commit(each)))[:_MOST_HAVE]
        if not asked:
            return ()
        answer = await self._run(kept, ("cat-file", "--batch-check=%(objecttype)"), asked)
        kinds = answer.decode().splitlines()
        return tuple(c for c, kind in zip(asked, kinds, strict=True) if kind == "commit")

    async def _run(self, kept: Kept, args: tuple[str, ...], lines: Sequence[str]) -> bytes:
        stdin = "".join(f"{line}\n" for line in lines).encode()
        repository = self._caches / kept.cache / "repo.git"
        return await self._git.run(Call(args, repository, stdin=stdin, limits=self._limits))


class NothingMissingError(Exception):
    """Whoever asks has every commit already."""


def own_refs(uid: str, refs: Sequence[tuple[str, str]]) -> tuple[tuple[str, str], ...]:
    """Return which of *refs* keep the pod's work."""
    return tuple(
        (name, commit)
        for name, commit in refs
        if name == SAVED + uid or name.startswith(f"{OTHERS}{uid}/")
    )
