"""Gathers what a PodBinding's status is computed from."""

from controller.kernel.key import Key
from controller.kernel.store import Store
from controller.reconcilers.podbinding.snapshot import BindingSnapshot
from schemas.agentpod import AgentPod
from schemas.podbinding import PodBinding


class BindingObserver:
    """Reads bindings and their pods from the store."""

    def __init__(self, store: Store) -> None:
        self._store = store

    async def observe(self, key: Key) -> BindingSnapshot | None:
        """Return the snapshot, None if the binding is gone."""
        binding = self._store.of(PodBinding).get(key.namespace, key.name)
        if binding is None:
            return None
        pods, spec = self._store.of(AgentPod), binding.spec
        return BindingSnapshot(
            binding,
            initiator=pods.get(key.namespace, spec.initiator),
            target=pods.get(key.namespace, spec.target),
        )
