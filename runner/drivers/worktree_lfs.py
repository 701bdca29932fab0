"""Puts files of Git LFS in place of their pointers, in a worktree that no agent has seen.

The objects lie beside the cache, below ``caches/HASH/lfs``, and are lent to nobody: the pod gets
copies, in its worktree and in ``lfs/objects`` of its own repository, where its git-lfs looks first.
"""

import asyncio
import os
import shutil
import stat
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from gitaccess.command import Call, Git, GitRunError, Limits
from gitaccess.credentials import Credentials
from gitaccess.explain import DISK_FULL
from gitaccess.places import Location
from runner.drivers.worktree_values import Finding
from runner.git.cache import Cache
from runner.git.errors import CloneFailedError
from runner.git.layout import add_settings, object_folders
from runner.git.lfs import (
    POINTER_BYTES,
    Fetcher,
    LfsError,
    LfsServer,
    Pointer,
    Storage,
    copy_checked,
    is_installed,
    pointer,
    take_local,
)

_FILTER: Final = {
    "clean": "git-lfs clean -- %f",
    "smudge": "git-lfs smudge -- %f",
    "process": "git-lfs filter-process",
    "required": "true",
}
_PRE_PUSH: Final = '#!/bin/sh\nexec git lfs pre-push "$@"\n'
_SHOWN: Final = 3


@dataclass(frozen=True, slots=True)
class LfsPlace:
    """A repository with its files, as they are built."""

    git_dir: Path
    config_dir: Path
    """Where its configuration, its hooks and its objects are."""
    tree: Path
    commit: str
    location: Location
    cache: Cache
    path: str = ""
    """Below the worktree of the pod; empty: that one itself."""


class Lfs:
    """Fetches and places the files of one worktree."""

    def __init__(self, git: Git, fetch: Limits, local: Limits) -> None:
        self._git = git
        self._fetch = fetch
        self._local = local

    async def put(self, place: LfsPlace, credentials: Credentials | None) -> tuple[str, bool]:
        """Put every file in place that can be had.

        Returns:
            What is to be said where not all could, and whether the repository uses Git LFS here.

        Raises:
            CloneFailedError: Trying again may help.
            OSError: The runner's disk cannot be written.
        """
        pointers = await self._pointers(place)
        if not pointers:
            return "", False
        if not is_installed():
            text = "The runner has no git-lfs: files kept with Git LFS are pointers. Install it"
            return f"{text}, or have the setup script fetch them.", False
        storage = Storage(place.cache.repository.parent / "lfs")
        said = await self._bring(place, storage, set(pointers.values()), credentials)
        own = Storage(place.config_dir / "lfs")
        left = await asyncio.to_thread(_placed, pointers, storage, own, place.tree)
        await asyncio.to_thread(_equip, place.config_dir)
        await self._refresh(place, [name for name in pointers if name not in left])
        if not left:
            return "", True
        more = ", …" if len(left) > _SHOWN else ""
        names = ", ".join(f"{place.path}/{name}".lstrip("/")[:200] for name in left[:_SHOWN])
        why = said or "upstream does not have them"
        return f"Files kept with Git LFS are still pointers ({names}{more}): {why}.", True

    async def _pointers(self, place: LfsPlace) -> dict[str, Pointer]:
        """Return the files that .gitattributes gives to Git LFS and that are pointers."""
        listed = await self._run(place, ("ls-files", "-z"))
        args = ("check-attr", "--stdin", "-z", "filter")
        answer = (await self._run(place, args, listed)).split(b"\0") if listed else []
        names = [
            os.fsdecode(name)
            for name, value in zip(answer[::3], answer[2::3], strict=False)
            if value == b"lfs"
        ]
        return await asyncio.to_thread(_read_pointers, place.tree, names)

    async def _bring(
        self,
        place: LfsPlace,
        storage: Storage,
        wanted: set[Pointer],
        credentials: Credentials | None,
    ) -> str:
        """Have the objects in the storage; return why not, where not."""
        missing = [each for each in wanted if not storage.has(each)]
        if not missing:
            return ""
        if place.location.local:
            for each in missing:
                await asyncio.to_thread(take_local, place.location, each, storage)
            return ""
        server = LfsServer(place.location, await self._configured(place))
        if why := server.refusal():
            return why
        scratch = place.config_dir / "lfs-fetch.git"
        lent = object_folders(place.cache.repository)
        try:
            await Fetcher(self._git, self._fetch).fetch(
                server, place.commit, storage, lent, credentials, scratch
            )
        except LfsError as exc:
            failure = exc.failure
            if failure.unreachable or failure.reason == DISK_FULL:
                text = f"Files kept with Git LFS could not be fetched: {failure.sentence}."
                raise CloneFailedError(text, retryable=True, reason=failure.reason) from exc
            return failure.sentence
        return ""

    async def _configured(self, place: LfsPlace) -> str:
        """Return the address in .lfsconfig; empty without one."""
        blob = f"--blob={place.commit}:.lfsconfig"
        try:
            return (await self._run(place, ("config", blob, "--get", "lfs.url"))).decode().strip()
        except GitRunError:
            return ""

    async def _refresh(self, place: LfsPlace, names: list[str]) -> None:
        """Let the index know the files as they are now, by the runner's own git-lfs."""
        filters = {f"filter.lfs.{key}": value for key, value in _FILTER.items()}
        filters["lfs.storage"] = str(place.config_dir / "lfs")
        environment = {"GIT_CONFIG_COUNT": str(len(filters))}
        for number, (key, value) in enumerate(filters.items()):
            environment |= {f"GIT_CONFIG_KEY_{number}": key, f"GIT_CONFIG_VALUE_{number}": value}
        if names:
            stdin = b"".join(os.fsencode(name) + b"\0" for name in names)
            await self._run(place, ("update-index", "-z", "--stdin"), stdin, environment)

    async def _run(
        self,
        place: LfsPlace,
        args: tuple[str, ...],
        stdin: bytes = b"",
        environment: Mapping[str, str] | None = None,
    ) -> bytes:
        call = Call(args, place.git_dir, place.tree, environment or {}, stdin, self._local)
        return await self._git.run(call)


def lfs_findings(said: list[str]) -> tuple[Finding, ...]:
    """Return one finding for all that is to be said."""
    return (Finding("WorktreeAsAsked", "LfsNotFetched", " ".join(said)),) if said else ()


def _read_pointers(tree: Path, names: list[str]) -> dict[str, Pointer]:
    found = {}
    for name in names:
        path = tree / name
        try:
            about = path.lstat()
        except OSError:
            continue
        if not stat.S_ISREG(about.st_mode) or about.st_size > POINTER_BYTES:
            continue
        if (said := pointer(path.read_bytes())) is not None:
            found[name] = said
    return found


def _placed(
    pointers: dict[str, Pointer], storage: Storage, own: Storage, tree: Path
) -> tuple[str, ...]:
    """Put the files in place; return those of which there is no object, or a damaged one."""
    left = []
    own.folder.mkdir(exist_ok=True)
    for name, wanted in pointers.items():
        path, new = tree / name, own.folder / "new"
        mode = stat.S_IMODE(path.lstat().st_mode)
        if not storage.has(wanted) or not copy_checked(storage.path(wanted.oid), wanted, new, mode):
            left.append(name)
            continue
        new.replace(path)
        kept = own.path(wanted.oid)
        if not kept.exists():
            kept.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(path, kept)
    return tuple(left)


def _equip(repository: Path) -> None:
    """Let the pod's own git treat the files as git-lfs would have set it up."""
    add_settings(
        repository,
        {
            'filter "lfs"': _FILTER,
            "lfs": {"repositoryformatversion": "0", "skipdownloaderrors": "true"},
        },
    )
    hook = repository / "hooks" / "pre-push"
    hook.parent.mkdir(exist_ok=True)
    hook.write_text(_PRE_PUSH, encoding="utf-8")
    hook.chmod(0o755)
