"""Gathers what a Repository's status is computed from. No network but the Kubernetes API."""

from typing import Any, Protocol

from controller.kernel.key import Key
from controller.kernel.store import Store
from controller.kube.errors import NotFound
from controller.reconcilers.repository.snapshot import RepositorySnapshot
from schemas.names import SECRET, Resource
from schemas.repository import Repository


class Reader(Protocol):
    """What the observer needs of the API client."""

    async def get(self, resource: Resource, namespace: str, name: str) -> dict[str, Any]:
        """Return the object."""
        ...


class RepositoryObserver:
    """Reads repositories from the store, and whether their Secrets exist from the API."""

    def __init__(self, store: Store, kube: Reader, *, local_allowed: bool) -> None:
        self._store = store
        self._kube = kube
        self._local_allowed = local_allowed

    async def observe(self, key: Key) -> RepositorySnapshot | None:
        """Return the snapshot, None if the repository is gone."""
        item = self._store.of(Repository).get(key.namespace, key.name)
        if item is None:
            return None
        keys = await self._keys(item)
        return RepositorySnapshot(item, self._local_allowed, keys)

    async def _keys(self, item: Repository) -> frozenset[str] | None:
        reference = item.spec.auth_secret_ref
        if reference is None or item.metadata.deleting:
            return None
        try:
            secret = await self._kube.get(SECRET, item.metadata.namespace, reference.name)
        except NotFound:
            return None
        return frozenset(key for key, value in (secret.get("data") or {}).items() if value)
