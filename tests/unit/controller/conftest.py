"""An API server in memory, and the objects that tests of the controller are made of."""

import asyncio
import copy
import itertools
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest

from controller.kube.errors import AlreadyExists, Conflict, NotFound, Unavailable
from schemas.base import Object
from schemas.kinds import KINDS
from schemas.names import API_VERSION, Resource

NOW = 1_800_000_000.0
CREATED = "2027-01-15T08:00:00Z"  # NOW


class MemoryKube:
    """Behaves as the API server does: versions, generations, finalizers, conflicts, /status.

    ``events`` are what a watch would tell, in order. ``writes`` counts what changed something.
    """

    def __init__(self) -> None:
        self.objects: dict[tuple[str, str, str], dict[str, Any]] = {}
        self.events: list[tuple[str, str, dict[str, Any]]] = []
        self.writes: list[tuple[str, str, str]] = []
        self.down = False
        self._version = itertools.count(1)
        self._uid = itertools.count(1)

    def _answer(self, obj: dict[str, Any]) -> dict[str, Any]:
        return copy.deepcopy(obj)

    async def _check(self) -> None:
        await asyncio.sleep(0)  # a real server lets others run, too
        if self.down:
            raise Unavailable("the API server does not answer")

    async def get(self, resource: Resource, namespace: str, name: str) -> dict[str, Any]:
        await self._check()
        key = (resource.kind, namespace if resource.namespaced else "", name)
        if key not in self.objects:
            raise NotFound(f"{key} not found")
        return self._answer(self.objects[key])

    async def create(
        self, resource: Resource, namespace: str, manifest: dict[str, Any]
    ) -> dict[str, Any]:
        await self._check()
        obj = copy.deepcopy(dict(manifest))
        obj.setdefault("apiVersion", resource.api_version)
        obj.setdefault("kind", resource.kind)
        metadata = obj.setdefault("metadata", {})
        namespace = namespace if resource.namespaced else ""
        key = (resource.kind, namespace, metadata["name"])
        if key in self.objects:
            raise AlreadyExists(f"{key} exists")
        if resource.kind in KINDS:
            obj.pop("status", None)
        metadata |= {
            "uid": f"uid-{next(self._uid)}",
            "generation": 1,
            "creationTimestamp": metadata.get("creationTimestamp", CREATED),
        }
        if namespace:
            metadata["namespace"] = namespace
        self._store("ADDED", key, obj)
        return self._answer(obj)

    async def patch(
        self,
        resource: Resource,
        namespace: str,
        name: str,
        patch: dict[str, Any],
        *,
        subresource: str = "",
    ) -> dict[str, Any]:
        await self._check()
        key = (resource.kind, namespace if resource.namespaced else "", name)
        if key not in self.objects:
            raise NotFound(f"{key} not found")
        old = self.objects[key]
        asked = patch.get("metadata") or {}
        if asked.get("uid", old["metadata"]["uid"]) != old["metadata"]["uid"]:
            raise Conflict("another uid")
        version = old["metadata"]["resourceVersion"]
        if asked.get("resourceVersion", version) != version:
            raise Conflict("another version")
        new = copy.deepcopy(old)
        body = {k: v for k, v in patch.items() if k not in {"metadata", "status"}}
        if subresource == "status":
            _merge(new, {"status": patch.get("status", {})})
        else:
            _merge(new, body | {"metadata": {k: v for k, v in asked.items() if k != "uid"}})
            new["metadata"]["resourceVersion"] = version
        if new == old:
            return self._answer(old)
        if new.get("spec") != old.get("spec"):
            new["metadata"]["generation"] += 1
        gone = "deletionTimestamp" in new["metadata"] and not new["metadata"].get("finalizers")
        self._store("DELETED" if gone else "MODIFIED", key, new)
        return self._answer(new)

    async def delete(self, resource: Resource, namespace: str, name: str, *, uid: str = "") -> None:
        await self._check()
        key = (resource.kind, namespace if resource.namespaced else "", name)
        old = self.objects.get(key)
        if old is None or (uid and old["metadata"]["uid"] != uid):
            return
        new = copy.deepcopy(old)
        if new["metadata"].get("finalizers"):
            if "deletionTimestamp" not in new["metadata"]:
                new["metadata"]["deletionTimestamp"] = CREATED
                new["metadata"]["generation"] += 1
                self._store("MODIFIED", key, new)
            return
        self._store("DELETED", key, new)

    async def pages(
        self, resource: Resource, namespace: str = "", *, limit: int = 500
    ) -> AsyncIterator[list[dict[str, Any]]]:
        await self._check()
        found = [
            self._answer(obj)
            for (kind, where, _), obj in self.objects.items()
            if kind == resource.kind and namespace in {"", where}
        ]
        for start in range(0, len(found), limit):
            yield found[start : start + limit]

    def read(self, kind: str, namespace: str, name: str) -> dict[str, Any]:
        """Return an object as it is stored."""
        return self.objects[kind, namespace, name]

    def _store(self, event: str, key: tuple[str, str, str], obj: dict[str, Any]) -> None:
        obj["metadata"]["resourceVersion"] = str(next(self._version))
        if event == "DELETED":
            del self.objects[key]
        else:
            self.objects[key] = obj
        self.writes.append((event, key[0], key[2]))
        self.events.append((event, key[0], self._answer(obj)))


def _merge(target: dict[str, Any], patch: dict[str, Any]) -> None:
    for key, value in patch.items():
        if value is None:
            target.pop(key, None)
        elif isinstance(value, dict) and isinstance(target.get(key), dict):
            _merge(target[key], value)
        elif isinstance(value, dict):
            target[key] = {}
            _merge(target[key], value)
        else:
            target[key] = copy.deepcopy(value)


@pytest.fixture
def kube() -> MemoryKube:
    return MemoryKube()


@pytest.fixture
def make_kube() -> Callable[[], MemoryKube]:
    return MemoryKube


@pytest.fixture
def build() -> Callable[..., Any]:
    """Return a function that makes an object: ``build("AgentPod", "fix", spec={…})``."""

    def of(kind: str, name: str, **parts: Any) -> Object:
        model = KINDS[kind]
        namespaced = model.definition.resource.namespaced
        metadata = {
            "name": name,
            "namespace": "acme" if namespaced else "",
            "uid": f"uid-of-{name}",
            "resourceVersion": "1",
            "generation": 1,
            "creationTimestamp": CREATED,
        } | parts.pop("metadata", {})
        manifest = {"apiVersion": API_VERSION, "kind": kind, "metadata": metadata, **parts}
        return model.model_validate(manifest)

    return of
