"""Turns a join token and a public key into a Runner with a certificate, exactly once per use.

Order matters: the use is claimed in the enrolment's status by compare-and-swap before anything is
signed, so a crash can lose a use but never allow two. The claim names the key: whoever comes again
with the same key within two minutes gets an answer again, because the first may have been lost.
"""

import asyncio
import hashlib
import logging
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Final

import grpc

from controller.kube.errors import AlreadyExists, Conflict, KubeError, NotFound, OverQuota
from controller.pki.clock import parse_rfc3339, rfc3339
from controller.pki.leaf import key_sha256
from controller.rpc.ports import Objects, Recorder, Subject
from controller.rpc.refusal import Refusal, refuse
from controller.services.contention import attempts
from controller.services.csr import public_key_of
from controller.services.issuing import Grant, Issuer
from controller.services.tokens import is_name, read_token
from schemas.names import RUNNER, RUNNER_ENROLLMENT
from schemas.runner import EnrollmentUse, Runner, RunnerEnrollment

logger = logging.getLogger(__name__)

RETRY_WINDOW: Final = timedelta(minutes=2)
"""How long the holder of the key that claimed a use may ask again."""

_INVALID: Final = (
    "the join token is not valid here: it is unknown, expired or used up; "
    "make a new one with `agentsmesh enroll create`"
)

_NO_ROOM: Final = (
    "the organization has as many runners as it may (spec.quota.runners): delete one, or have it "
    "raised"
)


@dataclass(frozen=True, slots=True)
class Application:
    """What a machine says that wants to become a runner. Nothing of it is believed."""

    namespace: str
    token: str = field(repr=False)
    csr_der: bytes = field(repr=False)
    requested_name: str
    wall_clock_unix_ms: int
    address: str
    """Where it came from, for the record."""


@dataclass(frozen=True, slots=True)
class _Claim:
    """A use of the token that belongs to this key."""

    enrollment: RunnerEnrollment
    runner_name: str
    key_sha256: str
    again: bool
    """Whether the same key claimed it a moment ago."""


class Enrolment:
    """Enrols runners by join token."""

    def __init__(self, objects: Objects, issuer: Issuer, recorder: Recorder) -> None:
        self._objects = objects
        self._issuer = issuer
        self._recorder = recorder
        self._turn = asyncio.Lock()
        """One at a time: whether a key is in use elsewhere is asked before it is recorded."""

    async def enrol(self, application: Application) -> Grant:
        """Return the certificate of the runner that the token stands for.

        Raises:
            Refusal: With one sentence for the caller; the same one for every bad token.
            Stalled: The CA cannot sign.
            KubeError: The API server cannot be asked; the same key may try again.
        """
        enrollment = await self._verified(application)
        self._issuer.check_skew(application.wall_clock_unix_ms)
        key = public_key_of(application.csr_der)
        self._issuer.check_ready()
        async with self._turn:
            claim = await self._claim(enrollment, key_sha256(key), application)
            runner = await self._runner(claim)
            grant = await self._issuer.issue(runner, key, previous=None)
        await self._complete(claim, grant)
        return grant

    async def _verified(self, application: Application) -> RunnerEnrollment:
        """Return the enrolment that the token belongs to. Time and uses are looked at later."""
        token = read_token(application.token)
        if token is None or not is_name(application.namespace):
            raise _invalid(application, "malformed")
        enrollment = await self._read(application.namespace, token.enrollment)
        matches = token.matches(enrollment.spec.token_hash if enrollment else None)
        if enrollment is None or not matches:
            raise _invalid(application, "unknown")
        if enrollment.metadata.deleting:
            raise _invalid(application, "deleted")
        return enrollment

    async def _claim(
        self, enrollment: RunnerEnrollment, key: str, application: Application
    ) -> _Claim:
        """Take one use, or find the one that this key took a moment ago."""
        async for _ in attempts():
            now = self._issuer.clock()
            taken = _recent_use(enrollment, key, now)
            if taken is not None:
                return _Claim(enrollment, taken.runner_name, key, again=True)
            self._refuse_if_over(enrollment, application, now)
            name = _runner_name(enrollment, application.requested_name, key)
            await self._issuer.refuse_foreign_key(key, enrollment.metadata.namespace, name)
            fresh = _Claim(enrollment, name, key, again=False)
            await self._refuse_if_taken(fresh)
            use = EnrollmentUse(
                runner_name=name,
                public_key_sha256=key,
                at=rfc3339(now),
                remote_address=application.address,
            )
            try:
                return await self._write(fresh, (*enrollment.status.uses, use))
            except Conflict:
                enrollment = await self._verified(application)
        raise Refusal(
            grpc.StatusCode.UNAVAILABLE, "the enrolment changes all the time: try again", "Busy"
        )

    async def _write(self, claim: _Claim, uses: tuple[EnrollmentUse, ...]) -> _Claim:
        meta = claim.enrollment.metadata
        patch = {
            "metadata": {"resourceVersion": meta.resource_version},
            "status": {"uses": [use.manifest() for use in uses]},
        }
        written = await self._objects.patch(
            RUNNER_ENROLLMENT, meta.namespace, meta.name, patch, subresource="status"
        )
        enrollment = RunnerEnrollment.model_validate(written)
        return _Claim(enrollment, claim.runner_name, claim.key_sha256, claim.again)

    def _refuse_if_over(
        self, enrollment: RunnerEnrollment, application: Application, now: datetime
    ) -> None:
        meta = enrollment.metadata
        begin = parse_rfc3339(meta.creation_timestamp)
        if now >= begin + timedelta(seconds=enrollment.spec.ttl_seconds):
            reason, text = "TokenExpired", "The join token was presented after it had expired."
        elif len(enrollment.status.uses) >= enrollment.spec.max_uses:
            reason = "TokenReplayed"
            text = "The join token was presented again, with another key, after all its uses."
        else:
            return
        self._recorder.event(
            Subject(RUNNER_ENROLLMENT, meta.namespace, meta.name, meta.uid),
            warning=True,
            reason=reason,
            message=f"{text} The caller's address was {application.address or 'unknown'}.",
        )
        raise _invalid(application, reason)

    async def _runner(self, claim: _Claim) -> Runner:
        """Return the Runner of the claim, made if there is none."""
        namespace = claim.enrollment.metadata.namespace
        async for _ in attempts():
            found = await self._refuse_if_taken(claim)
            if found is not None:
                return found
            manifest = {
                "apiVersion": RUNNER.api_version,
                "kind": RUNNER.kind,
                "metadata": {
                    "name": claim.runner_name,
                    "namespace": namespace,
                    "labels": dict(claim.enrollment.spec.runner_labels or {}),
                },
                "spec": {},
            }
            try:
                created = await self._objects.create(RUNNER, namespace, manifest)
            except AlreadyExists:
                continue
            except OverQuota:
                await self._give_back(claim)
                refuse(grpc.StatusCode.RESOURCE_EXHAUSTED, _NO_ROOM)
            return Runner.model_validate(created)
        raise Refusal(
            grpc.StatusCode.UNAVAILABLE, "the Runner comes and goes all the time: try again"
        )

    async def _refuse_if_taken(self, claim: _Claim) -> Runner | None:
        """Return the Runner if the claim may have it, None if there is none. Raises Refusal."""
        meta = claim.enrollment.metadata
        runner = await self._issuer.read(meta.namespace, claim.runner_name)
        if runner is None:
            return None
        who = f"Runner {meta.namespace}/{claim.runner_name}"
        if runner.metadata.deleting:
            refuse(
                grpc.StatusCode.FAILED_PRECONDITION,
                f"{who} is being deleted: wait for its end",
            )
        if runner.spec.suspend:
            refuse(grpc.StatusCode.PERMISSION_DENIED, f"{who} is suspended (spec.suspend)")
        if not _may_take(runner, claim):
            self._recorder.event(
                Subject(RUNNER, meta.namespace, runner.metadata.name, runner.metadata.uid),
                warning=True,
                reason="EnrolmentRefused",
                message=f"A machine tried to enrol under this name with the token of "
                f"RunnerEnrollment {meta.name}, which does not allow to replace it.",
            )
            refuse(
                grpc.StatusCode.ALREADY_EXISTS,
                f"{who} exists already: choose another name, or make an enrolment for that "
                "runner with spec.replace",
            )
        return runner

    async def _give_back(self, claim: _Claim) -> None:
        """Have a use that this call took count as none: nothing was made or signed for it."""
        if claim.again:
            return
        uses = claim.enrollment.status.uses
        rest = tuple(use for use in uses if use.public_key_sha256 != claim.key_sha256)
        try:
            await self._write(claim, rest)
        except KubeError as exc:
            logger.info("use of a token left without a runner", extra={"reason": str(exc)})

    async def _complete(self, claim: _Claim, grant: Grant) -> None:
        """Add the Runner's uid to the record of the use. Only for people: it may be missing."""
        uses = tuple(
            use.model_copy(update={"runner_uid": grant.runner.uid})
            if use.public_key_sha256 == claim.key_sha256 and not use.runner_uid
            else use
            for use in claim.enrollment.status.uses
        )
        if uses == claim.enrollment.status.uses:
            return
        try:
            await self._write(claim, uses)
        except KubeError as exc:
            logger.info("use of a token left without uid", extra={"reason": str(exc)})

    async def _read(self, namespace: str, name: str) -> RunnerEnrollment | None:
        try:
            found = await self._objects.get(RUNNER_ENROLLMENT, namespace, name)
        except NotFound:
            return None
        return RunnerEnrollment.model_validate(found)


def _invalid(application: Application, reason: str) -> Refusal:
    """Return the one answer to every bad token; the log alone says which it was."""
    logger.warning("join token refused", extra={"reason": reason, "peer": application.address})
    return Refusal(grpc.StatusCode.UNAUTHENTICATED, _INVALID, "InvalidToken")


def _recent_use(enrollment: RunnerEnrollment, key: str, now: datetime) -> EnrollmentUse | None:
    for use in enrollment.status.uses:
        if use.public_key_sha256 == key and now - parse_rfc3339(use.at) <= RETRY_WINDOW:
            return use
    return None


def _runner_name(enrollment: RunnerEnrollment, requested: str, key: str) -> str:
    """Return the name that the runner gets. Raises Refusal."""
    spec = enrollment.spec
    if spec.runner_name is not None:
        if requested not in {"", spec.runner_name}:
            refuse(
                grpc.StatusCode.INVALID_ARGUMENT,
                f"the join token is for the runner {spec.runner_name}: leave the name out or "
                "give that one",
            )
        return spec.runner_name
    prefix = spec.runner_name_prefix or ""
    if not requested and prefix:
        suffix = hashlib.sha256(key.encode()).hexdigest()[:8]
        return f"{prefix.rstrip('-')}-{suffix}"
    if not is_name(requested) or not requested.startswith(prefix):
        rule = f", starting with {prefix}" if prefix else ""
        refuse(
            grpc.StatusCode.INVALID_ARGUMENT,
            f"give the runner a name of at most 63 lower-case letters, digits and dashes{rule}",
        )
    return requested


def _may_take(runner: Runner, claim: _Claim) -> bool:
    """Whether the claim may put a new key on an existing Runner."""
    spec = claim.enrollment.spec
    named = spec.runner_name == runner.metadata.name
    current = runner.status.certificate
    if current is None:
        return named or claim.again  # made beforehand by an administrator, or by us a moment ago
    if claim.again and current.public_key_sha256 == claim.key_sha256:
        return True
    return named and spec.replace
