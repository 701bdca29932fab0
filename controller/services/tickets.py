"""Tickets: found, made and changed for agents. The Ticket resources are the truth."""

from controller.kernel.store import Store
from controller.rpc.ports import Objects


class Tickets:
    """All tickets of all organizations."""

    def __init__(self, store: Store, kube: Objects) -> None:
        self._store = store
        self._kube = kube
