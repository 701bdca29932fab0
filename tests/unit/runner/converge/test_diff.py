import dataclasses
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from meshwire.v1 import link_pb2

from runner.converge.diff import Action, Facts, Verb, diff, may_restart
from runner.converge.states import MOVES, Row, State, begun

UID = "pod-a1"


def wanted(
    desired: Any = link_pb2.RUN, epoch: Any = 1, *, restart: Any = False, keep: Any = False
) -> link_pb2.PodDesired:
    policy = link_pb2.RESTART_ON_FAILURE if restart else link_pb2.RESTART_NEVER
    return link_pb2.PodDesired(
        ref=link_pb2.PodRef(pod_uid=UID, epoch=epoch),
        desired=desired,
        keep_stopped=keep,
        spec=link_pb2.RunSpec(restart_policy=policy),
    )


def row(state: State, **fields: Any) -> Row:
    fields.setdefault("started_ms", 1)
    return dataclasses.replace(begun(wanted(epoch=fields.pop("epoch", 1))), state=state, **fields)


STOP, REMOVE, SUSPEND = link_pb2.STOP, link_pb2.REMOVE, link_pb2.SUSPEND
FROZEN = {"suspended": True, "frozen_at_ms": 5}


@pytest.mark.parametrize(
    ("pod", "have", "facts", "verb"),
    [
        pytest.param(wanted(), None, Facts(), Verb.START, id="a missing pod is started"),
        pytest.param(
            wanted(), row(State.PREPARING), Facts(), Verb.START, id="a preparation goes on"
        ),
        pytest.param(
            wanted(), row(State.STARTING), Facts(), Verb.SETTLE, id="a doubtful start is looked at"
        ),
        pytest.param(wanted(), row(State.RUNNING), Facts(), None, id="a running pod is left alone"),
        pytest.param(
            wanted(),
            row(State.RUNNING),
            Facts(unsettled=frozenset({UID})),
            Verb.SETTLE,
            id="a run that may have ended is looked at",
        ),
        pytest.param(
            wanted(),
            row(State.RUNNING),
            Facts(overdue=frozenset({UID})),
            Verb.STOP,
            id="a pod past its deadline is stopped",
        ),
        pytest.param(
            wanted(),
            None,
            Facts(overdue=frozenset({UID})),
            Verb.CANCEL,
            id="a pod past its deadline is not begun",
        ),
        pytest.param(wanted(), row(State.SUCCEEDED), Facts(), None, id="success is not repeated"),
        pytest.param(
            wanted(),
            row(State.FAILED, reason="Exited"),
            Facts(),
            None,
            id="failure is not repeated without a policy",
        ),
        pytest.param(
            wanted(restart=True),
            row(State.FAILED, reason="Exited"),
            Facts(),
            Verb.RESTART,
            id="failure is repeated with the policy",
        ),
        pytest.param(
            wanted(restart=True),
            row(State.FAILED, reason="RunnerRestarted", proven_dead=False),
            Facts(),
            None,
            id="a lost run without proof of death is not repeated",
        ),
        pytest.param(
            wanted(restart=True),
            row(State.FAILED, reason="Stopped"),
            Facts(),
            None,
            id="a stopped run is not repeated",
        ),
        pytest.param(
            wanted(epoch=2),
            row(State.RUNNING),
            Facts(),
            Verb.STOP,
            id="an old epoch is stopped before the new one starts",
        ),
        pytest.param(
            wanted(epoch=2),
            row(State.FAILED),
            Facts(),
            Verb.START,
            id="a new epoch starts when the old one is dead",
        ),
        pytest.param(
            wanted(epoch=1),
            row(State.RUNNING, epoch=2),
            Facts(),
            None,
            id="old news of an earlier epoch changes nothing",
        ),
        pytest.param(
            wanted(REMOVE, epoch=1),
            row(State.RUNNING, epoch=2),
            Facts(),
            None,
            id="an earlier epoch's removal does not remove a later one",
        ),
        pytest.param(wanted(STOP), row(State.RUNNING), Facts(), Verb.STOP, id="stop stops"),
        pytest.param(wanted(STOP), row(State.FAILED), Facts(), None, id="stopped stays stopped"),
        pytest.param(wanted(STOP), None, Facts(), Verb.CANCEL, id="stop before start never starts"),
        pytest.param(
            wanted(STOP, keep=True), row(State.FAILED), Facts(), Verb.PARK, id="an end is parked"
        ),
        pytest.param(
            wanted(STOP, keep=True),
            row(State.FAILED, stopped=True),
            Facts(),
            None,
            id="it is parked once",
        ),
        pytest.param(
            wanted(),
            row(State.SUCCEEDED, stopped=True),
            Facts(),
            Verb.RESTART,
            id="what was parked and is wanted starts again",
        ),
        pytest.param(
            wanted(SUSPEND), row(State.RUNNING), Facts(), Verb.FREEZE, id="suspend freezes"
        ),
        pytest.param(
            wanted(SUSPEND),
            row(State.RUNNING, suspended=True),
            Facts(),
            Verb.FREEZE,
            id="freezing that is not confirmed is done again",
        ),
        pytest.param(
            wanted(SUSPEND), row(State.RUNNING, **FROZEN), Facts(), None, id="frozen stays frozen"
        ),
        pytest.param(wanted(SUSPEND), None, Facts(), None, id="suspended before it is begun"),
        pytest.param(
            wanted(SUSPEND, restart=True),
            row(State.FAILED, reason="Exited"),
            Facts(),
            None,
            id="no restart of what is suspended",
        ),
        pytest.param(
            wanted(SUSPEND, epoch=2),
            row(State.RUNNING),
            Facts(),
            Verb.STOP,
            id="an old epoch is stopped though the new one is suspended",
        ),
        pytest.param(wanted(), row(State.RUNNING, **FROZEN), Facts(), Verb.THAW, id="run thaws"),
        pytest.param(
            wanted(),
            row(State.RUNNING, frozen_at_ms=5),
            Facts(),
            Verb.THAW,
            id="thawing that is not confirmed is done again",
        ),
        pytest.param(
            wanted(STOP), row(State.RUNNING, **FROZEN), Facts(), Verb.STOP, id="frozen is stopped"
        ),
        pytest.param(
            wanted(),
            row(State.RUNNING),
            Facts(idle=frozenset({UID})),
            Verb.STOP,
            id="one that was idle for too long is stopped",
        ),
        pytest.param(
            wanted(SUSPEND),
            row(State.RUNNING, **FROZEN),
            Facts(doomed={UID: "OutOfDisk"}),
            Verb.STOP,
            id="one over a limit is stopped though it is frozen",
        ),
        pytest.param(
            wanted(restart=True),
            row(State.FAILED, reason="Exited"),
            Facts(overdue=frozenset({UID})),
            Verb.CANCEL,
            id="one past its deadline is not restarted, and says why",
        ),
        pytest.param(wanted(REMOVE), row(State.RUNNING), Facts(), Verb.REMOVE, id="remove removes"),
        pytest.param(wanted(REMOVE), None, Facts(), Verb.REMOVE, id="the unknown is removed too"),
        pytest.param(wanted(REMOVE), row(State.REMOVED), Facts(), None, id="the removed stays so"),
        pytest.param(None, row(State.RUNNING), Facts(), Verb.REMOVE, id="the unwanted is removed"),
        pytest.param(None, row(State.REMOVED), Facts(), Verb.FORGET, id="a tombstone is forgotten"),
        pytest.param(
            None, row(State.REMOVED, forgotten_ms=1), Facts(), None, id="it is forgotten once"
        ),
        pytest.param(
            wanted(),
            row(State.REMOVED, forgotten_ms=1),
            Facts(),
            None,
            id="a forgotten pod does not start again in the same epoch",
        ),
        pytest.param(
            None, None, Facts(strays=frozenset({UID})), Verb.REMOVE, id="a stray is removed"
        ),
        pytest.param(
            wanted(99), row(State.RUNNING), Facts(), Verb.DECLINE, id="the unknown is declined"
        ),
    ],
)
def test_what_is_done(pod: Any, have: Any, facts: Any, verb: Any) -> None:
    found = diff({UID: pod} if pod else {}, {UID: have} if have else {}, facts)
    assert [action.verb for action in found] == ([verb] if verb else [])


@pytest.mark.parametrize(
    ("reason", "restarts"),
    [
        ("Exited", True),
        ("Signaled", True),
        ("OutOfMemory", True),
        ("TooManyProcesses", True),
        ("RunnerRestarted", True),
        ("RunnerDisconnected", True),
        ("OutOfDisk", False),
        ("DeadlineExceeded", False),
        ("IdleTimeout", False),
        ("Stopped", False),
        ("Replaced", False),
        ("SetupFailed", False),
        ("StartFailed", False),
        ("CloneFailed", False),
        ("AgentNotFound", False),
        ("SandboxUnavailable", False),
        ("", False),
    ],
)
def test_which_ends_the_restart_policy_has_a_say_in(reason: str, restarts: Any) -> None:
    ended = row(State.FAILED, reason=reason, proven_dead=True)
    assert may_restart(wanted(restart=True), ended) is restarts
    assert not may_restart(wanted(), ended)
    assert not may_restart(wanted(restart=True), dataclasses.replace(ended, proven_dead=False))


@pytest.mark.parametrize("ending", ["Stopped", "IdleTimeout", "DeadlineExceeded", "Replaced"])
def test_what_happens_while_a_run_is_ended_on_purpose_restarts_nothing(ending: str) -> None:
    ended = row(State.FAILED, reason="OutOfMemory", ending=ending, proven_dead=True)
    assert not may_restart(wanted(restart=True), ended)


def test_who_was_cut_off_is_started_again_once_the_controller_is_heard() -> None:
    fields = {"reason": "RunnerDisconnected", "ending": "RunnerDisconnected", "proven_dead": True}
    have, want = {UID: row(State.FAILED, **fields)}, {UID: wanted(restart=True)}
    assert diff(want, have, Facts(cut_off=frozenset({UID}))) == []
    assert [action.verb for action in diff(want, have)] == [Verb.RESTART]


@given(
    st.sampled_from(State),
    st.booleans(),
    st.booleans(),
)
def test_before_the_controller_spoke_nothing_is_started_or_stopped(
    state: Any, overdue: Any, unsettled: Any
) -> None:
    uids = frozenset({UID})
    facts = Facts(unsettled if unsettled and not uids else (uids if unsettled else frozenset()))
    facts = dataclasses.replace(facts, overdue=uids if overdue else frozenset(), strays=uids)
    found = diff(None, {UID: row(state)}, facts)
    assert {action.verb for action in found} <= {Verb.SETTLE}


def test_every_pod_gets_at_most_one_action() -> None:
    found: list[Action] = diff(
        {UID: wanted(REMOVE)},
        {UID: row(State.RUNNING)},
        Facts(frozenset({UID}), frozenset({UID}), frozenset({UID})),
    )
    assert len(found) == 1


def test_the_table_of_moves_knows_every_state_and_never_leads_from_running_to_preparing() -> None:
    assert set(MOVES) == set(State)
    assert State.PREPARING not in MOVES[State.RUNNING] | MOVES[State.STOPPING]
    assert State.STARTING not in MOVES[State.STARTING]
