"""Fetches objects of Git LFS with the runner's own git-lfs, without any filter of a repository.

What .lfsconfig says is read for one thing: an address, which must be on the repository's host.
Source: the Git LFS specification, docs/spec.md; git-lfs-config(5).
"""

import hashlib
import os
import re
import shutil
import stat
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from gitaccess.access import access
from gitaccess.command import Call, Git, GitRunError, Limits
from gitaccess.credentials import Credentials, redact
from gitaccess.explain import DISK_FULL, Failure, explain
from gitaccess.places import Location
from runner.git.layout import Blueprint, lay_out
from runner.git.modules import is_same_host

POINTER_BYTES: Final = 1024
_POINTER: Final = re.compile(
    rb"version https://git-lfs\.github\.com/spec/v1\n"
    rb"oid sha256:([0-9a-f]{64})\nsize ([0-9]{1,15})\n"
)
_CHUNK: Final = 1024 * 1024
_SAID: Final[tuple[tuple[str, Failure], ...]] = (
    (
        r"[Aa]uthentication required|Authorization error|HTTP 40[13]|credentials for",
        Failure(
            "the server refused the credentials: check the Repository's authSecretRef",
            reason="AuthenticationFailed",
        ),
    ),
    (
        r"no space left on device|disk quota exceeded",
        Failure("the disk is full", reason=DISK_FULL),
    ),
    (
        r"dial tcp|no such host|connection re(fused|set)|i/o timeout|HTTP 5\d\d|EOF",
        Failure("the server cannot be reached", unreachable=True, reason="RemoteUnreachable"),
    ),
    (
        r"x509:|certificate",
        Failure("the server's certificate is not trusted: add its ca.crt to the Secret"),
    ),
    (r"HTTP 404|[Nn]ot [Ff]ound|does not exist", Failure("the server does not have it")),
)


@dataclass(frozen=True, slots=True)
class Pointer:
    """What git has in place of a file."""

    oid: str
    """SHA-256 of the file, in hexadecimal."""
    size: int


def pointer(text: bytes) -> Pointer | None:
    """Return what *text* points to; None when it is no pointer that git-lfs writes."""
    found = _POINTER.fullmatch(text)
    return Pointer(found[1].decode(), int(found[2])) if found else None


class Storage:
    """A folder of objects, laid out as git-lfs does."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def path(self, oid: str) -> Path:
        """Return where the object is, whether it is there or not."""
        return self.folder / "objects" / oid[:2] / oid[2:4] / oid

    def has(self, wanted: Pointer) -> bool:
        """Tell whether the object is there, a file of the right size."""
        try:
            found = self.path(wanted.oid).lstat()
        except OSError:
            return False
        return stat.S_ISREG(found.st_mode) and found.st_size == wanted.size

    def oids(self) -> set[str]:
        """Return every name below ``objects``, whatever it is."""
        return {path.name for path in (self.folder / "objects").glob("*/*/*")}


def copy_checked(source: Path, wanted: Pointer, target: Path, mode: int) -> bool:
    """Copy a file that must be what the pointer says; tell whether it is.

    *target* must not exist. Nothing is left there when the file is another one.

    Raises:
        OSError: It cannot be read or written.
    """
    digest = hashlib.sha256()
    read = os.open(source, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
    with os.fdopen(read, "rb") as original:
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
        with os.fdopen(os.open(target, flags, mode), "wb") as copy:
            os.fchmod(copy.fileno(), mode)
            while chunk := original.read(_CHUNK):
                digest.update(chunk)
                copy.write(chunk)
    if digest.hexdigest() == wanted.oid:
        return True
    target.unlink()
    return False


@dataclass(frozen=True, slots=True)
class LfsServer:
    """Where the objects of a repository are."""

    location: Location
    """Of the repository."""
    url: str = ""
    """What .lfsconfig says; empty: what follows from the repository's own address."""

    def refusal(self) -> str:
        """Return why it is not asked; empty when it is."""
        if self.url and not is_same_host(self.url, self.location):
            return "the address in .lfsconfig is not https on the repository's host"
        return ""


def is_installed() -> bool:
    """Tell whether this machine has git-lfs."""
    return shutil.which("git-lfs") is not None


class LfsError(Exception):
    """The objects could not be fetched."""

    def __init__(self, failure: Failure) -> None:
        super().__init__(failure.sentence)
        self.failure = failure


class Fetcher:
    """Fetches the objects of one commit into a storage."""

    def __init__(self, git: Git, limits: Limits) -> None:
        self._git = git
        self._limits = limits

    async def fetch(
        self,
        server: LfsServer,
        commit: str,
        storage: Storage,
        lent: tuple[Path, ...],
        credentials: Credentials | None,
        scratch: Path,
    ) -> None:
        """Fetch what the files of the commit need and is not in the storage.

        *scratch* is made a repository for this one call: without a commit on its branch, git-lfs
        finds no .lfsconfig.

        Raises:
            LfsError: Not all came.
        """
        url = server.url or _endpoint(server.location)
        lay_out(scratch, Blueprint(lent, origin=server.location.url))
        config = {
            "lfs.storage": str(storage.folder),
            "lfs.concurrenttransfers": "4",
            "lfs.basictransfersonly": "true",
            "lfs.locksverify": "false",
        }
        if url:
            config["lfs.url"] = url
            config[f"lfs.{url}.locksverify"] = "false"
        where = Location(url, local=False) if url else server.location
        origin = server.location.url if server.location.protocol == "https" else ""
        args = ("lfs", "fetch", "origin", commit)
        try:
            # git-lfs asks for the password in the name of the repository's own address
            with access(where, credentials, self._git.directory, origin) as way:
                settings = _with(way.environment, config)
                progress = {"GIT_LFS_FORCE_PROGRESS": "1"}
                environment = {**settings, **progress}
                await self._git.run(
                    Call(args, scratch, None, environment, b"", self._limits, way.descriptors)
                )
        except GitRunError as exc:
            raise LfsError(_explained(exc, credentials)) from exc
        finally:
            shutil.rmtree(scratch, ignore_errors=True)


def take_local(location: Location, wanted: Pointer, storage: Storage) -> bool:
    """Copy an object from a repository on this machine; tell whether it was there.

    Raises:
        OSError: The storage cannot be written.
    """
    for lfs in ("lfs", ".git/lfs"):
        source = Storage(Path(location.url) / lfs)
        if not source.has(wanted):
            continue
        target = storage.path(wanted.oid)
        target.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        new = target.with_name(f"{target.name}.{os.getpid()}.new")
        new.unlink(missing_ok=True)
        if copy_checked(source.path(wanted.oid), wanted, new, 0o600):
            new.replace(target)
            return True
    return False


def _endpoint(location: Location) -> str:
    """Return where git-lfs asks for the objects; empty for ssh, over which it asks first."""
    if location.protocol != "https":
        return ""
    url = location.url.rstrip("/")
    return f"{url}/info/lfs" if url.endswith(".git") else f"{url}.git/info/lfs"


def _with(environment: Mapping[str, str], config: Mapping[str, str]) -> dict[str, str]:
    """Return the environment with further settings of git."""
    found = dict(environment)
    first = int(found.get("GIT_CONFIG_COUNT", "0"))
    for number, (key, value) in enumerate(config.items(), first):
        found |= {f"GIT_CONFIG_KEY_{number}": key, f"GIT_CONFIG_VALUE_{number}": value}
    found["GIT_CONFIG_COUNT"] = str(first + len(config))
    return found


def _explained(error: GitRunError, credentials: Credentials | None) -> Failure:
    if error.code is None:
        return explain(error, credentials)
    for pattern, failure in _SAID:
        if re.search(pattern, error.stderr):
            return failure
    lines = [line.strip() for line in error.stderr.splitlines() if line.strip()]
    said = redact(lines[-1], credentials) if lines else f"git-lfs ended with {error.code}"
    return Failure(f"git-lfs says {said[:300]!r}")
