"""What the store holds: keys, entries (one version of one object), changes."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, NamedTuple

import orjson

Object = dict[str, Any]
"""A Kubernetes object as decoded JSON."""


class StoreError(Exception):
    """The store could not make a write durable; nothing of that write is kept."""


class ExpiredError(Exception):
    """The history asked for has been compacted away."""


class Key(NamedTuple):
    """Where an object lives."""

    resource: str
    """Plural and group as in `widgets.example.com`; core resources have the plural alone."""
    namespace: str
    """Empty for cluster-scoped objects."""
    name: str


class ChangeType(StrEnum):
    """What happened to an object, in the words of a watch."""

    ADDED = "ADDED"
    MODIFIED = "MODIFIED"
    DELETED = "DELETED"


@dataclass(slots=True, eq=False)
class Entry:
    """One version of one object. Immutable, but for the cache of its encodings."""

    key: Key
    rv: int
    uid: str
    labels: dict[str, str]
    deleting: bool
    """Whether `metadata.deletionTimestamp` is set."""
    owners: tuple[str, ...]
    """UIDs of the `metadata.ownerReferences`."""
    body: bytes
    """The object as JSON, `metadata.resourceVersion` included."""
    views: dict[int, bytes] | None = None
    """Other encodings of the same version (served versions, later defaults), by view."""

    @classmethod
    def of(cls, key: Key, rv: int, obj: Object) -> Entry:
        """Return the entry of *obj*, whose `metadata.resourceVersion` is set to *rv* here."""
        obj["metadata"]["resourceVersion"] = str(rv)
        return cls.decoded(key, rv, orjson.dumps(obj), obj)

    @classmethod
    def parsed(cls, key: Key, rv: int, body: bytes) -> Entry:
        """Return the entry of a stored *body*."""
        return cls.decoded(key, rv, body, orjson.loads(body))

    @classmethod
    def decoded(cls, key: Key, rv: int, body: bytes, obj: Object) -> Entry:
        """Return the entry of *body*, which is *obj* as JSON."""
        meta = obj["metadata"]
        owners = tuple(str(ref.get("uid", "")) for ref in meta.get("ownerReferences") or ())
        return cls(
            key=key,
            rv=rv,
            uid=meta.get("uid", ""),
            labels=dict(meta.get("labels") or {}),
            deleting="deletionTimestamp" in meta,
            owners=owners,
            body=body,
        )

    def load(self) -> Object:
        """Return a fresh copy of the object."""
        obj: Object = orjson.loads(self.body)
        return obj


@dataclass(slots=True, eq=False)
class Change:
    """One committed step of one object."""

    rv: int
    type: ChangeType
    entry: Entry
    """The object after the change; for DELETED its last state, with the change's version."""
    previous: Entry | None
    """The object before the change; None for ADDED."""
    lines: dict[int, bytes] = field(default_factory=dict)
    """Watch events already encoded, by view."""

    @property
    def key(self) -> Key:
        """Where the object lives."""
        return self.entry.key
