"""The command line of ``agentsmesh ticket``. Imports nothing heavy: it is built every time."""

import argparse
from collections.abc import Callable
from typing import Final

STATES: Final = ("backlog", "todo", "in_progress", "in_review", "done", "canceled")
TYPES: Final = ("task", "bug", "feature", "improvement", "epic", "subtask", "story")
PRIORITIES: Final = ("urgent", "high", "medium", "low", "none")


def add(
    commands: "argparse._SubParsersAction[argparse.ArgumentParser]",
    cluster: Callable[[argparse.ArgumentParser], None],
    count: Callable[[str], int],
) -> None:
    """Add the command; *cluster* adds what says which API server is meant."""
    ticket = commands.add_parser("ticket", help="see, make and change tickets, also those in git")
    cluster(ticket)  # also before the verb
    verbs = ticket.add_subparsers(metavar="VERB", required=True)
    _list_verb(verbs, cluster)
    show = verbs.add_parser("show", help="show a ticket and where it lies")
    show.add_argument("ticket", metavar="TICKET")
    show.add_argument("-o", "--output", choices=("text", "json", "yaml"), default="text")
    cluster(show)
    show.set_defaults(run=_show)
    _create_verb(verbs, cluster)
    _update_verb(verbs, cluster, count)


def _list_verb(
    verbs: "argparse._SubParsersAction[argparse.ArgumentParser]",
    cluster: Callable[[argparse.ArgumentParser], None],
) -> None:
    found = verbs.add_parser("list", help="list tickets, the most urgent first")
    found.add_argument("--state", choices=STATES, action="append", default=[])
    found.add_argument("--type", choices=TYPES, action="append", default=[])
    found.add_argument("--priority", choices=PRIORITIES, action="append", default=[])
    found.add_argument("--label", metavar="L", action="append", default=[], help="has all of them")
    found.add_argument("--assignee", metavar="WHO", default="")
    found.add_argument("--parent", metavar="TICKET", default="")
    found.add_argument("-o", "--output", choices=("table", "json", "yaml"), default="table")
    cluster(found)
    found.set_defaults(run=_list)


def _create_verb(
    verbs: "argparse._SubParsersAction[argparse.ArgumentParser]",
    cluster: Callable[[argparse.ArgumentParser], None],
) -> None:
    create = verbs.add_parser(
        "create", help="make a ticket; a file where a GitSource takes new tickets"
    )
    create.add_argument("title", metavar="TITLE")
    create.add_argument("--name", metavar="ID", default="", help="its id (tk- and 10 characters)")
    create.add_argument("--source", metavar="GITSOURCE", default="", help="that gets the file")
    create.add_argument("--state", choices=STATES)
    _fields(create)
    create.add_argument("--label", metavar="L", action="append", default=[])
    create.add_argument("--assign", metavar="WHO", action="append", default=[])
    create.add_argument("--depends-on", metavar="TICKET", action="append", default=[])
    create.add_argument(
        "--accept", metavar="TEXT", action="append", default=[], help="what must be true when done"
    )
    _output(create)
    cluster(create)
    create.set_defaults(run=_create)


def _update_verb(
    verbs: "argparse._SubParsersAction[argparse.ArgumentParser]",
    cluster: Callable[[argparse.ArgumentParser], None],
    count: Callable[[str], int],
) -> None:
    update = verbs.add_parser("update", help="change a ticket, in git by a commit in your name")
    update.add_argument("ticket", metavar="TICKET")
    update.add_argument("--title", metavar="TEXT")
    update.add_argument("--state", choices=STATES)
    _fields(update)
    for name, metavar, text in (
        ("label", "L", "labels"),
        ("assign", "WHO", "assignees"),
        ("depends-on", "TICKET", "tickets that must be done first"),
    ):
        update.add_argument(
            f"--{name}", metavar=metavar, action="append", default=[], help=f"add to its {text}"
        )
        update.add_argument(
            f"--no-{name}", metavar=metavar, action="append", default=[], help="remove from them"
        )
    for name, text in (
        ("done", "this acceptance item is done (its id)"),
        ("undone", "it is not"),
        ("no-accept", "remove it"),
    ):
        update.add_argument(f"--{name}", metavar="ITEM", action="append", default=[], help=text)
    update.add_argument(
        "--accept", metavar="TEXT", action="append", default=[], help="add an acceptance item"
    )
    update.add_argument(
        "--revision", type=count, metavar="N", help="only if metadata.generation is N"
    )
    _output(update)
    cluster(update)
    update.set_defaults(run=_update)


def _fields(command: argparse.ArgumentParser) -> None:
    """Add what create and update have in common."""
    command.add_argument("--body", metavar="TEXT", help="Markdown; -: what is on standard input")
    command.add_argument("--type", choices=TYPES)
    command.add_argument("--priority", choices=PRIORITIES)
    command.add_argument("--parent", metavar="TICKET", help="that it is a part of; '' for none")
    command.add_argument("--repository", metavar="NAME", help="that it is about; '' for none")


def _output(command: argparse.ArgumentParser) -> None:
    command.add_argument("-o", "--output", choices=("text", "json", "yaml"), default="text")


def _list(arguments: argparse.Namespace) -> int:
    from cli.ticket_list import list_tickets

    return list_tickets(arguments)


def _show(arguments: argparse.Namespace) -> int:
    from cli.ticket_list import show

    return show(arguments)


def _create(arguments: argparse.Namespace) -> int:
    from cli.ticket import create

    return create(arguments)


def _update(arguments: argparse.Namespace) -> int:
    from cli.ticket import update

    return update(arguments)
