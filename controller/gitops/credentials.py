"""Reads what opens a Repository from the Secret that it names."""

import base64
import binascii
from collections.abc import Mapping
from typing import Any, Final, Protocol

from controller.gitops.remote import SECRET_INVALID, SECRET_NOT_FOUND, RefusedError
from controller.kube.errors import NotFound
from gitaccess.credentials import Credentials
from schemas.names import SECRET, Resource
from schemas.repository import Repository

_KEYS: Final = {
    "username": ("username",),
    "password": ("password", "token"),
    "ssh_key": ("ssh-privatekey",),
    "known_hosts": ("known_hosts",),
    "ca_certificates": ("ca.crt",),
}
"""Fields of Credentials, and the keys of the Secret that hold them: the first that is there."""
_ONE_LINE: Final = frozenset({"username", "password"})


class Objects(Protocol):
    """What is needed of ``controller.kube.client.Kube``."""

    async def get(self, resource: Resource, namespace: str, name: str) -> dict[str, Any]:
        """Return the object.

        Raises:
            NotFound: It does not exist.
            KubeError: The API server cannot be asked.
        """
        ...


async def read_credentials(
    objects: Objects, namespace: str, repository: Repository
) -> Credentials | None:
    """Return what the Secret of ``spec.authSecretRef`` holds; None if none is named.

    Raises:
        RefusedError: ``SecretNotFound`` or ``SecretInvalid``.
        KubeError: The API server cannot be asked.
    """
    reference = repository.spec.auth_secret_ref
    if reference is None:
        return None
    try:
        secret = await objects.get(SECRET, namespace, reference.name)
    except NotFound:
        raise RefusedError(
            SECRET_NOT_FOUND,
            f"Secret {reference.name} (authSecretRef of the Repository) does not exist: create it",
        ) from None
    return _credentials(secret.get("data") or {}, reference.name)


def _credentials(data: Mapping[str, str], name: str) -> Credentials:
    found = {}
    for field, keys in _KEYS.items():
        key = next((key for key in keys if data.get(key)), None)
        if key is not None:
            text = _text(data[key], f"{key} in Secret {name}")
            # a line end comes from an editor or echo; neither HTTP nor git knows one in them
            found[field] = text.rstrip("\r\n") if field in _ONE_LINE else text
    return Credentials(**found)


def _text(encoded: str, what: str) -> str:
    try:
        text = base64.b64decode(encoded, validate=True).decode()
    except (binascii.Error, UnicodeDecodeError):
        text = "\0"
    if "\0" in text:  # not chained: what a decoder quotes is a secret
        raise RefusedError(SECRET_INVALID, f"{what} is not text: put its text into the Secret")
    return text
