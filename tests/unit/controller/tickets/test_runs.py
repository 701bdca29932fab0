"""Which tickets get a pod: in order, never more than allowed, never without end."""

from collections import Counter
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from controller.tickets.attempts import recounted
from controller.tickets.runs import (
    MOST_PODS,
    Limits,
    Rule,
    There,
    Wish,
    chosen,
    manifest,
    obstacle,
    pause_seconds,
    pod_name,
    pointless,
    rule_of,
    there,
)
from schemas.agentpod import AgentPod
from schemas.ticket import Ticket, TicketRun, TicketState

NOW = 1_800_000_000.0
RUN = {"agentClassName": "claude"}


def ticket(name: str = "tk-1", **parts: Any) -> Ticket:
    spec = {"title": name, "state": "todo", **parts.pop("spec", {})}
    meta = {"name": name, "namespace": "acme", "uid": f"uid-of-{name}", **parts.pop("meta", {})}
    return Ticket.model_validate({"metadata": meta, "spec": spec, "status": parts})


def wish(one: Ticket, **rule: Any) -> Wish:
    run = TicketRun.model_validate({**RUN, **rule.pop("run", {})})
    return Wish(one, Rule(run, frozenset({TicketState.TODO}), **rule))


def source(build: Any, *rules: dict[str, Any], **spec: Any) -> Any:
    named = [{**RUN, "name": f"r{n}", **rule} for n, rule in enumerate(rules)]
    return build(
        "GitSource", "team", spec={"repositoryRef": {"name": "shop"}, "autoRun": named, **spec}
    )


def test_the_first_rule_that_fits_counts_and_the_ticket_before_all(build: Any) -> None:
    second: dict[str, Any] = {"labels": ["a"], "states": ["backlog"]}
    team = source(build, {"labels": ["a", "b"]}, second, {})
    found = rule_of(ticket(spec={"labels": ["a", "b"]}), team)
    assert found is not None
    assert (found.name, found.source, found.most) == ("r0", "team", 1)
    for labels, state, name in ((["a"], "backlog", "r1"), (["a"], "todo", "r2")):
        found = rule_of(ticket(spec={"labels": labels, "state": state}), team)
        assert found is not None
        assert found.name == name
    assert rule_of(ticket(spec={"state": "done"}), team) is None
    own = rule_of(ticket(spec={"autoRun": RUN, "labels": ["a"]}), team)
    assert own is not None
    assert (own.name, own.most) == ("", None)
    assert rule_of(ticket(), source(build, {}, suspend=True)) is None
    assert rule_of(ticket(), None) is None


def test_a_ticket_of_a_source_asks_for_pods_only_where_its_files_may_be_pods(build: Any) -> None:
    mine = ticket(spec={"autoRun": RUN})
    for kinds, reason in ((["AgentPod", "Ticket"], None), (["Ticket"], "NotAllowed")):
        rule = rule_of(mine, source(build, {}, kinds=kinds))
        assert rule is not None
        found = obstacle(Wish(mine, rule), (), (), NOW)
        assert (found.reason if found else None) == reason
    assert rule_of(mine, source(build, {}, suspend=True)) is None


@pytest.mark.parametrize(
    ("parts", "blockers", "reason"),
    [
        pytest.param({}, (), None, id="nothing in its way"),
        pytest.param({"spec": {"state": "done"}}, (), "State", id="another state"),
        pytest.param({}, ("tk-0",), "Blocked", id="it waits for another"),
        pytest.param(
            {"claim": {"podName": "p", "podUID": "u", "claimedAt": "x"}}, (), "Claimed", id="had"
        ),
        pytest.param({"runs": {"attempts": 1, "state": "todo"}}, (), "AttemptsUsed", id="used"),
        pytest.param({"runs": {"attempts": 1, "state": "backlog"}}, (), None, id="used, moved"),
        pytest.param(
            {"runs": {"attempts": 1, "state": "backlog", "given": "todo"}},
            (),
            "AttemptsUsed",
            id="used, moved by a pod",
        ),
        pytest.param({"runs": {"total": MOST_PODS, "state": "todo"}}, (), "TooManyRuns", id="many"),
    ],
)
def test_it_is_said_what_keeps_a_ticket_from_a_pod(
    parts: dict[str, Any], blockers: tuple[str, ...], reason: str | None
) -> None:
    found = obstacle(wish(ticket(**parts)), blockers, (), NOW)
    assert (found.reason if found else None) == reason


def run_pod(build: Any, name: str = "tk-1-run-1", **status: Any) -> AgentPod:
    made = manifest(wish(ticket()), 1)
    labels = made["metadata"]["labels"]
    pod: AgentPod = build(
        "AgentPod", name, metadata={"labels": labels}, spec=made["spec"], status=status
    )
    return pod


def test_no_pod_is_started_beside_one_that_lives(build: Any) -> None:
    attempts = wish(ticket(runs={"attempts": 1, "state": "todo"}), run={"maxAttempts": 3})
    assert obstacle(attempts, (), [run_pod(build, phase="Succeeded")], NOW) is None
    found = obstacle(attempts, (), [run_pod(build, phase="Pending")], NOW)
    assert found is not None
    assert found.reason == "Claimed"


def test_attempts_come_with_pauses_that_grow_and_end() -> None:
    began = {"state": "todo", "startedAt": "2027-01-15T08:00:00Z"}  # NOW
    one = ticket(runs=began)
    assert [pause_seconds(one, n, NOW) for n in range(5)] == [0, 10, 20, 40, 80]
    assert pause_seconds(one, 99, NOW) == 3600
    assert pause_seconds(one, 1, NOW + 11) == 0
    assert pause_seconds(one, 1, NOW - 1e6) == 10  # the clock was set back
    third = wish(ticket(runs={**began, "attempts": 2}), run={"maxAttempts": 3})
    found = obstacle(third, (), (), NOW)
    assert found is not None
    assert found.reason == "BackOff"
    assert obstacle(third, (), (), NOW + 21) is None


def test_a_change_while_a_pod_has_the_ticket_gives_no_attempts() -> None:
    claim = {"podName": "p", "podUID": "u", "claimedAt": "x"}
    used = {"attempts": 2, "state": "in_progress"}
    assert recounted(ticket(runs=used, claim=claim)) is None
    assert recounted(ticket(runs=used)) == (0, TicketState.TODO)
    assert recounted(ticket(runs={**used, "given": "todo"})) == (2, TicketState.TODO)
    several = {**used, "given": "done", "asked": ["backlog", "todo"]}
    assert recounted(ticket(runs=several)) == (2, TicketState.TODO)
    assert recounted(ticket(runs={**used, "state": "todo"})) is None
    assert recounted(ticket()) is None


@pytest.mark.parametrize(
    ("parts", "gone"),
    [
        pytest.param({"runs": {"state": "todo"}}, False, id="as it was"),
        pytest.param({"runs": {"state": "backlog"}}, True, id="moved"),
        pytest.param({"spec": {"state": "done"}, "runs": {"state": "done"}}, True, id="closed"),
        pytest.param(
            {"claim": {"podName": "p", "podUID": "u", "claimedAt": "x"}}, True, id="another's"
        ),
        pytest.param(
            {"claim": {"podName": "p", "podUID": "uid-of-tk-1-run-1", "claimedAt": "x"}},
            False,
            id="its own",
        ),
    ],
)
def test_a_pod_that_has_not_begun_goes_when_nobody_wants_it(
    build: Any, parts: dict[str, Any], *, gone: bool
) -> None:
    assert pointless(run_pod(build), ticket(**parts)) is gone
    placed = {"runnerName": "r", "runnerUID": "u", "epoch": 1, "placedAt": "2027-01-01T00:00:00Z"}
    assert not pointless(run_pod(build, placement=placed), ticket(**parts))
    by_hand = build("AgentPod", "p", spec={"agentClassName": "c", "ticketRef": {"name": "tk-1"}})
    assert not pointless(by_hand, ticket(**parts))


LIMITS = st.builds(
    Limits,
    at_once=st.integers(0, 6),
    pods=st.none() | st.integers(0, 8),
    running=st.none() | st.integers(0, 8),
)


@given(LIMITS, st.integers(0, 8), st.integers(0, 4), st.data())
def test_never_more_pods_are_started_than_all_limits_allow(
    limits: Limits, pods: int, started: int, data: st.DataObject
) -> None:
    made = [
        wish(
            ticket(f"tk-{n}", spec={"priority": data.draw(st.sampled_from(["high", "low"]))}),
            name=f"r{n % 3}",
            source="team",
            most=1 + n % 3,
        )
        for n in range(data.draw(st.integers(0, 9)))
    ]
    have = There(pods=pods, running=pods, started=started, by_rule=Counter({("team", "r2"): 2}))
    starts, waits = chosen(made, limits, have, lambda _: None)
    more = len(starts)
    assert more + len(waits) == len(made)
    if more:
        assert started + more <= limits.at_once
        assert limits.pods is None or pods + more <= limits.pods
        assert limits.running is None or pods + more <= limits.running
    each = Counter(one.rule.name for one in starts)
    assert each["r0"] <= 1
    assert each["r1"] <= 2
    assert each["r2"] <= 1  # two were there
    urgent = [one.ticket.spec.priority for one in starts if one.rule.name == "r0"]
    if urgent and any(o.ticket.spec.priority == "high" and o.rule.name == "r0" for o in made):
        assert urgent == ["high"]


def test_pods_that_are_on_their_way_count(build: Any) -> None:
    one, other = run_pod(build, "a", phase="Pending"), run_pod(build, "b", phase="Succeeded")
    found = there([one, other], 5, 2)
    assert (found.pods, found.running, found.started) == (5, 3, 1)
    assert found.by_rule == {("", "ticket"): 1}


@given(st.from_regex(r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?", fullmatch=True), st.integers(1, 10_000))
def test_names_of_pods_are_names_and_say_which_ticket(name: str, number: int) -> None:
    found = pod_name(name, number)
    assert len(found) <= 63
    assert found.endswith(f"-run-{number}")
    assert found[0].isalnum()
    assert found == pod_name(name, number)
    if len(name) < 50:
        assert found == f"{name}-run-{number}"


def test_long_names_stay_apart() -> None:
    assert pod_name("a" * 62 + "b", 1) != pod_name("a" * 62 + "c", 1)


def test_the_pod_is_what_the_run_asks_for() -> None:
    run: dict[str, Any] = {"model": "big", "permissionMode": "plan", "prompt": "Go."}
    run |= {
        "activeDeadlineSeconds": 900,
        "idleTimeoutSeconds": 60,
        "ttlSecondsAfterFinished": 5,
    }
    made = manifest(
        wish(ticket(spec={"repositoryRef": {"name": "shop"}}), run=run, name="r", source="team"), 3
    )
    assert made["metadata"] == {
        "name": "tk-1-run-3",
        "namespace": "acme",
        "labels": {
            "agentsmesh.io/ticket": "tk-1",
            "agentsmesh.io/auto-run": "r",
            "agentsmesh.io/managed-by": "agentsmesh-controller",
        },
        "annotations": {"agentsmesh.io/auto-run-source": "team"},
    }
    assert made["spec"] == {
        "agentClassName": "claude",
        "ticketRef": {"name": "tk-1", "claim": "Required"},
        "repositoryRef": {"name": "shop"},
        **run,
    }
