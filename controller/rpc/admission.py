"""Decides whether the holder of a certificate is, at this moment, a runner of ours."""

import logging
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from datetime import datetime, timedelta
from functools import lru_cache
from typing import Final

import grpc

from controller.kube.errors import KubeError, NotFound
from controller.pki.clock import Clock, parse_rfc3339
from controller.pki.errors import RefusedCert
from controller.pki.identity import RunnerCertificate, read_certificate
from controller.rpc.ports import Changes, Objects, Recorder, Registry, Subject
from controller.rpc.refusal import Refusal, refuse
from schemas.names import RUNNER
from schemas.runner import Runner

logger = logging.getLogger(__name__)

PREVIOUS_GRACE: Final = timedelta(hours=1)
"""How long the certificate before the last renewal is still accepted once the new one is in use.

As long as nobody has come with the new one its holder may not have got it: the answer was lost, or
the laptop was closed. Then the old one is good until it expires, or until the new one appears.
"""

_DENIED: Final = grpc.StatusCode.PERMISSION_DENIED
_UNKNOWN: Final = grpc.StatusCode.UNAUTHENTICATED


def read_peer(auth: Mapping[str, Sequence[bytes]], trust_domain: str) -> RunnerCertificate:
    """Return the runner that the connection's certificate names.

    Raises:
        Refusal: No certificate, none of ours, or a TLS version before 1.3.
    """
    versions = [version.decode("ascii", "replace") for version in auth.get("ssl_tls_version", ())]
    if versions != ["TLSv1.3"]:
        refuse(_UNKNOWN, "the connection must use TLS 1.3", "OldTls")
    pems = list(auth.get("x509_pem_cert", ()))
    if len(pems) != 1:
        refuse(_UNKNOWN, "a client certificate is needed: enrol the runner", "NoCertificate")
    try:
        return _certificate(pems[0], trust_domain)
    except RefusedCert as exc:
        raise Refusal(_UNKNOWN, str(exc), "ForeignCertificate") from exc


@lru_cache(maxsize=1024)
def _certificate(pem: bytes, trust_domain: str) -> RunnerCertificate:
    """Return what the certificate says, which never changes: each call of a tool asks."""
    return read_certificate(pem, trust_domain)


def judge(
    certificate: RunnerCertificate, runner: Runner | None, now: datetime, in_use: str | None
) -> Refusal | None:
    """Return why the certificate is refused at *now*, given the Runner as it is, or None.

    *in_use* is the serial with which the runner last came, if that was the one in force.
    """
    if now >= certificate.not_after:
        return Refusal(
            _UNKNOWN, f"the certificate expired at {certificate.not_after:%Y-%m-%d %H:%M:%S} UTC",
            "Expired",
        )  # fmt: skip
    who = f"Runner {certificate.namespace}/{certificate.name}"
    if runner is None or runner.metadata.uid != certificate.uid:
        return Refusal(_DENIED, f"{who} with this uid does not exist: enrol it again", "Unknown")
    if runner.spec.suspend:
        return Refusal(_DENIED, f"{who} is suspended (spec.suspend)", "Banned")
    if runner.spec.min_issued_at and certificate.issued_at < parse_rfc3339(
        runner.spec.min_issued_at
    ):
        text = f"{who} accepts only certificates issued after spec.minIssuedAt: enrol it again"
        return Refusal(_DENIED, text, "Banned")
    return _judge_serial(certificate, runner, now, in_use)


def _judge_serial(
    certificate: RunnerCertificate, runner: Runner, now: datetime, in_use: str | None
) -> Refusal | None:
    current, previous = runner.status.certificate, runner.status.previous_certificate
    if current is not None and current.serial == certificate.serial:
        return None
    who = f"Runner {certificate.namespace}/{certificate.name}"
    if current is None or previous is None or previous.serial != certificate.serial:
        text = f"the certificate is not the one in force of {who}: enrol it again"
        return Refusal(_DENIED, text, "Superseded")
    if in_use == current.serial and now >= parse_rfc3339(current.issued_at) + PREVIOUS_GRACE:
        text = f"the certificate of {who} was replaced more than an hour ago"
        return Refusal(_DENIED, text, "Superseded")
    return None


class Admission:
    """Judges callers by the store, and by the API itself before it refuses one.

    The store may lag behind an enrolment of a moment ago, so a refusal is always confirmed. A ban
    is acted upon as soon as the store has it.
    """

    def __init__(
        self,
        objects: Objects,
        registry: Registry,
        recorder: Recorder,
        *,
        trust_domain: str,
        clock: Clock,
    ) -> None:
        self._objects = objects
        self._registry = registry
        self._recorder = recorder
        self._trust_domain = trust_domain
        self.clock = clock
        self._in_use: dict[str, str] = {}
        """The serial in force with which each runner came last, by its uid."""

    def read(self, auth: Mapping[str, Sequence[bytes]]) -> RunnerCertificate:
        """Return who the connection's certificate names. Raises Refusal."""
        return read_peer(auth, self._trust_domain)

    async def check(self, certificate: RunnerCertificate) -> Refusal | None:
        """Return why the certificate is refused now, or None."""
        known = self._registry.runner(certificate.namespace, certificate.name)
        finding = self._judge(certificate, known)
        if finding is None or finding.reason == "Expired":
            return finding
        try:
            fresh = await self._read(certificate)
        except KubeError as exc:
            logger.warning("runner cannot be looked up", extra={"reason": str(exc)})
            text = f"{finding.message} (the API server cannot be asked at the moment)"
            return Refusal(grpc.StatusCode.UNAVAILABLE, text, finding.reason)
        finding = self._judge(certificate, fresh)
        if finding is not None:
            self._note(certificate, fresh, finding)
        return finding

    def in_use(self, uid: str, serial: str) -> bool:
        """Whether the runner has come with this certificate, so that its holder surely has it."""
        return self._in_use.get(uid) == serial

    def changes(self, certificate: RunnerCertificate) -> AbstractContextManager[Changes]:
        """Listen for changes of the Runner that the certificate names."""
        return self._registry.changes(certificate.namespace, certificate.name)

    def _judge(self, certificate: RunnerCertificate, runner: Runner | None) -> Refusal | None:
        finding = judge(certificate, runner, self.clock(), self._in_use.get(certificate.uid))
        if finding is None and runner is not None:
            current = runner.status.certificate
            if current is not None and current.serial == certificate.serial:
                self._in_use[certificate.uid] = certificate.serial
        elif finding is not None and finding.reason == "Unknown":
            self._in_use.pop(certificate.uid, None)
        return finding

    async def _read(self, certificate: RunnerCertificate) -> Runner | None:
        try:
            found = await self._objects.get(RUNNER, certificate.namespace, certificate.name)
        except NotFound:
            return None
        return Runner.model_validate(found)

    def _note(
        self, certificate: RunnerCertificate, runner: Runner | None, finding: Refusal
    ) -> None:
        """Tell people of a key in two places; the rest they did themselves."""
        logger.warning(
            "caller refused",
            extra={
                "runner": f"{certificate.namespace}/{certificate.name}",
                "reason": finding.reason,
            },
        )
        if runner is None or finding.reason != "Superseded":
            return
        self._recorder.event(
            Subject(RUNNER, certificate.namespace, certificate.name, certificate.uid),
            warning=True,
            reason="SupersededCertificate",
            message="A certificate that was replaced before was presented. If no backup of the "
            "runner was restored, its key was copied: set spec.minIssuedAt and enrol it again.",
        )
