"""Publishes status: the only place from which it is written, and only where it differs."""

import logging
from collections.abc import Callable
from typing import Any, Protocol

from controller.kernel.difference import merge_patch
from controller.kernel.key import Key
from controller.kernel.store import Store
from schemas.base import Object, Status
from schemas.names import Resource

logger = logging.getLogger(__name__)


class Writer(Protocol):
    """What the reporter needs of the API client."""

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


class Reporter:
    """Sends one merge patch on ``/status``, with the resourceVersion that it was computed from."""

    def __init__(self, kube: Writer, store: Store, wrote: Callable[[Key], None]) -> None:
        self._kube = kube
        self._store = store
        self._wrote = wrote

    async def publish(self, key: Key, subject: Object, status: Status) -> bool:
        """Make *status* the status of *subject*; return whether that needed a write.

        Raises:
            Conflict: The object changed since; look again.
            NotFound: It is gone.
        """
        current: Any = getattr(subject, "status", None)
        patch = merge_patch(current.manifest() if current is not None else {}, status.manifest())
        if not patch:
            return False
        self._wrote(key)
        metadata = subject.metadata
        body: dict[str, Any] = {"status": patch}
        body["metadata"] = {"uid": metadata.uid, "resourceVersion": metadata.resource_version}
        resource = subject.definition.resource
        answer = await self._kube.patch(
            resource, metadata.namespace, metadata.name, body, subresource="status"
        )
        self._store.apply(resource.kind, answer)
        logger.info("status", extra={"key": key.path, "change": ",".join(sorted(patch))})
        return True
