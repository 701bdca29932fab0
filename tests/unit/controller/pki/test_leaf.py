"""What is signed: our profile, and of the request nothing but a strong key."""

from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import dsa, ec, ed25519, rsa
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from controller.pki.errors import RefusedCsr, Stalled
from controller.pki.leaf import read_csr, sign_runner, sign_server
from controller.pki.signer import new_issuing, new_root

NOW = datetime(2026, 1, 1, 12, tzinfo=UTC)
ROOT = new_root(NOW, timedelta(days=3650))
ISSUER = new_issuing(ROOT, NOW, timedelta(days=90))
DAY = timedelta(days=1)
IDENTITY = "spiffe://agentsmesh.local/ns/acme/runner/laptop/u-1"


def _csr(key: Any, *extensions: x509.ExtensionType, cn: str = "boss") -> bytes:
    builder = x509.CertificateSigningRequestBuilder().subject_name(
        x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, cn)])
    )
    for extension in extensions:
        builder = builder.add_extension(extension, critical=True)
    algorithm = None if isinstance(key, ed25519.Ed25519PrivateKey) else hashes.SHA256()
    return builder.sign(key, algorithm).public_bytes(serialization.Encoding.DER)


def test_nothing_but_the_key_is_taken_from_a_request_that_asks_for_everything() -> None:
    key = ec.generate_private_key(ec.SECP256R1())
    greedy = _csr(
        key,
        x509.SubjectAlternativeName(
            [
                x509.DNSName("controller"),
                x509.UniformResourceIdentifier("spiffe://agentsmesh.local/ns/b/runner/x/u"),
            ]
        ),
        x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]),
        x509.BasicConstraints(ca=True, path_length=3),
    )
    leaf = sign_runner(ISSUER, read_csr(greedy), IDENTITY, now=NOW, lifetime=DAY).certificate
    assert leaf.public_key() == key.public_key()
    assert leaf.subject == x509.Name([])
    names = leaf.extensions.get_extension_for_class(x509.SubjectAlternativeName)
    assert names.critical
    assert list(names.value) == [x509.UniformResourceIdentifier(IDENTITY)]
    usage = leaf.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
    assert list(usage) == [ExtendedKeyUsageOID.CLIENT_AUTH]
    constraints = leaf.extensions.get_extension_for_class(x509.BasicConstraints)
    assert constraints.critical
    assert not constraints.value.ca
    key_usage = leaf.extensions.get_extension_for_class(x509.KeyUsage).value
    assert key_usage.digital_signature
    assert not key_usage.key_cert_sign
    assert leaf.extensions.get_extension_for_class(x509.AuthorityKeyIdentifier)
    assert 120 <= leaf.serial_number.bit_length() <= 128
    assert leaf.not_valid_before_utc == NOW - timedelta(minutes=5)
    assert leaf.not_valid_after_utc == NOW + DAY


def test_a_leaf_ends_a_minute_before_its_issuer() -> None:
    key = ec.generate_private_key(ec.SECP256R1()).public_key()
    late = NOW + timedelta(days=90) - timedelta(hours=1)
    leaf = sign_runner(ISSUER, key, IDENTITY, now=late, lifetime=DAY).certificate
    assert leaf.not_valid_after_utc == NOW + timedelta(days=90) - timedelta(minutes=1)
    with pytest.raises(Stalled):
        sign_runner(ISSUER, key, IDENTITY, now=NOW + timedelta(days=90), lifetime=DAY)


def test_a_server_certificate_has_its_names_and_no_client_usage() -> None:
    key = ec.generate_private_key(ec.SECP256R1()).public_key()
    leaf = sign_server(ISSUER, key, ["mesh.acme.example", "::1"], now=NOW, lifetime=DAY).certificate
    names = leaf.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert list(names) == [x509.DNSName("mesh.acme.example"), x509.IPAddress(ip_address("::1"))]
    usage = leaf.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
    assert list(usage) == [ExtendedKeyUsageOID.SERVER_AUTH]


@pytest.mark.parametrize(
    "key",
    [
        pytest.param(ec.generate_private_key(ec.SECP256R1()), id="P-256"),
        pytest.param(ec.generate_private_key(ec.SECP384R1()), id="P-384"),
        pytest.param(rsa.generate_private_key(65537, 3072), id="RSA of 3072 bits"),
    ],
)
def test_strong_keys_are_taken(key: Any) -> None:
    assert read_csr(_csr(key)) == key.public_key()


def _flipped(der: bytes) -> bytes:
    """Return the request with its last byte, in the signature, changed."""
    return der[:-1] + bytes([der[-1] ^ 1])


@pytest.mark.parametrize(
    "csr",
    [
        pytest.param(_csr(rsa.generate_private_key(65537, 2048)), id="RSA of 2048 bits"),
        pytest.param(_csr(ec.generate_private_key(ec.SECP256K1())), id="another curve"),
        pytest.param(_csr(ec.generate_private_key(ec.SECP521R1())), id="a curve we do not list"),
        pytest.param(_csr(dsa.generate_private_key(2048)), id="DSA"),
        pytest.param(
            _csr(ed25519.Ed25519PrivateKey.generate()), id="Ed25519, which gRPC would not let in"
        ),
        pytest.param(
            _flipped(_csr(ec.generate_private_key(ec.SECP256R1()))), id="signature of another"
        ),
        pytest.param(
            _csr(
                ec.generate_private_key(ec.SECP256R1()),
                x509.SubjectAlternativeName(
                    [x509.DNSName(f"n{i}.example.org") for i in range(600)]
                ),
            ),
            id="longer than 8 KiB",
        ),
        pytest.param(b"", id="nothing"),
        pytest.param(b"-----BEGIN CERTIFICATE REQUEST-----", id="no DER"),
    ],
)
def test_weak_broken_and_oversized_requests_are_refused(csr: bytes) -> None:
    with pytest.raises(RefusedCsr):
        read_csr(csr)
