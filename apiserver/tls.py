"""The server's own certificate authority and serving certificate, kept in the data directory."""

from __future__ import annotations

import ipaddress
import ssl
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from apiserver import clock
from apiserver.auth.tokenfile import write_private

_CA_LIFE: Final = timedelta(days=3650)
_CA_RENEW: Final = timedelta(days=400)
_SERVING_LIFE: Final = timedelta(days=365)
_SERVING_RENEW: Final = timedelta(days=90)
_SKEW: Final = timedelta(days=2)
"""Dated back so far: a clock that was ahead and is set right must not lock everybody out."""

_DNS_NAMES: Final = (
    "localhost",
    "kubernetes",
    "kubernetes.default",
    "kubernetes.default.svc",
)
_ADDRESSES: Final = ("127.0.0.1", "::1")


class ServingCertificate:
    """The files in one directory; `ensure` makes what is missing or about to expire."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._ca_cert = directory / "ca.crt"
        self._ca_key = directory / "ca.key"
        self._cert = directory / "server.crt"
        self._key = directory / "server.key"

    @property
    def ca_pem(self) -> bytes:
        """The certificate that clients have to trust."""
        return self._ca_cert.read_bytes()

    def ensure(self, now: datetime | None = None) -> bool:
        """Make or renew the files where needed; tell whether the serving certificate is new."""
        now = now or clock.now()
        self._directory.mkdir(mode=0o700, exist_ok=True)
        ca_is_new = not _is_good(self._ca_cert, self._ca_key, now + _CA_RENEW)
        if ca_is_new:
            self._make_ca(now)
        if not ca_is_new and _is_good(self._cert, self._key, now + _SERVING_RENEW):
            return False
        self._make_serving(now)
        return True

    def context(self) -> ssl.SSLContext:
        """Return a TLS context that serves with the certificate."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        self.load_into(context)
        return context

    def load_into(self, context: ssl.SSLContext) -> None:
        """Make *context* serve with the certificate as it is now."""
        context.load_cert_chain(self._cert, self._key)

    def _make_ca(self, now: datetime) -> None:
        key = ec.generate_private_key(ec.SECP256R1())
        name = _name("agentsmesh-apiserver-ca")
        usage = x509.KeyUsage(
            digital_signature=True,
            key_cert_sign=True,
            crl_sign=True,
            content_commitment=False,
            key_encipherment=False,
            data_encipherment=False,
            key_agreement=False,
            encipher_only=False,
            decipher_only=False,
        )
        cert = (
            _builder(name, name, key, now, _CA_LIFE)
            .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
            .add_extension(usage, critical=True)
            .add_extension(
                x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False
            )
            .sign(key, hashes.SHA256())
        )
        write_private(self._ca_key, _key_pem(key))
        write_private(self._ca_cert, cert.public_bytes(serialization.Encoding.PEM))

    def _make_serving(self, now: datetime) -> None:
        ca_cert = x509.load_pem_x509_certificate(self._ca_cert.read_bytes())
        ca_key = serialization.load_pem_private_key(self._ca_key.read_bytes(), password=None)
        if not isinstance(ca_key, ec.EllipticCurvePrivateKey):
            raise TypeError(f"{self._ca_key} holds no EC key")
        key = ec.generate_private_key(ec.SECP256R1())
        names: list[x509.GeneralName] = [x509.DNSName(name) for name in _DNS_NAMES]
        names += [x509.IPAddress(ipaddress.ip_address(text)) for text in _ADDRESSES]
        usage = x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH])
        issuer = x509.AuthorityKeyIdentifier.from_issuer_public_key(ca_key.public_key())
        cert = (
            _builder(_name("agentsmesh-apiserver"), ca_cert.subject, key, now, _SERVING_LIFE)
            .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
            .add_extension(x509.SubjectAlternativeName(names), critical=False)
            .add_extension(usage, critical=False)
            .add_extension(issuer, critical=False)
            .sign(ca_key, hashes.SHA256())
        )
        write_private(self._key, _key_pem(key))
        write_private(self._cert, cert.public_bytes(serialization.Encoding.PEM))


def _name(common: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common)])


def _builder(
    subject: x509.Name,
    issuer: x509.Name,
    key: ec.EllipticCurvePrivateKey,
    now: datetime,
    life: timedelta,
) -> x509.CertificateBuilder:
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - _SKEW)
        .not_valid_after(now + life)
    )


def _key_pem(key: ec.EllipticCurvePrivateKey) -> bytes:
    return key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )


def _is_good(cert_path: Path, key_path: Path, until: datetime) -> bool:
    """Tell whether both files exist, belong together and last beyond *until*."""
    if not cert_path.exists() or not key_path.exists():
        return False
    try:
        cert = x509.load_pem_x509_certificate(cert_path.read_bytes())
        key = serialization.load_pem_private_key(key_path.read_bytes(), password=None)
    except (ValueError, TypeError):
        return False
    if not isinstance(key, ec.EllipticCurvePrivateKey) or cert.public_key() != key.public_key():
        return False
    return cert.not_valid_before_utc <= until.astimezone(UTC) < cert.not_valid_after_utc
