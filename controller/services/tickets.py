"""Tickets: found, made and changed, whoever asks: agents, people, or the controller itself.

The Ticket resources are the truth of those that are kept on the API alone: they are patched. A
ticket that lies in git is changed by a commit (``ticket_files``).

Refusals are ``controller.tools.call.ToolError``. Ids are names of Tickets, in upper or lower case.
"""

import secrets
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

from controller.gitops.writeback.values import File
from controller.kernel.store import Store
from controller.kube.errors import AlreadyExists, Conflict, NotFound
from controller.placement.indexes import BY_NAMESPACE, OF_PARENT, pods_of
from controller.rpc.ports import Objects
from controller.services.contention import attempts
from controller.services.ticket_asked import Asked, check_others, check_texts, marked, otherwise
from controller.services.ticket_files import TicketFiles, Wish
from controller.services.ticket_search import Children, Search, Sought
from controller.services.ticket_values import By, ByKind, Written
from controller.services.turns import Turns
from controller.tickets.facts import worked_on
from controller.tools.call import ToolError
from schemas.names import (
    ANNOTATION_CREATED_BY,
    ANNOTATION_CREATED_BY_UID,
    ANNOTATION_DEPTH,
    API_VERSION,
    TICKET,
)
from schemas.repository import Repository
from schemas.ticket import Progress, Ticket, TicketPod

WAIT_SECONDS: Final = 10.0
"""So long a change of a file is waited for; then it is pending."""

_CROCKFORD: Final = "0123456789abcdefghjkmnpqrstvwxyz"
_ID_LETTERS: Final = 10
_ATTEMPTS: Final = 8


@dataclass(frozen=True, slots=True)
class Whole:
    """A ticket and what hangs on it, as of now."""

    ticket: Ticket
    progress: Progress
    """With all its children."""
    children: tuple[str, ...]
    """Their names, the oldest first, as many as are named."""
    pods: tuple[TicketPod, ...]
    """The newest first."""
    file: File | None = None
    """Where it lies in git."""


@dataclass(frozen=True, slots=True)
class Place:
    """Where a new ticket goes, and what it is called."""

    namespace: str
    name: str = ""
    """Empty: an id of its own."""
    source: str = ""
    """The GitSource that gets the file; empty: the one that takes new tickets, if any."""


class Tickets:
    """All tickets of all organizations."""

    def __init__(self, store: Store, kube: Objects, files: TicketFiles | None = None) -> None:
        """Without *files* no ticket lies in git."""
        self._store = store
        self._tickets = store.of(Ticket)
        self._kube = kube
        self._files = files
        self._turns = Turns()

    # --- reading ---

    def find(self, namespace: str, ticket_id: str, argument: str = "ticket_id") -> Ticket:
        """Return the ticket, also one whose file is accepted and not there yet. Raises ToolError.

        The latter has neither uid nor generation.
        """
        return self._find(namespace, ticket_id, argument).ticket

    async def whole(self, by: By, ticket: Ticket) -> Whole:
        """Return the ticket with its children and pods, which its status may not know yet.

        It is read in turns with what others read, those of *by* one after the other.
        """
        where = (ticket.metadata.namespace, ticket.metadata.name)
        children = Children(ticket)
        steps = children.steps(self._tickets.indexed(OF_PARENT, where))
        await self._turns.carry_out(ticket.metadata.namespace, by.uid or by.name, steps)
        who = worked_on(pods_of(self._store, ticket), ticket.status.agent_pods)
        return Whole(ticket, children.progress, tuple(children.names), who, self.file_of(ticket))

    def file_of(self, ticket: Ticket) -> File | None:
        """Return where the ticket lies in git, None if it is kept on the API alone."""
        if self._files is None:
            return None
        if not ticket.metadata.uid:  # its file is on its way
            unborn = self._files.unborn(ticket.metadata.namespace, ticket.metadata.name)
            return unborn.file if unborn is not None else None
        return self._files.file_of(ticket)

    def wished(self, ticket: Ticket) -> bool:
        """Whether a state that no person asked for is on its way to the ticket, through git."""
        return self._files is not None and self._files.wished(ticket)

    def as_asked(self, by: By, ticket: Ticket) -> tuple[Ticket, str]:
        """Return the ticket as *by* has asked for it to be, and a sentence about what waits.

        Of a ticket that is kept on the API alone nothing does.
        """
        return (ticket, "") if self._files is None else self._files.as_asked(by, ticket)

    async def search(self, by: By, namespace: str, sought: Sought) -> tuple[list[Ticket], int]:
        """Return the page, the most urgent first, then the oldest; and how many there are.

        Each is as *by* has asked for it to be. It is done in turns with what others look for:
        there may be thousands of tickets with long texts.
        """
        search = Search(sought)
        steps = search.steps(self._shown(by, namespace))
        await self._turns.carry_out(namespace, by.uid or by.name, steps)
        return search.page, search.total

    def _shown(self, by: By, namespace: str) -> Iterator[Ticket]:
        """Give all tickets as *by* has asked for them to be."""
        waiting = self._files.waiting(namespace) if self._files is not None else frozenset()
        every = self._tickets.indexed(BY_NAMESPACE, namespace)
        for name in [name for name in waiting if self._tickets.get(namespace, name) is None]:
            if one := self._born(namespace, name):
                yield self.as_asked(by, one)[0]
        for one in every:
            yield self.as_asked(by, one)[0] if one.metadata.name in waiting else one

    # --- writing ---

    async def create(
        self,
        by: By,
        place: Place,
        spec: Mapping[str, Any],
        *,
        wait_seconds: float | None = None,
    ) -> Written:
        """Make a ticket: a file where a GitSource takes new tickets, a resource elsewhere.

        *spec* is as in a manifest: repositoryRef and parent are checked here, in any case of
        letters.

        Raises:
            ToolError: It refers to something that does not exist, is there already, or is too
                large.
            KubeError: The API server refused or cannot be asked.
        """
        spec = dict(spec)
        check_texts(spec)
        check_others(place.name, spec)
        if spec.get("parent"):
            parent = self.find(place.namespace, str(spec["parent"]), "parent_ticket_id")
            spec["parent"] = parent.metadata.name
        if spec.get("repositoryRef"):
            self._check_repository(place.namespace, spec["repositoryRef"])
        if place.name and self._there(place.namespace, place.name):
            raise _taken(place.name)
        source = None if self._files is None else self._files.taker(place.namespace, place.source)
        if self._files is not None and source is not None:
            wait = WAIT_SECONDS if wait_seconds is None else wait_seconds
            wish = Wish(by, spec, wait_seconds=wait)
            return await self._files.create(source, place.name or new_id(), wish)
        if place.source:
            raise ToolError("NotFound", f"source: there is no GitSource {place.source}")
        return Written(await self._create(by, place, spec))

    async def update(  # noqa: PLR0913 - what a change may be bound to, by name
        self,
        by: By,
        namespace: str,
        ticket_id: str,
        changes: Mapping[str, Any],
        *,
        items: Mapping[str, bool] | None = None,
        expected_revision: int | None = None,
        seen: Mapping[str, Any] | None = None,
        operation_id: str = "",
        summary: str = "",
        wait_seconds: float | None = None,
    ) -> Written:
        """Change the fields of the spec that are given, and only them; None removes one.

        *items*: by id, which acceptance items are done now, and which are not; the others stay.

        With *expected_revision* (``metadata.generation``) only if the ticket is at it, and with
        *seen* only fields that are still as they were seen: what others wrote since is never lost.

        *operation_id*: given twice it is one change (of a ticket in git). *summary* is then the
        subject of the commit.

        Raises:
            ToolError: There is no such ticket, it cannot be so, or it is too large.
            OutdatedError: It is at another revision.
            KubeError: The API server refused or cannot be asked.
        """
        check_texts(changes)
        found = self._find(namespace, ticket_id, "ticket_id")
        check_others(found.ticket.metadata.name, changes)
        file = found.file or self.file_of(found.ticket)
        if self._files is None or file is None:
            asked = Asked(changes, items or {}, expected_revision, seen)
            return await self._change(found.ticket, asked)
        ticket = found.ticket
        if expected_revision is not None and ticket.metadata.generation != expected_revision:
            ticket = await self._fresh(ticket)
            if ticket.metadata.generation != expected_revision:
                raise OutdatedError(ticket, expected_revision)
        changes = {**changes, **marked(ticket, items or {})}
        if not changes:
            return Written(ticket, file=file)
        wish = Wish(
            by,
            changes,
            seen=seen,
            exact=expected_revision is not None,
            operation_id=operation_id,
            summary=summary,
            wait_seconds=WAIT_SECONDS if wait_seconds is None else wait_seconds,
        )
        return await self._files.update(ticket, file, wish)

    # --- tickets that are kept on the API alone ---

    async def _create(self, by: By, place: Place, spec: Mapping[str, Any]) -> Ticket:
        for _ in range(_ATTEMPTS):
            manifest = _manifest(by, place.name or new_id(), spec)
            try:
                answer = await self._kube.create(TICKET, place.namespace, manifest)
            except AlreadyExists:
                if place.name:
                    raise _taken(place.name) from None
                continue
            self._store.apply(TICKET.kind, answer)
            return Ticket.model_validate(answer)
        raise ToolError("Unavailable", "no free id was found: try again")

    async def _change(self, ticket: Ticket, asked: Asked) -> Written:
        revision, changes = asked.revision, asked.changes
        if revision is None and asked.seen is None and not asked.items:
            return Written(await self._patch(ticket, changes, {}) if changes else ticket)
        async for _ in attempts():
            if not asked.fits(ticket):
                ticket = await self._fresh(ticket)
            if revision not in {None, ticket.metadata.generation}:
                raise OutdatedError(ticket, revision or 0)
            if conflicts := otherwise(ticket, asked.seen):
                said = f"somebody has changed {', '.join(conflicts)} meanwhile: nothing was changed"
                return Written(ticket, conflicts=conflicts, message=said)
            changes = {**asked.changes, **marked(ticket, asked.items)}
            if not changes:
                return Written(ticket)
            guard = {"metadata": {"resourceVersion": ticket.metadata.resource_version}}
            try:
                return Written(await self._patch(ticket, changes, guard))
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

    # --- what there is ---

    def _find(self, namespace: str, ticket_id: str, argument: str) -> Written:
        ticket = self._tickets.get(namespace, ticket_id.lower())
        if ticket is not None and not ticket.metadata.deleting:
            return Written(ticket)
        unborn = self._files and self._files.unborn(namespace, ticket_id.lower())
        if unborn:
            return unborn
        raise ToolError(
            "NotFound",
            f"{argument}: there is no such ticket in your organization: search_tickets finds them",
        )

    def _born(self, namespace: str, name: str) -> Ticket | None:
        """Return a ticket whose file is accepted, and whose resource may be there by now."""
        unborn = self._files and self._files.unborn(namespace, name)
        return unborn.ticket if unborn else self._tickets.get(namespace, name)

    def _there(self, namespace: str, name: str) -> bool:
        unborn = self._files and self._files.unborn(namespace, name)
        return self._tickets.get(namespace, name) is not None or bool(unborn)

    def _check_repository(self, namespace: str, reference: Any) -> None:
        name = str(reference.get("name", "")) if isinstance(reference, Mapping) else ""
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


def _manifest(by: By, name: str, spec: Mapping[str, Any]) -> dict[str, Any]:
    metadata: dict[str, Any] = {"name": name}
    if by.kind is ByKind.POD:
        metadata["annotations"] = {
            ANNOTATION_CREATED_BY: by.name,
            ANNOTATION_CREATED_BY_UID: by.uid,
            ANNOTATION_DEPTH: str(by.depth),
        }
    return {
        "apiVersion": API_VERSION,
        "kind": TICKET.kind,
        "metadata": metadata,
        "spec": {key: value for key, value in spec.items() if value is not None},
    }


def _taken(name: str) -> ToolError:
    return ToolError("AlreadyExists", f"there is a ticket {name} already")


def _deleted() -> ToolError:
    return ToolError("NotFound", "ticket_id: the ticket was deleted meanwhile")
