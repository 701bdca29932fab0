"""The check of quotas: how many objects of a resource a namespace may hold.

Counted is what is there when the object is about to be written, deletions and creations included
that are not on disk yet. Nothing is awaited between the count and the write, so of two creations at
the same moment one takes the last place. Kubernetes judges by the quota's status, which may be
late; here a limit holds from its write on, and the status follows.
"""

from __future__ import annotations

from collections.abc import Mapping

from apiserver import errors, quantities
from apiserver.errors import ApiError
from apiserver.kinds.quotas import QUOTAS, limits, names_of
from apiserver.kinds.resource import Resource
from apiserver.store.records import Key
from apiserver.store.store import Store


def beyond(store: Store, resource: Resource, key: Key) -> ApiError | None:
    """Return why there is no room for one more object, to be written as *key*; None: there is."""
    if not key.namespace or not names_of(resource.storage):
        return None
    for entry in sorted(store.newest(QUOTAS, key.namespace), key=lambda each: each.key):
        limited = limits(entry.load(), resource.storage)
        if not limited:
            continue
        used = store.count(resource.storage, key.namespace)
        full = {name: limit.text for name, limit in limited.items() if used + 1 > limit.value}
        if full:
            why = (
                f"exceeded quota: {entry.key.name},"
                f" requested: {_listed(dict.fromkeys(full, '1'))},"
                f" used: {_listed(dict.fromkeys(full, quantities.of_count(used)))},"
                f" limited: {_listed(full)}"
            )
            return errors.forbidden(resource.group, resource.plural, key.name, why)
    return None


def _listed(amounts: Mapping[str, str]) -> str:
    return ",".join(f"{name}={amounts[name]}" for name in sorted(amounts))


async def settled(store: Store, resource: Resource, namespace: str) -> None:
    """Wait until what `beyond` judged by is on disk.

    Raises:
        StoreError: It did not get there.
    """
    await store.settled(QUOTAS, namespace)
    await store.settled(resource.storage, namespace)
