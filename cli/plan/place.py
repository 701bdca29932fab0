"""Where the commit is: a folder with a repository, or an address, with the user's own git.

Nothing of the repository is run or checked out: its objects are read.
"""

import asyncio
import os
import re
import subprocess
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from cli.channel_text import printable
from cli.errors import CommandError, NotFound, Unreachable, Usage
from controller.gitops.reading import TicketCommit, too_many
from controller.gitops.remote import Remote
from controller.gitops.values import MAX_FILE_BYTES, MAX_LISTED, Entry, EntryType

_GIT_SECONDS: Final = 600.0
_URL: Final = re.compile(r"(?P<url>(?:https|ssh|file)://[^/]*/.*?)(?:@(?P<ref>[^@]*))?")
_SHORT_SSH: Final = re.compile(r"[A-Za-z0-9_.-]+@[A-Za-z0-9_.-]+:.*")
_COMMIT: Final = re.compile(r"[0-9a-f]{40}")
_TARGET: Final = "refs/agentsmesh/plan"
_TYPES: Final = {
    ("100644", "blob"): EntryType.FILE,
    ("100755", "blob"): EntryType.FILE,
    ("100664", "blob"): EntryType.FILE,
    ("120000", "blob"): EntryType.SYMLINK,
    ("160000", "commit"): EntryType.SUBMODULE,
}


@dataclass(frozen=True, slots=True)
class Place:
    """A repository whose objects can be read, and the commit that is meant."""

    folder: Path
    commit: str
    ref: str
    """As it was asked for; ``HEAD`` if it was not."""
    shown: str
    """The repository, for messages."""
    addresses: tuple[str, ...]
    """Under which the repository may be known: urls of Repositories."""
    branch: str = ""
    """The branch that *ref* is; empty where it is none."""

    def commits(self, name: str) -> bool:
        """Tell whether the commit is here."""
        found = _git(self.folder, "cat-file", "-e", f"{name}^{{commit}}")
        return found.returncode == 0

    def is_based_on(self, earlier: str) -> bool | None:
        """Tell whether the commit is *earlier* or comes after it; None: it is not known here."""
        if earlier == self.commit:
            return True
        ours = _git(self.folder, "merge-base", "--is-ancestor", earlier, self.commit)
        if ours.returncode == 0:
            return True
        # what lies between them may be missing
        return (
            False if _say(self.folder, "rev-parse", "--is-shallow-repository") == "false" else None
        )


@contextmanager
def found(source: str) -> Iterator[Place]:
    """Yield the place that ``PATH``, ``PATH@ref`` or ``URL@ref`` names.

    Raises:
        CommandError: There is none, or it cannot be read.
    """
    if not source or source.startswith("-") or not source.isprintable():
        raise Usage("--source: name a folder with a git repository, or a URL, and @ref behind it")
    match = _URL.fullmatch(source)
    if match is not None:
        with _fetched(match["url"], match["ref"] or "HEAD") as place:
            yield place
    elif _SHORT_SSH.fullmatch(source):
        raise Usage(f"--source {source}: write ssh://USER@HOST/PATH@ref")
    else:
        yield _local(source)


def _local(source: str) -> Place:
    path, ref = source, "HEAD"
    if not Path(path).expanduser().exists():
        path, _, ref = source.rpartition("@")
    folder = Path(path).expanduser()
    if not path or not ref or not folder.is_dir():
        raise NotFound(f"--source {source}: there is no such folder")
    top = _say(folder, "rev-parse", "--absolute-git-dir")
    if top is None:
        raise Usage(f"--source {source}: {folder} is not in a git repository")
    commit = _resolve(folder, ref)
    remotes = (_say(folder, "config", "--get-regexp", r"^remote\..*\.url$") or "").splitlines()
    root = Path(top).parent if Path(top).name == ".git" else Path(top)
    addresses = [line.partition(" ")[2] for line in remotes]
    for here in (root, Path(top)):
        addresses += [str(here.resolve()), here.resolve().as_uri()]
    name = (_say(folder, "rev-parse", "--abbrev-ref", ref) or "").removeprefix("heads/")
    return Place(folder, commit, ref, str(root), tuple(addresses), _branch(name))


def _branch(name: str) -> str:
    """Return the branch without the remote that it was fetched from."""
    if name == "HEAD" or _COMMIT.fullmatch(name):
        return ""
    return name.removeprefix("origin/")


def _resolve(folder: Path, ref: str) -> str:
    if ref.startswith("-"):
        raise Usage(f"--source: {ref!r} is no branch, tag or commit")
    commit = _say(folder, "rev-parse", "--verify", "--quiet", f"{ref}^{{commit}}")
    if commit is None and "/" not in ref:
        commit = _say(folder, "rev-parse", "--verify", "--quiet", f"origin/{ref}^{{commit}}")
    if commit is None or not _COMMIT.fullmatch(commit):
        raise NotFound(f"--source: there is no branch, tag or commit {ref!r} in {folder}")
    return commit


@contextmanager
def _fetched(url: str, ref: str) -> Iterator[Place]:
    """Yield a copy that has the commit and its files, without what was before it."""
    if ref.startswith("-") or not ref:
        raise Usage(f"--source: {ref!r} is no branch, tag or commit")
    with tempfile.TemporaryDirectory(prefix="agentsmesh-plan-") as scratch:  # mode 0700
        folder = Path(scratch)
        _must(folder, "init", "--quiet", "--bare", "--template=", ".")
        _fetch(folder, url, ref)
        commit = _say(folder, "rev-parse", "--verify", "--quiet", f"{_TARGET}^{{commit}}")
        if commit is None:
            raise NotFound(f"--source: {ref!r} of {_hidden(url)} is no commit")
        branch = "" if ref == "HEAD" or _COMMIT.fullmatch(ref) else ref
        yield Place(folder, commit, ref, _hidden(url), (url,), branch)


def also(place: Place, commit: str) -> bool:
    """Bring a further commit, if it is not here; tell whether it is now."""
    if not _COMMIT.fullmatch(commit):
        return False
    if place.commits(commit):
        return True
    if place.addresses[0].partition("://")[1] and len(place.addresses) == 1:
        options = ("--quiet", "--no-tags", "--depth=1", "--no-write-fetch-head")
        _git(place.folder, "fetch", *options, "--", place.addresses[0], commit)
    return place.commits(commit)


def _fetch(folder: Path, url: str, ref: str) -> None:
    options = ("--quiet", "--no-tags", "--depth=1", "--no-write-fetch-head")
    done = _git(folder, "fetch", *options, "--", url, f"+{ref}:{_TARGET}")
    if done.returncode == 0:
        return
    said = done.stderr.decode("utf-8", "replace")
    if re.search(r"couldn't find remote ref|not our ref|no such ref", said):
        raise NotFound(f"--source: there is no branch, tag or commit {ref!r} at {_hidden(url)}")
    lines = [line for line in said.splitlines() if line.startswith(("fatal:", "error:"))]
    why = _hidden(printable(lines[-1] if lines else "git did not say why"))
    raise Unreachable(f"--source: {_hidden(url)} cannot be fetched: {why[:300]}")


def _hidden(text: str) -> str:
    """Return the text without what may be a password."""
    return re.sub(r"(?<=://)[^/\s@]+@", "", text)


class Commit:
    """One commit, as the sync reads mirrors (``controller.gitops.listing.Mirror``)."""

    def __init__(self, folder: Path, commit: str) -> None:
        self._folder = folder
        self._commit = commit

    def use(self, remote: Remote) -> None:
        """Do nothing: it is this commit, whatever the branch."""

    async def remote_tip(self) -> str | None:
        """Return the commit."""
        return self._commit

    async def newest(self, commit: str, path: str) -> list[str]:  # noqa: ARG002
        """Return nothing: in a plan none comes first."""
        return []

    async def descends(self, new: str, old: str) -> bool | None:  # noqa: ARG002
        """Return that it is not known."""
        return None

    async def is_empty(self) -> bool:
        """Return that there is something."""
        return False

    def has(self, commit: str) -> bool:
        """Tell whether the commit is here for sure."""
        return commit == self._commit

    async def fetch(self) -> str:
        """Return the commit: it is here."""
        return self._commit

    async def path_exists(self, commit: str, path: str) -> bool:
        """Tell whether *path* is a folder in the commit."""
        named = f"{commit}:{'' if path == '.' else path.rstrip('/')}"
        said = await asyncio.to_thread(_say, self._folder, "cat-file", "-t", named)
        return said == "tree"

    async def entries(self, commit: str, path: str) -> list[Entry]:
        """Return everything below *path*. Raises RefusedError where that is too much."""
        return await asyncio.to_thread(self._entries, commit, path)

    def _entries(self, commit: str, path: str) -> list[Entry]:
        where = () if path == "." else (f"{path.rstrip('/')}/",)
        args = ("--literal-pathspecs", "ls-tree", "-r", "-z", "-l", "--full-tree", commit, "--")
        listed = _must(self._folder, *args, *where).split(b"\0")
        if len(listed) > MAX_LISTED + 1:  # the last one is empty
            raise too_many(MAX_LISTED)
        return [_entry(line) for line in listed if line]

    async def commits(self, old: str | None, new: str, most: int = 300) -> list[TicketCommit]:
        """Return none: what commits say of tickets is in no plan."""
        del old, new, most
        return []

    async def blobs(self, ids: Iterable[str]) -> dict[str, bytes]:
        """Return the contents; those that are too long are left out."""
        return await asyncio.to_thread(self._blobs, list(dict.fromkeys(ids)))

    def _blobs(self, ids: list[str]) -> dict[str, bytes]:
        asked = "".join(f"{each}\n" for each in ids).encode()
        said = _must(self._folder, "cat-file", "--batch", stdin=asked)
        contents: dict[str, bytes] = {}
        at = 0
        while at < len(said):
            end = said.index(b"\n", at)
            words = said[at:end].split()
            at = end + 1
            if len(words) == 3 and words[1] == b"blob":
                size = int(words[2])
                if size <= MAX_FILE_BYTES:
                    contents[words[0].decode()] = said[at : at + size]
                at += size + 1
        return contents


def _entry(line: bytes) -> Entry:
    head, _, path = line.partition(b"\t")
    mode, kind, blob, size = head.decode("ascii").split()
    return Entry(
        path.decode("utf-8", "surrogateescape"),
        blob,
        int(size) if size.isdigit() else 0,
        _TYPES.get((mode, kind), EntryType.OTHER),
    )


def _say(folder: Path, *args: str) -> str | None:
    done = _git(folder, *args)
    return done.stdout.decode("utf-8", "replace").strip() if done.returncode == 0 else None


def _must(folder: Path, *args: str, stdin: bytes = b"") -> bytes:
    done = _git(folder, *args, stdin=stdin)
    if done.returncode != 0:
        said = printable(" ".join(done.stderr.decode("utf-8", "replace").split()))[-300:]
        raise CommandError(f"git cannot read the repository: {_hidden(said)}")
    return done.stdout


def _git(folder: Path, *args: str, stdin: bytes = b"") -> "subprocess.CompletedProcess[bytes]":
    try:
        return subprocess.run(
            ("git", "-C", str(folder), "-c", "core.fsmonitor=false", *args),
            input=stdin,
            capture_output=True,
            check=False,
            timeout=_GIT_SECONDS,
            env={
                **os.environ,
                "LC_ALL": "C",
                "GIT_OPTIONAL_LOCKS": "0",
                "GIT_NO_LAZY_FETCH": "1",
                "GIT_NO_REPLACE_OBJECTS": "1",
                "GIT_ALLOW_PROTOCOL": "https:ssh:file",
            },
        )
    except (OSError, subprocess.TimeoutExpired) as exc:
        raise CommandError(f"git cannot be run: {exc}") from exc
