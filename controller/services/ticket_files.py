"""Tickets that live in git: changed by operations of the write-back, never by a patch.

Refusals are ``controller.tools.call.ToolError``.
"""

import re
import secrets
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any, Final, Protocol

from controller.gitops.facts import Origin
from controller.gitops.files.create import new_ticket
from controller.gitops.files.edit import EditError
from controller.gitops.files.origin import made_by
from controller.gitops.files.shape import ShapeError, field_name, spec_of
from controller.gitops.values import Author, Operation, OperationKind, Problem
from controller.gitops.writeback.commits import TRAILER_POD, subject
from controller.gitops.writeback.compose import X_STATUS
from controller.gitops.writeback.journal import FullError, JournalError
from controller.gitops.writeback.values import End, File, Outcome
from controller.gitops.writeback.writeback import Answer, WriteBack
from controller.kernel.clock import stamp
from controller.kernel.store import Store
from controller.services.ticket_answers import not_in_force, pending, unwritable, waits
from controller.services.ticket_values import By, ByKind, Written
from controller.tools.call import ToolError
from schemas.gitsource import GitSource, SourcedKind
from schemas.names import (
    ANNOTATION_SOURCE_PATH,
    API_VERSION,
    LABEL_SOURCE,
    TICKET,
)
from schemas.ticket import Ticket, TicketSpec, broken_rule

TICKETS_PER_POD: Final = 1000
"""So many tickets one pod may make as files within two days."""

_REASONS: Final = {
    "FileGone": "NotFound",
    "SourceGone": "NotFound",
    "AlreadyExists": "AlreadyExists",
    "Invalid": "InvalidArgument",
    "LimitExceeded": "LimitExceeded",
    "RuleBroken": "Failed",
}
"""Any other refusal is a state of the repository: Conflict."""

_COLLECTIONS: Final = frozenset({"labels", "assignees", "dependsOn", "acceptance"})
_UNFIT: Final = re.compile(r"[^-A-Za-z0-9._+]+")
_ADDRESS: Final = re.compile(r"[-A-Za-z0-9._+]{1,64}@[-A-Za-z0-9.]{1,128}")
_NAMELESS: Final = re.compile(r"[\x00-\x1f\x7f<>]+")
_CRUD: Final = " .,:;\"'\\"
"""What git takes off both ends of a name. Source: git-commit-tree(1), Commit information."""


class Sources(Protocol):
    """What is known of tickets in git. ``controller.gitops.sources.Sources`` is one."""

    def of_ticket(self, namespace: str, ticket: str) -> Origin | None:
        """Return where the Ticket is kept in git, None if it is kept on the API alone."""
        ...

    def for_new_tickets(self, namespace: str) -> str | None:
        """Return the name of the GitSource that takes new tickets, None if none does."""
        ...

    def problem(self, namespace: str, name: str, path: str) -> Problem | None:
        """Return why the file of source *name* is not in force, None if it is."""
        ...


@dataclass(frozen=True, slots=True)
class Wish:
    """A change that somebody asks for."""

    by: By
    changes: Mapping[str, Any]
    """Fields of the spec, camelCase; None removes."""
    seen: Mapping[str, Any] | None = None
    """Those fields as whoever asks saw them; None: as the ticket is now."""
    exact: bool = False
    """Whoever asks named the revision: what others asked for since was not seen."""
    operation_id: str = ""
    """Given twice it is one change; empty: it is a new one."""
    summary: str = ""
    """Subject of the commit; empty: it is made up."""
    wait_seconds: float = 10.0


class TicketFiles:
    """The tickets of all organizations that are files."""

    def __init__(self, store: Store, sources: Sources, write_back: WriteBack) -> None:
        self._sources = store.of(GitSource)
        self._tickets = store.of(Ticket)
        self._known = sources
        self._write_back = write_back

    def file_of(self, ticket: Ticket) -> File | None:
        """Return where the ticket lies in git, None if it is kept on the API alone."""
        meta = ticket.metadata
        origin = self._known.of_ticket(meta.namespace, meta.name)
        name = origin.source if origin is not None else meta.labels.get(LABEL_SOURCE, "")
        source = self._sources.get(meta.namespace, name) if name else None
        if source is None:
            return None
        path = origin.path if origin is not None else meta.annotations.get(ANNOTATION_SOURCE_PATH)
        return File(
            source_uid=source.metadata.uid,
            namespace=meta.namespace,
            source=name,
            path=path or "",
            commit=origin.commit if origin is not None else None,
            writable=unwritable(source, path or ""),
        )

    def wished(self, ticket: Ticket) -> bool:
        """Whether a state that no person asked for is accepted, and not shown by the Ticket yet."""
        file = self.file_of(ticket)
        if file is None:
            return False
        ahead = self._write_back.ahead(file.source_uid, ticket.metadata.name)
        return any("state" in one.changes and not one.person for one in ahead)

    def waiting(self, namespace: str) -> frozenset[str]:
        """Return the tickets with changes that their resources do not show yet."""
        return self._write_back.tickets_ahead(namespace)

    def as_asked(self, by: By, ticket: Ticket) -> tuple[Ticket, str]:
        """Return the ticket as *by* has asked for it to be, and a sentence about what waits."""
        meta = ticket.metadata
        if not meta.uid:
            unborn = self.unborn(meta.namespace, meta.name)
            return (unborn.ticket, unborn.message) if unborn is not None else (ticket, "")
        file = self.file_of(ticket)
        source = self._sources.by_uid(file.source_uid) if file is not None else None
        if source is None:
            return ticket, ""
        author, spec = _author(by, source), ticket.spec.manifest()
        ahead = self._write_back.ahead(source.metadata.uid, meta.name)
        mine = [one for one in ahead if one.author == author]
        if not mine:
            return ticket, ""
        shown = ticket.model_copy(update={"spec": TicketSpec.model_validate(_after(spec, mine))})
        return shown, waits("your change")

    def unborn(self, namespace: str, name: str) -> Written | None:
        """Return a ticket whose file is accepted and not there yet."""
        operations = self._write_back.unborn(namespace, name)
        if not operations:
            return None
        first = operations[0]
        ticket = Ticket.model_validate(
            {
                "apiVersion": API_VERSION,
                "kind": TICKET.kind,
                "metadata": {
                    "name": name,
                    "namespace": namespace,
                    "creationTimestamp": stamp(self._write_back.accepted_at(first) or 0.0),
                },
                "spec": _after({}, operations),
            }
        )
        file = File(first.source_uid, namespace, first.source, "", None)
        return Written(ticket, pending=True, message=waits("its file"), file=file)

    def taker(self, namespace: str, wanted: str) -> GitSource | None:
        """Return the source that gets a new ticket: *wanted*, or the one that takes them.

        Raises:
            ToolError: The one that is wanted cannot.
        """
        name = wanted or self._known.for_new_tickets(namespace)
        if not name:
            return None
        source = self._sources.get(namespace, name)
        if not wanted:
            return source
        if source is None or source.metadata.deleting:
            raise ToolError(
                "NotFound", f"source: there is no GitSource {name} in your organization"
            )
        if SourcedKind.TICKET not in source.spec.kinds:
            raise ToolError("Forbidden", f"source: GitSource {name} holds no Tickets (spec.kinds)")
        if not source.spec.write_back.enabled:
            raise ToolError(
                "Forbidden", f"source: GitSource {name} writes nothing (spec.writeBack.enabled)"
            )
        return source

    async def create(self, source: GitSource, name: str, wish: Wish) -> Written:
        """Make the ticket's file.

        Raises:
            ToolError: It cannot be.
        """
        if wish.by.kind is ByKind.POD and self._write_back.made_by(wish.by.uid) >= TICKETS_PER_POD:
            raise ToolError(
                "LimitExceeded", f"you have made {TICKETS_PER_POD} tickets lately: wait, or ask"
            )
        spec = {key: value for key, value in wish.changes.items() if value is not None}
        try:
            new_ticket(name, spec)
        except EditError as exc:
            raise ToolError("InvalidArgument", str(exc)) from None
        _lawful(spec)
        title = str(spec.get("title", ""))
        named = replace(wish, summary=wish.summary or f"Create {name}: {title}")
        if wish.by.kind is ByKind.POD:
            spec[X_STATUS] = made_by(wish.by.name, wish.by.uid, wish.by.depth)
        operation = self._operation(OperationKind.CREATE, source, name, named, spec, None)
        answer = await self._submit(operation, wish)
        return self._written(operation, answer)

    async def update(self, ticket: Ticket, file: File, wish: Wish) -> Written:
        """Change the ticket's file.

        Raises:
            ToolError: It cannot be.
        """
        if file.writable:
            raise ToolError("Forbidden", f"ticket {ticket.metadata.name}: {file.writable}")
        source = self._sources.by_uid(file.source_uid)
        if source is None:
            raise ToolError("NotFound", f"GitSource {file.source} was deleted")
        now = self._as_seen(ticket, source, wish)
        seen = now if wish.seen is None else {**wish.seen}
        base = {key: seen.get(key) for key in wish.changes}
        _fits({**now, **wish.changes})
        ahead = self._write_back.ahead(source.metadata.uid, ticket.metadata.name)
        _lawful({**_after(ticket.spec.manifest(), ahead), **wish.changes})
        named = replace(wish, summary=wish.summary or subject(ticket.metadata.name, wish.changes))
        operation = self._operation(
            OperationKind.UPDATE, source, ticket.metadata.name, named, wish.changes, base
        )
        answer = await self._submit(operation, wish)
        return self._written(operation, answer, ticket)

    def _as_seen(self, ticket: Ticket, source: GitSource, wish: Wish) -> dict[str, Any]:
        """Return the spec as whoever asks knows it: with what is under way and theirs to know.

        A pod knows what it asked for itself, and what other pods did unless it named a revision.
        What a person asked for meanwhile it has not seen: that person wins. Collections are given
        as a whole, made from those of the Ticket resource: they are merged one by one.
        """
        spec = ticket.spec.manifest()
        author = _author(wish.by, source)
        for operation in self._write_back.ahead(source.metadata.uid, ticket.metadata.name):
            mine = operation.author == author
            others = wish.by.kind is ByKind.PERSON or not operation.person
            if mine or (others and not wish.exact):
                spec |= {
                    key: value
                    for key, value in operation.changes.items()
                    if key != X_STATUS and key not in _COLLECTIONS
                }
        return spec

    def _operation(  # noqa: PLR0913, PLR0917 - the parts of an operation
        self,
        kind: OperationKind,
        source: GitSource,
        ticket: str,
        wish: Wish,
        changes: Mapping[str, Any],
        base: Mapping[str, Any] | None,
    ) -> Operation:
        by = wish.by
        pod = {TRAILER_POD: f"{by.name} {by.uid}"} if by.kind is ByKind.POD else {}
        return Operation(
            id=wish.operation_id or secrets.token_hex(16),
            kind=kind,
            source_uid=source.metadata.uid,
            namespace=source.metadata.namespace,
            source=source.metadata.name,
            ticket=ticket,
            changes=changes,
            base=base,
            author=_author(by, source),
            person=by.kind is ByKind.PERSON,
            summary=wish.summary,
            trailers=pod,
        )

    async def _submit(self, operation: Operation, wish: Wish) -> Answer:
        uid = wish.by.uid if wish.by.kind is ByKind.POD else ""
        try:
            return await self._write_back.submit(operation, uid, wish.wait_seconds)
        except FullError as exc:
            trouble = self._write_back.facts(operation.source_uid).trouble
            why = f"; what keeps them: {trouble.message}" if trouble is not None else ""
            raise ToolError("LimitExceeded", f"nothing was changed: {exc}{why}") from exc
        except JournalError as exc:
            raise ToolError("Unavailable", f"nothing was changed: {exc}") from exc

    def _written(
        self, operation: Operation, answer: Answer, before: Ticket | None = None
    ) -> Written:
        """Return what became of the operation. Raises ToolError where it was refused."""
        outcome = answer.outcome
        if outcome is not None and outcome.end is End.REFUSED:
            raise ToolError(_REASONS.get(outcome.reason, "Conflict"), outcome.message)
        now = self._tickets.get(operation.namespace, operation.ticket)
        file = self.file_of(now) if now is not None else None
        waiting = not answer.applied or now is None
        if problem := self._problem(operation, answer):
            return not_in_force(operation, outcome or Outcome(End.LANDED), problem, now, file)
        if now is None:
            unborn = self.unborn(operation.namespace, operation.ticket)
            now = unborn.ticket if unborn is not None else before
            file = unborn.file if unborn is not None else file
        if now is None:
            raise ToolError("NotFound", f"ticket {operation.ticket} was deleted meanwhile")
        outcome = outcome or Outcome(End.LANDED)
        said = outcome.message
        if waiting and not said:
            said = pending(answer, self._write_back.facts(operation.source_uid).trouble)
        unchanged = outcome.unchanged and not waiting
        return Written(
            now, outcome.commit, waiting, outcome.conflicts, said, file=file, unchanged=unchanged
        )

    def _problem(self, operation: Operation, answer: Answer) -> Problem | None:
        """Return why the file that holds the change is not in force; None: it is, or will be."""
        if not answer.applied or answer.outcome is None:
            return None
        where = operation.namespace, operation.source
        return self._known.problem(*where, answer.outcome.path)


def _after(spec: Mapping[str, Any], operations: Iterable[Operation]) -> dict[str, Any]:
    """Return the spec as the operations make it, one after the other."""
    after = dict(spec)
    for operation in operations:
        after |= {key: value for key, value in operation.changes.items() if key != X_STATUS}
    return {key: value for key, value in after.items() if value is not None}


def _author(by: By, source: GitSource) -> Author:
    """Return whose name stands on the commit."""
    match by.kind:
        case ByKind.POD:
            name = f"{by.agent_class} ({by.name})" if by.agent_class else by.name
            return Author(name, f"{by.name}.{by.uid}@pods.invalid")
        case ByKind.PERSON:
            name = _NAMELESS.sub(" ", by.name).strip(_CRUD) or "somebody"
            if _ADDRESS.fullmatch(by.name):
                return Author(name, by.name)
            local = _UNFIT.sub("-", by.name).strip("-.")[:64] or "somebody"
            return Author(name[:128], f"{local}@users.invalid")
        case ByKind.CONTROLLER:
            said = source.spec.write_back.author
            return Author(said.name, said.email)


def _fits(spec: Mapping[str, Any]) -> None:
    """Make sure that the spec is one. Raises ToolError."""
    try:
        spec_of(TICKET.kind, {key: value for key, value in spec.items() if value is not None})
    except ShapeError as exc:
        raise ToolError("InvalidArgument", f"{field_name(exc.path)}: {exc.message}") from None


def _lawful(spec: Mapping[str, Any]) -> None:
    """Make sure that the spec breaks no rule of the API's. Raises ToolError."""
    if (rule := broken_rule(spec)) is not None:
        field = rule.field_path.removeprefix(".")
        raise ToolError("InvalidArgument", f"{field}: {rule.message}")
