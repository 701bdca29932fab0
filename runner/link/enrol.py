"""Enrols this runner: a join token and a pin become an identity."""

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import grpc
from meshwire.v1 import link_pb2

from runner.clock import wall_ms
from runner.link.channel import enrollment, server_only
from runner.link.errors import LinkError, Refused, Unreachable
from runner.link.identity import About, Identity, assemble, signing_request
from runner.link.pin import pinned_root

_TOKEN: Final = re.compile(r"amjt_([a-z0-9]([a-z0-9.-]*[a-z0-9])?)\.([A-Za-z0-9_-]{43})")
_TIMEOUT_SECONDS: Final = 20.0

_TRANSIENT: Final = frozenset(
    {
        grpc.StatusCode.UNAVAILABLE,
        grpc.StatusCode.DEADLINE_EXCEEDED,
        grpc.StatusCode.RESOURCE_EXHAUSTED,
        grpc.StatusCode.ABORTED,
        grpc.StatusCode.CANCELLED,
        grpc.StatusCode.UNKNOWN,
    }
)


@dataclass(frozen=True, slots=True)
class Door:
    """Where and as whom to enrol."""

    endpoint: str
    """host:port of the public port."""
    organization: str
    name: str
    token_file: Path
    pin: str | None
    """``sha256:<hex>`` of the root's public key."""
    ca_file: Path | None
    """The root itself, which is a pin as well."""


def read_token(path: Path) -> str | None:
    """Return the join token in the file, or None when there is no file.

    Raises:
        Refused: The file is readable for others, cannot be read, or holds no join token.
    """
    try:
        mode = path.stat().st_mode
        if mode & 0o077:
            raise Refused(f"The join token file {path} is open to others: chmod 600 it.")
        token = path.read_text(encoding="ascii", errors="replace").strip()
    except FileNotFoundError:
        return None
    except OSError as exc:
        raise Refused(f"The join token file {path} cannot be read: {exc.strerror}.") from exc
    if _TOKEN.fullmatch(token) is None:
        raise Refused(
            f"The file {path} holds no join token: it must be one line, amjt_NAME.SECRET."
        )
    return token


async def enrol(door: Door, token: str, key_pem: bytes, info: link_pb2.RunnerInfo) -> Identity:
    """Return the identity that the controller gives for the token.

    Raises:
        Refused: The pin does not match or the controller says no.
        Unreachable: Nobody answers; the same request may be repeated with the same key.
    """
    roots = await _trusted_root(door)
    matched = _TOKEN.fullmatch(token)
    request = link_pb2.EnrollRequest(
        enrollment=matched.group(1) if matched else "",
        namespace=door.organization,
        token=token,
        csr_der=signing_request(key_pem),
        requested_name=door.name,
        info=info,
        wall_clock_unix_ms=wall_ms(),
    )
    async with server_only(door.endpoint, roots) as channel:
        try:
            answer = await enrollment(channel).Enroll(request, timeout=_TIMEOUT_SECONDS)
        except grpc.aio.AioRpcError as exc:
            raise refusal_of(exc, "enrolment") from exc
    return _identity_of(answer, door, key_pem)


def refusal_of(exc: grpc.aio.AioRpcError, what: str) -> LinkError:
    """Return the error class for a failed call: whether trying again may help."""
    code = exc.code()
    details = " ".join((exc.details() or "").split())[:300]
    if code in _TRANSIENT:
        return Unreachable(f"The {what} did not get through: {details or code.name}.")
    return Refused(f"The controller refused the {what} ({code.name}): {details}")


def _identity_of(answer: link_pb2.EnrollResponse, door: Door, key_pem: bytes) -> Identity:
    about = About(
        organization=door.organization,
        name=answer.spiffe_id.rstrip("/").split("/")[-2] if answer.spiffe_id else door.name,
        uid=answer.runner_uid,
        spiffe_id=answer.spiffe_id,
        bundle_sequence=answer.bundle.sequence,
    )
    try:
        return assemble(key_pem, list(answer.chain_der), list(answer.bundle.roots_der), about)
    except ValueError as exc:
        raise Refused(f"The controller's answer to the enrolment is unusable: {exc}.") from exc


async def _trusted_root(door: Door) -> bytes:
    if door.ca_file is not None:
        try:
            return door.ca_file.read_bytes()
        except OSError as exc:
            raise Refused(f"The CA file {door.ca_file} cannot be read: {exc.strerror}.") from exc
    if door.pin is None:
        raise Refused(
            "Enrolment needs to know whom to trust: give --ca-pin sha256:... or --ca-file FILE."
        )
    return await pinned_root(door.endpoint, door.pin)
