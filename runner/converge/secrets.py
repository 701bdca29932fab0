"""Fetches what a start needs from the controller; it is held in memory only."""

from typing import Protocol

from meshwire.v1 import link_pb2

from gitaccess.credentials import Credentials
from runner.converge.unprepared import NotPreparedError
from runner.link.errors import LinkError


class Source(Protocol):
    """What is needed of ``runner.link.link.Link``."""

    async def secrets(self, ref: link_pb2.PodRef) -> link_pb2.FetchSecretsResponse:
        """Ask the controller.

        Raises:
            LinkError: It cannot be asked now, or refuses.
        """
        ...


class LinkSecrets:
    """Secrets that come over the link. ``source`` is set once the link exists."""

    def __init__(self) -> None:
        self.source: Source | None = None

    async def fetch(self, ref: link_pb2.PodRef) -> Credentials | None:
        """Return credentials for the pod's repository, None when it has none.

        Raises:
            NotPreparedError: They cannot be had now.
        """
        if self.source is None:
            raise NotPreparedError("CloneFailed", "The link is not up yet.", retryable=True)
        try:
            answer = await self.source.secrets(ref)
        except LinkError as exc:
            text = f"The repository's credentials cannot be had: {exc}"
            raise NotPreparedError("CloneFailed", text, retryable=True) from exc
        if not answer.HasField("git"):
            return None
        git = answer.git
        return Credentials(
            username=git.username,
            password=git.password,
            ssh_key=git.ssh_private_key,
            known_hosts=git.known_hosts,
            ca_certificates=git.ca_bundle,
        )
