"""Makes the certificates of the CA itself: a root for ten years, an issuing one for ninety days."""

import secrets
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

BACKDATE: Final = timedelta(minutes=5)
"""Leaves begin this much before they were issued: clocks of laptops differ."""
CA_BACKDATE: Final = timedelta(days=2)
"""Where a clock was ahead when the CA was made, and is set right, things go on."""

CA_USAGE: Final = x509.KeyUsage(
    digital_signature=False,
    content_commitment=False,
    key_encipherment=False,
    data_encipherment=False,
    key_agreement=False,
    key_cert_sign=True,
    crl_sign=True,
    encipher_only=False,
    decipher_only=False,
)


@dataclass(frozen=True, slots=True)
class Signer:
    """A CA certificate with its private key."""

    certificate: x509.Certificate
    key: ec.EllipticCurvePrivateKey

    def certificate_pem(self) -> bytes:
        """Return the certificate alone."""
        return self.certificate.public_bytes(serialization.Encoding.PEM)

    def key_pem(self) -> bytes:
        """Return the private key, not encrypted: it goes into a Secret."""
        return private_pem(self.key)


def private_pem(key: ec.EllipticCurvePrivateKey) -> bytes:
    """Return the private key as PKCS #8, not encrypted."""
    return key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )


def new_key() -> ec.EllipticCurvePrivateKey:
    """Return a new P-256 key."""
    return ec.generate_private_key(ec.SECP256R1())


def random_serial() -> int:
    """Return a positive random number of 127 bits with the highest one set: never shortened."""
    return secrets.randbits(127) | (1 << 126)


def new_root(now: datetime, lifetime: timedelta) -> Signer:
    """Return a new self-signed root."""
    key = new_key()
    serial = random_serial()
    name = _name("AgentsMesh root", serial)
    builder = (
        x509.CertificateBuilder(subject_name=name, issuer_name=name, serial_number=serial)
        .public_key(key.public_key())
        .not_valid_before(now - CA_BACKDATE)
        .not_valid_after(now + lifetime)
        .add_extension(x509.BasicConstraints(ca=True, path_length=1), critical=True)
        .add_extension(CA_USAGE, critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
    )
    return Signer(builder.sign(key, hashes.SHA256()), key)


def new_issuing(root: Signer, now: datetime, lifetime: timedelta) -> Signer:
    """Return a new certificate that may sign leaves only; it ends no later than the root."""
    key = new_key()
    serial = random_serial()
    builder = (
        x509.CertificateBuilder(
            subject_name=_name("AgentsMesh issuing", serial),
            issuer_name=root.certificate.subject,
            serial_number=serial,
        )
        .public_key(key.public_key())
        .not_valid_before(max(now - CA_BACKDATE, root.certificate.not_valid_before_utc))
        .not_valid_after(min(now + lifetime, root.certificate.not_valid_after_utc))
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(CA_USAGE, critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .add_extension(authority_key(root), critical=False)
    )
    return Signer(builder.sign(root.key, hashes.SHA256()), key)


def authority_key(issuer: Signer) -> x509.AuthorityKeyIdentifier:
    """Return the extension that names the issuer's key."""
    own = issuer.certificate.extensions.get_extension_for_class(x509.SubjectKeyIdentifier)
    return x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(own.value)


def _name(what: str, serial: int) -> x509.Name:
    """Name a CA uniquely, so that two of them are never mistaken for each other in a chain."""
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, f"{what} {serial:032x}"[:60])])
