"""An API server in memory, as strict as the real one in what matters to its callers.

Every write gets a new resourceVersion; a stale one in a patch is a Conflict; creating twice is
AlreadyExists; kinds with a status subresource change status only through it; objects with
finalizers stay until the last one is gone. Objects are copied in and out.
"""

import copy
import itertools
import uuid
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from controller.kube.errors import AlreadyExists, Conflict, NotFound
from schemas.names import OURS, Resource

Address = tuple[str, str, str]


@dataclass(frozen=True)
class MemoryUser:
    name: str
    groups: tuple[str, ...] = ()


@dataclass
class MemoryKube:
    """Implements Objects and Reviews."""

    objects: dict[Address, dict[str, Any]] = field(default_factory=dict)
    tokens: dict[str, MemoryUser] = field(default_factory=dict)
    """Bearer tokens and whose they are."""
    allowed: set[tuple[str, str, str, str, str]] = field(default_factory=set)
    """(user, verb, subresource, namespace, name)."""
    watchers: list[Callable[[Resource, dict[str, Any]], None]] = field(default_factory=list)
    """Called after every write with the kind and the object as it is or was."""
    before: Callable[[str, Resource, str], None] = lambda *_: None
    """Called with (verb, resource, name) before every request: raise to let it fail, or race."""
    after: Callable[[str, Resource, str], None] = lambda *_: None
    """Called after a write was carried out: raise to lose the answer."""
    reviews: int = 0
    now: Callable[[], datetime] = lambda: datetime.now(UTC)
    _versions: Any = field(default_factory=lambda: itertools.count(1))

    async def get(self, resource: Resource, namespace: str, name: str) -> dict[str, Any]:
        self.before("get", resource, name)
        return copy.deepcopy(self._found(resource, namespace, name))

    async def create(
        self, resource: Resource, namespace: str, manifest: dict[str, Any]
    ) -> dict[str, Any]:
        name = manifest["metadata"]["name"]
        self.before("create", resource, name)
        address = (resource.kind, namespace, name)
        if address in self.objects:
            raise AlreadyExists(f"{resource.plural} {name} already exists")
        stored = copy.deepcopy(manifest)
        if resource in OURS:
            stored.pop("status", None)
        stored["metadata"] |= {
            "namespace": namespace,
            "uid": str(uuid.uuid4()),
            "resourceVersion": str(next(self._versions)),
            "generation": 1,
            "creationTimestamp": self.now().strftime("%Y-%m-%dT%H:%M:%SZ"),
        }
        self.objects[address] = stored
        return self._written("create", resource, stored)

    async def patch(
        self,
        resource: Resource,
        namespace: str,
        name: str,
        patch: dict[str, Any],
        *,
        subresource: str = "",
    ) -> dict[str, Any]:
        self.before("patch", resource, name)
        stored = self._found(resource, namespace, name)
        version = patch.get("metadata", {}).get("resourceVersion")
        if version is not None and version != stored["metadata"]["resourceVersion"]:
            raise Conflict(f"{resource.plural} {name} has been modified")
        change = copy.deepcopy(patch)
        if subresource == "status":
            change = {"status": change.get("status")}
        elif resource in OURS:
            change.pop("status", None)
        change.get("metadata", {}).pop("resourceVersion", None)
        old = copy.deepcopy(stored)
        merged = _merge(stored, change)
        if merged == old:
            return copy.deepcopy(merged)
        merged["metadata"]["resourceVersion"] = str(next(self._versions))
        if merged.get("spec") != old.get("spec"):
            merged["metadata"]["generation"] += 1
        address = (resource.kind, namespace, name)
        if merged["metadata"].get("deletionTimestamp") and not merged["metadata"].get("finalizers"):
            del self.objects[address]
        else:
            self.objects[address] = merged
        return self._written("patch", resource, merged)

    async def delete(self, resource: Resource, namespace: str, name: str, *, uid: str = "") -> None:
        self.before("delete", resource, name)
        address = (resource.kind, namespace, name)
        stored = self.objects.get(address)
        if stored is None:
            return
        if uid and stored["metadata"]["uid"] != uid:
            raise Conflict(f"{resource.plural} {name} has another uid")
        if stored["metadata"].get("finalizers"):
            stored["metadata"]["deletionTimestamp"] = self.now().strftime("%Y-%m-%dT%H:%M:%SZ")
            stored["metadata"]["resourceVersion"] = str(next(self._versions))
        else:
            del self.objects[address]
        self._written("delete", resource, stored)

    async def pages(
        self, resource: Resource, namespace: str = "", *, limit: int = 500
    ) -> AsyncIterator[list[dict[str, Any]]]:
        self.before("list", resource, "")
        found = [
            copy.deepcopy(stored)
            for (kind, where, _), stored in sorted(self.objects.items())
            if kind == resource.kind and namespace in {"", where}
        ]
        for start in range(0, max(len(found), 1), limit):
            yield found[start : start + limit]

    async def review_token(
        self,
        token: str,
        audiences: Sequence[str] = (),  # noqa: ARG002 - the Protocol's
    ) -> MemoryUser | None:
        self.reviews += 1
        self.before("review", _REVIEW, "")
        return self.tokens.get(token)

    async def may(
        self,
        user: MemoryUser,
        *,
        verb: str,
        group: str,
        resource: str,
        subresource: str,
        namespace: str,
        name: str,
    ) -> tuple[bool, str]:
        self.before("may", _REVIEW, name)
        assert (group, resource) == ("agentsmesh.io", "agentpods")
        return (user.name, verb, subresource, namespace, name) in self.allowed, ""

    def _found(self, resource: Resource, namespace: str, name: str) -> dict[str, Any]:
        try:
            return self.objects[(resource.kind, namespace, name)]
        except KeyError:
            raise NotFound(f"{resource.plural} {name} not found") from None

    def _written(self, verb: str, resource: Resource, stored: dict[str, Any]) -> dict[str, Any]:
        for watcher in self.watchers:
            watcher(resource, copy.deepcopy(stored))
        self.after(verb, resource, stored["metadata"]["name"])
        return copy.deepcopy(stored)


_REVIEW = Resource("authentication.k8s.io", "v1", "TokenReview", "tokenreviews", namespaced=False)


def _merge(target: Any, patch: Any) -> Any:
    """RFC 7386."""
    if not isinstance(patch, dict):
        return patch
    result = dict(target) if isinstance(target, dict) else {}
    for key, value in patch.items():
        if value is None:
            result.pop(key, None)
        else:
            result[key] = _merge(result.get(key), value)
    return result
