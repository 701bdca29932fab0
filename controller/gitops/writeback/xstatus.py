"""What the controller says of a ticket in its file, as ``x-status``. Pure.

Only of tickets that a pod works or worked on: ten thousand files that are imported stay as they
are.
"""

from collections.abc import Iterable
from typing import Any

from controller.tickets.facts import progress
from schemas.ticket import Ticket, TicketPod


def x_status(ticket: Ticket, children: Iterable[Ticket]) -> dict[str, Any] | None:
    """Return what ``x-status`` is to say, without when; None: nothing.

    ``pod``, and where they are known ``branch``, ``commit``, ``result`` (how it ended: Committed,
    NoCommits, NotStarted or Deleted) and ``progress`` (``2/5``).
    """
    pod = _pod(ticket)
    if pod is None:
        return None
    said: dict[str, Any] = {"pod": pod.name}
    if pod.branch:
        said["branch"] = pod.branch
    if pod.commit:
        said["commit"] = pod.commit
    outcome = ticket.status.outcome
    if outcome is not None and outcome.pod_uid == pod.uid and ticket.status.claim is None:
        said["result"] = outcome.reason
    how_far = progress(ticket, children)
    if how_far.total:
        said["progress"] = f"{how_far.done}/{how_far.total}"
    return said


def _pod(ticket: Ticket) -> TicketPod | None:
    """Return the pod that has the ticket, or the last one that had it."""
    status = ticket.status
    if status.claim is not None:
        name, uid = status.claim.pod_name, status.claim.pod_uid
    elif status.outcome is not None:
        name, uid = status.outcome.pod_name, status.outcome.pod_uid
    else:
        return None
    known = next((pod for pod in status.agent_pods if pod.uid == uid), None)
    return known or TicketPod(name=name, uid=uid)
