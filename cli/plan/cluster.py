"""What is there now, as far as the user may read it."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Final, NamedTuple, Protocol

from pydantic import ValidationError

from cli.errors import NotAllowed, NotFound
from controller.kernel.store import Store
from controller.placement.indexes import new_store
from schemas.kinds import KINDS
from schemas.names import (
    AGENT_CLASS,
    AGENT_POD,
    CHANNEL,
    CONFIG_MAP,
    GIT_SOURCE,
    LABEL_ORGANIZATION,
    NAMESPACE,
    ORGANIZATION,
    POD_BINDING,
    REPOSITORY,
    RESOURCE_QUOTA,
    RUNNER,
    TICKET,
    TRUST_BUNDLE,
    Resource,
)

_NEEDED: Final = (
    GIT_SOURCE,
    REPOSITORY,
    RUNNER,
    CHANNEL,
    TICKET,
    AGENT_POD,
    POD_BINDING,
    AGENT_CLASS,
    ORGANIZATION,
    RESOURCE_QUOTA,
)


_UNFIT: Final = "%s is not as this program knows the kind: use the version of the mesh"


class Reader(Protocol):
    """What is needed of the API client. ``cli.api.Api`` is one."""

    def list(self, resource: Resource, namespace: str) -> list[dict[str, Any]]:
        """Return all objects of a kind in a namespace."""
        ...

    def get(self, resource: Resource, namespace: str, name: str) -> dict[str, Any]:
        """Return the object."""
        ...


class Unread(NamedTuple):
    """What the user may not read."""

    kind: str
    message: str
    """Why, in one sentence."""


@dataclass(frozen=True, slots=True)
class Cluster:
    """The objects of one namespace, and what pods need beside them."""

    namespace: str
    manifests: Mapping[tuple[str, str], dict[str, Any]] = field(repr=False)
    """By kind and name."""
    unread: tuple[Unread, ...] = ()

    def readable(self, resource: Resource) -> bool:
        """Whether the kind could be read."""
        return all(resource.kind != each.kind for each in self.unread)

    def store(self) -> Store:
        """Return the objects as the controller files them."""
        store = new_store()
        known = set(store.kinds())
        for (kind, _), manifest in self.manifests.items():
            if kind in known:
                store.apply(kind, manifest)
        return store


def read(api: Reader, namespace: str) -> Cluster:
    """Return what is there.

    Raises:
        CommandError: The API server cannot be asked, or the credential is unknown.
    """
    manifests: dict[tuple[str, str], dict[str, Any]] = {}
    unread: list[Unread] = []
    for resource in _NEEDED:
        try:
            found = _all(api, resource, namespace)
        except NotAllowed as exc:
            unread.append(Unread(resource.kind, str(exc)))
            continue
        except NotFound:  # an older mesh does not have the kind
            unread.append(Unread(resource.kind, f"the API server has no {resource.plural}"))
            continue
        for item in found:
            full = {"apiVersion": resource.api_version, "kind": resource.kind, **item}
            manifests[resource.kind, full["metadata"]["name"]] = full
        unread += [Unread(resource.kind, _UNFIT % name) for name in _unfit(resource, found)][:1]
    if len(unread) == len(_NEEDED):
        raise NotAllowed(unread[0].message)
    return Cluster(namespace, manifests, tuple(unread))


def _unfit(resource: Resource, found: list[dict[str, Any]]) -> Iterator[str]:
    """Give the names of objects that this program cannot read: a newer mesh made them."""
    model = KINDS.get(resource.kind)
    for item in found:
        try:
            if model is not None:
                model.model_validate(item)
        except ValidationError:
            yield str(item["metadata"]["name"])


def _all(api: Reader, resource: Resource, namespace: str) -> list[dict[str, Any]]:
    where = namespace if resource.namespaced else ""
    try:
        return api.list(resource, where)
    except NotAllowed:
        if resource is not ORGANIZATION:
            raise
        return [api.get(ORGANIZATION, "", _organization(api, namespace))]  # members see their own


def check_namespace(api: Reader, namespace: str) -> None:
    """Raise NotFound where there is no such namespace, as far as the user may know it."""
    try:
        api.get(NAMESPACE, "", namespace)
    except NotAllowed:
        return  # members of an organization may see what is in theirs, and that is enough
    except NotFound:
        raise NotFound(f"there is no namespace {namespace!r}: name one with -n") from None


def _organization(api: Reader, namespace: str) -> str:
    """Return the name of the organization whose the namespace is."""
    try:
        labels = api.get(CONFIG_MAP, namespace, TRUST_BUNDLE)["metadata"].get("labels") or {}
    except (NotAllowed, NotFound):
        labels = {}
    return str(labels.get(LABEL_ORGANIZATION) or namespace)
