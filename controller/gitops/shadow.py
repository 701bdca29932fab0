"""A repository of this machine, opened without its configuration and without its hooks.

Git serves a folder by a process that obeys what is configured in it. So it is given a folder of
ours instead: an empty configuration, links to objects and branches, copies of what it only reads.
"""

import os
import re
import shutil
import stat
import tempfile
from contextlib import suppress
from pathlib import Path
from typing import Final

from controller.gitops.remote import RefusedError

_SMALL_BYTES: Final = 1024 * 1024
_PACKED_REFS_BYTES: Final = 64 * 1024 * 1024
_SHARED: Final = re.compile(
    r"^\s*sharedRepository\s*=\s*(group|all|world|everybody|true|umask|false|0[0-7]{3})\s*$",
    re.IGNORECASE | re.MULTILINE,
)
"""The one setting that is taken over: whose the files are that a push makes."""
_OTHER_FORMAT: Final = re.compile(
    r"^\s*(objectFormat\s*=\s*sha256|refStorage\s*=\s*reftable)", re.IGNORECASE | re.MULTILINE
)
_LOCK_SECONDS: Final = 600.0
_NOT_FOUND: Final = "RemoteNotFound"


def shadow(repository: Path, directory: Path, *, to_push: bool = False) -> Path:
    """Make *directory* anew, a bare repository that stands for the one at *repository*. Blocking.

    Raises:
        RefusedError: There is none, or none that can be opened so.
    """
    real = _git_dir(repository)
    if to_push and real != repository:
        raise RefusedError(
            "PushRefused",
            "the repository has a working tree, which a push would not change: use a bare one"
            " (git clone --bare)",
        )
    config = _read(real / "config", _SMALL_BYTES).decode(errors="replace")
    if _OTHER_FORMAT.search(config):
        raise RefusedError(
            "FetchFailed", "it keeps objects or branches in a format that is not read yet"
        )
    shutil.rmtree(directory, ignore_errors=True)
    directory.mkdir(mode=0o700, parents=True)
    shared = _SHARED.search(config)
    (directory / "config").write_text(
        "[core]\n\trepositoryformatversion = 0\n\tbare = true\n"
        + (f"\tsharedRepository = {shared[1]}\n" if shared else "")
        + "[uploadpack]\n\tallowFilter = true\n[receive]\n\tautogc = false\n",
        encoding="utf-8",
    )
    (directory / "HEAD").write_bytes(_head(real))
    packed = _read(real / "packed-refs", _PACKED_REFS_BYTES)
    if to_push and (packed or not (real / "packed-refs").is_symlink()):
        # a copy would hide a push that is packed at this moment
        (directory / "packed-refs").symlink_to(real / "packed-refs")
    elif packed:
        (directory / "packed-refs").write_bytes(packed)
    if shallow := _read(real / "shallow", _SMALL_BYTES):
        (directory / "shallow").write_bytes(shallow)
    for name in ("objects", "refs"):
        (directory / name).symlink_to(real / name)
    return directory


def unlock(repository: Path, branch: str, directory: Path) -> None:
    """Remove the lock of a branch that a git has left which was killed long ago. Blocking.

    Git holds one for moments; nobody else removes it.
    """
    lock = _git_dir(repository) / "refs" / "heads" / f"{branch}.lock"
    directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    with suppress(OSError), tempfile.TemporaryFile(dir=directory) as now:
        age = os.fstat(now.fileno()).st_mtime - lock.lstat().st_mtime
        if age > _LOCK_SECONDS:
            lock.unlink()


def _git_dir(repository: Path) -> Path:
    """Return the git directory at or in *repository*; what it consists of are no links."""
    for folder in (repository, repository / ".git"):
        if all(_is_real_folder(folder / name) for name in ("", "objects", "refs", "refs/heads")):
            return folder
    raise RefusedError(_NOT_FOUND, "there is no repository in that folder")


def _is_real_folder(path: Path) -> bool:
    try:
        return stat.S_ISDIR(path.lstat().st_mode)
    except OSError:
        return False


def _head(real: Path) -> bytes:
    head = _read(real / "HEAD", 4096)
    if re.fullmatch(rb"ref: refs/heads/[^\x00-\x20\x7f]+\n", head):
        return head
    return b"ref: refs/heads/main\n"


def _read(path: Path, most_bytes: int) -> bytes:
    """Return the content of a plain file, nothing if it is none or is not there."""
    with suppress(OSError):
        number = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
        with os.fdopen(number, "rb") as file:
            if not stat.S_ISREG(os.fstat(number).st_mode):
                return b""
            content = file.read(most_bytes + 1)
        if len(content) > most_bytes:
            raise RefusedError("FetchFailed", f"its file {path.name} is too long")
        return content
    return b""
