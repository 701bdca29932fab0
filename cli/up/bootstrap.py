"""What a new mesh gets by itself: an organization, and a runner that is in it."""

import asyncio
import json
import time
from typing import Any, Final

from cli import enrolment
from cli.api import Api, Conflict
from cli.clock import now
from cli.datadir import DataDir, write_private
from cli.errors import CommandError, NotFound, Unreachable
from cli.up.identity import why_not
from cli.up.parts import ORGANIZATION, RUNNER_NAME
from schemas.names import API_VERSION
from schemas.names import ORGANIZATION as ORGANIZATIONS

_POLL_SECONDS: Final = 0.1
_LAST_APPLIED: Final = "kubectl.kubernetes.io/last-applied-configuration"
TOKEN_SECONDS: Final = 900


async def ensure_organization(api: Api, seconds: float) -> str:
    """Make the organization ``default`` if there is none; return its namespace once it is there.

    Raises:
        CommandError: That took too long, or was refused.
    """
    deadline = time.monotonic() + seconds
    while True:
        try:
            return await asyncio.to_thread(_namespace, api)
        except (NotFound, Conflict, Unreachable) as exc:  # its CRD is being installed, or it works
            if time.monotonic() > deadline:
                raise CommandError(
                    f"the Organization {ORGANIZATION} is not there after {seconds:.0f} s: {exc}"
                ) from exc
        await asyncio.sleep(_POLL_SECONDS)


def _namespace(api: Api) -> str:
    try:
        organization = api.get(ORGANIZATIONS, "", ORGANIZATION)
    except NotFound:
        organization = api.create(ORGANIZATIONS, "", _organization(api.whoami()))
    namespace = str((organization.get("status") or {}).get("namespace") or "")
    if not namespace:
        raise NotFound("the controller has not made its namespace")
    return namespace


def _organization(owner: str) -> dict[str, Any]:
    subject = {"kind": "User", "name": owner or "kubernetes-admin"}
    manifest: dict[str, Any] = {
        "apiVersion": API_VERSION,
        "kind": ORGANIZATIONS.kind,
        "metadata": {"name": ORGANIZATION},
        "spec": {"members": [{"subject": subject, "role": "owner"}]},
    }
    # As `kubectl create --save-config` does: a later `kubectl apply` merges without a warning.
    manifest["metadata"]["annotations"] = {_LAST_APPLIED: json.dumps(manifest)}
    return manifest


async def find_doors(api: Api, organization: str, seconds: float) -> enrolment.Doors:
    """Return where the controller serves and whom to trust there, once it has written it.

    Raises:
        CommandError: That took too long.
    """
    deadline = time.monotonic() + seconds
    while True:
        try:
            return await asyncio.to_thread(enrolment.doors, api, organization)
        except CommandError:
            if time.monotonic() > deadline:
                raise
        await asyncio.sleep(_POLL_SECONDS)


def ensure_enrolled(directory: DataDir, api: Api, organization: str, roots: bytes) -> str:
    """Put a join token where the runner looks for it, if it needs one; return why it needs one.

    Raises:
        CommandError: The API server did not answer or refused.
    """
    reason = why_not(directory.of("runner") / "identity", roots, api, organization, now())
    if not reason or _token_is_fresh(directory):
        return ""
    ticket = enrolment.create(
        api, organization, RUNNER_NAME, ttl_seconds=TOKEN_SECONDS, replace=True
    )
    write_private(directory.join_token, f"{ticket.token}\n".encode("ascii"))
    return reason


def _token_is_fresh(directory: DataDir) -> bool:
    """Return whether a token waits to be used that the controller would still take."""
    try:
        made = directory.join_token.stat().st_mtime
    except OSError:
        return False
    return 0 <= now() - made < TOKEN_SECONDS / 2
