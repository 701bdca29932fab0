"""Prompts to pods: stored first, sent to the pod's runner until it has told their end.

Each new stream of a runner gets all that is open for the runner's pods; the runner types each id
once. An end is recorded before the runner is told that it may forget. A mention that fails is told
in its channel and as an Event on the sender's pod.
"""

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from typing import Final

from meshwire.v1 import link_pb2

from controller.kernel.clock import wall
from controller.kernel.store import Store
from controller.rpc.ports import Changes, Recorder, RunnerKey
from controller.store.messages import MessageStore
from controller.store.records import DeliveryKind

GIVE_UP_SECONDS: Final = 600.0
"""A prompt that no agent has begun to take by then has failed."""


class Deliveries:
    """The open prompts of all pods. For use on one event loop; ``run`` must be running."""

    def __init__(
        self,
        store: Store,
        messages: MessageStore,
        recorder: Recorder,
        *,
        clock: Callable[[], float] = wall,
        give_up_seconds: float = GIVE_UP_SECONDS,
    ) -> None:
        self._store = store
        self._messages = messages
        self._recorder = recorder
        self._clock = clock
        self._give_up_seconds = give_up_seconds

    async def run(self) -> None:
        """Follow what is stored, fail what nobody takes, forget pods that are gone."""
        raise NotImplementedError

    async def tell(
        self,
        namespace: str,
        pod_uid: str,
        text: str,
        *,
        kind: DeliveryKind = DeliveryKind.BINDING,
        delivery_id: str = "",
    ) -> None:
        """Have the text typed to the pod as a prompt, once. A pod that has ended is told nothing.

        With a *delivery_id* that was used before nothing happens.

        Raises:
            UnavailableError: It could not be stored.
        """
        raise NotImplementedError

    def open(self, runner: RunnerKey) -> Sequence[link_pb2.AskDown]:
        """Return what the runner is to deliver to its pods, oldest first: whole states."""
        raise NotImplementedError

    def changes(self, runner: RunnerKey) -> AbstractContextManager[Changes]:
        """Listen for changes of ``open(runner)``."""
        raise NotImplementedError

    async def reported(self, runner: RunnerKey, report: link_pb2.DeliveryReport) -> bool:
        """Record what the runner says; return whether it may forget the delivery now.

        Raises:
            UnavailableError: It could not be stored: the runner will say it again.
        """
        raise NotImplementedError
