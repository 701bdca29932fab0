"""One controller leads: a Lease that is taken and renewed by compare-and-swap.

``spec.leaseTransitions`` is the controller's epoch: it grows with every change of the leader, and
runners refuse what a lower one says. Deadlines are measured on the monotonic clock: whether the
holder is alive is judged by whether the Lease changes, never by comparing clocks of machines.
"""

import asyncio
import logging
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final, Protocol

from controller.kernel.clock import micro_stamp, wall
from controller.kube.errors import AlreadyExists, Conflict, KubeError, NotFound
from schemas.names import LEASE, Resource

logger = logging.getLogger(__name__)


class Writer(Protocol):
    """What the lease needs of the API client."""

    async def get(self, resource: Resource, namespace: str, name: str) -> dict[str, Any]:
        """Return the object."""
        ...

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


@dataclass(frozen=True, slots=True)
class LeaseSettings:
    """How long leadership lasts."""

    duration_seconds: int = 15
    """A Lease that has not changed for so long is free."""
    renew_seconds: float = 5.0
    """The leader renews this often."""
    deadline_seconds: float = 10.0
    """The leader stops working when no renewal succeeded for so long. Below the duration."""
    retry_seconds: float = 1.0
    """Those who wait look this often."""


class LeadershipLost(Exception):  # noqa: N818 - what happened
    """Another controller leads: stop everything at once."""


_DEFAULT: Final = LeaseSettings()


class Leadership:
    """The controller's Lease: ``acquire`` once, then ``hold`` for as long as we lead.

    *identity* is shared by processes that can never live at the same time, and by no others.
    """

    def __init__(  # noqa: PLR0913 - address and identity, by name
        self,
        kube: Writer,
        *,
        namespace: str,
        name: str,
        identity: str,
        settings: LeaseSettings = _DEFAULT,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._kube = kube
        self._namespace = namespace
        self._name = name
        self._identity = identity
        self._settings = settings
        self._clock = clock
        self._lease: dict[str, Any] = {}
        self._renewed = clock()
        self.epoch = 0
        """Grows with every change of the leader; 0 before we lead."""
        self.sure = asyncio.Event()
        """Set while the last renewal is recent enough."""

    async def acquire(self) -> int:
        """Wait until we lead and return our epoch."""
        seen: tuple[str, str] | None = None
        since = self._clock()
        while True:
            try:
                lease = await self._read()
                version = (str(lease["metadata"].get("uid")), _version(lease))
                if version != seen:
                    seen, since = version, self._clock()
                if self._free(lease, self._clock() - since):
                    await self._take(lease)
                    return self.epoch
            except (Conflict, NotFound):
                pass  # somebody else was faster
            except KubeError as exc:
                logger.warning("waiting for the API server", extra={"reason": str(exc)})
            await asyncio.sleep(self._settings.retry_seconds)

    async def hold(self) -> None:
        """Renew until cancelled. While it is not sure that we still lead, ``sure`` is cleared.

        An API server that does not answer ends nothing by itself: nobody else can be told to lead
        through it, and what we have told runners and the API is fenced by our epoch and by
        resourceVersions. Only the sight of another leader ends it.

        Raises:
            LeadershipLost: Another one leads.
        """
        pause = self._settings.renew_seconds
        while True:
            await asyncio.sleep(pause)
            began = self._clock()
            if await self._renew():
                self._renewed = began  # what counts is when it was sent
                self._become_sure()
                pause = self._settings.renew_seconds
            else:
                pause = min(self._settings.retry_seconds, self._settings.renew_seconds)
            if self._clock() - self._renewed > self._settings.deadline_seconds:
                self._become_unsure()

    async def release(self) -> None:
        """Give the Lease up, so that the next controller need not wait. Never raises."""
        patch: dict[str, Any] = {"spec": {"holderIdentity": "", "renewTime": micro_stamp(wall())}}
        try:
            async with asyncio.timeout(2):
                await self._swap(self._lease, patch)
        except (KubeError, TimeoutError) as exc:
            logger.warning("lease not released", extra={"reason": str(exc)})

    def _become_sure(self) -> None:
        if not self.sure.is_set():
            logger.info("leading again", extra={"reason": "LeaseRenewed"})
            self.sure.set()

    def _become_unsure(self) -> None:
        if self.sure.is_set():
            logger.warning("no key is worked on until the lease is renewed")
            self.sure.clear()

    async def _renew(self) -> bool:
        try:
            patch = {"spec": {"renewTime": micro_stamp(wall())}}
            async with asyncio.timeout(self._settings.deadline_seconds):
                self._lease = await self._swap(self._lease, patch)
        except (Conflict, NotFound):
            await self._refresh()
            return False
        except (KubeError, TimeoutError) as exc:
            logger.warning("lease not renewed", extra={"reason": str(exc) or "no answer"})
            return False
        return True

    async def _refresh(self) -> None:
        """Find out why the Lease is not as we left it."""
        try:
            lease = await self._kube.get(LEASE, self._namespace, self._name)
        except NotFound:
            raise LeadershipLost("the lease was deleted") from None
        except KubeError as exc:
            logger.warning("lease not read", extra={"reason": str(exc)})
            return
        spec = lease.get("spec") or {}
        ours = spec.get("holderIdentity") == self._identity
        if not ours or int(spec.get("leaseTransitions") or 0) != self.epoch:
            raise LeadershipLost(f"{spec.get('holderIdentity') or 'nobody'} holds the lease now")
        self._lease = lease  # it was only labelled, or our answer got lost

    def _free(self, lease: dict[str, Any], unchanged_seconds: float) -> bool:
        spec = lease.get("spec") or {}
        holder = spec.get("holderIdentity")
        duration = float(spec.get("leaseDurationSeconds") or self._settings.duration_seconds)
        # ours: of a predecessor whose directory is locked by us now, and so dead
        return holder in {None, "", self._identity} or unchanged_seconds >= duration

    async def _read(self) -> dict[str, Any]:
        try:
            return await self._kube.get(LEASE, self._namespace, self._name)
        except NotFound:
            return await self._create()

    async def _create(self) -> dict[str, Any]:
        manifest = {
            "apiVersion": LEASE.api_version,
            "kind": LEASE.kind,
            "metadata": {"name": self._name, "namespace": self._namespace},
            "spec": {"leaseDurationSeconds": self._settings.duration_seconds},
        }
        try:
            return await self._kube.create(LEASE, self._namespace, manifest)
        except AlreadyExists:
            return await self._kube.get(LEASE, self._namespace, self._name)

    async def _take(self, lease: dict[str, Any]) -> None:
        began = self._clock()
        epoch = int((lease.get("spec") or {}).get("leaseTransitions") or 0) + 1
        moment = micro_stamp(wall())
        spec = {
            "holderIdentity": self._identity,
            "leaseDurationSeconds": self._settings.duration_seconds,
            "acquireTime": moment,
            "renewTime": moment,
            "leaseTransitions": epoch,
        }
        self._lease = await self._swap(lease, {"spec": spec})
        self._renewed = began
        self.epoch = epoch
        self.sure.set()
        logger.info("leading", extra={"reason": "LeaseAcquired", "change": str(epoch)})

    async def _swap(self, lease: dict[str, Any], patch: dict[str, Any]) -> dict[str, Any]:
        metadata = {"resourceVersion": _version(lease)}
        body = patch | {"metadata": metadata}
        return await self._kube.patch(LEASE, self._namespace, self._name, body)


def _version(lease: dict[str, Any]) -> str:
    return str((lease.get("metadata") or {}).get("resourceVersion") or "")
