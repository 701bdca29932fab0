"""What the API holds, as far as we have seen it: newest version of each object, with indexes.

Fed by watches, by the sweep and by the answers to our own writes, in any order and any number of
times: only a newer resourceVersion of an object replaces an older one, and what was deleted does
not come back.
"""

import logging
from collections import OrderedDict
from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final, Generic, TypeVar

from pydantic import ValidationError

from schemas.base import Object
from schemas.names import Resource

logger = logging.getLogger(__name__)

T = TypeVar("T", bound=Object)

_TOMBSTONES: Final = 10_000
"""So many deleted uids are remembered per kind, against events that come late."""


@dataclass(frozen=True, slots=True)
class Change(Generic[T]):
    """What one piece of news changed. Both are given when an object was updated."""

    old: T | None
    """None: it is new."""
    new: T | None
    """None: it is gone."""

    @property
    def subject(self) -> T:
        """The object, as it is or was."""
        subject = self.new if self.new is not None else self.old
        assert subject is not None, "a change without an object"  # noqa: S101 - by construction
        return subject


class Collection(Generic[T]):
    """All objects of one kind."""

    def __init__(
        self,
        model: type[T],
        indexers: Mapping[str, Callable[[T], Iterable[Hashable]]] | None = None,
    ) -> None:
        self._model = model
        self._indexers = dict(indexers or {})
        self._by_uid: dict[str, T] = {}
        self._uid_by_name: dict[tuple[str, str], str] = {}
        self._indexes: dict[str, dict[Hashable, dict[str, T]]] = {k: {} for k in self._indexers}
        self._deleted: OrderedDict[str, None] = OrderedDict()

    @property
    def kind(self) -> str:
        """The kind of the objects."""
        return str(self._model.definition.resource.kind)

    @property
    def resource(self) -> Resource:
        """The address of the kind on the API."""
        return self._model.definition.resource

    def __len__(self) -> int:
        return len(self._by_uid)

    def __iter__(self) -> Iterator[T]:
        return iter(list(self._by_uid.values()))

    def get(self, namespace: str, name: str) -> T | None:
        """Return the object of that name, if there is one."""
        uid = self._uid_by_name.get((namespace, name))
        return self._by_uid.get(uid) if uid else None

    def by_uid(self, uid: str) -> T | None:
        """Return the object of that uid, if there is one."""
        return self._by_uid.get(uid)

    def uids(self) -> frozenset[str]:
        """Return the uids of all objects."""
        return frozenset(self._by_uid)

    def indexed(self, index: str, value: Hashable) -> list[T]:
        """Return the objects that the indexer *index* filed under *value*."""
        return list(self._indexes[index].get(value, {}).values())

    def count(self, index: str, value: Hashable) -> int:
        """Return how many objects are filed under *value*."""
        return len(self._indexes[index].get(value, ()))

    def apply(self, manifest: Mapping[str, Any]) -> list[Change[T]]:
        """Take a version of an object and return what that changed: mostly one thing or nothing.

        An object that has no finalizers left and is being deleted counts as gone.
        """
        if self._has(manifest):
            return []
        try:
            fresh = self._model.model_validate(manifest)
        except ValidationError as exc:
            where = manifest.get("metadata") or {}
            logger.error(  # noqa: TRY400 - the traceback says no more, and quotes the object
                "an object on the API does not fit its schema and is left alone",
                extra={
                    "key": f"{self.kind}/{where.get('namespace')}/{where.get('name')}",
                    "reason": _paths(exc),
                },
            )
            return []
        uid = fresh.metadata.uid
        if uid in self._deleted or not self._newer(fresh):
            return []
        if fresh.metadata.deleting and not fresh.metadata.finalizers:
            return self.remove(uid)
        changes: list[Change[T]] = []
        known = self._uid_by_name.get((fresh.metadata.namespace, fresh.metadata.name))
        if known is not None and known != uid:
            changes += self.remove(known)
        old = self._by_uid.get(uid)
        self._file(old, fresh)
        return [*changes, Change(old, fresh)]

    def remove(self, uid: str) -> list[Change[T]]:
        """Take note that the object is gone for good, and return what that changed."""
        if uid:
            self._deleted[uid] = None
            while len(self._deleted) > _TOMBSTONES:
                self._deleted.popitem(last=False)
        old = self._by_uid.get(uid)
        if old is None:
            return []
        self._file(old, None)
        return [Change(old, None)]

    def _has(self, manifest: Mapping[str, Any]) -> bool:
        """Whether it is the very version that is here: what lists and watches say twice."""
        metadata = manifest.get("metadata")
        if not isinstance(metadata, Mapping):
            return False
        old = self._by_uid.get(str(metadata.get("uid")))
        version = metadata.get("resourceVersion")
        return old is not None and version == old.metadata.resource_version != ""

    def _newer(self, fresh: T) -> bool:
        old = self._by_uid.get(fresh.metadata.uid)
        if old is None:
            return True
        ours, theirs = old.metadata.resource_version, fresh.metadata.resource_version
        if ours.isdecimal() and theirs.isdecimal():
            return int(theirs) > int(ours)
        return theirs != ours  # not comparable: believe the messenger

    def _file(self, old: T | None, fresh: T | None) -> None:
        """Replace *old* by *fresh* in all indexes."""
        if old is not None:
            uid, at = old.metadata.uid, (old.metadata.namespace, old.metadata.name)
            for index, indexer in self._indexers.items():
                for value in indexer(old):
                    _discard(self._indexes[index], value, uid)
            if fresh is None:
                self._by_uid.pop(uid, None)
                if self._uid_by_name.get(at) == uid:
                    del self._uid_by_name[at]
        if fresh is not None:
            uid, at = fresh.metadata.uid, (fresh.metadata.namespace, fresh.metadata.name)
            self._by_uid[uid] = fresh
            self._uid_by_name[at] = uid
            for index, indexer in self._indexers.items():
                for value in indexer(fresh):
                    self._indexes[index].setdefault(value, {})[uid] = fresh


def _discard(index: dict[Hashable, dict[str, T]], value: Hashable, uid: str) -> None:
    files = index.get(value)
    if files is not None:
        files.pop(uid, None)
        if not files:
            del index[value]


def _paths(exc: ValidationError) -> str:
    """Name the fields that do not fit, never their values."""
    return ", ".join(".".join(map(str, item["loc"])) for item in exc.errors()[:5])


Listener = Callable[[Change[Any]], None]


class Store:
    """The collections of all kinds, and who wants to hear of their changes."""

    def __init__(self, collections: Iterable[Collection[Any]]) -> None:
        self._collections = {collection.kind: collection for collection in collections}
        self._listeners: dict[str, list[Listener]] = {kind: [] for kind in self._collections}

    def of(self, model: type[T]) -> Collection[T]:
        """Return the objects of the kind."""
        collection: Collection[T] = self._collections[model.definition.resource.kind]
        return collection

    def named(self, kind: str) -> Collection[Any]:
        """Return the objects of the kind of that name."""
        return self._collections[kind]

    def kinds(self) -> tuple[str, ...]:
        """Return the names of all kinds."""
        return tuple(self._collections)

    def listen(self, model: type[T], listener: Callable[[Change[T]], None]) -> None:
        """Call *listener* after each change of the kind. It must neither wait nor raise."""
        self._listeners[model.definition.resource.kind].append(listener)

    def apply(self, kind: str, manifest: Mapping[str, Any]) -> None:
        """Take a version of an object."""
        self._tell(kind, self._collections[kind].apply(manifest))

    def remove(self, kind: str, uid: str) -> None:
        """Take note that an object is gone."""
        self._tell(kind, self._collections[kind].remove(uid))

    def _tell(self, kind: str, changes: list[Change[Any]]) -> None:
        for change in changes:
            for listener in self._listeners[kind]:
                listener(change)
