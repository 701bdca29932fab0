"""Gathers what a GitSource's status is computed from: in memory, but for a webhook's Secret."""

import time
from collections.abc import Callable
from typing import Protocol

from controller.gitops.facts import SourceFacts, Trouble
from controller.gitops.webhook_secrets import Objects, read
from controller.gitops.writeback.values import SourceWrites
from controller.kernel.key import Key
from controller.kernel.store import Store
from controller.reconcilers.gitsource.pace import Pace
from controller.reconcilers.gitsource.snapshot import GitSourceSnapshot
from schemas.gitsource import GitSource


class Passes(Protocol):
    """What is needed of ``controller.gitops.sources.Sources``."""

    def facts(self, namespace: str, name: str) -> SourceFacts:
        """Return what is known of the source."""
        ...


class Commits(Protocol):
    """What is needed of the write-back."""

    def facts(self, source_uid: str) -> SourceWrites:
        """Return how the commits of the source do."""
        ...


class GitSourceObserver:
    """Reads sources from the store, and what their passes have found."""

    def __init__(
        self,
        store: Store,
        passes: Passes,
        commits: Commits | None = None,
        *,
        kube: Objects | None = None,
        ticks: Callable[[], float] = time.monotonic,
    ) -> None:
        """Without *commits* nothing is written back, without *kube* no webhook is looked at."""
        self._kube = kube
        self._store = store
        self._passes = passes
        self._commits = commits
        self._pace = Pace()
        self._ticks = ticks

    async def observe(self, key: Key) -> GitSourceSnapshot | None:
        """Return the snapshot, None if the source is gone."""
        item = self._store.of(GitSource).get(key.namespace, key.name)
        if item is None:
            return None
        facts = self._passes.facts(key.namespace, key.name)
        commits, uid = self._commits, item.metadata.uid
        writes = commits.facts(uid) if commits is not None else SourceWrites()
        if item.metadata.deleting:
            self._pace.forget(uid)
            return GitSourceSnapshot(item, facts, writes)
        hold = self._pace.hold(uid, item.status, self._ticks())
        return GitSourceSnapshot(item, facts, writes, hold, await self._webhook(item))

    async def _webhook(self, item: GitSource) -> Trouble | None:
        webhook = item.spec.webhook
        if webhook is None or self._kube is None:
            return None
        _, trouble = await read(self._kube, item.metadata.namespace, webhook.secret_ref)
        return trouble
