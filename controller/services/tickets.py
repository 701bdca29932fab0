"""Tickets: found, made and changed for agents. The Ticket resources are the truth.

Refusals are ``controller.tools.call.ToolError``. Ids are names of Tickets, in upper or lower case.
"""

import asyncio
import re
import secrets
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

from controller.kernel.store import Store
from controller.kube.errors import AlreadyExists, Conflict, NotFound
from controller.placement.indexes import BY_NAMESPACE, OF_PARENT, OF_TICKET
from controller.rpc.ports import Objects
from controller.tickets.facts import worked_on
from controller.tools.call import Caller, ToolError
from schemas.agentpod import AgentPod
from schemas.names import (
    ANNOTATION_CREATED_BY,
    ANNOTATION_CREATED_BY_UID,
    API_VERSION,
    TICKET,
)
from schemas.repository import Repository
from schemas.ticket import Ticket, TicketPod, TicketPriority

_CONTROL: Final = re.compile(r"[\x00-\x1f\x7f]")
_CROCKFORD: Final = "0123456789abcdefghjkmnpqrstvwxyz"
_ID_LETTERS: Final = 10
_ATTEMPTS: Final = 8
_MAX_BODY_BYTES: Final = 65_536
_AT_ONCE: Final = 250
"""So many tickets are looked through before others get their turn."""
_URGENCY: Final = {priority: rank for rank, priority in enumerate(TicketPriority)}


@dataclass(frozen=True, slots=True)
class Sought:
    """Which tickets are looked for: all conditions together; empty says nothing."""

    repository: str = ""
    state: str = ""
    type: str = ""
    priority: str = ""
    assignee: str = ""
    parent: str = ""
    query: str = ""
    limit: int = 20
    page: int = 1


@dataclass(frozen=True, slots=True)
class Whole:
    """A ticket and what hangs on it, as of now."""

    ticket: Ticket
    children: tuple[Ticket, ...]
    pods: tuple[TicketPod, ...]
    """The newest first."""


class Tickets:
    """All tickets of all organizations."""

    def __init__(self, store: Store, kube: Objects) -> None:
        self._store = store
        self._tickets = store.of(Ticket)
        self._kube = kube

    def find(self, namespace: str, ticket_id: str, argument: str = "ticket_id") -> Ticket:
        """Return the ticket. Raises ToolError."""
        ticket = self._tickets.get(namespace, ticket_id.lower())
        if ticket is None or ticket.metadata.deleting:
            raise ToolError(
                "NotFound",
                f"{argument}: there is no such ticket in your organization: search_tickets finds"
                " them",
            )
        return ticket

    def whole(self, ticket: Ticket) -> Whole:
        """Return the ticket with its children and pods, which its status may not know yet."""
        where = (ticket.metadata.namespace, ticket.metadata.name)
        children = [c for c in self._tickets.indexed(OF_PARENT, where) if not c.metadata.deleting]
        children.sort(key=_age)
        pods = self._store.of(AgentPod).indexed(OF_TICKET, where)
        return Whole(ticket, tuple(children), worked_on(pods, ticket.status.agent_pods))

    async def search(self, namespace: str, sought: Sought) -> tuple[list[Ticket], int]:
        """Return the page, the most urgent first, then the oldest; and how many there are.

        Others get their turn meanwhile: there may be thousands of tickets with long texts.
        """
        words = sought.query.casefold().split()
        every = self._tickets.indexed(BY_NAMESPACE, namespace)
        found: list[Ticket] = []
        for some in _batched(every, _AT_ONCE):
            found += (one for one in some if _fits(one, sought) and _says(one, words))
            await asyncio.sleep(0)
        found.sort(key=lambda ticket: (_URGENCY[ticket.spec.priority], *_age(ticket)))
        start = (sought.page - 1) * sought.limit
        return found[start : start + sought.limit], len(found)

    async def create(self, caller: Caller, spec: Mapping[str, Any]) -> Ticket:
        """Make a ticket with an id of its own.

        *spec* is as in a manifest: repositoryRef and parent are checked here, in any case of
        letters.

        Raises:
            ToolError: It refers to something that does not exist, or is too large.
            KubeError: The API server refused or cannot be asked.
        """
        spec = dict(spec)
        _check_texts(spec)
        if "parent" in spec:
            parent = self.find(caller.namespace, spec["parent"], "parent_ticket_id")
            spec["parent"] = parent.metadata.name
        if "repositoryRef" in spec:
            self._check_repository(caller.namespace, spec["repositoryRef"]["name"])
        for _ in range(_ATTEMPTS):
            manifest = _manifest(caller, new_id(), spec)
            try:
                answer = await self._kube.create(TICKET, caller.namespace, manifest)
            except AlreadyExists:
                continue
            self._store.apply(TICKET.kind, answer)
            return Ticket.model_validate(answer)
        raise ToolError("Unavailable", "no free id was found: try again")

    async def update(
        self,
        caller: Caller,
        ticket_id: str,
        changes: Mapping[str, Any],
        expected_revision: int | None,
    ) -> Ticket:
        """Change the fields of the spec that are given, and only them.

        With *expected_revision* (``metadata.generation``) only if the ticket is at it: what others
        wrote since is never lost.

        Raises:
            ToolError: There is no such ticket, or it is too large.
            OutdatedError: It is at another revision.
            KubeError: The API server refused or cannot be asked.
        """
        _check_texts(changes)
        ticket = self.find(caller.namespace, ticket_id)
        if expected_revision is None:
            return await self._patch(ticket, changes, {}) if changes else ticket
        for _ in range(_ATTEMPTS):
            if ticket.metadata.generation != expected_revision:
                ticket = await self._fresh(ticket)
            if ticket.metadata.generation != expected_revision:
                raise OutdatedError(ticket, expected_revision)
            if not changes:
                return ticket
            guard = {"metadata": {"resourceVersion": ticket.metadata.resource_version}}
            try:
                return await self._patch(ticket, changes, guard)
            except Conflict:
                ticket = await self._fresh(ticket)  # perhaps its status alone has changed
        raise ToolError("Unavailable", "the ticket changes all the time: try again")

    async def _patch(
        self, ticket: Ticket, changes: Mapping[str, Any], guard: Mapping[str, Any]
    ) -> Ticket:
        where, name = ticket.metadata.namespace, ticket.metadata.name
        patch = {"spec": dict(changes), **guard}
        try:
            answer = await self._kube.patch(TICKET, where, name, patch)
        except NotFound:
            raise _deleted() from None
        self._store.apply(TICKET.kind, answer)
        return Ticket.model_validate(answer)

    async def _fresh(self, ticket: Ticket) -> Ticket:
        """Return the ticket as the API server has it now."""
        try:
            answer = await self._kube.get(TICKET, ticket.metadata.namespace, ticket.metadata.name)
        except NotFound:
            raise _deleted() from None
        self._store.apply(TICKET.kind, answer)
        return Ticket.model_validate(answer)

    def _check_repository(self, namespace: str, name: str) -> None:
        if self._store.of(Repository).get(namespace, name) is None:
            raise ToolError(
                "NotFound",
                "repository_id: there is no such repository in your organization:"
                " list_repositories lists them",
            )


class OutdatedError(Exception):
    """The ticket is not at the revision that a change was based on."""

    def __init__(self, current: Ticket, expected: int) -> None:
        super().__init__(
            f"the ticket is at revision {current.metadata.generation}, not {expected}:"
            " nothing was changed; look at it as it is now and try again with its revision"
        )
        self.current = current


def new_id() -> str:
    """Return an id that nobody else has: 50 random bits."""
    return "tk-" + "".join(secrets.choice(_CROCKFORD) for _ in range(_ID_LETTERS))


def _manifest(caller: Caller, name: str, spec: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "apiVersion": API_VERSION,
        "kind": TICKET.kind,
        "metadata": {
            "name": name,
            "annotations": {
                ANNOTATION_CREATED_BY: caller.name,
                ANNOTATION_CREATED_BY_UID: caller.uid,
            },
        },
        "spec": dict(spec),
    }


def _check_texts(spec: Mapping[str, Any]) -> None:
    title, body = spec.get("title"), spec.get("body", "")
    if title is not None and not title.strip():
        raise ToolError("InvalidArgument", "title: it must not be blank")
    if _CONTROL.search(title or ""):
        raise ToolError("InvalidArgument", "title: it must be one line without control characters")
    if "\x00" in body:
        raise ToolError("InvalidArgument", "description: it must not hold NUL characters")
    if len(body.encode("utf-8", errors="replace")) > _MAX_BODY_BYTES:
        raise ToolError("LimitExceeded", "description: it is larger than 64 KiB of UTF-8")


def _deleted() -> ToolError:
    return ToolError("NotFound", "ticket_id: the ticket was deleted meanwhile")


def _batched(items: list[Ticket], size: int) -> Iterator[list[Ticket]]:
    """Give the items in lists of at most *size*."""
    for start in range(0, len(items), size):
        yield items[start : start + size]


def _age(ticket: Ticket) -> tuple[str, str]:
    return ticket.metadata.creation_timestamp, ticket.metadata.name


def _fits(ticket: Ticket, sought: Sought) -> bool:
    spec = ticket.spec
    repository = spec.repository_ref.name if spec.repository_ref is not None else ""
    return (
        not ticket.metadata.deleting
        and sought.repository in {"", repository}
        and sought.state in {"", spec.state}
        and sought.type in {"", spec.type}
        and sought.priority in {"", spec.priority}
        and (not sought.assignee or sought.assignee in spec.assignees)
        and sought.parent.lower() in {"", spec.parent or ""}
    )


def _says(ticket: Ticket, words: list[str]) -> bool:
    if not words:
        return True
    text = f"{ticket.metadata.name}\n{ticket.spec.title}\n{ticket.spec.body}".casefold()
    return all(word in text for word in words)
