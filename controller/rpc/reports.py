"""What of a runner's report may be believed: only what concerns pods that are placed on it."""

import re
from collections.abc import Callable, Iterable
from typing import Final

from meshwire.v1 import link_pb2

from controller.rpc.ports import PodPlace, RunnerKey

_REASON: Final = re.compile(r"[A-Za-z][A-Za-z0-9]{0,63}")
_CONTROL: Final = re.compile(r"[\x00-\x1f\x7f-\x9f]+")
_MAX_MESSAGE: Final = 1024


def own_pods(
    runner: RunnerKey,
    pods: Iterable[link_pb2.PodObserved],
    find: Callable[[str], PodPlace | None],
) -> tuple[list[link_pb2.PodObserved], list[str]]:
    """Return the pods of the runner, with texts made safe, and the uids that are not its own.

    The epoch is not compared: an old epoch on the right runner is news, too.
    """
    own: list[link_pb2.PodObserved] = []
    foreign: list[str] = []
    for pod in pods:
        place = find(pod.ref.pod_uid)
        if place is None or place.runner != runner or pod.namespace != runner.namespace:
            foreign.append(pod.ref.pod_uid[:64])
            continue
        own.append(_cleaned(pod))
    return own, foreign


def _cleaned(pod: link_pb2.PodObserved) -> link_pb2.PodObserved:
    """Bound the texts that end in conditions."""
    if pod.reason and not _REASON.fullmatch(pod.reason):
        pod.reason = "Unknown"
    if pod.message:
        pod.message = _CONTROL.sub(" ", pod.message)[:_MAX_MESSAGE]
    return pod
