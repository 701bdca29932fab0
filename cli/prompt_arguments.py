"""The command line of ``agentsmesh prompt``. Imports nothing heavy: it is built every time."""

import argparse
from collections.abc import Callable


def add(
    commands: "argparse._SubParsersAction[argparse.ArgumentParser]",
    cluster: Callable[[argparse.ArgumentParser], None],
) -> None:
    """Add the command; *cluster* adds what says which API server is meant."""
    prompt = commands.add_parser("prompt", help="give a pod's agent something to do, once")
    prompt.add_argument("pod", metavar="POD")
    prompt.add_argument("text", metavar="TEXT", help="-: what is on standard input")
    prompt.add_argument(
        "--wait",
        action=argparse.BooleanOptionalAction,
        default=True,
        help="until it is submitted or has failed (the default); --no-wait prints its id at once",
    )
    prompt.add_argument(
        "--key",
        metavar="KEY",
        default="",
        help="the same key and pod are the same prompt, typed once however often it is given",
    )
    prompt.add_argument("-o", "--output", choices=("text", "json"), default="text")
    cluster(prompt)
    prompt.set_defaults(run=_prompt)


def _prompt(arguments: argparse.Namespace) -> int:
    from cli.prompt import prompt

    return prompt(arguments)
