"""Who a client certificate says that its holder is. TLS has verified the chain; the rest is here.

Source: SPIFFE X.509-SVID, sections 2 and 5: exactly one URI SAN.
"""

import re
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from cryptography import x509
from cryptography.x509.oid import ExtendedKeyUsageOID

from controller.pki.errors import RefusedCert
from controller.pki.leaf import serial_text, spki_sha256
from controller.pki.signer import BACKDATE

_LABEL: Final = r"[a-z0-9](?:[-a-z0-9]{0,61}[a-z0-9])?"
_IDENTITY: Final = re.compile(
    rf"spiffe://(?P<domain>[a-z0-9.-]{{1,255}})/ns/(?P<namespace>{_LABEL})"
    rf"/runner/(?P<name>{_LABEL})/(?P<uid>[A-Za-z0-9-]{{1,64}})"
)


@dataclass(frozen=True, slots=True)
class RunnerCertificate:
    """The part of a runner's certificate that decides what it may do."""

    namespace: str
    name: str
    uid: str
    serial: str
    """Lower-case hexadecimal, as in Runner.status.certificate.serial."""
    public_key_sha256: str
    not_before: datetime
    not_after: datetime

    @property
    def issued_at(self) -> datetime:
        """When it was issued: certificates are backdated by a fixed time."""
        return self.not_before + BACKDATE


def runner_identity(trust_domain: str, namespace: str, name: str, uid: str) -> str:
    """Return the SPIFFE id of a runner."""
    return f"spiffe://{trust_domain}/ns/{namespace}/runner/{name}/{uid}"


def read_certificate(pem: bytes, trust_domain: str) -> RunnerCertificate:
    """Return who the certificate is for.

    Raises:
        RefusedCert: It does not name a runner of this trust domain, and nothing else.
    """
    try:
        certificate = x509.load_pem_x509_certificate(pem)
        names = _names(certificate)
        _must_be_client(certificate)
    except ValueError as exc:
        raise RefusedCert("the client certificate cannot be read") from exc
    found = _IDENTITY.fullmatch(names)
    if found is None or found["domain"] != trust_domain:
        raise RefusedCert(f"the client certificate names no runner of {trust_domain}")
    return RunnerCertificate(
        namespace=found["namespace"],
        name=found["name"],
        uid=found["uid"],
        serial=serial_text(certificate),
        public_key_sha256=spki_sha256(certificate),
        not_before=certificate.not_valid_before_utc,
        not_after=certificate.not_valid_after_utc,
    )


def _names(certificate: x509.Certificate) -> str:
    """Return the only name, which must be a URI."""
    try:
        found = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName)
    except x509.ExtensionNotFound as exc:
        raise RefusedCert("the client certificate has no subject alternative name") from exc
    names = list(found.value)
    if len(names) != 1 or not isinstance(names[0], x509.UniformResourceIdentifier):
        raise RefusedCert("the client certificate must have exactly one name, a URI")
    return names[0].value


def _must_be_client(certificate: x509.Certificate) -> None:
    try:
        usages = certificate.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
        constraints = certificate.extensions.get_extension_for_class(x509.BasicConstraints).value
    except x509.ExtensionNotFound as exc:
        raise RefusedCert("the client certificate does not say what it is for") from exc
    if list(usages) != [ExtendedKeyUsageOID.CLIENT_AUTH] or constraints.ca:
        raise RefusedCert("the client certificate is not one for clients alone")
