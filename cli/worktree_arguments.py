"""The command line of ``agentsmesh worktree``. Imports nothing heavy: it is built every time."""

import argparse
from collections.abc import Callable


def add(
    commands: "argparse._SubParsersAction[argparse.ArgumentParser]",
    cluster: Callable[[argparse.ArgumentParser], None],
) -> None:
    """Add the command; *cluster* adds what says which API server is meant."""
    worktree = commands.add_parser("worktree", help="have the work of pods that are gone")
    cluster(worktree)  # also before the verb
    verbs = worktree.add_subparsers(metavar="VERB", required=True)
    restore = verbs.add_parser(
        "restore", help="bring the kept work of a pod into this git clone, as a branch"
    )
    restore.add_argument("pod", metavar="POD", help="its name, or its uid")
    restore.add_argument("--branch", metavar="NAME", help="make this branch (saved/POD)")
    restore.add_argument("-C", dest="clone", metavar="DIR", default=".", help="the clone (.)")
    restore.add_argument(
        "--local",
        action="store_true",
        help="read the data directory of the runner on this machine, ask nobody",
    )
    cluster(restore)
    restore.set_defaults(run=_restore)


def _restore(arguments: argparse.Namespace) -> int:
    from cli.worktree import restore

    return restore(arguments)
