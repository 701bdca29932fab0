"""Makes the certificates at the end of the chain: of runners (clients) and of our own ports.

Of a signing request nothing is used but its public key: names, usages and lifetime are ours.
"""

import hashlib
import ipaddress
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.x509.oid import ExtendedKeyUsageOID

from controller.pki.errors import RefusedCsr, Stalled
from controller.pki.signer import BACKDATE, Signer, authority_key, random_serial

MAX_CSR_BYTES: Final = 8 * 1024
ISSUER_MARGIN: Final = timedelta(minutes=1)
"""A leaf ends this much before its issuer."""

PublicKey = ec.EllipticCurvePublicKey | rsa.RSAPublicKey
"""Keys that the TLS of gRPC takes from a client. It refuses Ed25519 in the handshake."""

_CURVES: Final = frozenset({"secp256r1", "secp384r1"})
_RSA_BITS: Final = range(3072, 8193)  # longer ones only cost us time
_LEAF_USAGE: Final = x509.KeyUsage(
    digital_signature=True,
    content_commitment=False,
    key_encipherment=False,
    data_encipherment=False,
    key_agreement=False,
    key_cert_sign=False,
    crl_sign=False,
    encipher_only=False,
    decipher_only=False,
)


@dataclass(frozen=True, slots=True)
class Issued:
    """A certificate that was just signed, with what is recorded of it."""

    certificate: x509.Certificate
    chain_der: tuple[bytes, ...]
    """Leaf first, without the root."""
    issued_at: datetime

    @property
    def serial(self) -> str:
        """The serial number as it is recorded: lower-case hexadecimal."""
        return serial_text(self.certificate)

    @property
    def fingerprint(self) -> str:
        """SHA-256 of the certificate, hexadecimal."""
        return self.certificate.fingerprint(hashes.SHA256()).hex()

    @property
    def public_key_sha256(self) -> str:
        """SHA-256 of its public key, hexadecimal."""
        return spki_sha256(self.certificate)


def serial_text(certificate: x509.Certificate) -> str:
    """Return the serial number in the one form in which it is compared."""
    return f"{certificate.serial_number:032x}"


def spki_sha256(holder: x509.Certificate | x509.CertificateSigningRequest) -> str:
    """Return the SHA-256 of the holder's SubjectPublicKeyInfo, hexadecimal."""
    spki = holder.public_key().public_bytes(
        serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    return hashlib.sha256(spki).hexdigest()


def read_csr(csr_der: bytes) -> PublicKey:
    """Return the public key of a request whose sender has shown to hold the private one.

    Raises:
        RefusedCsr: Too long, not a request, not signed by its key, or the key is weak.
    """
    if len(csr_der) > MAX_CSR_BYTES:
        raise RefusedCsr(f"the certificate signing request is longer than {MAX_CSR_BYTES} bytes")
    try:
        csr = x509.load_der_x509_csr(csr_der)
        key = csr.public_key()
        signed = csr.is_signature_valid
    except (ValueError, TypeError, UnsupportedAlgorithm) as exc:
        raise RefusedCsr("the certificate signing request cannot be read") from exc
    if not signed:
        raise RefusedCsr("the certificate signing request is not signed by its own key")
    return _strong(key)


def _strong(key: object) -> PublicKey:
    match key:
        case ec.EllipticCurvePublicKey() if key.curve.name in _CURVES:
            return key
        case rsa.RSAPublicKey() if key.key_size in _RSA_BITS:
            return key
        case _:
            raise RefusedCsr(
                "the key of the certificate signing request must be P-256, P-384 or RSA of 3072 to "
                "8192 bits"
            )


def key_sha256(key: PublicKey) -> str:
    """Return the SHA-256 of the key's SubjectPublicKeyInfo, hexadecimal."""
    spki = key.public_bytes(
        serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    return hashlib.sha256(spki).hexdigest()


def sign_runner(
    issuer: Signer, key: PublicKey, identity: str, *, now: datetime, lifetime: timedelta
) -> Issued:
    """Return a client certificate whose only name is the URI *identity*.

    Raises:
        Stalled: The issuer has too little time left to sign anything.
    """
    names = x509.SubjectAlternativeName([x509.UniformResourceIdentifier(identity)])
    usage = x509.ExtendedKeyUsage([ExtendedKeyUsageOID.CLIENT_AUTH])
    return _sign(issuer, key, names, usage, now, lifetime)


def sign_server(
    issuer: Signer, key: PublicKey, hosts: Iterable[str], *, now: datetime, lifetime: timedelta
) -> Issued:
    """Return a server certificate for the hosts: DNS names and IP addresses.

    Raises:
        Stalled: The issuer has too little time left to sign anything.
    """
    names = x509.SubjectAlternativeName([general_name(host) for host in hosts])
    usage = x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH])
    return _sign(issuer, key, names, usage, now, lifetime)


def general_name(host: str) -> x509.GeneralName:
    """Return the host as it stands in a certificate: an IP address if it is one, else DNS."""
    try:
        return x509.IPAddress(ipaddress.ip_address(host))
    except ValueError:
        return x509.DNSName(host)


def _sign(
    issuer: Signer,
    key: PublicKey,
    names: x509.SubjectAlternativeName,
    usage: x509.ExtendedKeyUsage,
    now: datetime,
    lifetime: timedelta,
) -> Issued:
    not_after = min(now + lifetime, issuer.certificate.not_valid_after_utc - ISSUER_MARGIN)
    if not_after <= now:
        raise Stalled("the issuing certificate has expired and could not be renewed")
    builder = (
        x509.CertificateBuilder(
            subject_name=x509.Name([]),
            issuer_name=issuer.certificate.subject,
            serial_number=random_serial(),
        )
        .public_key(key)
        .not_valid_before(now - BACKDATE)
        .not_valid_after(not_after)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(_LEAF_USAGE, critical=True)
        .add_extension(usage, critical=False)
        .add_extension(names, critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key), critical=False)
        .add_extension(authority_key(issuer), critical=False)
    )
    certificate = builder.sign(issuer.key, hashes.SHA256())
    chain = tuple(
        one.public_bytes(serialization.Encoding.DER) for one in (certificate, issuer.certificate)
    )
    return Issued(certificate, chain, now)
