"""``agentsmesh down``: stop the processes of a mesh. Agents go on."""

from argparse import Namespace
from typing import Final

from cli.datadir import DataDir, holder, locate
from cli.errors import CommandError
from cli.up import state
from cli.up.supervise import end_leftovers

_GRACE_SECONDS: Final = 60.0
"""The supervisor gives each of its three processes fifteen."""


def down(arguments: Namespace) -> int:
    """Stop the mesh of a data directory; fine if none runs."""
    directory = locate(arguments.data_dir)
    supervisor = holder(directory)
    if supervisor is not None:
        supervisor.end(_GRACE_SECONDS)
    left = _leftovers(directory)
    if supervisor is None and not left:
        print(f"[down] nothing runs on {directory.root}")
        return 0
    if holder(directory) is not None:
        raise CommandError(f"process {supervisor.pid if supervisor else '?'} does not end")
    print(f"[down] stopped the mesh on {directory.root}")
    print(
        f"  agents go on and `agentsmesh up{directory.option}` finds them again; "
        "to end them too, first: kubectl delete agentpods --all -A"
    )
    return 0


def _leftovers(directory: DataDir) -> list[str]:
    """End what a supervisor that was killed left running."""
    before = state.read(directory)
    return end_leftovers(before.parts) if before is not None else []
