"""How an agent is started, from its class as data: executable, environment, arguments, home.

Nothing here is ever put into a shell line: values stay values.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from runner.drivers.errors import DriverError


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
    raise NotImplementedError


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
    raise NotImplementedError


def expand(text: str, names: Mapping[str, str]) -> str:
    """Return *text* with ``$(NAME)`` replaced; ``$$`` is a dollar, unknown names stay literal."""
    raise NotImplementedError


def argv(
    executable: Path, args: Iterable[str], names: Mapping[str, str], prompt: Prompt
) -> tuple[str, ...]:
    """Return the command line: *args* with names expanded, the prompt as it is.

    Raises:
        InvalidAgentError: A NUL, or an argument that is longer than the system takes.
    """
    raise NotImplementedError


def write_home(home: Path, files: Iterable[tuple[str, str]]) -> None:
    """Write *files* (path below *home*, text), readable by the owner alone.

    Written to another name and renamed. Symbolic links below *home* are never followed.

    Raises:
        InvalidAgentError: A path that is absolute, leaves *home*, or goes through a link.
    """
    raise NotImplementedError
