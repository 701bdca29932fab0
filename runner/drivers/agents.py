"""How an agent is started, from its class as data: executable, environment, arguments, home.

Nothing here is ever put into a shell line: values stay values.
"""

import contextlib
import fnmatch
import itertools
import os
import re
import secrets
import stat
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path, PurePosixPath
from typing import Final

from runner.drivers.errors import DriverError
from schemas.quoting import TextFormat, quoted

_NAME: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_REFERENCE: Final = re.compile(r"\$(\$|\(([A-Za-z_][A-Za-z0-9_]*)\))")
_DENIED: Final = re.compile(r"LD_.*|GLIBC_TUNABLES|BASH_ENV|ENV|IFS|BASH_FUNC_.*|AGENTSMESH_.*")
"""What would change how every program of the pod starts, or what the pod is told about itself."""

_LONGEST_ARGUMENT: Final = 128 * 1024 - 1
"""Bytes. Source: execve(2), MAX_ARG_STRLEN: 32 pages, with the NUL behind it."""


_LONGEST_SETTINGS: Final = 1024 * 1024
"""Bytes of a file of an agent's settings that are read."""


_MOST_NAMES: Final = 20_000
"""Of files that are looked at for one that fits a pattern."""


class ExecutableNotFoundError(DriverError):
    """The agent's program is not on this runner."""

    reason = "ExecutableNotFound"


class InvalidAgentError(DriverError):
    """Class or pod say something that cannot be passed to a process."""

    reason = "InvalidAgent"


class PromptPosition(StrEnum):
    """How an agent takes its first prompt."""

    ARGUMENT = "argument"
    FLAG = "flag"
    TYPED = "typed"
    NONE = "none"


@dataclass(frozen=True, slots=True)
class Prompt:
    """The first prompt, and how the agent takes it."""

    text: str = ""
    """Empty: the agent is started without."""
    position: PromptPosition = PromptPosition.ARGUMENT
    flag: str = ""
    """For position flag."""


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What every agent is told about itself."""

    pod: str
    organization: str
    home: Path
    tmp: Path
    worktree: Path | None
    path: tuple[Path, ...]
    """Search path of the agent."""
    term: str = "xterm-256color"
    language: str = "C.UTF-8"


def resolve(executable: str, search_path: Sequence[Path]) -> Path:
    """Return the absolute path of *executable*: a name in *search_path*, or an absolute path.

    Raises:
        ExecutableNotFoundError: Not there or not executable; names what was searched and where.
    """
    if "\0" in executable or not executable:
        raise ExecutableNotFoundError("The AgentClass names no executable.")
    if executable.startswith("/"):
        candidates = [Path(executable)]
    elif "/" in executable:
        raise ExecutableNotFoundError(
            f"The executable {executable!r} is neither a name nor an absolute path: write one of "
            "them into the AgentClass."
        )
    else:
        candidates = [folder / executable for folder in search_path]
    for candidate in candidates:
        if _runs(candidate):
            return candidate
    there = [path for path in candidates if path.is_file()]
    if there:
        raise ExecutableNotFoundError(
            f"The executable {str(there[0])!r} is there but may not be executed: set its mode."
        )
    if executable.startswith("/"):
        raise ExecutableNotFoundError(
            f"The executable {executable!r} does not exist on this runner: install it, or place "
            "the pod on a runner that has it."
        )
    searched = ", ".join(str(folder) for folder in search_path) or "an empty search path"
    raise ExecutableNotFoundError(
        f"The executable {executable!r} was not found on this runner (searched {searched}): "
        "install it, or place the pod on a runner that has it."
    )


def _runs(path: Path) -> bool:
    return path.is_file() and os.access(path, os.X_OK)


def environment(
    surroundings: Surroundings,
    *added: Iterable[tuple[str, str]],
    ours: Mapping[str, str] | None = None,
) -> dict[str, str]:
    """Return the whole environment of an agent; nothing of the runner's own is in it.

    *added* are the variables of class and pod, later ones win; *ours* are the runner's
    (``AGENTSMESH_MCP_URL``, provider keys) and are not checked against the reserved names.

    Raises:
        InvalidAgentError: A reserved or impossible name, or a NUL.
    """
    found = _basic(surroundings)
    for variables in added:
        for name, value in variables:
            _check_variable(name, value)
            found[name] = value
    for name, value in (ours or {}).items():
        if not _NAME.fullmatch(name) or "\0" in value:
            raise InvalidAgentError("A variable of the runner's own cannot be passed on.")
        found[name] = value
    return found


def _basic(about: Surroundings) -> dict[str, str]:
    email = f"{about.pod}@{about.organization}.agentsmesh"
    worktree = {"AGENTSMESH_WORKTREE": str(about.worktree)} if about.worktree else {}
    return {
        "TERM": about.term,
        "COLORTERM": "truecolor",
        "LANG": about.language,
        "PATH": os.pathsep.join(str(folder) for folder in about.path),
        "HOME": str(about.home),
        "TMPDIR": str(about.tmp),
        "USER": "agent",
        "LOGNAME": "agent",
        "SHELL": "/bin/sh",
        "GIT_AUTHOR_NAME": about.pod,
        "GIT_AUTHOR_EMAIL": email,
        "GIT_COMMITTER_NAME": about.pod,
        "GIT_COMMITTER_EMAIL": email,
        "GIT_TERMINAL_PROMPT": "0",
        "AGENTSMESH_POD": about.pod,
        "AGENTSMESH_ORGANIZATION": about.organization,
        "AGENTSMESH_HOME": str(about.home),
        **worktree,
    }


def _check_variable(name: str, value: str) -> None:
    if not _NAME.fullmatch(name):
        raise InvalidAgentError(
            f"environment: {name[:80]!r} is not a name of letters, digits and underscores."
        )
    if _DENIED.fullmatch(name):
        raise InvalidAgentError(f"environment: {name} is reserved: remove it.")
    if "\0" in value:
        raise InvalidAgentError(f"environment: the value of {name} contains a NUL.")


def expand(text: str, names: Mapping[str, str], what: TextFormat = TextFormat.TEXT) -> str:
    """Return *text* with ``$(NAME)`` replaced; ``$$`` is a dollar, unknown names stay literal.

    What is put into JSON or TOML is escaped as between double quotes.

    Source: Kubernetes, dependent environment variables. What was put in is not expanded again.
    """

    def replaced(match: re.Match[str]) -> str:
        if match[1] == "$":
            return "$"
        value = names.get(match[2])
        return match[0] if value is None else quoted(value, what)

    return _REFERENCE.sub(replaced, text)


def argv(
    executable: Path,
    args: Iterable[str],
    names: Mapping[str, str],
    prompt: Prompt,
    ours: Sequence[str] = (),
) -> tuple[str, ...]:
    """Return the command line: *args* with names expanded, *ours* and the prompt as they are.

    *ours* are options of the agent: they stand behind its others, before what is a ``--`` or the
    prompt.

    Raises:
        InvalidAgentError: A NUL, or an argument that is longer than the system takes.
    """
    words = [expand(arg, names) for arg in args]
    options = words.index("--") if "--" in words else len(words)
    line = [str(executable), *words[:options], *ours, *words[options:]]
    if prompt.text and prompt.position is PromptPosition.ARGUMENT:
        line.append(prompt.text)
    if prompt.text and prompt.position is PromptPosition.FLAG:
        if not prompt.flag:
            raise InvalidAgentError("The AgentClass takes its prompt by a flag and names none.")
        line += [prompt.flag, prompt.text]
    for item in line:
        _check_argument(item, "prompt" if item is prompt.text else "args")
    return tuple(line)


def _check_argument(item: str, field: str) -> None:
    if "\0" in item:
        raise InvalidAgentError(f"{field}: a NUL cannot be passed to a process: remove it.")
    try:
        long = len(item.encode())
    except UnicodeEncodeError as exc:
        raise InvalidAgentError(f"{field}: it is not Unicode text.") from exc
    if long > _LONGEST_ARGUMENT:
        raise InvalidAgentError(
            f"{field}: {long} bytes are more than the {_LONGEST_ARGUMENT} that one argument holds."
        )


def write_home(home: Path, files: Iterable[tuple[str, str]]) -> None:
    """Write *files* (path below *home*, text), readable by the owner alone.

    Written to another name and renamed. Symbolic links below *home* are never followed.

    Raises:
        InvalidAgentError: A path that is absolute, leaves *home*, or goes through a link.
    """
    root = os.open(home, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        for path, text in files:
            _write_below(root, path, text)
    finally:
        os.close(root)


def read_home(home: Path, path: str) -> str | None:
    """Return the text of a file below *home*, which an agent may have made; None without one.

    Links are not followed, nothing but a plain file of a sensible size is read.
    """
    flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
    *folders, name = PurePosixPath(path).parts
    at = os.open(home, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        for folder in folders:
            inner = os.open(folder, flags | os.O_DIRECTORY, dir_fd=at)
            os.close(at)
            at = inner
        with os.fdopen(os.open(name, flags, dir_fd=at), "rb") as file:
            if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
                return None
            content = file.read(_LONGEST_SETTINGS + 1)
        return content.decode() if len(content) <= _LONGEST_SETTINGS else None
    except (OSError, UnicodeDecodeError):
        return None
    finally:
        os.close(at)


def has_file(home: Path, pattern: str) -> bool:
    """Whether a file below *home* fits *pattern*: a path with ``*`` and ``?`` within its names.

    An agent may have made anything there: links are not followed, and so many names are looked at
    and no more.
    """
    *folders, last = PurePosixPath(pattern).parts
    places = [str(home)]
    looks = itertools.count()
    for name in folders:
        places = [path for at in places for path in _fitting(at, name, looks, folders=True)]
    return any(True for at in places for _ in _fitting(at, last, looks, folders=False))


def _fitting(at: str, pattern: str, looks: Iterator[int], *, folders: bool) -> Iterator[str]:
    with contextlib.suppress(OSError), os.scandir(at) as entries:
        for entry in entries:
            if next(looks) >= _MOST_NAMES:
                return
            is_it = entry.is_dir if folders else entry.is_file
            if fnmatch.fnmatchcase(entry.name, pattern) and is_it(follow_symlinks=False):
                yield entry.path


def _write_below(root: int, path: str, text: str) -> None:
    parts = PurePosixPath(path).parts
    if not parts or path.startswith("/") or path.endswith("/") or ".." in parts or "\0" in path:
        raise InvalidAgentError(f"homeFiles: {path[:120]!r} is not a path below the pod's home.")
    *folders, name = parts
    at = os.dup(root)
    try:
        for folder in folders:
            at = _enter(at, folder)
        _replace(at, name, text)
    except OSError as exc:
        raise InvalidAgentError(
            f"homeFiles: {path[:120]!r} could not be written: {exc.strerror or exc}."
        ) from exc
    finally:
        os.close(at)


def _enter(at: int, folder: str) -> int:
    """Return the folder below *at*, made where absent; *at* is closed. Links are refused."""
    made = False
    with contextlib.suppress(FileExistsError):
        os.mkdir(folder, 0o700, dir_fd=at)
        made = True
    inner = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW, dir_fd=at)
    if made:
        _belong(inner, at)
    os.close(at)
    return inner


def _replace(at: int, name: str, text: str) -> None:
    new = f".{secrets.token_hex(8)}.new"
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
    fd = os.open(new, flags, 0o600, dir_fd=at)
    try:
        with os.fdopen(fd, "wb") as file:
            file.write(text.encode())
            _belong(file.fileno(), at)
        if _is_folder(at, name):
            raise IsADirectoryError(21, "a folder has that name")
        os.replace(new, name, src_dir_fd=at, dst_dir_fd=at)
    except OSError:
        os.unlink(new, dir_fd=at)
        raise


def _belong(fd: int, folder: int) -> None:
    """Give what was made to whom its folder belongs: the pod may have an account of its own."""
    owner = os.fstat(folder).st_uid
    if owner != os.geteuid():
        os.fchown(fd, owner, owner)


def _is_folder(at: int, name: str) -> bool:
    try:
        return stat.S_ISDIR(os.stat(name, dir_fd=at, follow_symlinks=False).st_mode)
    except FileNotFoundError:
        return False
