"""Who this runner is: key, certificate chain, roots, and the names that go with them.

The private key is made here and never leaves the machine. A replacement is written whole under
``*.next`` names, made durable, and only then renamed: whenever the machine stops, a matching
pair of key and certificate can be read back, the newest one if it was complete.
"""

import json
import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

_KEY: Final = "key.pem"
_CERT: Final = "cert.pem"
_BUNDLE: Final = "bundle.pem"
_ABOUT: Final = "runner.json"
_PENDING: Final = "enrolling.pem"


@dataclass(frozen=True, slots=True)
class About:
    """The names that the controller gave at enrolment."""

    organization: str
    """Namespace of the Runner."""
    name: str
    uid: str
    spiffe_id: str
    bundle_sequence: int
    """Grows with every change of the roots; an older bundle is never taken over a newer one."""


@dataclass(frozen=True, slots=True)
class Identity:
    """A complete identity, ready for mutual TLS."""

    key_pem: bytes = field(repr=False)
    chain_pem: bytes = field(repr=False)
    """Leaf first."""
    roots_pem: bytes = field(repr=False)
    about: About
    not_before: float
    """Seconds since 1970."""
    not_after: float
    """Seconds since 1970."""

    @property
    def serial(self) -> int:
        """Serial number of the leaf, which tells one certificate from its successor."""
        return x509.load_pem_x509_certificate(self.chain_pem).serial_number


def new_key() -> bytes:
    """Return a new P-256 private key, PEM."""
    key = ec.generate_private_key(ec.SECP256R1())
    return key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )


def signing_request(key_pem: bytes) -> bytes:
    """Return a PKCS #10 request for the key, DER; it names nobody: the server says who we are."""
    key = _private_key(key_pem)
    builder = x509.CertificateSigningRequestBuilder().subject_name(x509.Name([]))
    return builder.sign(key, hashes.SHA256()).public_bytes(serialization.Encoding.DER)


def assemble(
    key_pem: bytes, chain_der: list[bytes], roots_der: list[bytes], about: About
) -> Identity:
    """Return the identity made of what the server answered.

    Raises:
        ValueError: A certificate cannot be read, there is none, or it is not for this key.
    """
    if not chain_der or not roots_der:
        raise ValueError("the controller answered without a certificate or without roots")
    return _identity(key_pem, _pem(chain_der), _pem(roots_der), about)


class IdentityStore:
    """The identity on disk: a directory for its owner alone, files of mode 0600."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        directory.chmod(0o700)

    def load(self) -> Identity | None:
        """Return the newest complete identity, or None; expired ones are returned as well."""
        try:
            raw = json.loads((self._directory / _ABOUT).read_bytes())
            about = About(**raw)
            roots = (self._directory / _BUNDLE).read_bytes()
        except (FileNotFoundError, ValueError, TypeError):
            return None
        found = [
            identity
            for key in self._versions(_KEY)
            for chain in self._versions(_CERT)
            if (identity := _pair(key, chain, roots, about)) is not None
        ]
        return max(found, key=lambda each: each.not_after, default=None)

    def save(self, identity: Identity) -> None:
        """Make the identity the one that ``load`` returns, atomically and durably."""
        about = {name: getattr(identity.about, name) for name in About.__dataclass_fields__}
        self._replace(_ABOUT, json.dumps(about, indent=1).encode())
        self._replace(_BUNDLE, identity.roots_pem)
        self._write(_KEY + ".next", identity.key_pem)
        self._write(_CERT + ".next", identity.chain_pem)
        for name in (_KEY, _CERT):
            (self._directory / (name + ".next")).rename(self._directory / name)
        self._sync_directory()
        (self._directory / _PENDING).unlink(missing_ok=True)

    def save_roots(self, about: About, roots_pem: bytes) -> None:
        """Keep new roots, and the number of their bundle."""
        fields = {name: getattr(about, name) for name in About.__dataclass_fields__}
        self._replace(_BUNDLE, roots_pem)
        self._replace(_ABOUT, json.dumps(fields, indent=1).encode())

    def enrolling_key(self) -> bytes:
        """Return the key to enrol with, PEM; kept until an enrolment succeeds.

        An enrolment whose answer was lost is repeated with the same key, which the server
        recognises; with another key the token would count as replayed.
        """
        path = self._directory / _PENDING
        try:
            key = path.read_bytes()
            _private_key(key)
        except (FileNotFoundError, ValueError):
            key = new_key()
            self._replace(_PENDING, key)
        return key

    def _versions(self, name: str) -> list[bytes]:
        paths = (self._directory / name, self._directory / (name + ".next"))
        return [path.read_bytes() for path in paths if path.is_file()]

    def _replace(self, name: str, content: bytes) -> None:
        self._write(name + ".tmp", content)
        (self._directory / (name + ".tmp")).rename(self._directory / name)
        self._sync_directory()

    def _write(self, name: str, content: bytes) -> None:
        path = self._directory / name
        path.unlink(missing_ok=True)
        fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        with open(fd, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())

    def _sync_directory(self) -> None:
        fd = os.open(self._directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            os.fsync(fd)
        finally:
            os.close(fd)


def pem_of(certificates_der: list[bytes]) -> bytes:
    """Return the certificates as one PEM text.

    Raises:
        ValueError: One of them is no certificate.
    """
    return _pem(certificates_der)


def _pem(certificates_der: list[bytes]) -> bytes:
    return b"".join(
        x509.load_der_x509_certificate(der).public_bytes(serialization.Encoding.PEM)
        for der in certificates_der
    )


def _private_key(key_pem: bytes) -> ec.EllipticCurvePrivateKey:
    key = serialization.load_pem_private_key(key_pem, password=None)
    if not isinstance(key, ec.EllipticCurvePrivateKey):
        raise ValueError("not an elliptic curve key")  # noqa: TRY004  a broken file, not a bug
    return key


def _identity(key_pem: bytes, chain_pem: bytes, roots_pem: bytes, about: About) -> Identity:
    leaf = x509.load_pem_x509_certificate(chain_pem)
    if leaf.public_key() != _private_key(key_pem).public_key():
        raise ValueError("the certificate is not for this runner's key")
    return Identity(
        key_pem,
        chain_pem,
        roots_pem,
        about,
        not_before=leaf.not_valid_before_utc.timestamp(),
        not_after=leaf.not_valid_after_utc.timestamp(),
    )


def _pair(key: bytes, chain: bytes, roots: bytes, about: About) -> Identity | None:
    try:
        return _identity(key, chain, roots, about)
    except ValueError:
        return None
