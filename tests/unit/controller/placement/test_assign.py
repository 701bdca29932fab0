"""Who gets which runner, and what is said to those who get none."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from controller.kernel.reconciler import Finding
from controller.placement.assign import Allowance, Assignment, Candidate, Need, assign, choose
from schemas.agentpod import Isolation

FREE = Allowance(0, None)


def runner(name: str = "r1", **facts: Any) -> Candidate:
    usual: dict[str, Any] = {
        "uid": f"uid-{name}",
        "labels": {},
        "connected": True,
        "cordoned": False,
        "banned": False,
        "max_pods": None,
        "used": 0,
        "isolations": ("bubblewrap",),
    }
    return Candidate(name=name, **(usual | facts))


def need(name: str = "p", **facts: Any) -> Need:
    usual: dict[str, Any] = {
        "uid": f"uid-{name}",
        "created": "2027-01-01T00:00:00Z",
        "runner_name": None,
        "selector": (),
        "isolation": Isolation.PREFERRED,
        "executable": "agent",
    }
    return Need(name=name, **(usual | facts))


@pytest.mark.parametrize(
    ("asked", "runners", "got"),
    [
        pytest.param(need(), [runner()], "r1", id="the only one"),
        pytest.param(need(), [runner("b"), runner("a")], "a", id="by name where equal"),
        pytest.param(
            need(), [runner("a", used=3), runner("b", used=2)], "b", id="the least loaded"
        ),
        pytest.param(
            need(runner_name="b"), [runner("a"), runner("b", used=9)], "b", id="the one it names"
        ),
        pytest.param(
            need(selector=(("gpu", "yes"),)),
            [runner("a"), runner("b", labels={"gpu": "yes"})],
            "b",
            id="the one with the labels",
        ),
        pytest.param(
            need(isolation=Isolation.REQUIRED),
            [
                runner("a", isolations=("none", "landlock-partial")),
                runner("b", isolations=("landlock", "none")),
            ],
            "b",
            id="one with a sandbox",
        ),
        pytest.param(
            need(isolation=Isolation.NONE),
            [runner("a"), runner("b", isolations=("bubblewrap", "none"))],
            "b",
            id="one whose operator allows to do without",
        ),
        pytest.param(
            need(),
            [runner("a", isolations=()), runner("b", isolations=("none",))],
            "b",
            id="one that offers anything",
        ),
        pytest.param(
            need(), [runner("a", max_pods=1, used=1), runner("b", max_pods=1)], "b", id="not full"
        ),
        pytest.param(
            need(),
            [runner("a", problems={"agent": "gone"}), runner("b", problems={"agent": ""}, used=9)],
            "b",
            id="one that has the agent",
        ),
        pytest.param(
            need(),
            [runner("a", problems={}), runner("b", problems=None)],
            "b",
            id="one that never says what agents it has",
        ),
    ],
)
def test_a_pod_gets_the_runner_that_fits_best(asked: Any, runners: Any, got: str) -> None:
    verdict = choose(asked, runners, FREE)
    assert isinstance(verdict, Assignment)
    assert verdict == Assignment(got, f"uid-{got}")


@pytest.mark.parametrize(
    ("asked", "runners", "reason", "words"),
    [
        pytest.param(
            need(),
            [],
            "NoRunner",
            "has no runner: enrol one (agentsmesh enroll create)",
            id="nobody is there",
        ),
        pytest.param(
            need(runner_name="x"), [runner()], "RunnerNotFound", "no Runner 'x'", id="not that one"
        ),
        pytest.param(
            need(),
            [runner("a", cordoned=True), runner("b", max_pods=1, used=1), runner("c", max_pods=0)],
            "RunnerFull",
            "0 of 3 runners fit: 1 is cordoned, 2 are full",
            id="everybody is counted once",
        ),
        pytest.param(
            need(), [runner(connected=False)], "RunnerOffline", "1 is not connected", id="offline"
        ),
        pytest.param(need(), [runner(banned=True)], "RunnerBanned", "1 is suspended", id="banned"),
        pytest.param(
            need(selector=(("a", "b"),)),
            [runner("a"), runner("b")],
            "SelectorMismatch",
            "0 of 2 runners fit: 2 do not have the labels",
            id="no labels",
        ),
        pytest.param(
            need(isolation=Isolation.REQUIRED),
            [runner(isolations=("none",))],
            "IsolationUnavailable",
            "0 of 1 runner fits: 1 does not offer sandbox.isolation",
            id="no sandbox",
        ),
        pytest.param(
            need(isolation=Isolation.NONE),
            [runner("a"), runner("b", isolations=("landlock",))],
            "IsolationUnavailable",
            "0 of 2 runners fit: 2 do not offer sandbox.isolation",
            id="a sandbox that cannot be left out",
        ),
        pytest.param(
            need(),
            [runner(isolations=())],
            "IsolationUnavailable",
            "1 does not offer",
            id="neither a sandbox nor leave to do without",
        ),
    ],
)
def test_a_pod_that_fits_nowhere_is_told_why(
    asked: Any, runners: Any, reason: str, words: str
) -> None:
    verdict = choose(asked, runners, FREE)
    assert isinstance(verdict, Finding)
    assert verdict.reason == reason
    assert words in verdict.message


def test_the_quota_is_said_before_the_runners() -> None:
    verdict = choose(need(), [], Allowance(5, 5))
    assert isinstance(verdict, Finding)
    assert verdict.reason == "QuotaExceeded"
    assert "runningAgentPods is 5" in verdict.message


def test_who_came_first_is_served_first_and_holds_up_nobody_else() -> None:
    """CRD-08."""
    pinned = need("pinned", created="2027-01-01T00:00:00Z", runner_name="full")
    second = need("second", created="2027-01-01T00:00:02Z")
    third = need("third", created="2027-01-01T00:00:03Z")
    runners = [runner("full", max_pods=1, used=1), runner("r", max_pods=1)]
    verdicts = assign([third, second, pinned], runners, FREE)
    assert verdicts["uid-second"] == Assignment("r", "uid-r")
    assert [v.reason for v in verdicts.values() if isinstance(v, Finding)] == [
        "RunnerFull",
        "RunnerFull",
    ]


RUNNERS = st.lists(
    st.builds(
        runner,
        name=st.sampled_from("abc"),
        connected=st.booleans(),
        max_pods=st.none() | st.integers(0, 3),
        used=st.integers(0, 3),
    ),
    max_size=3,
    unique_by=lambda item: item.name,
)


@given(st.integers(0, 8), RUNNERS, st.none() | st.integers(0, 5), st.integers(0, 5))
def test_no_limit_is_ever_exceeded_and_nobody_waits_without_need(
    count: int, runners: list[Candidate], limit: int | None, running: int
) -> None:
    needs = [need(f"p{number}") for number in range(count)]
    verdicts = assign(needs, runners, Allowance(running, limit))
    placed = [v.runner_uid for v in verdicts.values() if isinstance(v, Assignment)]
    assert limit is None or running + len(placed) <= max(limit, running)
    room = 0
    for candidate in runners:
        mine = placed.count(candidate.uid)
        assert mine == 0 or candidate.connected
        assert candidate.max_pods is None or candidate.used + mine <= max(
            candidate.max_pods, candidate.used
        )
        if candidate.connected:
            full = candidate.max_pods is not None and candidate.used + mine >= candidate.max_pods
            room += not full
    waits = len(placed) < count
    exhausted = limit is not None and running + len(placed) >= limit
    assert not (waits and room and not exhausted)


@given(st.permutations(["p1", "p2", "p3", "p4"]), RUNNERS)
def test_the_order_of_asking_does_not_matter(order: list[str], runners: list[Candidate]) -> None:
    asked = [need(name, created=f"2027-01-01T00:00:0{name[1]}Z") for name in order]
    assert assign(asked, runners, FREE) == assign(sorted(asked, key=str), runners, FREE)


def test_a_refusal_for_want_of_the_agent_says_where_it_was_looked_for() -> None:
    gone = {"agent": "The executable 'agent' was not found (searched /bin)"}
    without = [runner("b", problems=gone), runner("a", problems=gone)]
    verdict = choose(need(), [*without, runner("c", cordoned=True)], FREE)
    assert verdict == Finding(
        "AgentNotFound",
        "0 of 3 runners fit: 1 is cordoned, 2 do not have the agent's program; "
        "a says: The executable 'agent' was not found (searched /bin)",
    )


def test_a_runner_that_is_still_looking_gets_no_pod() -> None:
    assert choose(need(), [runner(problems={"other": ""})], FREE) == Finding(
        "AgentNotLookedFor",
        "0 of 1 runner fits: 1 has not said yet whether it has the agent's program",
    )
