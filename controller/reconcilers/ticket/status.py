"""The status of a Ticket. Pure.

What belongs to pods (claim, runs, outcome) is written elsewhere, and stays as it is.
"""

from typing import Final

from controller.kernel.reconciler import ReconcileError, Report
from controller.reconcilers.conditions import Conditions
from controller.reconcilers.references import say
from controller.reconcilers.ticket.checks import first
from controller.reconcilers.ticket.origin import digest_of, say_synced, say_written, source_of
from controller.reconcilers.ticket.snapshot import TicketSnapshot
from controller.tickets.claims import waiting
from controller.tickets.facts import children_of, joined, progress, worked_on
from controller.tickets.follow import COMMITTED
from schemas.conditions import find, merge
from schemas.names import ANNOTATION_REQUESTED_AT

BLOCKED: Final = "Blocked"
"""Abnormal-true, absent otherwise. It waits for the tickets that it depends on."""
AUTO_RUN: Final = "AutoRun"
"""Normal-true, absent where nothing starts pods for it. A pod was started for it by itself."""
POD_WAITING: Final = "PodWaiting"
"""Abnormal-true, absent otherwise. The pod that has it, or was started for it, is on no runner."""
WORKED: Final = "Worked"
"""Normal-true, absent before. The last pod that had it ended, with commits."""

_PODS: Final = 20
_CHILDREN: Final = 256
_COMMITS: Final = 20
_BLOCKERS: Final = 8


def report(snapshot: TicketSnapshot, error: ReconcileError | None, now: float) -> Report:
    """Return how far the ticket is, who works on it, and what is wrong with it."""
    del error  # nothing is done that could fail
    item = snapshot.subject
    said = Conditions.of(item, now)
    say(said, snapshot.missing)
    _blocked(said, snapshot)
    _run(said, snapshot)
    _waiting(said, snapshot)
    _worked(said, snapshot)
    say_synced(said, snapshot)
    say_written(said, snapshot)
    said.ready(first(snapshot), "its references are there and it waits for nothing of its own")
    return Report(
        item.status.model_copy(
            update={
                "observed_generation": item.metadata.generation,
                "last_handled_request_at": item.metadata.annotations.get(ANNOTATION_REQUESTED_AT),
                "conditions": merge(item.status.conditions, said.items),
                "progress": progress(item, snapshot.children),
                "agent_pods": worked_on(snapshot.pods, item.status.agent_pods)[:_PODS],
                "children": children_of(snapshot.children)[:_CHILDREN],
                "source": source_of(snapshot),
                "observed_digest": digest_of(snapshot),
                "commits": joined(snapshot.commits, item.status.commits)[:_COMMITS],
            }
        )
    )


def _blocked(said: Conditions, snapshot: TicketSnapshot) -> None:
    names = snapshot.blockers
    if names:
        more = f" and {len(names) - _BLOCKERS} more" if len(names) > _BLOCKERS else ""
        text = f"dependsOn: it waits for {', '.join(names[:_BLOCKERS])}{more} to be done"
        said.true(BLOCKED, "Dependencies", text)


def _run(said: Conditions, snapshot: TicketSnapshot) -> None:
    """Say whether a pod was started for it by itself, or why not."""
    if not snapshot.runs_known:
        if (known := find(snapshot.subject.status.conditions, AUTO_RUN)) is not None:
            said.say(AUTO_RUN, known.status, known.reason, known.message)
        return
    if (why := snapshot.run) is not None:
        (said.true if why.reason == "Claimed" else said.false)(AUTO_RUN, why.reason, why.message)


def _waiting(said: Conditions, snapshot: TicketSnapshot) -> None:
    """Say why the pod, without which nobody works on the ticket, does not begin."""
    for pod in snapshot.pods:
        if (why := waiting(pod, snapshot.subject)) is not None:
            text = f"pod {pod.metadata.name} is on no runner: {why.message}"
            said.true(POD_WAITING, why.reason, text)
            return


def _worked(said: Conditions, snapshot: TicketSnapshot) -> None:
    outcome = snapshot.subject.status.outcome
    if outcome is not None:
        tell = said.true if outcome.reason == COMMITTED else said.false
        tell(WORKED, outcome.reason, outcome.message)
