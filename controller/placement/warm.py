"""Of which Repositories runners shall keep worktrees ready."""

import hashlib
from collections.abc import Callable
from typing import Final

from meshwire.v1 import link_pb2

from controller.kernel.store import Change, Store
from schemas.repository import Repository

FEATURE: Final = "warm"
"""Of a runner that frees what is wanted no more."""


class Warm:
    """The list of each namespace, made when it is asked for."""

    def __init__(self, store: Store, changed: Callable[[], None]) -> None:
        """*changed* is called when a list that was handed out is another one now."""
        self._store = store
        self._changed = changed
        self._lists: dict[str, link_pb2.WarmRepositories] = {}
        store.listen(Repository, self._repository_changed)

    def of(self, namespace: str) -> link_pb2.WarmRepositories:
        """Return the list of the namespace. One that was handed out never changes."""
        if namespace not in self._lists:
            self._lists[namespace] = self._made(namespace)
        return self._lists[namespace]

    def _made(self, namespace: str) -> link_pb2.WarmRepositories:
        wanted: dict[bytes, int] = {}
        for each in self._store.of(Repository):
            if each.metadata.namespace == namespace and not each.metadata.deleting:
                url = hashlib.sha256(each.spec.url.encode()).digest()
                wanted[url] = max(wanted.get(url, 0), each.spec.warm_worktrees)
        return link_pb2.WarmRepositories(
            repositories=[
                link_pb2.WarmRepository(url_sha256=url, worktrees=number)
                for url, number in sorted(wanted.items())
                if number > 0
            ]
        )

    def _repository_changed(self, change: Change[Repository]) -> None:
        namespace = change.subject.metadata.namespace
        before = self._lists.pop(namespace, None)
        if before is not None and self.of(namespace) != before:
            self._changed()
