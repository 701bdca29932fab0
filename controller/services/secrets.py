"""Hands a runner what git needs for a pod that is placed on it, and nothing else."""

import base64
import binascii
import logging
from typing import Any, Final

import grpc
from meshwire.v1 import link_pb2

from controller.kube.errors import NotFound
from controller.rpc.ports import Objects, Placement, PodPlace, RunnerKey
from controller.rpc.refusal import refuse
from schemas.names import REPOSITORY, SECRET
from schemas.repository import Repository

logger = logging.getLogger(__name__)

_FIELDS: Final = {
    "username": ("username",),
    "password": ("password", "token"),
    "ssh_private_key": ("ssh-privatekey",),
    "known_hosts": ("known_hosts",),
    "ca_bundle": ("ca.crt",),
}
"""What git takes, and the keys of the Secret (kubernetes.io/basic-auth and ssh-auth use the same)
that hold it: the first that is there counts."""
_ONE_LINE: Final = frozenset({"username", "password"})


class GitSecrets:
    """Reads the Secret that a pod's Repository names."""

    def __init__(self, objects: Objects, placement: Placement) -> None:
        self._objects = objects
        self._placement = placement

    async def fetch(self, runner: RunnerKey, ref: link_pb2.PodRef) -> link_pb2.GitCredentials:
        """Return the credentials for the pod's repository; empty if it needs none.

        Raises:
            Refusal: The pod is not on this runner at this epoch, or the Secret cannot be used.
            KubeError: The API server cannot be asked.
        """
        place = self._placement.pod(ref.pod_uid)
        if place is None or place.runner != runner or place.epoch != ref.epoch:
            logger.warning(
                "secrets refused",
                extra={"runner": f"{runner.namespace}/{runner.name}", "reason": "NotPlacedHere"},
            )
            refuse(
                grpc.StatusCode.PERMISSION_DENIED,
                "the pod is not placed on this runner at this epoch",
                "NotPlacedHere",
            )
        if not place.repository:
            return link_pb2.GitCredentials()
        name = await self._secret_name(place)
        if not name:
            return link_pb2.GitCredentials()
        logger.info(
            "git credentials handed out",
            extra={"runner": f"{runner.namespace}/{runner.name}", "key": place.name},
        )
        return _credentials(await self._secret(place.namespace, name), name)

    async def _secret_name(self, place: PodPlace) -> str:
        try:
            found = await self._objects.get(REPOSITORY, place.namespace, place.repository)
        except NotFound:
            refuse(
                grpc.StatusCode.FAILED_PRECONDITION,
                f"Repository {place.repository} does not exist: create it",
            )
        reference = Repository.model_validate(found).spec.auth_secret_ref
        return reference.name if reference else ""

    async def _secret(self, namespace: str, name: str) -> dict[str, Any]:
        try:
            return await self._objects.get(SECRET, namespace, name)
        except NotFound:
            refuse(
                grpc.StatusCode.FAILED_PRECONDITION,
                f"Secret {name} (authSecretRef of the Repository) does not exist: create it",
            )


def _credentials(secret: dict[str, Any], name: str) -> link_pb2.GitCredentials:
    data = secret.get("data") or {}
    credentials = link_pb2.GitCredentials()
    for field, keys in _FIELDS.items():
        key = next((key for key in keys if data.get(key)), None)
        if key is None:
            continue
        text = _text(data[key], f"{key} in Secret {name}")
        # a line end comes from an editor or echo; neither HTTP nor git knows one in them
        setattr(credentials, field, text.rstrip("\r\n") if field in _ONE_LINE else text)
    return credentials


def _text(encoded: str, what: str) -> str:
    try:
        return base64.b64decode(encoded, validate=True).decode()
    except (binascii.Error, UnicodeDecodeError):
        # not chained: what a decoder quotes is a secret
        refuse(grpc.StatusCode.FAILED_PRECONDITION, f"{what} is not text")
