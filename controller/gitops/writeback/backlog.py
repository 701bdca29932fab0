"""How much may wait for a push: an agent fills neither disk nor memory while a branch is closed.

What pods and people ask for counts until the Ticket shows it. What the controller itself has to
say does not, and is never refused: it is little, at most a few changes of each ticket at work, and
a state that it has decided must not get lost.
"""

from dataclasses import dataclass
from typing import Final, NamedTuple

from controller.gitops.values import Operation

_MIB: Final = 1024 * 1024


@dataclass(frozen=True, slots=True)
class Most:
    """A bound."""

    operations: int
    megabytes: int

    def reached(self, load: "_Load") -> bool:
        """Whether nothing more is taken."""
        return load.operations >= self.operations or load.bytes >= self.megabytes * _MIB


@dataclass(frozen=True, slots=True)
class Bounds:
    """How much may wait."""

    pod: Most = Most(500, 8)  # noqa: RUF009 - frozen
    """Of one pod."""
    pods: Most = Most(5_000, 64)  # noqa: RUF009 - frozen
    """For one source, when a pod asks."""
    people: Most = Most(10_000, 128)  # noqa: RUF009 - frozen
    """For one source, when a person does: pods leave them half of it."""


@dataclass(slots=True)
class _Load:
    operations: int = 0
    bytes: int = 0


class _Held(NamedTuple):
    source_uid: str
    pod_uid: str
    bytes: int


class Backlog:
    """What waits, by source and by pod."""

    def __init__(self, bounds: Bounds | None = None) -> None:
        self._bounds = bounds or Bounds()
        self._held: dict[str, _Held] = {}
        self._loads: dict[str, _Load] = {}
        """By uid, of sources and of pods."""

    def full(self, operation: Operation, pod_uid: str) -> str:
        """Return why the operation is not taken; empty: it is.

        *pod_uid*: of the pod that asks; empty: a person does, or the controller.
        """
        if not _counts(operation, pod_uid):
            return ""
        bounds, source = self._bounds, self._load(operation.source_uid)
        mine = self._load(pod_uid) if pod_uid else _Load()
        if bounds.pod.reached(mine):
            most = bounds.pod
            return _sentence(f"{mine.operations} changes of yours wait", most)
        most = bounds.pods if pod_uid else bounds.people
        if most.reached(source):
            return _sentence(f"{source.operations} changes of all wait", most)
        return ""

    def add(self, operation: Operation, pod_uid: str, size: int) -> None:
        """Count an operation of so many bytes; one that is counted already is not again."""
        if operation.id in self._held or not _counts(operation, pod_uid):
            return
        held = self._held[operation.id] = _Held(operation.source_uid, pod_uid, size)
        for uid in _uids(held):
            load = self._loads.setdefault(uid, _Load())
            load.operations += 1
            load.bytes += size

    def remove(self, id_: str) -> None:
        """Count the operation no more."""
        held = self._held.pop(id_, None)
        if held is None:
            return
        for uid in _uids(held):
            load = self._loads[uid]
            load.operations -= 1
            load.bytes -= held.bytes
            if not load.operations:
                del self._loads[uid]

    def _load(self, uid: str) -> _Load:
        return self._loads.get(uid) or _Load()


def _counts(operation: Operation, pod_uid: str) -> bool:
    """Whether it is not the controller's own."""
    return operation.person or bool(pod_uid)


def _uids(held: _Held) -> tuple[str, ...]:
    return (held.source_uid, held.pod_uid) if held.pod_uid else (held.source_uid,)


def _sentence(what: str, most: Most) -> str:
    return (
        f"{what} to be pushed: no more than {most.operations} or {most.megabytes} MiB may; wait "
        "until they are"
    )
