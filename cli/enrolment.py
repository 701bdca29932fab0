"""Join tokens: made here, known to the API server by their hash alone."""

import base64
import hashlib
import secrets
from dataclasses import dataclass, field
from typing import Any, Final

from cli.api import Api
from cli.errors import CommandError, NotAllowed, NotFound
from schemas.names import API_VERSION, CONFIG_MAP, RUNNER_ENROLLMENT, TRUST_BUNDLE

_ALPHABET: Final = "bcdfghjklmnpqrstvwxz2456789"
"""No vowels, nothing that looks alike. Source: the names that Kubernetes generates."""
_MAX_NAME: Final = 57
"""So that the suffix fits into the 63 characters of a name."""


@dataclass(frozen=True, slots=True)
class Ticket:
    """What a runner needs to come in, once."""

    name: str
    """Of the RunnerEnrollment."""
    token: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class Doors:
    """Where an organization's runners and people find the controller, and whom to trust there."""

    enrolment: str
    """host:port, server's certificate only: enrolment, attach."""
    runners: str
    """host:port, mutual TLS."""
    roots: bytes
    """PEM."""

    def pin(self) -> str:
        """Return the digest of the first root's public key, as runners check it."""
        from cryptography import x509  # heavy, and needed for this alone
        from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

        root = x509.load_pem_x509_certificate(self.roots)
        key = root.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
        return f"sha256:{hashlib.sha256(key).hexdigest()}"


def doors(api: Api, organization: str) -> Doors:
    """Return what the trust bundle in the *organization*'s namespace says.

    Raises:
        NotFound: There is no such organization, or the controller has not been there yet.
        NotAllowed: It may not be read.
    """
    try:
        data = api.get(CONFIG_MAP, organization, TRUST_BUNDLE).get("data") or {}
    except NotFound as exc:
        raise NotFound(
            f"the namespace {organization} has no ConfigMap {TRUST_BUNDLE}: it belongs to no "
            "Organization, or the controller does not run"
        ) from exc
    except NotAllowed as exc:
        raise NotAllowed(
            f"you may not get the ConfigMap {TRUST_BUNDLE} in the namespace {organization}, which "
            f"says where the controller is (the ClusterRole agentsmesh-viewer allows it): {exc}"
        ) from exc
    found = Doors(
        str(data.get("publicEndpoint") or ""),
        str(data.get("runnerEndpoint") or ""),
        str(data.get("ca.crt") or "").encode(),
    )
    if not (found.enrolment and found.runners and found.roots):
        raise CommandError(
            f"the ConfigMap {TRUST_BUNDLE} in {organization} is incomplete: "
            "the controller writes it anew when it starts"
        )
    return found


def create(
    api: Api, organization: str, runner: str, *, ttl_seconds: int = 900, replace: bool = False
) -> Ticket:
    """Make a RunnerEnrollment for *runner* and return its token, which is stored nowhere."""
    suffix = "".join(secrets.choice(_ALPHABET) for _ in range(5))
    name = f"{runner[:_MAX_NAME].rstrip('-.')}-{suffix}"
    secret = base64.urlsafe_b64encode(secrets.token_bytes(32)).rstrip(b"=").decode("ascii")
    token = f"amjt_{name}.{secret}"
    spec: dict[str, Any] = {
        "runnerName": runner,
        "ttlSeconds": ttl_seconds,
        "maxUses": 1,
        "tokenHash": hashlib.sha256(token.encode()).hexdigest(),
    }
    if replace:
        spec["replace"] = True
    manifest = {
        "apiVersion": API_VERSION,
        "kind": RUNNER_ENROLLMENT.kind,
        "metadata": {"name": name, "namespace": organization},
        "spec": spec,
    }
    api.create(RUNNER_ENROLLMENT, organization, manifest)
    return Ticket(name, token)
