"""Whose word a change of a ticket's state is: a person's gives it new attempts. Pure.

A pod's wish is written down before it is asked for. It counts as that until nothing of the kind is
on its way any more: what is pushed later, or after another one, is no person's either.
"""

from typing import Any

from controller.tickets.depth import at_first, unmade
from schemas.ticket import Ticket, TicketState


def recounted(ticket: Ticket) -> tuple[int, TicketState] | None:
    """Return how many attempts count from now on, and as of which state; None: as before.

    Whatever changes the state while a pod has the ticket is not taken for a person.
    """
    runs = ticket.status.runs
    if runs is None or ticket.status.claim is not None:
        return None
    state = ticket.spec.state
    if state == runs.state:
        return None
    ours = runs.state is None or state in wishes(ticket)
    return (runs.attempts if ours else 0), state


def recount(ticket: Ticket, *, settled: bool = False) -> dict[str, Any] | None:
    """Return the change of what is counted, None if it is right.

    A person's word also ends the chain of pods that asked for pods. *settled*: nothing that others
    than persons asked for is on its way any more.
    """
    again, runs = recounted(ticket), ticket.status.runs
    if runs is None:
        return at_first(ticket)
    change: dict[str, Any] = {}
    if again is not None:
        attempts, state = again
        change = {"attempts": attempts, "state": str(state)}
        if runs.state is not None and state not in wishes(ticket):
            change["depth"] = unmade(ticket)
    if settled and wishes(ticket):
        change |= {"given": None, "asked": None}
    return change or None


def wishes(ticket: Ticket) -> frozenset[TicketState]:
    """Return the states that others than persons asked for, and that may still come."""
    runs = ticket.status.runs
    if runs is None:
        return frozenset()
    return frozenset(runs.asked if runs.given is None else (*runs.asked, runs.given))


def wished(ticket: Ticket, state: TicketState) -> dict[str, Any]:
    """Return the change that adds a wish for *state*; empty: it is the last one already."""
    runs = ticket.status.runs
    if runs is not None and runs.given == state:
        return {}
    before = wishes(ticket) - {state}
    return {"given": str(state), **({"asked": sorted(map(str, before))} if before else {})}
