"""Tickets, on the public port: people make and change them; in git by a commit in their name."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Final

import grpc
from meshwire.v1 import link_pb2

from controller.gitops.files.shape import ShapeError, field_name, spec_of
from controller.kube.errors import KubeError, Refused, Unavailable
from controller.rpc.caller import current_caller
from controller.rpc.refusal import refuse
from controller.rpc.rights import demand, refusing
from controller.services.access import CREATE_TICKETS, UPDATE_TICKET, Access
from controller.services.ticket_values import Written, by_person
from controller.services.tickets import OutdatedError, Place, Tickets
from controller.services.tokens import is_name, is_object_name
from controller.tools.call import ToolError
from schemas.names import TICKET
from schemas.ticket import TicketSpec

_CODES: Final = {
    "NotFound": grpc.StatusCode.NOT_FOUND,
    "AlreadyExists": grpc.StatusCode.ALREADY_EXISTS,
    "InvalidArgument": grpc.StatusCode.INVALID_ARGUMENT,
    "LimitExceeded": grpc.StatusCode.INVALID_ARGUMENT,
    "Conflict": grpc.StatusCode.ABORTED,
    "Unavailable": grpc.StatusCode.UNAVAILABLE,
}
"""Any other reason is a state that refuses: such as a source that writes nothing."""

_PARENT: Final = ("parent_ticket_id", "parent")
"""What agents call a field, and what it is called."""
_FIELDS: Final = frozenset(field.alias or name for name, field in TicketSpec.model_fields.items())


class TicketsDoor:
    """Translates between the wire and the service, for callers that the API server recognised."""

    def __init__(self, tickets: Tickets, access: Access) -> None:
        self._tickets = tickets
        self._access = access

    async def Create(  # noqa: N802 - the name of the RPC
        self,
        request: link_pb2.TicketCreate,
        context: Any,  # noqa: ARG002 - gRPC's
    ) -> link_pb2.TicketAnswer:
        """Make a ticket, with an id of its own or the one that is asked for."""
        caller = current_caller()
        _check_names(request.namespace, name=request.name, source=request.source)
        spec = _fields(request.spec_json)
        _check_spec(spec)
        await demand(self._access, caller, CREATE_TICKETS, (request.namespace, ""))
        place = Place(request.namespace, request.name, request.source)
        with _refusing():
            written = await self._tickets.create(by_person(caller.user.name), place, spec)
        return _wire(written)

    async def Update(  # noqa: N802 - the name of the RPC
        self,
        request: link_pb2.TicketUpdate,
        context: Any,  # noqa: ARG002 - gRPC's
    ) -> link_pb2.TicketAnswer:
        """Change the fields that are given, and only them."""
        caller = current_caller()
        _check_names(request.namespace, name=request.name)
        if not request.name:
            refuse(grpc.StatusCode.INVALID_ARGUMENT, "name: which ticket")
        changes = _fields(request.changes_json)
        given = {key: value for key, value in changes.items() if value is not None}
        _check_spec({"title": "given", **given})
        await demand(self._access, caller, UPDATE_TICKET, (request.namespace, request.name))
        with _refusing():
            written = await self._tickets.update(
                by_person(caller.user.name),
                request.namespace,
                request.name,
                changes,
                expected_revision=request.expected_revision or None,
            )
        return _wire(written)


@contextmanager
def _refusing() -> Iterator[None]:
    """Turn what the service and the API server refuse into a status."""
    with refusing(_CODES):
        try:
            yield
        except ToolError as exc:
            raise ToolError(exc.reason, exc.message.replace(*_PARENT)) from exc
        except OutdatedError as exc:
            refuse(grpc.StatusCode.ABORTED, str(exc))
        except Unavailable as exc:
            refuse(grpc.StatusCode.UNAVAILABLE, str(exc))
        except Refused as exc:
            refuse(grpc.StatusCode.INVALID_ARGUMENT, str(exc))
        except KubeError as exc:
            refuse(grpc.StatusCode.FAILED_PRECONDITION, str(exc))


def _check_names(namespace: str, **names: str) -> None:
    wrong = [field for field, name in names.items() if name and not is_object_name(name)]
    if not is_name(namespace):
        wrong.insert(0, "namespace")
    if wrong:
        refuse(
            grpc.StatusCode.INVALID_ARGUMENT,
            f"{wrong[0]}: no name that a resource can have: lower-case letters, digits and '-', "
            "with a letter or digit first and last",
        )


def _fields(text: str) -> dict[str, Any]:
    """Return the fields of the spec in the request. Raises Refusal."""
    try:
        found = json.loads(text or "{}")
    except (ValueError, RecursionError):
        found = None
    if not isinstance(found, dict):
        refuse(grpc.StatusCode.INVALID_ARGUMENT, "the fields of the ticket must be a JSON object")
    if unknown := sorted(found.keys() - _FIELDS):
        refuse(
            grpc.StatusCode.INVALID_ARGUMENT,
            f"{unknown[0][:64]!r} is no field of a Ticket: there are {', '.join(sorted(_FIELDS))}",
        )
    return found


def _check_spec(spec: dict[str, Any]) -> None:
    try:
        spec_of(TICKET.kind, spec)
    except ShapeError as exc:
        where = field_name(exc.path) or "spec"
        refuse(grpc.StatusCode.INVALID_ARGUMENT, f"{where}: {exc.message}")


def _wire(written: Written) -> link_pb2.TicketAnswer:
    return link_pb2.TicketAnswer(
        ticket_json=json.dumps(written.ticket.manifest()),
        commit=written.commit,
        pending=written.pending,
        conflict=written.message if written.conflicts else "",
        waits=written.message if written.pending and not written.conflicts else "",
        unchanged=written.unchanged,
    )
