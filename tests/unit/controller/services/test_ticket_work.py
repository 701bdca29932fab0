"""A ticket is one pod's at a time, follows it, and starts pods: over kills at every request."""

import asyncio
import contextlib
import os
from collections.abc import Callable, Coroutine
from typing import Any

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from controller.kube.errors import from_status
from controller.tools.call import ToolError
from schemas.names import AGENT_POD, GIT_SOURCE, LABEL_SOURCE, TICKET, Resource
from schemas.ticket import TicketState
from tests.unit.controller.services.ticket_world import ORG, Killed, TicketWorld

pytestmark = pytest.mark.anyio

RUN = {"agentClassName": "c"}


@pytest.fixture
async def world() -> TicketWorld:
    made = TicketWorld()
    await made.organization()
    return made


async def test_a_ticket_follows_its_pod_to_review(world: TicketWorld) -> None:
    await world.ticket()
    await world.pod("a")
    await world.settle()
    claim = world.found().status.claim
    assert claim is not None
    assert claim.pod_name == "a"
    await world.place()
    await world.settle()
    assert world.found().spec.state == "todo"
    await world.start("a")
    await world.settle()
    assert world.found().spec.state == "in_progress"
    await world.end("a", commits=True)
    await world.settle()
    one = world.found()
    assert (one.spec.state, one.status.claim) == ("in_review", None)
    assert one.status.outcome is not None
    assert one.status.outcome.reason == "Committed"


@pytest.mark.parametrize("commits", [False, True], ids=["no commit", "commits"])
@pytest.mark.parametrize("state", ["backlog", "todo", "in_review", "done", "canceled"])
async def test_what_a_person_says_while_a_pod_works_stands(
    world: TicketWorld, state: str, *, commits: bool
) -> None:
    await world.ticket()
    await world.pod("a")
    await world.settle()
    await world.place()
    await world.start("a")
    await world.settle()
    assert world.found().spec.state == "in_progress"
    await world.move(state, title="Another title")
    await world.settle()
    assert world.found().spec.state == state
    await world.move(state, title="And another")
    await world.settle()
    await world.end("a", commits=commits)
    await world.settle()
    one = world.found()
    assert (one.spec.state, one.status.claim) == (state, None)


@pytest.mark.parametrize("noticed", [False, True], ids=["at once", "later"])
@pytest.mark.parametrize(
    ("commits", "after"), [(True, "in_review"), (False, "todo")], ids=["commits", "no commit"]
)
async def test_a_person_who_takes_a_word_back_has_the_ticket_follow_again(
    world: TicketWorld, after: str, *, commits: bool, noticed: bool
) -> None:
    await world.ticket()
    await world.pod("a")
    await world.settle()
    await world.place()
    await world.start("a")
    await world.settle()
    await world.move("backlog")
    if noticed:
        await world.settle()
    await world.move("in_progress")
    await world.end("a", commits=commits)
    await world.settle()
    one = world.found()
    assert (one.spec.state, one.status.claim) == (after, None)


async def test_a_state_that_was_decided_is_written_over_no_persons_later_word(
    world: TicketWorld,
) -> None:
    await world.ticket()
    await world.pod("a")
    await world.settle()
    await world.place()
    await world.start("a")
    world.kill_in(1, late=True)  # decided, written, and nothing more
    with pytest.raises(Killed):
        await world.settle()
    assert world.found().spec.state == "in_progress"
    await world.move("todo")
    world.restart()
    await world.settle()
    assert world.found().spec.state == "todo"


@pytest.mark.parametrize("state", ["todo", "backlog", "done"])
async def test_a_person_who_is_faster_than_a_decided_state_is_not_overruled(
    world: TicketWorld, state: str
) -> None:
    await world.ticket()
    await world.pod("a")
    await world.settle()
    await world.place()
    await world.start("a")
    await world.settle()
    await world.end("a", commits=True)
    world.kill_in(0, late=True)  # decided, and nothing more
    with pytest.raises(Killed):
        await world.settle()
    await world.move(state)
    world.restart()
    await world.settle()
    one = world.found()
    assert (one.spec.state, one.status.claim) == (state, None)


async def test_a_state_that_was_decided_and_not_written_is_written(world: TicketWorld) -> None:
    await world.ticket()
    await world.pod("a")
    await world.settle()
    await world.place()
    await world.start("a")
    world.kill_in(0, late=True)
    with pytest.raises(Killed):
        await world.settle()
    one = world.found()
    assert one.status.claim is not None
    assert (one.spec.state, one.status.claim.followed) == ("todo", "in_progress")
    await world.move("todo", title="Another title")  # which is no word on its state
    world.restart()
    await world.settle()
    assert world.found().spec.state == "in_progress"


@pytest.mark.parametrize(
    ("spec", "home", "follows"),
    [
        pytest.param({}, {}, True, id="by itself"),
        pytest.param({"followPods": False}, {}, False, id="not where the ticket says so"),
        pytest.param({}, {"followPods": False}, False, id="not where the organization says so"),
        pytest.param({"followPods": True}, {"followPods": False}, True, id="the ticket's word"),
    ],
)
async def test_following_can_be_switched_off(
    spec: dict[str, Any], home: dict[str, Any], *, follows: bool
) -> None:
    world = TicketWorld()
    await world.organization(tickets=home)
    await world.ticket(**spec)
    await world.pod("a")
    await world.settle()
    await world.place()
    await world.start("a")
    await world.settle()
    assert world.found().spec.state == ("in_progress" if follows else "todo")
    await world.end("a", commits=True)
    await world.settle()
    assert world.found().spec.state == ("in_review" if follows else "todo")
    assert world.found().status.claim is None


async def test_a_pod_that_a_person_stopped_keeps_its_ticket(world: TicketWorld) -> None:
    await world.ticket()
    await world.pod("a")
    await world.settle()
    await world.place()
    await world.start("a")
    await world.settle()
    stopped = {
        "type": "Stopped",
        "status": "True",
        "reason": "Stopped",
        "lastTransitionTime": "2027-01-01T00:00:00Z",
    }
    await world._status("a", {"phase": "Succeeded", "conditions": [stopped]})
    await world.pod("b", claim="Required")
    await world.settle()
    claim = world.found().status.claim
    assert claim is not None
    assert claim.pod_name == "a"
    assert world.found().spec.state == "in_progress"


async def test_a_deleted_pods_work_counts_as_it_was_last_seen(world: TicketWorld) -> None:
    for name, commit, state in (("tk-1", "c1", "in_review"), ("tk-2", "c0", "todo")):
        await world.ticket(name)
        pod = f"pod-of-{name}"
        await world.pod(pod, name)
        await world.settle()
        await world.place()
        await world.start(pod)
        await world.settle()
        seen = {"name": pod, "uid": world.pods[pod].metadata.uid}
        seen |= {"commit": commit, "baseCommit": "c0"}
        patch = {"status": {"agentPods": [seen]}}
        await world.kube.patch(
            world.found().definition.resource, "acme", name, patch, subresource="status"
        )
        await world.delete(pod)
        await world.settle()
        one = world.found(name)
        assert (one.spec.state, one.status.claim) == (state, None)


async def test_a_tool_claims_a_free_ticket_and_names_who_has_it(world: TicketWorld) -> None:
    await world.ticket()
    for name in ("a", "b"):
        await world.pod(name, None)
    await world.say("a", "in_progress")
    claim = world.found().status.claim
    assert claim is not None
    assert claim.pod_name == "a"
    with pytest.raises(ToolError, match="pod a works on the ticket"):
        await world.say("b", "in_progress")
    await world.say("a", "in_progress")  # its own: nothing changes
    await world._status("a", {"phase": "Failed"})
    await world.say("b", "in_progress")  # before anybody noticed that a has ended
    claim = world.found().status.claim
    assert claim is not None
    assert claim.pod_name == "b"


async def test_of_many_that_claim_at_once_one_has_the_ticket(world: TicketWorld) -> None:
    await world.ticket()
    for number in range(12):
        await world.pod(f"p{number}", None)

    async def tries(name: str) -> bool:
        try:
            await world.claims.take(world.pods[name], world.found())
        except ToolError:
            return False
        return True

    won = await asyncio.gather(*(tries(f"p{number}") for number in range(12)))
    assert sum(won) == 1


@pytest.mark.parametrize("away", [False, True], ids=["on the API", "in git, which is away"])
async def test_a_ticket_that_was_closed_before_its_pod_worked_on_it_is_nobodys(
    world: TicketWorld, *, away: bool
) -> None:
    await world.ticket()
    for name in ("a", "b"):
        await world.pod(name, None)
        await world.place()
        await world.start(name)
    await world.settle()
    world.away = True  # what the controller decides is not written yet
    await world.claims.take(world.pods["a"], world.found())
    await world.settle()
    assert world.queued == [("tk-1", "in_progress")]
    world.away = away
    await world.move("done")
    await world.settle()
    assert world.found().status.claim is None
    await world.claims.take(world.pods["b"], world.found())
    with pytest.raises(ToolError, match="pod b works on the ticket"):
        await world.claims.take(world.pods["a"], world.found())


async def test_a_pod_made_for_a_ticket_keeps_it_when_it_is_closed(world: TicketWorld) -> None:
    await world.ticket()
    await world.pod("a")
    await world.settle()
    await world.place()
    await world.start("a")
    world.away = True
    await world.settle()
    await world.move("done")
    await world.settle()
    claim = world.found().status.claim
    assert claim is not None
    assert claim.pod_name == "a"


async def test_a_claim_is_taken_back_from_who_has_it_and_from_nobody_else(
    world: TicketWorld,
) -> None:
    await world.ticket()
    await world.pod("a", None)
    await world.pod("b", None)
    ticket = await world.claims.take(world.pods["a"], world.found())
    await world.claims.dropped(world.pods["b"], ticket)
    assert world.found().status.claim is not None
    await world.claims.dropped(world.pods["a"], ticket)
    assert world.found().status.claim is None
    await world.pod("c")
    await world.settle()
    await world.claims.dropped(world.pods["c"], world.found())
    assert world.found().status.claim is not None


async def test_a_pod_that_goes_before_it_began_makes_room(world: TicketWorld) -> None:
    await world.ticket(autoRun=RUN)
    await world.settle()
    assert list(world.pods) == ["tk-1-run-1"]
    await world.move("backlog")
    await world.settle()
    assert list(world.pods) == []
    await world.move("todo")
    await world.settle()
    assert list(world.pods) == ["tk-1-run-2"]


async def test_a_name_that_is_taken_costs_an_attempt_and_starts_nothing(
    world: TicketWorld,
) -> None:
    await world.pod("tk-1-run-1", None)
    await world.ticket(autoRun=RUN)
    await world.settle()
    assert list(world.pods) == ["tk-1-run-1"]
    runs = world.found().status.runs
    assert runs is not None
    assert (runs.attempts, runs.starting) == (1, None)


@pytest.mark.parametrize("there", [True, False])
async def test_a_full_quota_hides_no_pod_that_was_made_before_a_crash(
    world: TicketWorld,
    *,
    there: bool,
) -> None:
    """The API says that the quota is full, and not that the name is taken."""
    await world.ticket(autoRun=RUN)
    world.kill_in(2 if there else 1)  # after the ticket's count: before the note, or the pod
    with contextlib.suppress(Killed):
        await world.settle()
    assert list(world.pods) == (["tk-1-run-1"] if there else [])
    world.restart()
    before = world.kube.before

    def full(verb: str, resource: Resource, name: str) -> None:
        before(verb, resource, name)
        if (verb, resource) == ("create", AGENT_POD):
            said = f'agentpods.agentsmesh.io "{name}" is forbidden: exceeded quota: q, requested: …'
            raise from_status(403, {"reason": "Forbidden", "message": said})

    world.kube.before = full
    await world.settle()
    runs = world.found().status.runs
    assert runs is not None
    assert (runs.total, runs.starting) == (1, None)
    async with asyncio.TaskGroup() as tasks:
        writing = tasks.create_task(world.recorder.run())
        await world.recorder.drain(10)
        writing.cancel()
    told = [one["reason"] for (kind, _, _), one in world.kube.objects.items() if kind == "Event"]
    assert told == (["PodStarted"] if there else ["AutoRunRefused"])


async def test_an_organization_starts_no_more_than_it_may() -> None:
    world = TicketWorld()
    await world.organization(tickets={"maxConcurrentRuns": 2}, quota={"agentPods": 4})
    for number in range(5):
        await world.ticket(f"tk-{number}", autoRun=RUN, priority="urgent" if number == 4 else "low")
    await world.settle()
    assert sorted(world.pods) == ["tk-0-run-1", "tk-4-run-1"]
    said = world.runs.why(world.found("tk-1"))
    assert said is not None
    assert said.reason == "WaitsForRoom"
    for name in ("tk-0-run-1", "tk-4-run-1"):
        await world.end(name, commits=False)
    await world.settle()
    assert sorted(world.living()) == ["tk-1-run-1", "tk-2-run-1"]
    for name in ("tk-1-run-1", "tk-2-run-1"):
        await world.end(name, commits=False)
    await world.settle()
    assert world.living() == []
    said = world.runs.why(world.found("tk-3"))
    assert said is not None
    assert said.reason == "QuotaExceeded"  # ended pods are pods


async def test_a_ticket_whose_pod_could_never_be_placed_holds_up_no_other() -> None:
    world = TicketWorld()
    await world.organization(tickets={"maxConcurrentRuns": 2})
    for number in range(3):
        wrong = {"agentClassName": "tpyo"}
        await world.ticket(f"tk-{number}", autoRun=wrong, priority="urgent")
    await world.ticket("tk-4", autoRun=RUN)
    about = {"repositoryRef": {"name": "shop"}}
    await world.ticket("tk-5", autoRun=RUN, priority="urgent", **about)
    await world.settle()
    assert list(world.pods) == ["tk-4-run-1"]
    for name, reason in (("tk-0", "AgentClassNotFound"), ("tk-5", "RepositoryNotFound")):
        said, claim = world.runs.why(world.found(name)), world.found(name).status.claim
        assert said is not None
        assert (said.reason, claim) == (reason, None)
    await world.agent_class("tpyo")  # what was missing is there
    await world.settle()
    assert sorted(world.pods) == ["tk-0-run-1", "tk-4-run-1"]


async def test_agents_that_send_a_ticket_back_for_ever_start_no_pods_for_ever(
    world: TicketWorld,
) -> None:
    await world.ticket(autoRun={**RUN, "maxAttempts": 2})
    await world.pod("reviewer", None)
    for _ in range(6):
        await world.settle(100)
        await world.place()
        for name in world.living():
            if name != "reviewer":
                await world.start(name)
                await world.settle()
                await world.end(name, commits=True)
        await world.settle()
        await world.say("reviewer", "todo")
    await world.settle(100)
    assert sorted(world.made) == ["reviewer", "tk-1-run-1", "tk-1-run-2"]


async def test_pods_whose_tickets_start_pods_come_to_an_end(world: TicketWorld) -> None:
    await world.ticket("tk-0", autoRun=RUN)
    for number in range(1, 6):  # each pod has a further ticket done by a further pod
        await world.ticket(f"tk-{number}", state="backlog", autoRun=RUN)
    for number in range(5):
        await world.settle()
        await world.place()
        if (pod := f"tk-{number}-run-1") in world.pods:
            await world.start(pod)
            await world.settle()
            await world.say(pod, "todo", f"tk-{number + 1}")
            await world.end(pod, commits=True)
    await world.settle()
    assert sorted(world.made) == ["tk-0-run-1", "tk-1-run-1", "tk-2-run-1"]  # podDepth is 2
    said = world.runs.why(world.found("tk-3"))
    assert said is not None
    assert said.reason == "TooDeep"
    for state in ("backlog", "todo"):  # a person's word
        await world.move(state, "tk-3")
        await world.settle()
    assert "tk-3-run-1" in world.made
    assert "agentsmesh.io/depth" not in world.pods["tk-3-run-1"].metadata.annotations


async def test_a_ticket_of_a_source_waits_until_its_status_says_where_it_is_from(
    world: TicketWorld,
) -> None:
    """A source that makes no AgentPods does not heed what its tickets ask for."""
    await world.source("backlog")
    await world.kube.patch(GIT_SOURCE, ORG, "team", {"spec": {"kinds": ["Ticket"]}})
    meta = {"labels": {LABEL_SOURCE: "team"}}
    spec = {"title": "Mine", "state": "todo", "autoRun": RUN}
    await world.kube.create(TICKET, ORG, {"metadata": {"name": "tk-2", **meta}, "spec": spec})
    await world.settle()
    await world.sourced("tk-2")
    await world.settle()
    assert "tk-2-run-1" not in world.made
    said = world.runs.why(world.found("tk-2"))
    assert said is not None
    assert said.reason == "NotAllowed"


@pytest.mark.parametrize(
    "words",
    [
        pytest.param(("in_progress", "todo"), id="claimed and given back"),
        pytest.param(("in_progress",), id="claimed and left"),
        pytest.param(("todo",), id="asked for"),
    ],
)
async def test_pods_that_claim_the_tickets_they_make_come_to_an_end(
    world: TicketWorld, words: tuple[str, ...]
) -> None:
    await world.source("todo")
    await world.pod("pod-0", None)
    await world.place()
    await world.start("pod-0")
    pod = "pod-0"
    for number in range(1, 6):
        ticket = f"tk-{number}"
        await world.create(pod, ticket)
        for word in words:  # at once: where the ticket comes from is not in its status yet
            await world.say(pod, word, ticket)
        await world.sourced(ticket)
        await world.settle()
        await world.end(pod, commits=False)
        await world.settle()
        pod = f"{ticket}-run-1"
        if pod not in world.pods:
            break
        await world.place()
        await world.start(pod)
        await world.settle()
    assert sorted(world.made) == ["pod-0", "tk-1-run-1", "tk-2-run-1"]  # podDepth is 2
    said = world.runs.why(world.found("tk-3"))
    assert said is not None
    assert said.reason == "TooDeep"
    for state in ("backlog", "todo"):  # a person's word
        await world.move(state, "tk-3")
        await world.settle()
    assert "agentsmesh.io/depth" not in world.pods["tk-3-run-1"].metadata.annotations


async def test_a_ticket_that_a_pod_made_starts_as_deep_as_that_pod_asked(
    world: TicketWorld,
) -> None:
    await world.source("backlog", "todo")
    await world.pod("pod-0", None)
    pod = "pod-0"
    for number in range(1, 5):
        await world.place()
        if pod in world.pods:
            await world.start(pod)
            await world.settle()
            await world.create(pod, f"tk-{number}")
            await world.sourced(f"tk-{number}")
            await world.settle()
        pod = f"tk-{number}-run-1"
    assert sorted(world.made) == ["pod-0", "tk-1-run-1", "tk-2-run-1"]
    await world.move("todo", "tk-3")
    await world.settle()
    assert "agentsmesh.io/depth" not in world.pods["tk-3-run-1"].metadata.annotations


async def test_a_persons_ticket_gets_no_deeper_by_its_own_attempts(world: TicketWorld) -> None:
    await world.ticket(autoRun={**RUN, "maxAttempts": 4})
    for number, word in enumerate(("in_progress", "todo", None, "todo"), 1):
        await world.settle(100)
        pod = f"tk-1-run-{number}"
        assert "agentsmesh.io/depth" not in world.pods[pod].metadata.annotations
        await world.place()
        await world.start(pod)
        await world.settle()
        if word is not None:
            await world.say(pod, word)
        await world.end(pod, commits=False)
    await world.settle(100)
    assert sorted(world.made) == [f"tk-1-run-{number}" for number in range(1, 5)]


async def test_a_wish_that_lands_after_its_pod_is_not_taken_for_a_persons(
    world: TicketWorld,
) -> None:
    await world.ticket(autoRun=RUN, followPods=False)
    await world.settle()
    await world.place()
    await world.start("tk-1-run-1")
    await world.settle()
    await world.move("in_progress")
    await world.settle()
    await world.wish("tk-1-run-1", "todo")
    await world.end("tk-1-run-1", commits=False)
    await world.settle(100)
    assert world.found().status.claim is None
    await world.land()
    await world.settle(100)
    assert sorted(world.made) == ["tk-1-run-1"]
    for state in ("backlog", "todo"):
        await world.move(state)
        await world.settle(100)
    assert sorted(world.made) == ["tk-1-run-1", "tk-1-run-2"]


@pytest.mark.parametrize("restarted", [False, True])
async def test_none_of_several_wishes_on_their_way_is_taken_for_a_persons(
    world: TicketWorld, *, restarted: bool
) -> None:
    await world.ticket(autoRun=RUN)
    await world.pod("reviewer", None)
    await world.settle()
    await world.place()
    await world.start("tk-1-run-1")
    await world.settle()
    await world.end("tk-1-run-1", commits=True)
    await world.settle()
    for state in ("backlog", "in_review", "todo"):
        await world.wish("reviewer", state)
    await world.settle(1000)  # however long the server is away
    for _ in range(3):
        if restarted:
            world.restart()
        await world.land()
        await world.settle(100)
    assert (world.found().spec.state, sorted(world.made)) == ("todo", ["reviewer", "tk-1-run-1"])


async def test_a_wish_that_starts_a_pod_leaves_the_others_a_pods(world: TicketWorld) -> None:
    await world.ticket(state="backlog", autoRun={**RUN, "maxAttempts": 1})
    await world.pod("reviewer", None)
    await world.settle()
    for state in ("todo", "in_review", "todo"):
        await world.wish("reviewer", state)
    await world.land()
    world.kill_in(1)  # counted, and neither made nor claimed
    with pytest.raises(Killed):
        await world.settle()
    await world.land()
    world.restart()
    for _ in range(2):
        await world.settle(100)
        await world.land()
    await world.settle(100)
    assert world.found().spec.state == "todo"
    runs = world.found().status.runs
    assert runs is not None
    assert runs.total == 1


async def test_a_state_that_followed_a_pod_and_lands_late_is_not_taken_for_a_persons(
    world: TicketWorld,
) -> None:
    await world.ticket(autoRun=RUN)
    await world.settle()
    await world.place()
    await world.start("tk-1-run-1")
    await world.settle()
    await world.end("tk-1-run-1", commits=False)
    world.away = True
    await world.settle()
    assert world.queued == [("tk-1", "todo")]
    for title in ("Another title", "And another"):  # pushed by a person: what waits is still ours
        await world.move("in_progress", title=title)
        await world.settle()
    world.away = False
    await world.settle(1000)
    await world.land()
    await world.settle(1000)
    assert (world.found().spec.state, sorted(world.made)) == ("todo", ["tk-1-run-1"])


async def test_a_wish_that_came_to_nothing_is_forgotten_and_a_persons_word_counts(
    world: TicketWorld,
) -> None:
    await world.ticket(autoRun=RUN)
    await world.pod("reviewer", None)
    await world.settle()
    await world.place()
    await world.start("tk-1-run-1")
    await world.settle()
    await world.end("tk-1-run-1", commits=True)
    await world.settle()
    await world.wish("reviewer", "todo")
    world.queued.clear()  # refused: the file has changed
    await world.settle(200)
    await world.move("todo")
    await world.settle()
    assert "tk-1-run-2" in world.made


# --- whatever happens, and whenever the controller is killed --------------------------------------

Act = Callable[[TicketWorld], Coroutine[Any, Any, None]]

ACTS = st.lists(
    st.one_of(
        st.tuples(st.just("settle"), st.integers(1, 30)),
        st.tuples(st.just("kill"), st.integers(0, 9), st.booleans()),
        st.tuples(st.just("crash"), st.integers(0, 9), st.booleans()),
        st.tuples(st.sampled_from(["place", "start", "commit", "fail", "delete", "helper"])),
        st.tuples(st.just("move"), st.sampled_from([str(s) for s in TicketState])),
        st.tuples(st.just("agent"), st.sampled_from(["todo", "in_progress", "in_review"])),
        st.tuples(st.just("wish"), st.sampled_from(["backlog", "todo", "in_review"])),
        st.tuples(st.just("land")),
        st.tuples(st.just("pod"), st.sampled_from(["IfFree", "Required", "Never"])),
    ),
    max_size=25,
)

_SO_FAR: tuple[tuple[Any, ...], ...] = (
    ("settle", 1),
    ("place",),
    ("settle", 1),
    ("start",),
    ("settle", 1),
    ("commit",),
    ("settle", 1),
)
_UNNOTED: tuple[tuple[Any, ...], ...] = (("crash", 2, False), ("crash", 1, False))
"""The first pod is made and has the ticket, which does not know that it was made."""
LIVES = st.builds(lambda most, acts: [*_SO_FAR[:most], *acts], st.integers(0, len(_SO_FAR)), ACTS)
"""What happens to a ticket, from any stage of a usual run on."""


class History:
    """Plays what happens and knows what must never be."""

    def __init__(self, attempts: int) -> None:
        self.world = TicketWorld()
        self.attempts = attempts
        self.moves = 0
        self.spoken_for: set[str] = set()
        """Pods that have the ticket, while a person's word on its state stands.

        The word stands from when a person changes the state that followed from the pod, or that is
        about to be replaced, until the ticket has the one that follows from it: from then on it
        follows as before.
        """

    async def play(self, acts: list[tuple[Any, ...]]) -> None:
        await self.world.organization()
        await self.world.ticket(autoRun={**RUN, "maxAttempts": self.attempts})
        for act in acts:
            await getattr(self, f"_{act[0]}")(*act[1:])
            self._holds()
        await self.world.settle(100)
        self._holds()
        self._is_settled()

    async def _settle(self, seconds: int) -> None:
        await self.world.settle(seconds)
        self._is_settled()

    async def _kill(self, requests: int, late: bool) -> None:  # noqa: FBT001 - drawn
        await self.world.settle_over_a_kill(requests, late=late)
        self._is_settled()

    async def _crash(self, requests: int, late: bool) -> None:  # noqa: FBT001 - drawn
        """Have others act before the controller that was killed is there again."""
        self.world.kill_in(requests, late=late)
        with contextlib.suppress(Killed):
            await self.world.settle()
        self.world.restart()

    async def _place(self) -> None:
        await self.world.place()

    async def _start(self) -> None:
        for name, pod in self.world.pods.items():
            if pod.status.phase == "Scheduled":
                await self.world.start(name)

    async def _commit(self) -> None:
        await self._end(commits=True)

    async def _fail(self) -> None:
        await self._end(commits=False)

    async def _end(self, *, commits: bool) -> None:
        running = [n for n, pod in self.world.pods.items() if pod.status.phase == "Running"]
        for name in running[:1]:
            await self.world.end(name, commits=commits)

    async def _delete(self) -> None:
        for name in list(self.world.pods)[:1]:
            await self.world.delete(name)

    async def _helper(self) -> None:
        if "helper" not in self.world.pods:
            await self.world.pod("helper", None)

    async def _pod(self, claim: str) -> None:
        await self.world.pod(f"by-hand-{len(self.world.made)}", claim=claim)

    async def _move(self, state: str) -> None:
        one = self.world.found()
        if one.spec.state == state:
            return
        self.moves += 1
        claim = one.status.claim
        if claim is not None and one.spec.state in {claim.followed, claim.seen}:
            self.spoken_for.add(claim.pod_uid)
        await self.world.move(state)
        self._taken_back()

    async def _agent(self, state: str) -> None:
        for name in self.world.living()[:1]:
            with contextlib.suppress(ToolError):
                await self.world.say(name, state)
        self._taken_back()

    async def _wish(self, state: str) -> None:
        for name in self.world.living()[-1:]:
            await self.world.wish(name, state)

    async def _land(self) -> None:
        await self.world.land()
        self._taken_back()

    def _taken_back(self) -> None:
        """See whether the ticket has the state again that followed from its pod."""
        one = self.world.found()
        claim = one.status.claim
        if claim is not None and one.spec.state == claim.followed:
            self.spoken_for.discard(claim.pod_uid)

    def _holds(self) -> None:
        """See what must be true at every moment."""
        world = self.world
        started = [name for name in world.made if name.startswith("tk-1-run-")]
        assert all(world.placed[name] <= 1 for name in started), world.placed
        assert len(started) <= self.attempts * (self.moves + 1)
        assert sum(name.startswith("tk-1-run-") for name in world.living()) <= 1
        for state, before in world.states:
            claim = before.status.claim
            assert claim is not None, state
            assert claim.pod_uid not in self.spoken_for, (state, before)
        world.states.clear()

    def _is_settled(self) -> None:
        """See what must be true when nothing is left to do."""
        one = self.world.found()
        living = {p.metadata.uid: p for n, p in self.world.pods.items() if n in self.world.living()}
        claim, runs = one.status.claim, one.status.runs
        assert claim is None or claim.pod_uid in living
        if claim is None:
            asking = [
                pod
                for pod in living.values()
                if pod.spec.ticket_ref is not None and pod.spec.ticket_ref.claim != "Never"
            ]
            assert asking == []
        assert runs is None or not runs.starting


SEARCHED = int(os.environ.get("AGENTSMESH_TEST_EXAMPLES", "0"))
"""So many lives are drawn anew. 0: some hundred, the same ones every time."""


@settings(
    max_examples=SEARCHED or 150,
    derandomize=not SEARCHED,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow],
)
@example([*_SO_FAR[:6], ("crash", 0, True), ("move", "backlog")], 1)
@example([("crash", 2, False), ("delete",)], 1)
@example([*_UNNOTED, ("place",), ("start",), ("delete",), ("settle", 1), ("place",)], 1)
@example([*_SO_FAR[:6], ("move", "backlog"), ("move", "in_progress")], 1)
@example([*_SO_FAR[:5], ("move", "backlog"), ("agent", "in_progress"), ("commit",)], 1)
@example([*_SO_FAR[:5], ("move", "done"), ("move", "todo"), ("commit",)], 1)
@given(LIVES, st.integers(1, 3))
def test_whatever_happens_and_whenever_it_is_killed(
    acts: list[tuple[Any, ...]], attempts: int
) -> None:
    asyncio.run(History(attempts).play(acts))


@pytest.mark.parametrize("late", [False, True], ids=["before it", "after it"])
def test_killed_at_every_request_of_a_run_one_pod_is_started_and_reviewed(*, late: bool) -> None:
    async def lived(requests: int) -> bool:
        """Live through a run, killed once at each stage; return whether that ever came."""
        world, killed = TicketWorld(), False
        await world.organization()
        await world.ticket(autoRun=RUN)
        killed |= await world.settle_over_a_kill(requests, late=late)
        await world.place()
        killed |= await world.settle_over_a_kill(requests, late=late)
        await world.start("tk-1-run-1")
        killed |= await world.settle_over_a_kill(requests, late=late)
        assert world.found().spec.state == "in_progress"
        await world.end("tk-1-run-1", commits=True)
        killed |= await world.settle_over_a_kill(requests, late=late)
        await world.settle(100)
        one = world.found()
        assert (one.spec.state, one.status.claim) == ("in_review", None)
        assert world.made == {"tk-1-run-1": 1}
        return killed

    async def every() -> int:
        requests = 0
        while await lived(requests):
            requests += 1
        return requests

    assert asyncio.run(every()) >= 3
