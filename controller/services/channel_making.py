"""Makes channels for pods: a name that nobody has, and a Channel of it."""

import hashlib
import re
import unicodedata
from dataclasses import dataclass
from typing import Any, Final

from controller.kernel.store import Store
from controller.kube.errors import AlreadyExists, Conflict
from controller.placement.indexes import BY_TITLE
from controller.rpc.ports import Objects
from controller.services.membership import Membership
from controller.tools.call import Caller, ToolError
from schemas.channel import Channel
from schemas.names import (
    ANNOTATION_CREATED_BY,
    ANNOTATION_CREATED_BY_UID,
    API_VERSION,
    CHANNEL,
    FINALIZER_MESSAGES,
)
from schemas.repository import Repository
from schemas.ticket import Ticket

_LABEL: Final = re.compile(r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?")
_SLUG_CHARACTERS: Final = 52
_ATTEMPTS: Final = 5


@dataclass(frozen=True, slots=True)
class Wish:
    """The channel that a pod wants."""

    name: str
    description: str = ""
    repository: str = ""
    ticket: str = ""


class ChannelMaker:
    """Creates Channels, and holds them until their messages are deleted."""

    def __init__(self, store: Store, membership: Membership, kube: Objects) -> None:
        self._store = store
        self._membership = membership
        self._kube = kube

    async def make(self, caller: Caller, wish: Wish) -> Channel:
        """Create the channel.

        Raises:
            ToolError: The name is taken or cannot be used, or what it is about does not exist.
            KubeError: The API server refused or cannot be asked.
        """
        title = " ".join(unicodedata.normalize("NFC", wish.name).split())
        if not title or not wish.name.strip().isprintable():
            raise ToolError("InvalidArgument", "name: it must have letters and be on one line")
        if "\x00" in wish.description:
            raise ToolError("InvalidArgument", "description: it must not hold NUL characters")
        self._check_references(caller.namespace, wish)
        await self._check_free(caller, title)
        manifest = _manifest(caller, title, wish)
        try:
            answer = await self._kube.create(CHANNEL, caller.namespace, manifest)
        except AlreadyExists:
            there = self._store.of(Channel).get(caller.namespace, manifest["metadata"]["name"])
            raise await self._taken(caller, title, there) from None
        self._store.apply(CHANNEL.kind, answer)
        return Channel.model_validate(answer)

    async def held(self, channel: Channel) -> Channel:
        """Return the channel once it cannot go before its messages are deleted.

        Raises:
            ToolError: It is being deleted.
            KubeError: The API server refused or cannot be asked.
        """
        where, name = channel.metadata.namespace, channel.metadata.name
        for _ in range(_ATTEMPTS):
            if channel.metadata.deleting:
                break
            if FINALIZER_MESSAGES in channel.metadata.finalizers:
                return channel
            patch = {
                "metadata": {
                    "finalizers": [*channel.metadata.finalizers, FINALIZER_MESSAGES],
                    "resourceVersion": channel.metadata.resource_version,
                }
            }
            try:
                answer = await self._kube.patch(CHANNEL, where, name, patch)
            except Conflict:
                answer = await self._kube.get(CHANNEL, where, name)
            self._store.apply(CHANNEL.kind, answer)
            fresh = Channel.model_validate(answer)
            if fresh.metadata.uid != channel.metadata.uid:
                break
            channel = fresh
        else:
            raise ToolError("Unavailable", f"channel {name} changes all the time: try again")
        raise ToolError("NotFound", f"channel {name} was deleted meanwhile")

    def _check_references(self, namespace: str, wish: Wish) -> None:
        if wish.repository and self._store.of(Repository).get(namespace, wish.repository) is None:
            raise ToolError(
                "NotFound",
                "repository_id: there is no such repository in your organization:"
                " list_repositories lists them",
            )
        if wish.ticket and self._store.of(Ticket).get(namespace, wish.ticket.lower()) is None:
            raise ToolError(
                "NotFound",
                "ticket_id: there is no such ticket in your organization: search_tickets finds"
                " them",
            )

    async def _check_free(self, caller: Caller, title: str) -> None:
        channels = self._store.of(Channel)
        titled = channels.indexed(BY_TITLE, (caller.namespace, title.casefold()))
        named = channels.get(caller.namespace, title.casefold())
        there = next(iter([*titled, *([named] if named is not None else [])]), None)
        if there is not None:
            raise await self._taken(caller, title, there)

    async def _taken(self, caller: Caller, title: str, there: Channel | None) -> ToolError:
        if there is None or not await self._membership.sees(there, caller.pod):
            return ToolError("AlreadyExists", f"the name {title} is taken: take another name")
        name, archived = there.metadata.name, " (archived)" if there.spec.archived else ""
        return ToolError(
            "AlreadyExists",
            f"the name {title} is taken by channel {name}{archived}: use channel_id {name}, or"
            " take another name",
            {"channel_id": name},
        )


def resource_name(title: str) -> str:
    """Return what the Channel of that name is called: the same for all that differ in case only."""
    folded = title.casefold()
    if _LABEL.fullmatch(folded):
        return folded
    plain = unicodedata.normalize("NFKD", folded).encode("ascii", errors="ignore").decode()
    slug = re.sub(r"[^a-z0-9]+", "-", plain)[:_SLUG_CHARACTERS].strip("-") or "channel"
    return f"{slug}-{hashlib.sha256(folded.encode()).hexdigest()[:8]}"


def _manifest(caller: Caller, title: str, wish: Wish) -> dict[str, Any]:
    name = resource_name(title)
    spec: dict[str, Any] = {}
    if title != name:
        spec["displayName"] = title
    if wish.description:
        spec["description"] = wish.description
    if wish.repository:
        spec["repositoryRef"] = {"name": wish.repository}
    if wish.ticket:
        spec["ticketRef"] = {"name": wish.ticket.lower()}
    return {
        "apiVersion": API_VERSION,
        "kind": CHANNEL.kind,
        "metadata": {
            "name": name,
            "finalizers": [FINALIZER_MESSAGES],
            "annotations": {
                ANNOTATION_CREATED_BY: caller.name,
                ANNOTATION_CREATED_BY_UID: caller.uid,
            },
        },
        "spec": spec,
    }
