"""What of the machine a pod may read: an allow-list, and where its agent is installed.

Nothing is ever allowed because it is not forbidden.
"""

import os
import shutil
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Final

SYSTEM: Final = (
    "/usr", "/bin", "/sbin", "/lib", "/lib32", "/lib64", "/libx32", "/opt", "/nix/store",
    "/gnu/store", "/snap",
)  # fmt: skip
"""Programs and libraries."""

SETTINGS: Final = tuple(
    f"/etc/{name}"
    for name in (
        "alternatives", "bash.bashrc", "ca-certificates", "ca-certificates.conf", "crypto-policies",
        "debian_version", "fonts", "gai.conf", "gitconfig", "host.conf", "hosts", "inputrc",
        "java-17-openjdk", "java-21-openjdk", "ld.so.cache", "ld.so.conf", "ld.so.conf.d",
        "locale.alias", "locale.conf", "localtime", "login.defs", "magic", "manpath.config",
        "mime.types", "nanorc", "nsswitch.conf", "os-release", "perl", "pki/ca-trust",
        "pki/tls/certs", "pki/tls/cert.pem", "profile", "profile.d", "protocols", "python3",
        "python3.11", "resolv.conf", "rpc", "services", "shells", "ssl/certs", "ssl/cert.pem",
        "ssl/openssl.cnf", "terminfo", "timezone", "vim", "xattr.conf",
    )
)  # fmt: skip
"""Settings that programs need, without keys and passwords: ``/etc/ssl/private`` is not here."""

ACCOUNTS: Final = ("/etc/passwd", "/etc/group")
"""Replaced by lists of our own where the sandbox can do that."""

HARDWARE: Final = ("/sys/devices/system/cpu",)
"""How many processors there are."""

_FOLDERS_OF_PROGRAMS: Final = frozenset({"bin", "sbin", "shims", ".bin"})
_SHARED_FOLDERS: Final = frozenset({".local", ".cargo", ".config", ".cache"})
"""Folders of a home that hold much besides programs: credentials, too."""
_DEEPEST: Final = 8


def is_system(path: Path) -> bool:
    """Tell whether every pod may read *path* anyway."""
    return any(path.is_relative_to(folder) for folder in SYSTEM)


def installation(executable: Path, search_path: Sequence[Path]) -> tuple[Path, ...]:
    """Return what must be readable for *executable* to start, beyond the system.

    That is the prefix (the parent of ``bin``) of the path, of each link on the way to the real
    file, of the interpreter that its first line names, and of the Python below a virtual
    environment. A prefix that is a home, or above one, is never given: the file alone is, with
    the ``lib`` beside its ``bin``.
    """
    found: dict[Path, None] = {}
    _collect(executable, search_path, found, _DEEPEST)
    return _without_inner(found)


def _collect(
    program: Path, search_path: Sequence[Path], found: dict[Path, None], depth: int
) -> None:
    if depth == 0:
        return
    for hop in _hops(program):
        if is_system(hop):
            continue
        found.update(dict.fromkeys(_around(hop)))
        if base := _python_home(hop):
            _collect(base, search_path, found, depth - 1)
    for interpreter in _interpreters(program, search_path):
        _collect(interpreter, search_path, found, depth - 1)


def _hops(path: Path) -> Iterator[Path]:
    """Yield *path*, what it links to, and so on to the real file; folders resolved at the end."""
    for _ in range(_DEEPEST):
        yield path
        if not path.is_symlink():
            break
        path = Path(os.path.normpath(path.parent / path.readlink()))
    yield path.resolve()


def _around(program: Path) -> tuple[Path, ...]:
    folder = program.parent
    if folder.name not in _FOLDERS_OF_PROGRAMS:
        return (program,)
    prefix = folder.parent
    if not _holds_more(prefix):
        return (prefix,)
    return tuple(path for path in (program, prefix / "lib") if path.exists())


def _holds_more(prefix: Path) -> bool:
    """Tell whether *prefix* is a home, or above one, or holds more than programs."""
    real = prefix.resolve()
    if prefix.name in _SHARED_FOLDERS or real.name in _SHARED_FOLDERS:
        return True
    homes = {_home(), Path("/root"), Path("/home"), Path("/var"), Path("/tmp")}  # noqa: S108  not used as one
    return (
        len(real.parts) < 3
        or real.parent == Path("/home")
        or any(home.is_relative_to(real) for home in homes)
    )


def _home() -> Path:
    try:
        return Path.home().resolve()
    except RuntimeError:
        return Path("/root")  # an account without an entry and without HOME


def _python_home(program: Path) -> Path | None:
    """Return the Python that a virtual environment was made from."""
    try:
        text = (program.parent.parent / "pyvenv.cfg").read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError):
        return None
    for line in text.splitlines():
        key, _, value = line.partition("=")
        if key.strip() == "home" and value.strip().startswith("/"):
            return Path(value.strip()) / program.name
    return None


def _interpreters(program: Path, search_path: Sequence[Path]) -> Iterator[Path]:
    """Yield the program that the first line of a script names, and what ``env`` starts."""
    try:
        with program.open("rb") as file:
            first = file.readline(512)
    except OSError:
        return
    if not first.startswith(b"#!"):
        return
    words = first[2:].decode("utf-8", errors="replace").split()
    if not words or not words[0].startswith("/"):
        return
    yield Path(words[0])
    if Path(words[0]).name == "env":
        names = [word for word in words[1:] if not word.startswith("-") and "=" not in word]
        where = os.pathsep.join(str(folder) for folder in search_path)
        if names and (found := shutil.which(names[0], path=where)):
            yield Path(found)


def _without_inner(paths: Iterable[Path]) -> tuple[Path, ...]:
    """Return *paths* without those that lie within another."""
    kept: list[Path] = []
    for path in sorted(paths, key=lambda path: len(path.parts)):
        if not any(path.is_relative_to(outer) for outer in kept):
            kept.append(path)
    return tuple(kept)
