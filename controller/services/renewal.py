"""Replaces a runner's certificate before it ends, and notices keys that are in two places."""

import logging
from collections.abc import Callable
from typing import NoReturn

import grpc

from controller.pki.identity import RunnerCertificate
from controller.pki.leaf import key_sha256
from controller.rpc.ports import Recorder, Subject
from controller.rpc.refusal import refuse
from controller.services.csr import public_key_of
from controller.services.issuing import Grant, Issuer
from schemas.names import RUNNER
from schemas.runner import Certificate, Runner

logger = logging.getLogger(__name__)


class Renewal:
    """Renews certificates for runners that were admitted with the one they have."""

    def __init__(
        self, issuer: Issuer, recorder: Recorder, in_use: Callable[[str, str], bool]
    ) -> None:
        self._issuer = issuer
        self._in_use = in_use
        """Whether the runner with this uid has come with the certificate of this serial."""
        self._recorder = recorder

    async def renew(
        self, caller: RunnerCertificate, csr_der: bytes, wall_clock_unix_ms: int
    ) -> Grant:
        """Return a certificate for the new key of the request.

        A caller whose last renewal was answered into the void comes with the certificate before it,
        and nobody with the new one: it is answered again. Once somebody has used the new one, a
        caller with the old one and another key is a copy.

        Raises:
            Refusal: With one sentence.
            Stalled: The CA cannot sign.
            KubeError: The API server cannot be asked; the same key may try again.
        """
        self._issuer.check_skew(wall_clock_unix_ms)
        key = public_key_of(csr_der)
        digest = key_sha256(key)
        if digest == caller.public_key_sha256:
            refuse(
                grpc.StatusCode.INVALID_ARGUMENT, "make a new key for every renewal", "KeyReused"
            )
        runner = await self._issuer.read(caller.namespace, caller.name)
        if runner is None or runner.metadata.uid != caller.uid:
            refuse(
                grpc.StatusCode.PERMISSION_DENIED,
                f"Runner {caller.namespace}/{caller.name} with this uid does not exist: enrol it "
                "again",
            )
        current = runner.status.certificate
        if current is not None and current.serial == caller.serial:
            await self._issuer.refuse_foreign_key(digest, caller.namespace, caller.name)
            return await self._issuer.issue(runner, key, previous=current)
        if current is None:
            self._refuse_copy(caller)
        if current.public_key_sha256 != digest:
            if self._in_use(caller.uid, current.serial):
                self._refuse_copy(caller)
            await self._issuer.refuse_foreign_key(digest, caller.namespace, caller.name)
        return await self._issuer.issue(runner, key, previous=_presented(runner, caller))

    def _refuse_copy(self, caller: RunnerCertificate) -> NoReturn:
        self._recorder.event(
            Subject(RUNNER, caller.namespace, caller.name, caller.uid),
            warning=True,
            reason="SupersededCertificate",
            message="A renewal was asked for with a certificate that was renewed before. If no "
            "backup of the runner was restored, its key was copied: set spec.minIssuedAt and enrol "
            "it again.",
        )
        logger.warning(
            "renewal with an old certificate refused",
            extra={"runner": f"{caller.namespace}/{caller.name}"},
        )
        refuse(
            grpc.StatusCode.PERMISSION_DENIED,
            "the certificate was renewed before, with another key: enrol the runner again",
            "Superseded",
        )


def _presented(runner: Runner, caller: RunnerCertificate) -> Certificate | None:
    """Return the record of the certificate that the caller holds."""
    previous = runner.status.previous_certificate
    return previous if previous is not None and previous.serial == caller.serial else None
