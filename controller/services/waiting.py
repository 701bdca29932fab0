"""Who waits for which pod: the open prompts without their texts, and whose turn it is.

Fair to senders: each has a bounded number of prompts waiting for a pod, and what is sent to a pod
takes the first prompt of each sender before the second of any. In memory; nothing here waits.
"""

from collections import Counter, OrderedDict
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Final

from controller.store.records import Delivery, DeliveryState, Sender

MAX_WAITING: Final = 8
"""So many open prompts to one pod may come from one sender."""
MAX_IN_FLIGHT: Final = 8
"""So many prompts to one pod are with its runner at once, each of which takes it some seconds."""
_REMEMBERED: Final = 10_000


def identity(sender: Sender) -> str:
    """Return what tells senders apart. It is not empty, which stands for the platform."""
    return f"{sender.kind.value}/{sender.identity}"


@dataclass(frozen=True, slots=True)
class Waiting:
    """An open prompt."""

    delivery: Delivery
    """Its text is left out."""
    sender: str
    """Its ``identity``; empty: the platform, or the message is gone."""

    @classmethod
    def of(cls, delivery: Delivery, sender: str) -> "Waiting":
        """Return the delivery without its text."""
        return cls(replace(delivery, text=""), sender)


class WaitingRoom:
    """All open prompts."""

    def __init__(self) -> None:
        self._found: dict[str, Waiting] = {}
        self._of_pod: dict[str, dict[str, Waiting]] = {}
        """Oldest first."""
        self._ended: OrderedDict[str, None] = OrderedDict()
        self._reserved: Counter[tuple[str, str]] = Counter()

    def __iter__(self) -> Iterator[Waiting]:
        return iter(tuple(self._found.values()))

    def ids(self) -> frozenset[str]:
        """Return the ids of all."""
        return frozenset(self._found)

    def pods(self) -> tuple[str, ...]:
        """Return the uids of the pods for which something waits."""
        return tuple(self._of_pod)

    def find(self, delivery_id: str) -> Delivery | None:
        """Return the delivery, without its text, if it is open."""
        found = self._found.get(delivery_id)
        return found.delivery if found is not None else None

    def sender(self, delivery_id: str) -> str | None:
        """Return the sender of an open prompt; None: it is not known here."""
        found = self._found.get(delivery_id)
        return found.sender if found is not None else None

    def has_ended(self, delivery_id: str) -> bool:
        """Whether it was told here that the delivery is settled."""
        return delivery_id in self._ended

    def count(self, sender: str, pod_uid: str) -> int:
        """Return how many prompts of the sender wait for the pod, with those being stored."""
        return self._reserved[sender, pod_uid] + len(self.between(sender, pod_uid))

    def between(self, sender: str, pod_uid: str) -> list[Delivery]:
        """Return what waits of the sender for the pod, oldest first."""
        waiting = self._of_pod.get(pod_uid, {}).values()
        return [one.delivery for one in waiting if one.sender == sender]

    @contextmanager
    def reserved(self, sender: str, pod_uids: Iterable[str]) -> Iterator[None]:
        """Count one more of the sender for each of the pods for as long as the block runs."""
        places = [(sender, uid) for uid in pod_uids]
        self._reserved.update(places)
        try:
            yield
        finally:
            self._reserved.subtract(places)
            for place in places:
                if not self._reserved[place]:
                    del self._reserved[place]

    def add(self, waiting: Waiting) -> None:
        """Take it in behind all others, unless it is here or has ended."""
        delivery = waiting.delivery
        if (
            delivery.settled
            or self.has_ended(delivery.delivery_id)
            or self.find(delivery.delivery_id)
        ):
            return
        self._file(waiting)

    def moved(self, delivery: Delivery) -> None:
        """Note how it stands now; one that is settled leaves."""
        if delivery.settled:
            self.settle(delivery.delivery_id)
        elif (known := self._found.get(delivery.delivery_id)) is not None:
            self._file(Waiting.of(delivery, known.sender))

    def settle(self, delivery_id: str) -> None:
        """Let it go for good."""
        self._drop(delivery_id)
        self._ended[delivery_id] = None
        while len(self._ended) > _REMEMBERED:
            self._ended.popitem(last=False)

    def correct(self, found: Iterable[Waiting], before: frozenset[str]) -> None:
        """Take over what was read, all that was open then, in its order.

        *before*: the ids that were here when the reading began. What came since stays.
        """
        listed = {one.delivery.delivery_id: one for one in found}
        for gone in before - listed.keys():
            self._drop(gone)
        later = [one for one in self if one.delivery.delivery_id not in listed]
        known, self._found, self._of_pod = self._found, {}, {}
        for delivery_id, one in listed.items():
            mine = known.get(delivery_id)
            self.add(mine if mine is not None and _is_ahead(mine, one) else one)
        for one in later:
            self.add(one)

    def due(self, pod_uid: str, sent: Mapping[str, int]) -> list[Delivery]:
        """Return what the pod's runner is to have, in order: what it has, then whose turn it is.

        *sent*: the place in which each was sent before.
        """
        with_runner: list[Waiting] = []
        others: list[tuple[int, Waiting]] = []
        turn: Counter[str] = Counter()
        for one in self._of_pod.get(pod_uid, {}).values():
            turn[one.sender] += 1
            if one.delivery.delivery_id in sent or one.delivery.state is DeliveryState.ACCEPTED:
                with_runner.append(one)
            else:
                others.append((turn[one.sender], one))
        with_runner.sort(key=lambda one: sent.get(one.delivery.delivery_id, -1))
        others.sort(key=lambda each: each[0])  # stable: who came first is first
        room = max(MAX_IN_FLIGHT - len(with_runner), 0)
        return [one.delivery for one in (*with_runner, *(one for _, one in others[:room]))]

    def _file(self, waiting: Waiting) -> None:
        delivery = waiting.delivery
        self._found[delivery.delivery_id] = waiting
        self._of_pod.setdefault(delivery.pod_uid, {})[delivery.delivery_id] = waiting

    def _drop(self, delivery_id: str) -> None:
        found = self._found.pop(delivery_id, None)
        if found is None:
            return
        of_pod = self._of_pod[found.delivery.pod_uid]
        del of_pod[delivery_id]
        if not of_pod:
            del self._of_pod[found.delivery.pod_uid]


def _is_ahead(one: Waiting, other: Waiting) -> bool:
    """Whether *one* knows more than *other*, which was read a moment ago."""
    accepted = DeliveryState.ACCEPTED
    return one.delivery.state is accepted and other.delivery.state is not accepted
