"""Puts the controller's messages together to whole desired states.

Nothing is acted on in part: a snapshot counts when its last piece came, a change only on top
of the state that it was made for.
"""

from dataclasses import dataclass

from meshwire.v1 import link_pb2


@dataclass(frozen=True, slots=True)
class Wanted:
    """All that the controller wants of this runner."""

    controller_epoch: int
    revision: int
    pods: tuple[link_pb2.PodDesired, ...]
    allow_empty: bool
    """Whether the controller is sure of itself when it wants nothing at all."""


@dataclass(frozen=True, slots=True)
class Gap:
    """Changes are missing: a new snapshot is needed."""

    reason: str


class Inbox:
    """The desired state as one session has told it so far."""

    def __init__(self) -> None:
        self._pods: dict[str, link_pb2.PodDesired] = {}
        self._revision: int | None = None
        self._allow_empty = False
        self._pieces: list[link_pb2.PodDesired] = []
        self._piece_revision = 0
        self._asked = False

    def snapshot(self, epoch: int, message: link_pb2.Snapshot) -> Wanted | None:
        """Return the whole state with the last piece, before that None."""
        if message.revision != self._piece_revision:
            self._pieces = []  # pieces of a snapshot that was given up
            self._piece_revision = message.revision
        self._pieces.extend(message.pods)
        if not message.last:
            return None
        self._pods = {pod.ref.pod_uid: pod for pod in self._pieces}
        self._pieces = []
        self._revision = message.revision
        self._allow_empty = message.allow_empty
        self._asked = False
        return self._wanted(epoch)

    def delta(self, epoch: int, message: link_pb2.Delta) -> Wanted | Gap | None:
        """Return the changed state; a gap once when changes were missed; None for old news."""
        if self._revision is not None and message.revision <= self._revision:
            return None
        if self._revision is None or message.base_revision != self._revision:
            if self._asked:
                return None
            self._asked = True
            return Gap(f"have revision {self._revision}, got a change of {message.base_revision}")
        for ref in message.removals:
            have = self._pods.get(ref.pod_uid)
            if have is not None and have.ref.epoch <= ref.epoch:
                del self._pods[ref.pod_uid]
        for pod in message.upserts:
            self._pods[pod.ref.pod_uid] = pod
        self._revision = message.revision
        self._allow_empty = True  # emptied by naming each pod, so no empty cache speaks here
        return self._wanted(epoch)

    def _wanted(self, epoch: int) -> Wanted:
        revision = self._revision or 0
        return Wanted(epoch, revision, tuple(self._pods.values()), self._allow_empty)
