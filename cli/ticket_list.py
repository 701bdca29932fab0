"""``agentsmesh ticket list`` and ``show``: the Ticket resources of an organization."""

from argparse import Namespace

from cli import ticket_text
from cli.api import Api
from cli.datadir import locate
from cli.kubeconfig import load, paths
from schemas.names import TICKET
from schemas.ticket import Ticket


def list_tickets(arguments: Namespace) -> int:
    """Print the tickets that fit, the most urgent first."""
    api, namespace = reach(arguments)
    found = [(Ticket.model_validate(item), item) for item in api.list(TICKET, namespace)]
    found = [(ticket, item) for ticket, item in found if _fits(ticket, arguments)]
    found.sort(key=lambda each: ticket_text.urgency(each[0]))
    if arguments.output != "table":
        items = [ticket_text.resource(item) for _, item in found]
        print(ticket_text.document(items, arguments.output))
    elif found:
        print(ticket_text.table([ticket for ticket, _ in found]))
    else:
        print(f"there are no such tickets in namespace {namespace}")
    return 0


def show(arguments: Namespace) -> int:
    """Print a ticket."""
    api, namespace = reach(arguments)
    item = api.get(TICKET, namespace, arguments.ticket.lower())
    if arguments.output == "text":
        print(ticket_text.whole(Ticket.model_validate(item)))
    else:
        print(ticket_text.document(ticket_text.resource(item), arguments.output))
    return 0


def reach(arguments: Namespace) -> tuple[Api, str]:
    """Return the API server and the namespace that are meant."""
    target = load(
        paths(arguments.kubeconfig, locate(arguments.data_dir)),
        context=arguments.context,
        token_file=arguments.token_file,
    )
    return Api(target), arguments.namespace or target.namespace


def _fits(ticket: Ticket, wanted: Namespace) -> bool:
    spec = ticket.spec
    return (
        (not wanted.state or spec.state in wanted.state)
        and (not wanted.type or spec.type in wanted.type)
        and (not wanted.priority or spec.priority in wanted.priority)
        and set(wanted.label) <= set(spec.labels)
        and (not wanted.assignee or wanted.assignee in spec.assignees)
        and wanted.parent.lower() in {"", spec.parent or ""}
    )
