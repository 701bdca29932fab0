"""Arguments of ``agentsmesh port-forward``. Imports nothing heavy: it is built every time."""

import argparse
from collections.abc import Callable
from dataclasses import dataclass

_LAST: int = 65535


@dataclass(frozen=True, slots=True)
class Pair:
    """A port of this machine, 0 for any free one, and the pod's port that it leads to."""

    local: int
    remote: int


def add(
    commands: "argparse._SubParsersAction[argparse.ArgumentParser]",
    cluster: Callable[[argparse.ArgumentParser], None],
) -> None:
    """Add the command; *cluster* adds what says which API server is meant."""
    forward = commands.add_parser(
        "port-forward", help="lead ports of this machine into a pod's own network"
    )
    forward.add_argument("pod", metavar="POD")
    forward.add_argument(
        "ports",
        metavar="[LOCAL:]PORT",
        nargs="+",
        type=pair,
        help="the pod's PORT, at the same or at LOCAL here; :PORT at any free one",
    )
    cluster(forward)
    forward.set_defaults(run=_forward)


def pair(text: str) -> Pair:
    """Return the ports in ``8080``, ``18080:8080`` or ``:8080``."""
    local, colon, remote = text.rpartition(":")
    numbers = [_number(remote), _number(local or "0") if colon else _number(remote)]
    if None in numbers or not numbers[0]:
        raise argparse.ArgumentTypeError(
            f"{text!r} is not [LOCAL:]PORT: numbers up to {_LAST}, such as 8080 or 18080:8080"
        )
    return Pair(numbers[1] or 0, numbers[0])


def _number(text: str) -> int | None:
    number = int(text) if text.isascii() and text.isdigit() and len(text) <= 5 else None
    return number if number is not None and number <= _LAST else None


def _forward(arguments: argparse.Namespace) -> int:
    from cli.port_forward import port_forward

    return port_forward(arguments)
