"""Signs a runner's certificate and records it in its Runner before anybody gets to see it."""

import logging
import random
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Final

import grpc

from controller.kube.errors import Conflict, NotFound
from controller.pki.authority import Authority, Bundle
from controller.pki.clock import Clock, rfc3339
from controller.pki.identity import runner_identity
from controller.pki.leaf import Issued, PublicKey
from controller.rpc.ports import Objects, RunnerKey
from controller.rpc.refusal import Refusal, refuse
from controller.services.contention import attempts
from schemas.names import RUNNER
from schemas.runner import Certificate, Runner

logger = logging.getLogger(__name__)

MAX_SKEW: Final = timedelta(minutes=5)
"""Nothing is issued to a machine whose clock differs by more: it could not use it."""


@dataclass(frozen=True, slots=True)
class Grant:
    """What a runner gets."""

    identity: str
    """Its SPIFFE id."""
    runner: RunnerKey
    chain_der: tuple[bytes, ...]
    bundle: Bundle
    renew_after_unix: int
    """When to come again, in seconds since 1970."""


class Issuer:
    """Issues certificates for Runners that exist."""

    def __init__(self, objects: Objects, authority: Authority, clock: Clock) -> None:
        self._objects = objects
        self._authority = authority
        self.clock = clock

    def check_skew(self, wall_clock_unix_ms: int) -> None:
        """Refuse a caller whose clock is more than MAX_SKEW off ours. Raises Refusal."""
        now = self.clock()
        skew_ms = wall_clock_unix_ms - int(now.timestamp() * 1000)
        if abs(skew_ms) <= MAX_SKEW / timedelta(milliseconds=1):
            return
        refuse(
            grpc.StatusCode.FAILED_PRECONDITION,
            f"the clocks differ too much: the runner says {_utc(wall_clock_unix_ms)}, the "
            f"controller {rfc3339(now)}: set the clock of the one that is wrong",
            "ClockSkew",
        )

    def check_ready(self) -> None:
        """Check that something can be issued, before anything is spent on it. Raises Stalled."""
        self._authority.require()

    async def refuse_foreign_key(self, public_key_sha256: str, namespace: str, name: str) -> None:
        """Refuse a key that a Runner other than this one uses. Raises Refusal."""
        async for page in self._objects.pages(RUNNER):
            for manifest in page:
                meta = manifest["metadata"]
                if (meta["namespace"], meta["name"]) == (namespace, name):
                    continue
                if public_key_sha256 in _keys_of(manifest):
                    refuse(
                        grpc.StatusCode.PERMISSION_DENIED,
                        "the key is in use by another runner: make a new key",
                        "KeyInUse",
                    )

    async def issue(self, runner: Runner, key: PublicKey, *, previous: Certificate | None) -> Grant:
        """Sign, record, and return what the runner needs. Safe against a concurrent enrolment.

        *previous* is accepted for a while longer; every other certificate ends now.

        Raises:
            Stalled: The CA cannot sign.
            Refusal: The Runner is gone, is another one, or was issued a certificate meanwhile.
        """
        seen = runner
        async for _ in attempts():
            try:
                return await self._issue(seen, key, previous)
            except Conflict:
                fresh = await self.read(seen.metadata.namespace, seen.metadata.name)
                if fresh is None or not _unchanged(runner, fresh):
                    refuse(
                        grpc.StatusCode.ABORTED,
                        "the Runner was changed or enrolled by somebody else at the same moment",
                    )
                seen = fresh
        raise Refusal(
            grpc.StatusCode.UNAVAILABLE, "the Runner changes all the time: try again", "Busy"
        )

    async def _issue(self, runner: Runner, key: PublicKey, previous: Certificate | None) -> Grant:
        """Sign and record by compare-and-swap against *runner*.

        Raises:
            Stalled: The CA cannot sign.
            Conflict: The Runner changed since it was read: read it again and decide anew.
            Refusal: The Runner is gone.
        """
        where = RunnerKey(runner.metadata.namespace, runner.metadata.name, runner.metadata.uid)
        identity = runner_identity(
            self._authority.settings.trust_domain, where.namespace, where.name, where.uid
        )
        issued = self._authority.sign_runner(key, identity)
        status = {
            "certificate": _record(issued).manifest(),
            "previousCertificate": previous.manifest() if previous else None,
        }
        patch = {
            "metadata": {"resourceVersion": runner.metadata.resource_version},
            "status": status,
        }
        try:
            await self._objects.patch(
                RUNNER, where.namespace, where.name, patch, subresource="status"
            )
        except NotFound:
            refuse(
                grpc.StatusCode.FAILED_PRECONDITION,
                f"Runner {where.namespace}/{where.name} was deleted: enrol it again",
            )
        logger.info(
            "certificate issued",
            extra={"runner": f"{where.namespace}/{where.name}", "serial": issued.serial},
        )
        return Grant(
            identity=identity,
            runner=where,
            chain_der=issued.chain_der,
            bundle=self._authority.bundle(),
            renew_after_unix=_renewal(issued),
        )

    async def read(self, namespace: str, name: str) -> Runner | None:
        """Return the Runner as it is on the API, or None."""
        try:
            return Runner.model_validate(await self._objects.get(RUNNER, namespace, name))
        except NotFound:
            return None


def _unchanged(old: Runner, new: Runner) -> bool:
    """Whether what the decision to issue was based on is still so."""
    return (
        old.metadata.uid == new.metadata.uid
        and old.spec == new.spec
        and old.status.certificate == new.status.certificate
        and old.metadata.deleting == new.metadata.deleting
    )


def _record(issued: Issued) -> Certificate:
    return Certificate(
        serial=issued.serial,
        fingerprint=issued.fingerprint,
        public_key_sha256=issued.public_key_sha256,
        not_before=rfc3339(issued.certificate.not_valid_before_utc),
        not_after=rfc3339(issued.certificate.not_valid_after_utc),
        issued_at=rfc3339(issued.issued_at),
    )


def _renewal(issued: Issued) -> int:
    """Return a moment between half and two thirds of the life, so that a fleet comes spread."""
    life = issued.certificate.not_valid_after_utc - issued.issued_at
    part = random.uniform(1 / 2, 2 / 3)  # noqa: S311 - spreads load, guards nothing
    return int((issued.issued_at + life * part).timestamp())


def _keys_of(manifest: dict[str, Any]) -> set[str]:
    status = manifest.get("status") or {}
    records = (status.get("certificate"), status.get("previousCertificate"))
    return {record.get("publicKeySha256", "") for record in records if record}


def _utc(unix_ms: int) -> str:
    """Return the time for a sentence; a number that is no time stays a number."""
    try:
        return rfc3339(datetime.fromtimestamp(unix_ms / 1000, UTC))
    except (OverflowError, ValueError, OSError):
        return f"{unix_ms} ms since 1970"
