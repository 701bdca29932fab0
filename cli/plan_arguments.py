"""The command line of ``agentsmesh plan``. Imports nothing heavy: it is built every time."""

import argparse
from collections.abc import Callable
from typing import Final

FAIL_ON: Final = ("refused", "held", "change", "delete", "drift", "wait", "stop", "unread")


def add(
    commands: "argparse._SubParsersAction[argparse.ArgumentParser]",
    cluster: Callable[[argparse.ArgumentParser], None],
) -> None:
    """Add the command; *cluster* adds what says which API server is meant."""
    plan = commands.add_parser("plan", help="show what a commit of a GitSource would change")
    plan.add_argument(
        "--source",
        metavar="PATH|URL[@REF]",
        required=True,
        help="folder of a git repository, or its URL; the branch, tag or commit behind an @ (HEAD)",
    )
    plan.add_argument(
        "--name",
        metavar="SOURCE",
        help="the GitSource whose settings count (the one that reads this repository)",
    )
    plan.add_argument("-o", "--output", choices=("text", "json"), default="text")
    plan.add_argument(
        "--fail-on",
        metavar="WORD,…",
        type=_words,
        default=("refused", "held"),
        help=f"exit code 1 if the plan has one of these (refused,held): {', '.join(FAIL_ON)}; "
        "none: never",
    )
    cluster(plan)
    plan.set_defaults(run=_plan)


def _words(text: str) -> tuple[str, ...]:
    words = tuple(word for word in text.split(",") if word and word != "none")
    if wrong := [word for word in words if word not in FAIL_ON]:
        raise argparse.ArgumentTypeError(f"{wrong[0]!r} is none of {', '.join(FAIL_ON)}")
    return words


def _plan(arguments: argparse.Namespace) -> int:
    from cli.plan.command import plan

    return plan(arguments)
