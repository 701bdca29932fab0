"""Reads trees, files and messages of commits from a bare mirror, bounded in time and memory."""

import asyncio
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Final, NamedTuple

from controller.gitops import paths
from controller.gitops.remote import (
    COMMIT_GONE,
    PATH_INVALID,
    TOO_MANY_FILES,
    GoneError,
    RefusedError,
)
from controller.gitops.values import MAX_FILE_BYTES, Entry, EntryType
from gitaccess.command import Call, Git, GitRunError, Limits
from gitaccess.places import is_commit, shown

_LISTING_BYTES: Final = 32 * 1024 * 1024
_BATCH_BYTES: Final = 16 * 1024 * 1024
_LOG_BYTES: Final = 16 * 1024 * 1024
_LONGEST_SUBJECT: Final = 200
_MOST_TICKETS: Final = 100
_MOST_OPERATIONS: Final = 10_000
_TYPES: Final = {
    b"100644": EntryType.FILE,
    b"100755": EntryType.FILE,
    b"100664": EntryType.FILE,  # of very old commits
    b"120000": EntryType.SYMLINK,
    b"160000": EntryType.SUBMODULE,
}
_LOG_FORMAT: Final = "%x00".join(
    (
        "%H",
        "%<(200,trunc)%an",
        "%at",
        "%<(200,trunc)%s",
        "%(trailers:key=Ticket,valueonly=true,unfold=true,separator=%x0A)",
        "%(trailers:key=Operation-Id,valueonly=true,unfold=true,separator=%x0A)",
    )
)
_FIELDS: Final = 6


class TicketCommit(NamedTuple):
    """A commit whose message has trailers of ours."""

    commit: str
    tickets: tuple[str, ...]
    """Values of ``Ticket:``, the first 100."""
    operations: tuple[str, ...]
    """Values of ``Operation-Id:``."""
    author: str
    at: int
    """Seconds since 1970, as the author says."""
    subject: str
    """Printable, at most 200 characters."""


class Reader:
    """Reads one bare repository. Blobs that are not here are never fetched."""

    def __init__(self, repository: Path, git: Git, limits: Limits) -> None:
        self._repository = repository
        self._git = git
        self._limits = limits

    async def tree(self, commit: str, path: str) -> str | None:
        """Return the tree at *path*, None if there is no folder.

        Raises:
            RefusedError: ``PathInvalid``.
            GoneError: The commit is not here.
            GitRunError: It cannot be read.
        """
        folder = paths.folder(path)
        if folder is None:
            raise RefusedError(PATH_INVALID, f"the path {shown(path)} cannot be one of a folder")
        if not is_commit(commit):
            raise GoneError(COMMIT_GONE, f"{shown(commit)} is no commit id")
        names = (f"{commit}^{{commit}}", f"{commit}:{folder}" if folder else f"{commit}^{{tree}}")
        text = "".join(f"{name}\n" for name in names).encode(errors="surrogateescape")
        found = (await self._run("cat-file", "--batch-check", stdin=text)).split(b"\n")
        if not found[0].startswith(commit.encode() + b" commit "):
            raise GoneError(COMMIT_GONE, f"commit {commit} is not in the mirror: fetch again")
        known = re.fullmatch(rb"([0-9a-f]{40}) tree [0-9]+", found[1])
        return known[1].decode() if known else None

    async def entries(
        self, tree: str, path: str, most: int, known: Mapping[str, int]
    ) -> list[Entry]:
        """Return everything below the tree, which is at *path*.

        *known*: sizes of blobs, which need not be asked for.

        Raises:
            RefusedError: ``TooManyFiles``.
            GitRunError: It cannot be read.
        """
        try:
            listing = await self._run("ls-tree", "-r", "-z", tree, output_bytes=_LISTING_BYTES)
        except GitRunError as exc:
            if not exc.flooded:
                raise
            raise too_many(most) from exc
        if listing.count(b"\0") > most:
            raise too_many(most)
        folder = paths.folder(path)
        before = f"{folder}/" if folder else ""
        lines = (_line(line) for line in listing.split(b"\0") if line)
        found = [Entry(before + name, blob, 0, kind) for name, blob, kind in lines]
        return list((await self.sized(found, known)).values())

    async def changes(self, old: str, new: str, path: str) -> dict[str, Entry | None] | None:
        """Return what differs at *path* between two commits, sizes left out; None: it is gone.

        None as a whole: it cannot be told that way, as where there is no folder in one of them.
        """
        folder = paths.folder(path)
        trees = [f"{commit}:{folder}" if folder else f"{commit}^{{tree}}" for commit in (old, new)]
        args = ("-r", "-z", "--raw", "--no-renames", "--no-abbrev", "--ignore-submodules=none")
        try:
            output = await self._run("diff-tree", *args, *trees, output_bytes=_LISTING_BYTES)
        except GitRunError:
            return None
        before = f"{folder}/" if folder else ""
        parts = output.split(b"\0")
        return {
            entry_path: _changed(head, entry_path)
            for head, name in zip(parts[:-1:2], parts[1::2], strict=True)
            if (entry_path := before + name.decode(errors="surrogateescape"))
        }

    async def sized(
        self, entries: Iterable[Entry | None], known: Mapping[str, int]
    ) -> dict[str, Entry]:
        """Return the entries by path, with their sizes; *known* ones need not be asked for.

        Raises:
            GitRunError: They cannot be read.
        """
        there = [entry for entry in entries if entry is not None]
        blobs = {entry.blob for entry in there if entry.type is EntryType.FILE}
        sizes = await self.sizes(blobs - known.keys())
        return {
            entry.path: entry._replace(
                size=sizes[entry.blob] if entry.blob in sizes else known[entry.blob]
            )
            if entry.type is EntryType.FILE
            else entry
            for entry in there
        }

    async def sizes(self, ids: Iterable[str]) -> dict[str, int]:
        """Return the sizes of blobs; of those that were left out, one byte more than is read.

        Raises:
            GitRunError: They cannot be read.
        """
        wanted = [blob for blob in ids if is_commit(blob)]
        if not wanted:
            return {}
        form = "--batch-check=%(objectname) %(objecttype) %(objectsize)"
        text = "".join(f"{blob}\n" for blob in wanted).encode()
        sizes = dict.fromkeys(wanted, MAX_FILE_BYTES + 1)
        missing = []
        for line in (await self._run("cat-file", form, stdin=text)).decode().splitlines():
            blob, _, rest = line.partition(" ")
            if rest.startswith("blob "):
                sizes[blob] = int(rest.removeprefix("blob "))
            elif rest == "missing":
                missing.append(blob)
        if await asyncio.to_thread(self._any_loose, missing):
            raise GitRunError("cat-file", 0, "fatal: loose object is corrupt")
        return sizes

    async def blobs(
        self, ids: Iterable[str], known: Mapping[str, int] | None = None
    ) -> dict[str, bytes]:
        """Return the contents of those that are here and not too long.

        *known*: sizes of blobs, which need not be asked for.

        Raises:
            GitRunError: They cannot be read.
        """
        wanted, have = dict.fromkeys(ids), known or {}
        sizes = {blob: have[blob] for blob in wanted if blob in have}
        sizes |= await self.sizes(wanted.keys() - have.keys())
        found: dict[str, bytes] = {}
        small = [Entry("", blob, size, EntryType.FILE) for blob, size in sizes.items()]
        for part in batches((each for each in small if each.size <= MAX_FILE_BYTES), _BATCH_BYTES):
            text = "".join(f"{each.blob}\n" for each in part).encode()
            found |= _contents(await self._run("cat-file", "--batch", stdin=text))
        return found

    async def log(
        self, old: str | None, new: str, trailer: str, most: int, *, all_or_none: bool = False
    ) -> list[TicketCommit]:
        """Return the commits in *new* and not in *old* with such a trailer, newest first.

        Where somebody wrote megabytes into trailers, older commits are left out but for
        *all_or_none*.

        Raises:
            GitRunError: They cannot be read.
        """
        args = (
            "log", "-z", f"--format={_LOG_FORMAT}", f"--max-count={most}", "--no-show-signature",
            "--no-notes", "--no-mailmap", "--encoding=UTF-8", "-E", f"--grep=^{trailer}: ", new,
        )  # fmt: skip
        try:
            text = await self._run(*args, *((f"^{old}",) if old else ()), output_bytes=_LOG_BYTES)
        except GitRunError as exc:
            if not exc.flooded or all_or_none:
                raise
            text = exc.output.rpartition(b"\0")[0]
        return await asyncio.to_thread(_commits, text)

    async def newest(self, commit: str, path: str, most: int) -> list[str]:
        """Return paths below the folder in the order of their last changes, newest first.

        As far as the last *most* commits and 16 MB of names say.

        Raises:
            GitRunError: They cannot be read.
        """
        args = (
            "log", "-z", "--format=", "--name-only", "--no-renames", "--no-show-signature",
            "--no-notes", f"--max-count={most}", commit, "--",
        )  # fmt: skip
        folder = paths.folder(path)
        where = (f":(top,literal){folder}",) if folder else ()
        try:
            text = await self._run(*args, *where, output_bytes=_LOG_BYTES)
        except GitRunError as exc:
            if not exc.flooded:
                raise
            text = exc.output.rpartition(b"\0")[0]
        names = (name.strip(b"\n") for name in text.split(b"\0"))
        found = dict.fromkeys(name for name in names if name)
        return [name.decode(errors="surrogateescape") for name in found]

    async def descends(self, new: str, old: str) -> bool | None:
        """Tell whether *old* is an ancestor of *new*, as far as is known here; None: not here.

        Raises:
            GitRunError: It cannot be told.
        """
        try:
            await self._run("merge-base", "--is-ancestor", old, new)
        except GitRunError as exc:
            if exc.code == 1:
                return False
            if exc.code is not None:
                return None
            raise
        return True

    async def _run(self, *args: str, stdin: bytes = b"", output_bytes: int | None = None) -> bytes:
        limits = self._limits
        if output_bytes is not None:
            limits = replace(limits, output_bytes=output_bytes)
        return await self._git.run(Call(args, self._repository, stdin=stdin, limits=limits))

    def _any_loose(self, ids: Sequence[str]) -> bool:
        """Tell whether one of them is here after all: then it is what git cannot read."""
        objects = self._repository / "objects"
        return any((objects / blob[:2] / blob[2:]).exists() for blob in ids)


def batches(entries: Iterable[Entry], most_bytes: int = _BATCH_BYTES) -> Iterator[list[Entry]]:
    """Cut *entries* into parts whose files have at most so many bytes (or are one file)."""
    part: list[Entry] = []
    total = 0
    for entry in entries:
        if part and total + entry.size > most_bytes:
            yield part
            part, total = [], 0
        part.append(entry)
        total += entry.size
    if part:
        yield part


def too_many(most: int) -> RefusedError:
    """Return what is raised where there are more than *most* files."""
    return RefusedError(
        TOO_MANY_FILES,
        f"there are more than {most} files below spec.path: name a folder with fewer",
    )


def _line(line: bytes) -> tuple[str, str, EntryType]:
    """Read ``<mode> <type> <id>TAB<path>``. Source: git-ls-tree(1), Output Format."""
    head, _, path = line.partition(b"\t")
    mode, _, blob = head.split(b" ")
    kind = _TYPES.get(mode, EntryType.OTHER)
    return path.decode(errors="surrogateescape"), blob.decode(), kind


def _changed(head: bytes, path: str) -> Entry | None:
    """Read ``:<mode> <mode> <id> <id> <status>``. Source: git-diff-tree(1), Raw Output Format."""
    _, mode, _, blob, status = head.split(b" ")
    if status == b"D":
        return None
    return Entry(path, blob.decode(), 0, _TYPES.get(mode, EntryType.OTHER))


def _contents(output: bytes) -> dict[str, bytes]:
    """Read ``<id> blob <size>LF<content>LF``. Source: git-cat-file(1), Batch Output."""
    found: dict[str, bytes] = {}
    at = 0
    while (end := output.find(b"\n", at)) >= 0:
        blob, kind, *rest = output[at:end].decode().split(" ")
        at = end + 1
        if kind == "blob":
            size = int(rest[0])
            found[blob] = output[at : at + size]
            at += size + 1
    return found


def _commits(text: bytes) -> list[TicketCommit]:
    fields = text.removesuffix(b"\0").split(b"\0")
    whole = range(0, len(fields) - _FIELDS + 1, _FIELDS)
    return [_commit(fields[start : start + _FIELDS]) for start in whole]


def _commit(fields: Sequence[bytes]) -> TicketCommit:
    commit, author, at, subject, tickets, operations = (
        field.decode(errors="replace") for field in fields
    )
    return TicketCommit(
        commit.strip(),
        _values(tickets, _MOST_TICKETS),
        _values(operations, _MOST_OPERATIONS),
        _printable(author),
        int(at) if re.fullmatch(r"[0-9]{1,12}", at) else 0,
        _printable(subject),
    )


def _values(text: str, most: int) -> tuple[str, ...]:
    found = (_printable(line.strip()) for line in text.split("\n")[:most])
    return tuple(dict.fromkeys(value for value in found if value))


def _printable(text: str) -> str:
    cut = text[:_LONGEST_SUBJECT]
    if not cut.isprintable():
        cut = "".join(char if char.isprintable() else " " for char in cut)
    return cut.strip()
