"""Reads and writes a CA key pair as it lies in a Secret, and says in a sentence what is wrong."""

import base64
import binascii
from datetime import datetime
from typing import Any, Final

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec

from controller.pki.errors import Stalled
from controller.pki.signer import Signer
from schemas.names import CONTROLLER_NAMESPACE, FIELD_MANAGER, LABEL_MANAGED_BY

CERTIFICATE: Final = "tls.crt"
KEY: Final = "tls.key"


def manifest_of(name: str, signer: Signer) -> dict[str, Any]:
    """Return the Secret that holds the signer."""
    return {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {
            "name": name,
            "namespace": CONTROLLER_NAMESPACE,
            "labels": {LABEL_MANAGED_BY: FIELD_MANAGER},
        },
        "type": "Opaque",
        "data": data_of(signer),
    }


def data_of(signer: Signer) -> dict[str, str]:
    """Return the ``data`` of the Secret that holds the signer."""
    return {
        CERTIFICATE: base64.b64encode(signer.certificate_pem()).decode(),
        KEY: base64.b64encode(signer.key_pem()).decode(),
    }


def signer_of(secret: dict[str, Any]) -> Signer:
    """Return the signer that the Secret holds.

    Raises:
        Stalled: A part is missing or damaged, or the two parts do not belong together.
    """
    name = secret["metadata"]["name"]
    pem = _part(secret, name, CERTIFICATE)
    key_pem = _part(secret, name, KEY)
    try:
        certificate = x509.load_pem_x509_certificate(pem)
        constraints = certificate.extensions.get_extension_for_class(x509.BasicConstraints).value
    except (ValueError, x509.ExtensionNotFound) as exc:
        raise _damaged(name, f"{CERTIFICATE} is not the certificate of a CA") from exc
    try:
        key = serialization.load_pem_private_key(key_pem, password=None)
    except (ValueError, TypeError, UnsupportedAlgorithm):
        # not chained: nothing that a parser says of a private key is passed on
        raise _damaged(name, f"{KEY} is not a private key") from None
    if not isinstance(key, ec.EllipticCurvePrivateKey):
        raise _damaged(name, f"{KEY} is not an elliptic curve key")
    if key.public_key() != certificate.public_key():
        raise _damaged(name, f"{KEY} does not belong to {CERTIFICATE}")
    if not constraints.ca:
        raise _damaged(name, f"{CERTIFICATE} is not the certificate of a CA")
    return Signer(certificate, key)


def check_root(name: str, root: Signer, now: datetime) -> None:
    """Check that the root can be trusted now.

    Raises:
        Stalled: It is not self-signed, or not valid at *now*.
    """
    try:
        root.certificate.verify_directly_issued_by(root.certificate)
    except (ValueError, TypeError, InvalidSignature) as exc:
        raise _damaged(name, f"{CERTIFICATE} is not signed by itself") from exc
    if root.certificate.not_valid_after_utc <= now:
        raise Stalled(
            f"the root of the CA (Secret {CONTROLLER_NAMESPACE}/{name}) expired at "
            f"{root.certificate.not_valid_after_utc:%Y-%m-%d %H:%M} UTC: to begin anew delete the "
            "CA's Secrets and the Runners, then enrol them again"
        )
    _check_begun(name, root, now)


def check_issuing(name: str, issuing: Signer, root: Signer, now: datetime) -> None:
    """Check that the issuing certificate belongs to the root. Its end is not looked at.

    Raises:
        Stalled: It was issued by another root, or begins in the future.
    """
    try:
        issuing.certificate.verify_directly_issued_by(root.certificate)
    except (ValueError, TypeError, InvalidSignature) as exc:
        raise _damaged(name, "its certificate was not issued by the root of this CA") from exc
    _check_begun(name, issuing, now)


def _check_begun(name: str, signer: Signer, now: datetime) -> None:
    begin = signer.certificate.not_valid_before_utc
    if begin > now:
        raise Stalled(
            f"the certificate in Secret {CONTROLLER_NAMESPACE}/{name} is valid from "
            f"{begin:%Y-%m-%d %H:%M} UTC, but the clock of this machine says "
            f"{now:%Y-%m-%d %H:%M} UTC: set the clock"
        )


def _part(secret: dict[str, Any], name: str, key: str) -> bytes:
    encoded = (secret.get("data") or {}).get(key)
    if not encoded:
        raise _damaged(name, f"it has no {key}")
    try:
        return base64.b64decode(encoded, validate=True)
    except (binascii.Error, ValueError) as exc:
        raise _damaged(name, f"its {key} is not base64") from exc


def _damaged(name: str, what: str) -> Stalled:
    return Stalled(
        f"Secret {CONTROLLER_NAMESPACE}/{name} is damaged ({what}): restore it from a backup; "
        "nothing is replaced until then"
    )
