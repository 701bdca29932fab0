"""The command line of ``agentsmesh reconcile``. Imports nothing heavy: it is built every time."""

import argparse
from collections.abc import Callable


def add(
    commands: "argparse._SubParsersAction[argparse.ArgumentParser]",
    cluster: Callable[[argparse.ArgumentParser], None],
    duration: Callable[[str], int],
) -> None:
    """Add the command; *cluster* adds what says which API server is meant."""
    reconcile = commands.add_parser(
        "reconcile", help="have the controller look at a resource now, and wait until it has"
    )
    reconcile.add_argument(
        "kind", metavar="KIND", help="source, ticket, pod, channel, repository, runner, …"
    )
    reconcile.add_argument("name", metavar="NAME")
    reconcile.add_argument(
        "--wait",
        action=argparse.BooleanOptionalAction,
        default=True,
        help="until it was looked at (the default)",
    )
    reconcile.add_argument(
        "--timeout", type=duration, metavar="60s", help="wait no longer (60s, a GitSource 90s)"
    )
    reconcile.add_argument(
        "--commit",
        metavar="SHA",
        help="of a GitSource: wait until this commit is applied, itself or with one after it",
    )
    reconcile.add_argument(
        "-C",
        dest="clone",
        metavar="DIR",
        help="a git clone that knows which commit comes after which (the working directory)",
    )
    cluster(reconcile)
    reconcile.set_defaults(run=_reconcile)


def _reconcile(arguments: argparse.Namespace) -> int:
    from cli.reconcile import reconcile

    return reconcile(arguments)
