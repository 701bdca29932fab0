"""Makes the request by which a webhook is told something: signed with what its Secret holds."""

import base64
import binascii
import hashlib
import hmac
from typing import Any, Final, Protocol

from controller.kube.errors import NotFound
from controller.services.notification_sender import Request
from controller.store.notification_rows import Notification
from schemas.names import SECRET, Resource
from schemas.organization import Organization, Webhook

SIGNATURE: Final = "X-AgentsMesh-Signature-256"
DELIVERY: Final = "X-AgentsMesh-Delivery"
"""The same for each try of the same: who sees it again was told before."""
EVENT: Final = "X-AgentsMesh-Event"


class Objects(Protocol):
    """What is needed of the API client."""

    async def get(self, resource: Resource, namespace: str, name: str) -> dict[str, Any]:
        """Return the object."""
        ...


class SecretError(Exception):
    """The webhook's Secret cannot be used; the text says why, without what is in it."""


class Requests:
    """Reads Secrets when they are needed, and keeps nothing of them."""

    def __init__(self, objects: Objects) -> None:
        self._objects = objects

    async def of(self, organization: Organization, webhook: Webhook, each: Notification) -> Request:
        """Return what is posted.

        Raises:
            SecretError: The webhook's Secret cannot be used.
            KubeError: The API server cannot be asked.
        """
        body = each.body.encode()
        headers = {
            "Content-Type": "application/json",
            "User-Agent": "AgentsMesh",
            EVENT: each.event,
            DELIVERY: each.notification_id,
        }
        headers |= await self._secret(organization, webhook, body)
        return Request(webhook.url, headers, body)

    async def _secret(
        self, organization: Organization, webhook: Webhook, body: bytes
    ) -> dict[str, str]:
        """Return the headers that follow from the webhook's Secret.

        Raises:
            SecretError: It cannot be used: then nothing is sent, rather than without a signature.
        """
        if webhook.secret_ref is None:
            return {}
        name = webhook.secret_ref.name
        try:
            found = await self._objects.get(SECRET, organization.namespace, name)
        except NotFound:
            raise SecretError(f"its Secret {name} does not exist") from None
        data = found.get("data") or {}
        key, authorization = (_decoded(data.get(each), name) for each in ("key", "authorization"))
        if not key and not authorization:
            raise SecretError(f"its Secret {name} has neither key nor authorization")
        headers = {}
        if key:
            signature = hmac.new(key, body, hashlib.sha256).hexdigest()
            headers[SIGNATURE] = f"sha256={signature}"
        if authorization:
            text = authorization.decode("latin-1").rstrip("\r\n")
            if not text.isprintable() or not text.isascii():
                raise SecretError(f"authorization in its Secret {name} is no line of text")
            headers["Authorization"] = text
        return headers


def _decoded(text: str | None, name: str) -> bytes:
    try:
        return base64.b64decode(text or "", validate=True)
    except binascii.Error:
        raise SecretError(f"its Secret {name} is not what a Secret is") from None
