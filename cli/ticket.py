"""``agentsmesh ticket create`` and ``update``: at the controller's door.

The controller writes a ticket that lies in git as a commit in the caller's name, and any other as
a resource. Nobody has to know which it is.
"""

import asyncio
import json
import re
import secrets
import sys
import time
from argparse import Namespace
from collections.abc import Awaitable, Callable, Iterable, Mapping
from typing import Any, Final

import grpc
from meshwire.v1 import link_pb2, link_pb2_grpc

from cli import ticket_text
from cli.channel_text import printable
from cli.door import door, metadata, refused
from cli.errors import CommandError, Unreachable, Usage
from cli.terminal.address import Address, Desk
from cli.ticket_list import reach
from schemas.names import TICKET
from schemas.ticket import Ticket

_PATIENCE_SECONDS: Final = 15.0
_FIRST_WAIT: Final = 0.2
_LONGEST_WAIT: Final = 3.0
_CALL_SECONDS: Final = 40.0
_ATTEMPTS: Final = 4
_CROCKFORD: Final = "0123456789abcdefghjkmnpqrstvwxyz"
_LONGEST_NAME: Final = 253
_NAME: Final = re.compile(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*")
_LOOK: Final = (
    "accepted and kept; it is pushed as soon as that is possible (`kubectl describe ticket {}`: "
    "WriteBackPending says what keeps it)"
)
"""About a change that waits, where the answer does not say why."""

Call = Callable[[Any, Address], Awaitable[link_pb2.TicketAnswer]]


class Outdated(CommandError):  # noqa: N818 - named after what happened
    """The ticket is not what it was when it was read."""


class Exists(CommandError):  # noqa: N818 - named after what happened
    """There is a ticket of that name."""


def create(arguments: Namespace) -> int:
    """Make a ticket and print its id. The id is made here: asked twice, it is one ticket."""
    _check_name("--name", arguments.name)
    _check_name("--source", arguments.source, lower=False)
    name = arguments.name.lower() or _new_id()
    spec: dict[str, Any] = {"title": arguments.title, **_plain(arguments)}
    spec = {key: value for key, value in spec.items() if value is not None}
    for field, values in (
        ("labels", arguments.label),
        ("assignees", arguments.assign),
        ("dependsOn", [each.lower() for each in arguments.depends_on]),
    ):
        if values:
            spec[field] = list(dict.fromkeys(values))
    if arguments.accept:
        spec["acceptance"] = _added([], arguments.accept)

    async def call(stub: Any, address: Address) -> link_pb2.TicketAnswer:
        request = link_pb2.TicketCreate(
            namespace=address.namespace,
            name=name,
            spec_json=json.dumps(spec),
            source=arguments.source,
        )
        answer = await stub.Create(request, metadata=metadata(address), timeout=_CALL_SECONDS)
        assert isinstance(answer, link_pb2.TicketAnswer)  # noqa: S101 - the stub's type
        return answer

    answer = asyncio.run(_patiently(Desk(arguments), call, made_up=not arguments.name))
    return _tell(arguments, name, "created", answer)


def update(arguments: Namespace) -> int:
    """Change a ticket; what others change at the same time is not undone."""
    _check_name("TICKET", arguments.ticket)
    name = arguments.ticket.lower()
    plain = _plain(arguments)
    if arguments.title is not None:
        plain["title"] = arguments.title
    for attempt in range(1, _ATTEMPTS + 1):
        try:
            changes, revision = _changes(arguments, name, plain)
            answer = asyncio.run(_update(Desk(arguments), name, changes, revision))
            return _tell(arguments, name, "updated", answer)
        except Outdated:
            if arguments.revision is not None or attempt == _ATTEMPTS:
                raise
    raise AssertionError("unreachable")


async def _update(
    desk: Desk, name: str, changes: Mapping[str, Any], revision: int
) -> link_pb2.TicketAnswer:
    async def call(stub: Any, address: Address) -> link_pb2.TicketAnswer:
        request = link_pb2.TicketUpdate(
            namespace=address.namespace,
            name=name,
            changes_json=json.dumps(changes),
            expected_revision=revision,
        )
        answer = await stub.Update(request, metadata=metadata(address), timeout=_CALL_SECONDS)
        assert isinstance(answer, link_pb2.TicketAnswer)  # noqa: S101 - the stub's type
        return answer

    return await _patiently(desk, call)


def _changes(
    arguments: Namespace, name: str, plain: Mapping[str, Any]
) -> tuple[dict[str, Any], int]:
    """Return the fields to change and the revision that they were computed from; 0: any."""
    changes = dict(plain)
    if not _lists(arguments):
        if not changes:
            raise Usage("nothing to change was given: see agentsmesh ticket update --help")
        return changes, arguments.revision or 0
    api, namespace = reach(arguments)
    ticket = Ticket.model_validate(api.get(TICKET, namespace, name))
    spec = ticket.spec
    for field, has, more, less in (
        ("labels", spec.labels, arguments.label, arguments.no_label),
        ("assignees", spec.assignees, arguments.assign, arguments.no_assign),
        ("dependsOn", spec.depends_on, arguments.depends_on, arguments.no_depends_on),
    ):
        if more or less:
            changes[field] = [each for each in dict.fromkeys((*has, *more)) if each not in less]
    if arguments.done or arguments.undone or arguments.accept or arguments.no_accept:
        changes["acceptance"] = _acceptance(ticket, arguments)
    return changes, arguments.revision or ticket.metadata.generation


def _lists(arguments: Namespace) -> bool:
    """Whether something is added to or taken from what the ticket has."""
    return any(
        (
            *(arguments.label, arguments.no_label, arguments.assign, arguments.no_assign),
            *(arguments.depends_on, arguments.no_depends_on),
            *(arguments.done, arguments.undone, arguments.accept, arguments.no_accept),
        )
    )


def _plain(arguments: Namespace) -> dict[str, Any]:
    """Return the fields that are given as a whole; None removes one."""
    fields: dict[str, Any] = {}
    if arguments.body is not None:
        fields["body"] = sys.stdin.read() if arguments.body == "-" else arguments.body
    words = {field: getattr(arguments, field) for field in ("state", "type", "priority")}
    fields |= {field: word for field, word in words.items() if word is not None}
    if arguments.parent is not None:
        fields["parent"] = arguments.parent.lower() or None
    if arguments.repository is not None:
        fields["repositoryRef"] = {"name": arguments.repository} if arguments.repository else None
    return fields


def _acceptance(ticket: Ticket, arguments: Namespace) -> list[dict[str, Any]]:
    items = [item.manifest() for item in ticket.spec.acceptance]
    known = {item["id"] for item in items}
    for asked in (*arguments.done, *arguments.undone, *arguments.no_accept):
        if asked not in known:
            there = ", ".join(printable(each) for each in sorted(known)) or "none"
            raise CommandError(
                f"{ticket.metadata.name} has no acceptance item {asked!r}; it has: {there}"
            )
    for item in items:
        if item["id"] in arguments.done:
            item["done"] = True
        if item["id"] in arguments.undone:
            item["done"] = False
    kept = [item for item in items if item["id"] not in arguments.no_accept]
    return _added(kept, arguments.accept)


def _added(items: list[dict[str, Any]], texts: Iterable[str]) -> list[dict[str, Any]]:
    """Return *items* and one for each text, with ids that are free (a1, a2 and so on)."""
    taken = {item["id"] for item in items}
    number = 0
    for text in texts:
        number += 1
        while f"a{number}" in taken:
            number += 1
        items = [*items, {"id": f"a{number}", "text": text, "done": False}]
        taken.add(f"a{number}")
    return items


async def _patiently(desk: Desk, call: Call, *, made_up: bool = False) -> link_pb2.TicketAnswer:
    """Return the answer, asked for until the controller is there.

    *made_up*: the name is ours alone, so that a ticket that is there is from an earlier try.
    """
    began, wait, tried = time.monotonic(), _FIRST_WAIT, False
    while True:
        address = await asyncio.to_thread(desk.address)
        try:
            async with door(address) as channel:
                stub = link_pb2_grpc.TicketsStub(channel)  # type: ignore[no-untyped-call] # generated
                return await call(stub, address)
        except grpc.aio.AioRpcError as exc:
            failed = _refusal(exc)
        if isinstance(failed, Exists) and made_up and tried:
            return link_pb2.TicketAnswer()
        if not isinstance(failed, Unreachable) or time.monotonic() - began > _PATIENCE_SECONDS:
            raise failed
        tried = True
        await asyncio.sleep(wait)
        wait = min(wait * 1.5, _LONGEST_WAIT)


def _refusal(error: grpc.aio.AioRpcError) -> CommandError:
    said = " ".join((error.details() or "").split())[:500]
    match error.code():
        case grpc.StatusCode.ABORTED:
            return Outdated(said)
        case grpc.StatusCode.ALREADY_EXISTS:
            return Exists(said)
        case grpc.StatusCode.RESOURCE_EXHAUSTED if "larger than max" in said:
            return CommandError(
                "the ticket is too long: its text may have 64 KiB, and all of it somewhat more"
            )
        case _:
            return refused(error, "tickets")


def _tell(arguments: Namespace, name: str, verb: str, answer: link_pb2.TicketAnswer) -> int:
    """Print what became of it; return the exit code."""
    if arguments.output != "text":
        found = {
            "ticket": json.loads(answer.ticket_json) if answer.ticket_json else None,
            "name": name,
            "commit": answer.commit or None,
            "pending": answer.pending,
            "unchanged": answer.unchanged,
            "waits": answer.waits or None,
            "conflict": answer.conflict or None,
        }
        print(ticket_text.document(found, arguments.output))
    elif answer.pending and not answer.commit:
        print(f"ticket {name}: {printable(answer.waits) or _LOOK.format(name)}")
    elif answer.conflict:  # which is said below: not all of it, or none, is so
        if answer.commit and not answer.unchanged:
            print(f"ticket {name}: commit {answer.commit[:12]}")
    elif answer.unchanged:
        print(f"ticket {name}: nothing to change")
    else:
        commit = f" (commit {answer.commit[:12]})" if answer.commit else ""
        print(f"ticket {name} {verb}{commit}")
    if answer.conflict:
        raise CommandError(printable(answer.conflict))
    return 0


def _check_name(what: str, name: str, *, lower: bool = True) -> None:
    """Raise Usage unless a resource can have the name; empty: none was given."""
    said = name.lower() if lower else name
    if name and (len(said) > _LONGEST_NAME or _NAME.fullmatch(said) is None):
        raise Usage(
            f"{what}: {printable(repr(name))[:100]} is no name: lower-case letters, digits and "
            "'-', with a letter or digit first and last"
        )


def _new_id() -> str:
    return "tk-" + "".join(secrets.choice(_CROCKFORD) for _ in range(10))
