"""Reads what opens a Repository from the Secret that it names."""

from typing import Any, Protocol

from gitaccess.credentials import Credentials
from schemas.names import Resource
from schemas.repository import Repository


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
    raise NotImplementedError
