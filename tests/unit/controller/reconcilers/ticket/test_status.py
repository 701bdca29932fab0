"""What a ticket says of what it waits for, what was started for it, and how work on it ended."""

from typing import Any

import pytest

from controller.gitops.writeback.values import TicketWrites
from controller.kernel.key import Key
from controller.kernel.reconciler import Finding
from controller.placement.indexes import new_store
from controller.reconcilers.ticket.observe import TicketObserver
from controller.reconcilers.ticket.snapshot import TicketSnapshot
from controller.reconcilers.ticket.status import report
from schemas.conditions import find
from schemas.ticket import TicketStatus

pytestmark = pytest.mark.anyio

NOW = 1_800_000_000.0
CLAIM = {"podName": "a", "podUID": "uid-of-a", "claimedAt": "2027-01-01T00:00:00Z"}
OUTCOME = {"podName": "a", "podUID": "uid-of-a", "endedAt": "2027-01-01T00:00:00Z"}


def status_of(snapshot: TicketSnapshot) -> TicketStatus:
    made = report(snapshot, None, NOW).status
    assert isinstance(made, TicketStatus)
    return made


def test_what_pods_own_in_the_status_is_kept(build: Any) -> None:
    runs = {"attempts": 1, "total": 3, "lastPod": "p", "state": "todo", "starting": True}
    kept = {"claim": CLAIM, "runs": runs, "outcome": OUTCOME | {"reason": "Committed"}}
    one = build("Ticket", "tk-1", spec={"title": "t"}, status=kept)
    told = status_of(TicketSnapshot(one)).manifest()
    before = one.status.manifest()
    assert {name: told[name] for name in kept} == {name: before[name] for name in kept}


def test_a_blocked_ticket_names_what_it_waits_for_and_is_ready_all_the_same(build: Any) -> None:
    one = build("Ticket", "tk-1", spec={"title": "t"})
    names = tuple(f"tk-{number}" for number in range(2, 13))
    said = status_of(TicketSnapshot(one, blockers=names)).conditions
    blocked, ready = find(said, "Blocked"), find(said, "Ready")
    assert blocked is not None
    assert ready is not None
    assert (blocked.status, ready.status) == ("True", "True")
    assert "tk-2, tk-3" in blocked.message
    assert blocked.message.endswith("tk-9 and 3 more to be done")
    assert find(status_of(TicketSnapshot(one)).conditions, "Blocked") is None


@pytest.mark.parametrize(
    ("reason", "commits"),
    [("Committed", "True"), ("NoCommits", "False"), ("NotStarted", "False"), ("Deleted", "False")],
)
def test_how_work_ended_stays_after_the_pod(build: Any, reason: str, commits: str) -> None:
    outcome = OUTCOME | {"reason": reason, "message": "pod a ended so"}
    one = build("Ticket", "tk-1", spec={"title": "t"}, status={"outcome": outcome})
    said = find(status_of(TicketSnapshot(one)).conditions, "Worked")
    assert said is not None
    assert (said.status, said.reason, said.message) == (commits, reason, "pod a ended so")


def test_why_nothing_starts_is_said_and_stays_until_it_is_looked_at_again(build: Any) -> None:
    one = build("Ticket", "tk-1", spec={"title": "t"})
    waits = status_of(TicketSnapshot(one, run=Finding("WaitsForRoom", "5 pods are there")))
    said = find(waits.conditions, "AutoRun")
    assert said is not None
    assert (said.status, said.reason) == ("False", "WaitsForRoom")
    known = one.model_copy(update={"status": waits})
    after_restart = status_of(TicketSnapshot(known, runs_known=False))
    assert after_restart == waits  # nothing is written
    assert find(status_of(TicketSnapshot(known)).conditions, "AutoRun") is None
    claimed = status_of(TicketSnapshot(one, run=Finding("Claimed", "a has it")))
    has = find(claimed.conditions, "AutoRun")
    assert has is not None
    assert has.status == "True"


async def test_pods_dependencies_and_who_claimed_it_are_gathered(build: Any) -> None:
    store = new_store()
    spec = {"title": "t", "dependsOn": ["tk-open", "tk-done", "tk-none"]}
    for item in (
        build("Ticket", "tk-1", spec=spec, status={"claim": CLAIM}),
        build("Ticket", "tk-open", spec={"title": "t", "state": "in_review"}),
        build("Ticket", "tk-done", spec={"title": "t", "state": "canceled"}),
        build("AgentPod", "a", spec={"agentClassName": "c"}),
        build("AgentPod", "b", spec={"agentClassName": "c", "ticketRef": {"name": "tk-1"}}),
    ):
        store.apply(item.definition.resource.kind, item.manifest())
    found = await TicketObserver(store).observe(Key("Ticket", "acme", "tk-1"))
    assert found is not None
    assert found.blockers == ("tk-open", "tk-none")
    assert {pod.metadata.name for pod in found.pods} == {"a", "b"}
    assert [pod.name for pod in status_of(found).agent_pods] == ["b", "a"]


@pytest.mark.parametrize(
    ("writes", "kind", "said"),
    [
        pytest.param(
            TicketWrites(pending=1, since=NOW),
            "WriteBackPending",
            "a change is accepted and not pushed yet",
            id="one change waits",
        ),
        pytest.param(
            TicketWrites(pending=3, since=NOW, why="git.example does not answer"),
            "WriteBackPending",
            "3 changes are accepted and not pushed yet: git.example does not answer",
            id="many wait for a reason",
        ),
        pytest.param(
            TicketWrites(conflict="state is done"), "Conflict", "state is done", id="not taken"
        ),
    ],
)
def test_what_waits_and_what_was_not_taken_is_said_while_it_is_so(
    build: Any, writes: TicketWrites, kind: str, said: str
) -> None:
    one = build("Ticket", "tk-1", spec={"title": "t"})
    conditions = status_of(TicketSnapshot(one, writes=writes)).conditions
    found, ready = find(conditions, kind), find(conditions, "Ready")
    assert found is not None
    assert ready is not None
    assert (found.status, found.message, ready.status) == ("True", said, "True")
    before = status_of(TicketSnapshot(one)).conditions
    assert {item.type for item in before} == {item.type for item in conditions} - {kind}
