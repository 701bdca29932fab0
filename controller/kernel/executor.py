"""Carries out plans: the only place from which children are created, changed and deleted."""

import logging
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Protocol

from controller.kernel.events import About, Recorder
from controller.kernel.key import Key
from controller.kernel.reconciler import Action, Create, Delete, Patch, Tell
from controller.kernel.store import Store
from controller.kube.errors import AlreadyExists, Refused
from schemas.names import Resource

logger = logging.getLogger(__name__)


class Writer(Protocol):
    """What the executor needs of the API client."""

    async def create(
        self, resource: Resource, namespace: str, manifest: dict[str, Any]
    ) -> dict[str, Any]:
        """Create the object."""
        ...

    async def patch(
        self,
        resource: Resource,
        namespace: str,
        name: str,
        patch: dict[str, Any],
        *,
        subresource: str = "",
    ) -> dict[str, Any]:
        """Merge a patch into the object."""
        ...

    async def delete(self, resource: Resource, namespace: str, name: str, *, uid: str = "") -> None:
        """Delete the object."""
        ...


class Executor:
    """Carries out changes one after the other and feeds the answers to the store."""

    def __init__(
        self, kube: Writer, store: Store, recorder: Recorder, wrote: Callable[[Key], None]
    ) -> None:
        self._kube = kube
        self._store = store
        self._recorder = recorder
        self._wrote = wrote

    async def apply(self, key: Key, changes: Iterable[Action]) -> None:
        """Carry out *changes* on behalf of *key*.

        Raises:
            KubeError: One could not be carried out; those after it were not tried.
        """
        for change in changes:
            if isinstance(change, Tell):
                self.tell(change)
                continue
            self._wrote(key)
            await self._carry_out(change)
            logger.info(
                "changed",
                extra={"key": key.path, "change": type(change).__name__, "why": change.why},
            )

    def tell(self, note: Tell) -> None:
        """Have an Event written, some time soon."""
        about = About(note.resource, note.namespace, note.name, note.uid)
        self._recorder.event(about, warning=note.warning, reason=note.reason, message=note.message)

    async def _carry_out(self, change: Create | Patch | Delete) -> None:
        match change:
            case Create():
                await self._create(change)
            case Patch(resource, namespace, name, patch, _):
                answer = await self._kube.patch(resource, namespace, name, dict(patch))
                self._learn(resource, answer)
            case Delete(resource, namespace, name, uid, _):
                await self._kube.delete(resource, namespace, name, uid=uid)

    async def _create(self, change: Create) -> None:
        try:
            answer = await self._kube.create(
                change.resource, change.namespace, dict(change.manifest)
            )
        except AlreadyExists:
            return
        except Refused as exc:
            if not change.optional:
                raise
            logger.warning("refused", extra={"change": change.why, "reason": str(exc)})
            return
        self._learn(change.resource, answer)

    def _learn(self, resource: Resource, answer: Mapping[str, Any]) -> None:
        if resource.kind in self._store.kinds():
            self._store.apply(resource.kind, answer)
