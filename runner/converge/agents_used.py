"""Which program, in which version, each pod's agent was started from: condition ``AgentFound``.

It is written down when a start is planned, as the program may be updated or removed while the agent
runs. A version that nobody knew then is added once the program has told it.
"""

import json
import logging
import os
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Final, Protocol

from meshwire.v1 import link_pb2

from runner.converge.states import Row, State
from schemas.versions import is_older

logger = logging.getLogger(__name__)

AGENT_FOUND: Final = "AgentFound"
"""The condition's type."""
_NOT_FOUND: Final = "ExecutableNotFound"
_FILE: Final = "agent.json"
_LONGEST_FILE: Final = 16 * 1024


class Folders(Protocol):
    """What is needed of ``runner.converge.places.Places``."""

    def private(self, uid: str) -> Path:
        """Files of the runner's own about the pod."""
        ...


class Versions(Protocol):
    """What is needed of ``runner.converge.agents_found.AgentsFound``."""

    def version(self, path: Path, args: Sequence[str], changed_ns: int) -> str:
        """Return what the program told; empty: nothing, or not yet."""
        ...


@dataclass(frozen=True, slots=True)
class Used:
    """The program that an agent was started from."""

    executable: str
    """As the class names it."""
    path: str
    changed_ns: int
    """When the file was changed last: another program may be there by now."""
    version_args: tuple[str, ...] = ()
    """Make it tell its version; none: nobody asks."""
    minimum_version: str = ""
    version: str = ""
    """The first line of what it told."""


class AgentsUsed:
    """Knows it for each pod. ``source`` goes into ``Record.sources``."""

    def __init__(self, places: Folders, versions: Versions) -> None:
        self._places = places
        self._versions = versions
        self._used: dict[str, Used | None] = {}

    def planned(self, uid: str, path: Path, spec: link_pb2.RunSpec) -> None:
        """Write down that the pod is about to be started from *path*. Called in a thread."""
        changed_ns = os.stat(path).st_mtime_ns  # noqa: PTH116  as in agents_found
        args = tuple(spec.version_args)
        version = self._versions.version(path, args, changed_ns)
        used = Used(spec.executable, str(path), changed_ns, args, spec.minimum_version, version)
        self._keep_if_possible(uid, used)

    def source(self, row: Row) -> link_pb2.PodObserved:
        """Return condition and version for the pod's report."""
        if row.state is State.REMOVED:
            self._used.pop(row.uid, None)
            return link_pb2.PodObserved()
        used = self._of(row.uid)
        if row.reason == _NOT_FOUND and not row.started_ms:
            told = _condition(row.message, reason="AgentNotFound")
            return link_pb2.PodObserved(conditions=[told])
        if used is None or not row.started_ms:
            return link_pb2.PodObserved()
        return link_pb2.PodObserved(agent_version=used.version, conditions=[condition(used)])

    def news(self) -> list[str]:
        """Return the pods of which a version became known since they were started."""
        waiting = [uid for uid, used in self._used.items() if used and not used.version]
        return [uid for uid in waiting if (used := self._of(uid)) is not None and used.version]

    def _of(self, uid: str) -> Used | None:
        if uid not in self._used:
            self._used[uid] = _read(self._places.private(uid) / _FILE)
        used = self._used[uid]
        if used is not None and not used.version:
            told = self._versions.version(Path(used.path), used.version_args, used.changed_ns)
            if told:
                self._keep_if_possible(uid, replace(used, version=told))
        return self._used[uid]

    def _keep_if_possible(self, uid: str, used: Used) -> None:
        try:
            self._keep(uid, used)
        except OSError as exc:  # a full disk, or the pod is being cleared away
            self._used[uid] = used
            logger.warning("a version is not written down", extra={"pod": uid, "error": str(exc)})

    def _keep(self, uid: str, used: Used) -> None:
        path = self._places.private(uid) / _FILE
        new = path.with_suffix(".new")
        with os.fdopen(os.open(new, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as file:
            json.dump(asdict(used), file)
        new.replace(path)
        self._used[uid] = used


def condition(used: Used) -> link_pb2.PodCondition:
    """Return what is said of a program that an agent was started from."""
    what = f"{used.executable} is {used.path}"
    if not used.version_args:
        return _condition(f"{what}; its class has no command for its version", found=True)
    asked = " ".join((used.path, *used.version_args))
    if not used.version:
        text = (
            f"{what}; its version is not known: {asked} has not told it to this runner (yet). Run "
            "that there to see why; without bubblewrap no program is asked."
        )
        return _condition(text, reason="VersionUnknown")
    if used.minimum_version and is_older(used.version, used.minimum_version) is None:
        text = (
            f"{what}; no version is in what {asked} says: {used.version!r}. Correct versionCommand "
            "of the AgentClass."
        )
        return _condition(text, reason="VersionUnknown")
    if used.minimum_version and is_older(used.version, used.minimum_version):
        text = (
            f"{what}, version {used.version}, which is older than {used.minimum_version}: update "
            "it there, then restart the pod."
        )
        return _condition(text, reason="VersionTooOld")
    return _condition(f"{what}, version {used.version}", found=True)


def _condition(
    message: str, *, reason: str = "Found", found: bool = False
) -> link_pb2.PodCondition:
    return link_pb2.PodCondition(
        type=AGENT_FOUND, status=found, reason=reason, message=message[:1024]
    )


def _read(path: Path) -> Used | None:
    """Return what is written down; None when there is nothing, or nothing that can be read."""
    try:
        with path.open(encoding="utf-8") as file:
            found = json.loads(file.read(_LONGEST_FILE))
        found["version_args"] = tuple(found["version_args"])
        return Used(**found)
    except (OSError, ValueError, TypeError, KeyError):
        return None
