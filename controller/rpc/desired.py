"""What a runner was last told, and what to tell it next. Pure: no I/O, no clock."""

from collections.abc import Iterator, Sequence
from typing import Final

from meshwire.v1 import link_pb2

CHUNK_BYTES: Final = 256 * 1024
"""A message holds about this much: a fraction of the 1 MiB that a peer must accept."""

PodId = tuple[str, int]
"""(uid, epoch)."""


class Told:
    """The desired state as it was last sent on one session."""

    def __init__(self, first_revision: int) -> None:
        self._revision = first_revision
        self._pods: dict[PodId, link_pb2.PodDesired] = {}

    @property
    def anything(self) -> bool:
        """Whether the runner was told to have anything."""
        return bool(self._pods)

    def snapshot(
        self, pods: Sequence[link_pb2.PodDesired], *, allow_empty: bool
    ) -> list[link_pb2.Snapshot]:
        """Return the messages that tell everything; all carry the same, new revision."""
        self._revision += 1
        self._pods = {_id(pod): pod for pod in pods}
        messages = [
            link_pb2.Snapshot(revision=self._revision, pods=chunk) for chunk in _chunks(pods)
        ] or [link_pb2.Snapshot(revision=self._revision)]
        messages[-1].last = True
        messages[-1].allow_empty = allow_empty and not pods
        return messages

    def delta(self, pods: Sequence[link_pb2.PodDesired]) -> list[link_pb2.Delta]:
        """Return the messages that tell what changed, whole; none if nothing did."""
        want = {_id(pod): pod for pod in pods}
        upserts = [pod for key, pod in want.items() if not _same(self._pods.get(key), pod)]
        removals = [self._pods[key].ref for key in self._pods.keys() - want.keys()]
        self._pods = want
        messages = []
        for chunk in _chunks(upserts):
            messages.append(self._next())
            messages[-1].upserts.extend(chunk)
        if removals:
            if not messages:
                messages.append(self._next())
            messages[-1].removals.extend(removals)
        return messages

    def _next(self) -> link_pb2.Delta:
        base = self._revision
        self._revision += 1
        return link_pb2.Delta(base_revision=base, revision=self._revision)


def _id(pod: link_pb2.PodDesired) -> PodId:
    return (pod.ref.pod_uid, pod.ref.epoch)


def _same(old: link_pb2.PodDesired | None, new: link_pb2.PodDesired) -> bool:
    """Compare by identity first: placement hands out the same message while nothing changed."""
    return old is new or old == new


def _chunks(pods: Sequence[link_pb2.PodDesired]) -> Iterator[list[link_pb2.PodDesired]]:
    """Cut the pods into pieces of about CHUNK_BYTES; a pod is never cut."""
    chunk: list[link_pb2.PodDesired] = []
    size = 0
    for pod in pods:
        length = pod.ByteSize()
        if chunk and size + length > CHUNK_BYTES:
            yield chunk
            chunk, size = [], 0
        chunk.append(pod)
        size += length
    if chunk:
        yield chunk
