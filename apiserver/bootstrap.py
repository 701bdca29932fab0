"""What every server has from the start: three namespaces and the default roles."""

from __future__ import annotations

import uuid
from typing import Any, Final

from apiserver import clock
from apiserver.auth import policy
from apiserver.kinds.core import NAMESPACE_FINALIZER
from apiserver.store.records import Key, Object
from apiserver.store.store import Store, Ticket

_NAMESPACES: Final = ("default", "kube-system", "kube-public")


async def ensure(store: Store) -> None:
    """Create what is missing and add missing rules; what users changed otherwise stays."""
    tickets: list[Ticket] = []
    for name in _NAMESPACES:
        key = Key("namespaces", "", name)
        if store.get(key) is None:
            tickets.append(store.put(key, _stamped(_namespace(name)))[1])
    for key, obj in policy.objects():
        entry = store.get(key)
        if entry is None:
            tickets.append(store.put(key, _stamped(obj))[1])
            continue
        present = entry.load()
        if _complete(present, obj):
            tickets.append(store.put(key, present)[1])
    for ticket in tickets:
        await ticket


def _stamped(obj: Object) -> Object:
    obj["metadata"] |= {"uid": str(uuid.uuid4()), "creationTimestamp": clock.stamp()}
    return obj


def _namespace(name: str) -> Object:
    return {
        "kind": "Namespace",
        "apiVersion": "v1",
        "metadata": {"name": name, "labels": {"kubernetes.io/metadata.name": name}},
        "spec": {"finalizers": [NAMESPACE_FINALIZER]},
        "status": {"phase": "Active"},
    }


def _complete(present: Object, wanted: Object) -> bool:
    """Add to *present* what it lacks of *wanted*; tell whether that was anything."""
    annotations: dict[str, Any] = present["metadata"].get("annotations") or {}
    if annotations.get(policy.AUTOUPDATE) != "true":
        return False
    changed = False
    for name in ("rules", "subjects"):
        if present.get("aggregationRule") or name not in wanted:
            continue
        lacking = [item for item in wanted[name] if item not in (present.get(name) or [])]
        if lacking:
            present[name] = [*(present.get(name) or []), *lacking]
            changed = True
    return changed
