"""Turns a pin into the one root certificate that the enrolment may trust.

A join token goes only to a server that proved itself: the server shows its chain up to the
root, the root's public key must hash to the pin, and the chain must verify against exactly
that root. The root alone is then what the enrolment's connection trusts.
"""

import asyncio
import hashlib
import hmac
import re
import socket
import ssl
from typing import Any, Final

from cryptography import x509
from cryptography.hazmat.primitives import serialization

from runner.link.errors import Refused, Unreachable

_TIMEOUT_SECONDS: Final = 10.0
_PIN: Final = re.compile(r"sha256:[0-9a-f]{64}")


def is_pin(text: str) -> bool:
    """Whether the text has the form of a pin: ``sha256:`` and 64 lower-case hex digits."""
    return _PIN.fullmatch(text) is not None


def pin_of(certificate_der: bytes) -> str:
    """Return the pin of a certificate: a hash of its public key, so renewed roots keep it."""
    key = x509.load_der_x509_certificate(certificate_der).public_key()
    spki = key.public_bytes(
        serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    return "sha256:" + hashlib.sha256(spki).hexdigest()


def endpoint_of(endpoint: str) -> tuple[str, int]:
    """Split ``host:port`` or ``[v6]:port``.

    Raises:
        ValueError: It is neither.
    """
    host, colon, port = endpoint.rpartition(":")
    if not colon or not host or not port.isdigit() or not 0 < int(port) < 65536:
        raise ValueError(f"{endpoint!r} is not HOST:PORT")
    return host.removeprefix("[").removesuffix("]"), int(port)


async def pinned_root(endpoint: str, pin: str) -> bytes:
    """Return the PEM of the server's root if it matches the pin and the server's chain verifies.

    Raises:
        Refused: The chain holds no certificate with that pin, or does not verify against it.
        Unreachable: The server does not answer.
    """
    host, port = endpoint_of(endpoint)
    try:
        return await asyncio.to_thread(_pinned_root, host, port, pin)
    except ssl.SSLCertVerificationError as exc:
        raise Refused(
            f"The certificate of {endpoint} does not verify against the pinned root: "
            f"{exc.verify_message}. Check --enroll and --ca-pin."
        ) from exc
    except OSError as exc:
        raise Unreachable(f"{endpoint} does not answer: {exc.strerror or exc}.") from exc


def _pinned_root(host: str, port: int, pin: str) -> bytes:
    looking = ssl.create_default_context()
    looking.check_hostname = False
    looking.verify_mode = ssl.CERT_NONE  # only to look: nothing is sent on this connection
    chain = _chain(host, port, looking)
    roots = [der for der in chain if hmac.compare_digest(pin_of(der), pin)]
    if not roots:
        raise Refused(
            f"{host}:{port} shows no certificate with the pin {pin}: it is not the controller "
            "that the token is for. Check --enroll and --ca-pin."
        )
    pem = ssl.DER_cert_to_PEM_cert(roots[0])
    checking = ssl.create_default_context(cadata=pem)
    _chain(host, port, checking)
    return pem.encode()


def _chain(host: str, port: int, context: ssl.SSLContext) -> list[bytes]:
    context.set_alpn_protocols(["h2"])
    with (
        socket.create_connection((host, port), timeout=_TIMEOUT_SECONDS) as plain,
        context.wrap_socket(plain, server_hostname=host) as secured,
    ):
        if hasattr(secured, "get_unverified_chain"):  # Python 3.13
            return list(secured.get_unverified_chain())
        inner: Any = getattr(secured, "_sslobj")  # noqa: B009  public only from Python 3.13 on
        return [
            ssl.PEM_cert_to_DER_cert(each.public_bytes()) for each in inner.get_unverified_chain()
        ]
