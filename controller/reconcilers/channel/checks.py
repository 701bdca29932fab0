"""What is wrong with a Channel, beside what its schema refuses. Pure."""

from controller.kernel.reconciler import Finding
from controller.reconcilers.channel.snapshot import ChannelSnapshot
from controller.reconcilers.references import unresolved


def name_taken(snapshot: ChannelSnapshot) -> Finding | None:
    """An older channel of the namespace has the same name for people."""
    if not snapshot.title_of:
        return None
    return Finding(
        "NameTaken",
        f"displayName: channel {snapshot.title_of} has this name already: give another one",
        stalled=True,
    )


def first(snapshot: ChannelSnapshot) -> Finding | None:
    """Return the first thing that is wrong, None if nothing is. It works all the same."""
    return name_taken(snapshot) or unresolved(snapshot.missing)
