"""Lets go of what a source has made, when the source is deleted."""

import asyncio
from collections.abc import Collection, Iterable
from typing import Final

from controller.gitops.apply import Live
from controller.gitops.bodies import release
from controller.gitops.living import RESOURCES, Living
from controller.gitops.values import Identity
from controller.gitops.writing import Writer
from controller.kernel.store import Store
from controller.kube.errors import Conflict, KubeError, NotFound
from schemas.gitsource import DeletionPolicy, GitSourceSpec, SourcedKind

_AT_ONCE: Final = 16


class Releasing:
    """The way out of one source."""

    def __init__(self, kube: Writer, store: Store, living: Living) -> None:
        self._kube = kube
        self._store = store
        self._living = living

    async def let_go(self, spec: GitSourceSpec) -> tuple[Identity, ...]:
        """Release or delete what the source has; return what is still on its way out.

        What a person protects is released, never deleted.

        Raises:
            KubeError: The API server is in trouble.
        """
        ours = [one for one in self._living.owned().values() if one.owner == self._living.source]
        delete = spec.deletion_policy is DeletionPolicy.DELETE
        gone = [one for one in ours if delete and not one.protected]
        await self._each(gone, ours, spec.kinds)
        return tuple(sorted(one.identity for one in gone))

    async def _each(
        self, gone: list[Live], ours: Iterable[Live], kinds: Collection[SourcedKind]
    ) -> None:
        gate, failures = asyncio.Semaphore(_AT_ONCE), list[KubeError]()
        leaving = {one.identity for one in gone}

        async def one(live: Live) -> None:
            async with gate:
                if failures:
                    return
                try:
                    if live.identity in leaving:
                        await self._delete(live)
                    else:
                        await self._release(live, kinds)
                except KubeError as exc:
                    failures.append(exc)

        async with asyncio.TaskGroup() as tasks:
            for live in ours:
                tasks.create_task(one(live))
        if failures:
            raise failures[0]

    async def _delete(self, live: Live) -> None:
        if not live.deleting:
            kind, name = live.identity
            await self._kube.delete(RESOURCES[kind], self._living.namespace, name, uid=live.uid)

    async def _release(self, live: Live, kinds: Collection[SourcedKind]) -> None:
        kind, name = live.identity
        body = release(live.identity, live.uid, kinds)
        try:
            answer = await self._kube.patch(RESOURCES[kind], self._living.namespace, name, body)
        except (NotFound, Conflict):
            return  # it has gone, or is another one by now
        self._store.apply(kind, answer)
