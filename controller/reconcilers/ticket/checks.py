"""What is wrong with a Ticket, beside what its schema refuses. Pure."""

from typing import Final

from controller.kernel.reconciler import Finding
from controller.reconcilers.references import unresolved
from controller.reconcilers.ticket.snapshot import TicketSnapshot

_SHOWN: Final = 8


def cycle(snapshot: TicketSnapshot) -> Finding | None:
    """The ticket is a part of itself, or waits for itself."""
    for field, way in (
        ("parent", snapshot.parents_cycle),
        ("dependsOn", snapshot.dependencies_cycle),
    ):
        if way:
            said = f"{field}: the tickets {_said(way)} form a cycle: change one of them"
            return Finding("Cycle", said, stalled=True)
    return None


def first(snapshot: TicketSnapshot) -> Finding | None:
    """Return the first thing that is wrong, None if nothing is."""
    return cycle(snapshot) or unresolved(snapshot.missing)


def _said(way: tuple[str, ...]) -> str:
    shown = way if len(way) <= _SHOWN + 1 else (*way[:_SHOWN], f"({len(way) - _SHOWN - 1} more)")
    return " → ".join((*shown, way[-1]) if shown is not way else way)
