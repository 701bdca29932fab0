"""All served resources, found by path, by kind, by name in the store. Changes while serving."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from apiserver.kinds.resource import Resource


class Registry:
    """The resources that exist right now."""

    def __init__(self, resources: Iterable[Resource]) -> None:
        self._builtin = tuple(resources)
        self._custom: dict[str, tuple[Resource, ...]] = {}
        self._watchers: list[Callable[[str], None]] = []
        self.generation = 0
        """Rises with every change."""
        self._index()

    def _index(self) -> None:
        self._by_path = {(r.group, r.version, r.plural): r for r in self.all()}
        self._by_kind = {(r.api_version, r.kind): r for r in self.all()}
        self._by_storage: dict[str, Resource] = {}
        for resource in self.all():
            self._by_storage.setdefault(resource.storage, resource)
        self.generation += 1

    def all(self) -> list[Resource]:
        """Return all resources, built-in ones first, in the order of their definition."""
        return [*self._builtin, *(r for found in self._custom.values() for r in found)]

    def find(self, group: str, version: str, plural: str) -> Resource | None:
        """Return the resource behind a path."""
        return self._by_path.get((group, version, plural))

    def of_kind(self, api_version: str, kind: str) -> Resource | None:
        """Return the resource of an object's `apiVersion` and `kind`."""
        return self._by_kind.get((api_version, kind))

    def stored_as(self, storage: str) -> Resource | None:
        """Return one version of the resource with this name in the store."""
        return self._by_storage.get(storage)

    def stored(self) -> list[Resource]:
        """Return each stored resource once, in one of its versions."""
        return list(self._by_storage.values())

    def has_group_version(self, group: str, version: str) -> bool:
        """Tell whether anything is served there."""
        return any(r.group == group and r.version == version for r in self.all())

    def is_builtin(self, group: str) -> bool:
        """Tell whether the resources of *group* are built in."""
        return any(resource.group == group for resource in self._builtin)

    def on_change(self, watcher: Callable[[str], None]) -> None:
        """Call *watcher* with the CRD's name whenever its resources changed."""
        self._watchers.append(watcher)

    def define(self, crd: str, resources: Iterable[Resource]) -> None:
        """Serve *resources* for the CRD called *crd*, instead of what it had before."""
        self._custom[crd] = tuple(resources)
        self._changed(crd)

    def drop(self, crd: str) -> None:
        """Stop serving the resources of *crd*."""
        if self._custom.pop(crd, None) is not None:
            self._changed(crd)

    def _changed(self, crd: str) -> None:
        self._index()
        for watcher in self._watchers:
            watcher(crd)
