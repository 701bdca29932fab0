"""One served resource: its names, its verbs, how its objects are read and written."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Final, Protocol

import orjson

from apiserver.errors import qualified
from apiserver.kinds.strategy import Strategy
from apiserver.schema.errors import FieldError
from apiserver.store.records import Entry, Key, Object

ALL_VERBS: Final = (
    "create",
    "delete",
    "deletecollection",
    "get",
    "list",
    "patch",
    "update",
    "watch",
)

AS_STORED: Final = 0
"""The view that needs no conversion."""

_views = itertools.count(1)


class Schema(Protocol):
    """What a resource needs of a compiled schema."""

    def prune(self, obj: dict[str, Any]) -> list[str]:
        """Drop unknown fields, in place; return their paths."""

    def default(self, obj: dict[str, Any]) -> None:
        """Fill in defaults, in place."""

    def validate(
        self,
        obj: dict[str, Any],
        old: dict[str, Any] | None = None,
        *,
        status_only: bool = False,
        earlier: Sequence[FieldError] = (),
    ) -> list[FieldError]:
        """Return what is wrong with *obj*, beside what was found *earlier*."""


class Conversion(Protocol):
    """Turns stored objects into another version's shape and back."""

    def served(self, obj: Object) -> Object:
        """Return *obj* as this version shows it; may change *obj*."""

    def stored(self, obj: Object) -> Object:
        """Return *obj*, in this version's shape, as it is stored; may change *obj*."""


@dataclass(eq=False)
class Resource:
    """A resource in one version. Immutable; a changed CRD makes a new one."""

    group: str
    version: str
    plural: str
    kind: str
    namespaced: bool
    singular: str = ""
    list_kind: str = ""
    short_names: tuple[str, ...] = ()
    categories: tuple[str, ...] = ()
    verbs: tuple[str, ...] = ALL_VERBS
    subresources: frozenset[str] = frozenset()
    columns: tuple[Object, ...] = ()
    """Printer columns, as `additionalPrinterColumns`; empty: name and age."""
    schema: Schema | None = None
    strategy: Strategy = field(default_factory=Strategy)
    conversion: Conversion | None = None
    selectable: tuple[str, ...] = ()
    """Paths that field selectors may use beyond name and namespace, such as `spec.color`."""
    openapi: Object | None = None
    """The raw schema, for documents."""
    scale: Object | None = None
    """`subresources.scale` of a CRD: the three paths."""
    stored_elsewhere: str = ""
    """Name in the store where that is another resource's; empty: its own."""
    terminating: bool = False
    """The CRD is being deleted: no new objects."""
    stored_version: str = ""
    """`apiVersion` that a CRD's objects are stored with; empty for built-in kinds."""
    deprecated: str = ""
    """Warning that each use carries; empty: none."""
    view: int = field(default_factory=lambda: next(_views))
    """Key of this version's encodings; `AS_STORED` where they are what is stored."""

    def __post_init__(self) -> None:
        self.singular = self.singular or self.kind.lower()
        self.list_kind = self.list_kind or f"{self.kind}List"
        self.storage = self.stored_elsewhere or qualified(self.group, self.plural)
        """Name of the resource in the store."""

    @property
    def api_version(self) -> str:
        """`group/version`, the version alone in the core group."""
        return f"{self.group}/{self.version}" if self.group else self.version

    @property
    def custom(self) -> bool:
        """Whether a CRD defines it."""
        return bool(self.stored_version)

    def key(self, namespace: str, name: str) -> Key:
        """Return where an object of this resource is stored."""
        return Key(self.storage, namespace if self.namespaced else "", name)

    def encode(self, entry: Entry) -> bytes:
        """Return *entry* as JSON in this version; the bytes are made once."""
        if self.view == AS_STORED:
            return entry.body
        views = entry.views
        if views is not None and self.view in views:
            return views[self.view]
        body = orjson.dumps(self.load(entry))
        if body == entry.body:
            body = entry.body  # one copy in memory is enough
        self._remember(entry, body)
        return body

    def _remember(self, entry: Entry, body: bytes) -> None:
        if entry.views is None:
            entry.views = {}
        elif len(entry.views) > 3:
            entry.views.clear()  # views of schemas that are long gone
        entry.views[self.view] = body

    def wrote(self, entry: Entry) -> None:
        """Note that *entry* was just written through this resource: what is stored is the view."""
        if self.custom and self.stored_version == self.api_version:
            self._remember(entry, entry.body)

    def load(self, entry: Entry) -> Object:
        """Return a fresh copy of the object as this version shows it."""
        if self.view == AS_STORED:
            return entry.load()
        if entry.views is not None and self.view in entry.views:
            obj: Object = orjson.loads(entry.views[self.view])
            return obj
        obj = entry.load()
        if self.conversion is not None:
            obj = self.conversion.served(obj)
        if self.custom:
            obj["apiVersion"] = self.api_version
        if self.schema is not None and self.custom:
            self.schema.prune(obj)
            self.schema.default(obj)
        return obj

    def to_storage(self, obj: Object) -> Object:
        """Return *obj*, in this version's shape, as it is stored."""
        if self.conversion is not None:
            return self.conversion.stored(obj)
        if self.custom:
            obj["apiVersion"] = self.stored_version
        return obj
