"""Renews a Lease for each runner that is alive, so that others can see it without status writes."""

import asyncio
import contextlib
import logging
from typing import Any, Final, Protocol

from controller.kernel.clock import micro_stamp, wall
from controller.kernel.store import Store
from controller.kube.errors import AlreadyExists, KubeError, NotFound
from controller.placement.links import Links
from schemas.names import LEASE, RUNNER, Resource
from schemas.runner import Runner

logger = logging.getLogger(__name__)

_RENEW_SECONDS: Final = 10.0
_DURATION_SECONDS: Final = 40
_HEARD_SECONDS: Final = 20.0
"""A runner that was not heard for so long is not spoken for."""


class Writer(Protocol):
    """What the leases need of the API client."""

    async def create(
        self, resource: Resource, namespace: str, manifest: dict[str, Any]
    ) -> dict[str, Any]:
        """Create the object."""
        ...

    async def patch(
        self, resource: Resource, namespace: str, name: str, patch: dict[str, Any]
    ) -> dict[str, Any]:
        """Merge a patch into the object."""
        ...


class RunnerLeases:
    """The Lease ``runner-<name>`` of each runner, in its namespace, owned by it."""

    def __init__(self, kube: Writer, store: Store, links: Links) -> None:
        self._kube = kube
        self._store = store
        self._links = links

    async def run(self, gate: asyncio.Event) -> None:
        """Renew until cancelled, while *gate* is set."""
        while True:
            await asyncio.sleep(_RENEW_SECONDS)
            await gate.wait()
            for runner in self._store.of(Runner):
                if not self._links.alive(runner.metadata.uid, _HEARD_SECONDS):
                    continue
                try:
                    await self._renew(runner)
                except KubeError as exc:
                    extra = {"runner": runner.metadata.name, "reason": str(exc)}
                    logger.warning("lease of a runner not renewed", extra=extra)

    async def _renew(self, runner: Runner) -> None:
        namespace, name = runner.metadata.namespace, f"runner-{runner.metadata.name}"
        spec = {"holderIdentity": runner.metadata.uid, "renewTime": micro_stamp(wall())}
        try:
            await self._kube.patch(LEASE, namespace, name, {"spec": spec})
        except NotFound:
            await self._create(runner, namespace, name, spec)

    async def _create(
        self, runner: Runner, namespace: str, name: str, spec: dict[str, Any]
    ) -> None:
        owner = {
            "apiVersion": RUNNER.api_version,
            "kind": RUNNER.kind,
            "name": runner.metadata.name,
            "uid": runner.metadata.uid,
        }
        manifest = {
            "apiVersion": LEASE.api_version,
            "kind": LEASE.kind,
            "metadata": {"name": name, "namespace": namespace, "ownerReferences": [owner]},
            "spec": spec | {"leaseDurationSeconds": _DURATION_SECONDS},
        }
        with contextlib.suppress(AlreadyExists):
            await self._kube.create(LEASE, namespace, manifest)
