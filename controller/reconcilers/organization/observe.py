"""Gathers what an Organization's plan and status are computed from."""

from collections.abc import AsyncIterator, Callable, Mapping
from typing import Any, Final, Protocol

from controller.kernel.key import Key
from controller.kernel.store import Store
from controller.kube.errors import NotFound
from controller.placement.indexes import ACTIVE_IN, BY_NAMESPACE
from controller.reconcilers.organization.children import cluster_name
from controller.reconcilers.organization.snapshot import (
    QUOTA,
    ROLES,
    Child,
    Manifest,
    OrganizationSnapshot,
)
from controller.services.notification_health import Failing
from schemas.agentpod import AgentPod
from schemas.names import (
    CLUSTER_ROLE,
    CLUSTER_ROLE_BINDING,
    CONFIG_MAP,
    FIELD_MANAGER,
    LABEL_MANAGED_BY,
    LABEL_ORGANIZATION,
    NAMESPACE,
    RESOURCE_QUOTA,
    ROLE_BINDING,
    SECRET,
    TRUST_BUNDLE,
    Resource,
)
from schemas.organization import Organization, OrganizationUsage
from schemas.runner import Runner

_POD: Final = Resource("", "v1", "Pod", "pods", namespaced=True)
_OF_EVERY_NAMESPACE: Final = frozenset({"kube-root-ca.crt", TRUST_BUNDLE})
_TOKEN: Final = "kubernetes.io/service-account-token"  # noqa: S105 - a type of Secret


class Reader(Protocol):
    """What the observer needs of the API client."""

    async def get(self, resource: Resource, namespace: str, name: str) -> dict[str, Any]:
        """Return the object."""
        ...

    def pages(
        self, resource: Resource, namespace: str = "", *, limit: int = 500
    ) -> AsyncIterator[list[dict[str, Any]]]:
        """Give all objects page by page."""
        ...


class OrganizationObserver:
    """Reads organizations from the store and their children from the API."""

    def __init__(
        self,
        store: Store,
        kube: Reader,
        bundle: Callable[[], Mapping[str, str]],
        failing: Callable[[str], tuple[Failing, ...]] = lambda _: (),
    ) -> None:
        """*failing* gives the webhooks of an Organization that cannot be told anything."""
        self._failing = failing
        self._store = store
        self._kube = kube
        self._bundle = bundle

    async def observe(self, key: Key) -> OrganizationSnapshot | None:
        """Return the snapshot, None if the organization is gone."""
        item = self._store.of(Organization).get("", key.name)
        if item is None:
            return None
        name = item.namespace
        namespace = await self._get(NAMESPACE, "", name)
        marked = namespace is not None and LABEL_ORGANIZATION in _labels(namespace)
        pods = self._store.of(AgentPod)
        return OrganizationSnapshot(
            subject=item,
            rival=self._rival(item),
            namespace=namespace,
            empty=namespace is None or marked or await self._empty(name),
            bindings=await self._bindings(name) if namespace is not None else (),
            cluster_role=await self._get(CLUSTER_ROLE, "", cluster_name(item)),
            cluster_binding=await self._get(CLUSTER_ROLE_BINDING, "", cluster_name(item)),
            bundle=await self._get(CONFIG_MAP, name, TRUST_BUNDLE) if namespace else None,
            bundle_data=self._bundle(),
            quota=await self._get(RESOURCE_QUOTA, name, QUOTA) if namespace else None,
            pods=tuple(
                Child(pod.metadata.name, pod.metadata.uid, pod.metadata.deleting)
                for pod in pods.indexed(BY_NAMESPACE, name)
            ),
            failing=self._failing(key.name),
            usage=OrganizationUsage(
                runners=self._store.of(Runner).count(BY_NAMESPACE, name),
                agent_pods=pods.count(BY_NAMESPACE, name),
                running_agent_pods=pods.count(ACTIVE_IN, name),
            ),
        )

    def _rival(self, item: Organization) -> str | None:
        others = self._store.of(Organization).indexed(BY_NAMESPACE, item.namespace)
        first = min(others, key=_age, default=item)
        return first.metadata.name if first.metadata.uid != item.metadata.uid else None

    async def _get(self, resource: Resource, namespace: str, name: str) -> Manifest | None:
        try:
            return await self._kube.get(resource, namespace, name)
        except NotFound:
            return None

    async def _bindings(self, namespace: str) -> tuple[Manifest, ...]:
        found: list[Manifest] = []
        async for page in self._kube.pages(ROLE_BINDING, namespace):
            found += [item for item in page if _ours(item)]
        return tuple(found)

    async def _empty(self, namespace: str) -> bool:
        """Whether nobody keeps anything in the namespace."""
        pods = self._store.of(AgentPod).count(BY_NAMESPACE, namespace)
        if pods or self._store.of(Runner).count(BY_NAMESPACE, namespace):
            return False
        for resource in (_POD, SECRET, CONFIG_MAP, ROLE_BINDING):
            try:
                async for page in self._kube.pages(resource, namespace, limit=50):
                    if any(_somebodys(item) for item in page):
                        return False
            except NotFound:
                continue  # this API server does not know the kind
        return True


def _somebodys(item: Manifest) -> bool:
    name = (item.get("metadata") or {}).get("name")
    return name not in _OF_EVERY_NAMESPACE and item.get("type") != _TOKEN


def _ours(binding: Manifest) -> bool:
    name = (binding.get("metadata") or {}).get("name")
    return name in ROLES or _labels(binding).get(LABEL_MANAGED_BY) == FIELD_MANAGER


def _age(item: Organization) -> tuple[str, str]:
    return item.metadata.creation_timestamp, item.metadata.name


def _labels(manifest: Manifest) -> Mapping[str, str]:
    return (manifest.get("metadata") or {}).get("labels") or {}
