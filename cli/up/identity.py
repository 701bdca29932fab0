"""Whether the local runner can come in with what it has."""

import json
from pathlib import Path
from typing import Any

from cli.api import Api
from cli.errors import NotFound
from schemas.names import RUNNER

_MARGIN_SECONDS = 60.0


def why_not(identity: Path, roots_pem: bytes, api: Api, organization: str, now: float) -> str:
    """Return why the runner whose files are in *identity* needs a join token; empty if it does not.

    Raises:
        CommandError: The API server could not be asked.
    """
    try:
        chain = (identity / "cert.pem").read_bytes()
        about = json.loads((identity / "runner.json").read_bytes())
        uid, name = str(about["uid"]), str(about["name"])
    except (OSError, ValueError, KeyError, TypeError):
        return "it has no certificate"
    if reason := _unusable(chain, roots_pem, now):
        return reason
    try:
        runner = api.get(RUNNER, organization, name)
    except NotFound:
        return f"there is no Runner {name} any more"
    return "" if _uid(runner) == uid else f"the Runner {name} was made anew"


def _uid(manifest: dict[str, Any]) -> str:
    return str((manifest.get("metadata") or {}).get("uid") or "")


def _unusable(chain_pem: bytes, roots_pem: bytes, now: float) -> str:
    from cryptography import x509  # heavy: loaded with the first look
    from cryptography.exceptions import InvalidSignature

    try:
        chain = x509.load_pem_x509_certificates(chain_pem)
        roots = x509.load_pem_x509_certificates(roots_pem)
    except ValueError:
        return "its certificate cannot be read"
    if chain[0].not_valid_before_utc.timestamp() > now:
        return "its certificate is not valid yet: the clock was set back"
    if chain[0].not_valid_after_utc.timestamp() < now + _MARGIN_SECONDS:
        return "its certificate has expired"
    for root in roots:
        try:
            chain[-1].verify_directly_issued_by(root)
        except (ValueError, TypeError, InvalidSignature):
            continue
        return ""
    return "its certificate is from another authority"
