import dataclasses
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runner.converge.delivery_plan import (
    UNREAD_NOTE,
    WINDOWS,
    Failed,
    Rule,
    Scene,
    Submitted,
    Type,
    Wait,
    next_step,
    with_mark,
)
from runner.converge.delivery_screen import Look
from runner.converge.delivery_states import Delivery, Stage
from schemas.patterns import Pattern

TEXT = "please look at the login test"
SIGN = Pattern("^> ?$", by_lines=True)
WAITING = Delivery("one", "pod-a1", 1, TEXT)
PASTED = dataclasses.replace(WAITING, stage=Stage.PASTED, pasted_at=10)
PRESSED = dataclasses.replace(PASTED, stage=Stage.PRESSED, attempts=1, offset=20)


def scene(rule: Rule | None = None, **fields: Any) -> Scene:
    return Scene(rule or Rule(), since=0.0, **fields)


def look(text: str = "> ", at: float = 0.0, **fields: Any) -> Look:
    *above, last = text.split("\n")
    return Look(text, len(last), len(above), **{"offset": 10, "at": at, **fields})


TYPED = look(f"> {TEXT}", offset=20)
HELD = with_mark(PASTED, scene(before=look()), TYPED)


@pytest.mark.parametrize(
    ("rule", "seen", "step"),
    [
        pytest.param(
            Rule(SIGN), look(sign_at=5.0, at=5.2), Type(Stage.PASTED), id="the sign stands"
        ),
        pytest.param(
            Rule(SIGN), look(sign_at=5.0, at=5.1), Wait(5.15), id="the sign came just now"
        ),
        pytest.param(Rule(), look(changed_at=5.0, at=6.0), Wait(7.0), id="not quiet for long"),
        pytest.param(Rule(), look(changed_at=5.0, at=7.0), Type(Stage.PASTED), id="quiet"),
        pytest.param(
            Rule(), look(is_blank=True, at=7.0), Wait(60.0), id="it has shown nothing at all"
        ),
        pytest.param(
            Rule(is_first=True),
            look(changed_at=59.9, at=60.0),
            Type(Stage.PASTED),
            id="a first prompt is typed to one that never rests",
        ),
        pytest.param(
            Rule(), look(changed_at=99.0, at=99.5), Wait(101.0), id="others wait until it rests"
        ),
        pytest.param(
            Rule(SIGN), look(sign_at=5.0, at=9.0, others_at=8.0), Wait(10.0), id="somebody types"
        ),
    ],
)
def test_the_text_is_typed_when_the_agent_takes_input(rule: Rule, seen: Look, step: Any) -> None:
    assert next_step(WAITING, scene(rule), seen) == step


@pytest.mark.parametrize(
    ("rule", "listed_at", "seen", "step"),
    [
        pytest.param(Rule(), None, look(at=50.0), Wait(60.0), id="not listed: not before the time"),
        pytest.param(Rule(), 50.0, look(at=50.1), Wait(50.3), id="listed just now"),
        pytest.param(Rule(), 50.0, look(at=50.3, changed_at=50.2), Type(Stage.PASTED), id="listed"),
        pytest.param(
            Rule(SIGN), 50.0, look(at=50.3), Wait(60.0), id="listed, but the sign is not there"
        ),
        pytest.param(Rule(SIGN), None, look(at=50.3, sign_at=1.0), Wait(60.0), id="only the sign"),
    ],
)
def test_the_first_prompt_waits_for_the_tools(
    rule: Rule, listed_at: float | None, seen: Look, step: Any
) -> None:
    rule = dataclasses.replace(rule, is_first=True, lists_tools=True)
    found = next_step(WAITING, scene(rule, listed_at=listed_at), seen)
    assert found == step


def test_in_the_end_the_first_prompt_is_typed_without_tools_and_that_is_said() -> None:
    rule = Rule(is_first=True, lists_tools=True)
    step = next_step(WAITING, scene(rule), look(at=60.0))
    assert isinstance(step, Type)
    assert "had not listed its MCP tools within 60 s" in step.note


def test_what_is_lacking_is_said_when_it_is_given_up() -> None:
    step = next_step(WAITING, scene(Rule(SIGN), give_up_at=9.0), look(at=9.0))
    assert isinstance(step, Failed)
    assert (step.reason, "readiness.regex (^> ?$)" in step.message) == ("NotReady", True)


def test_nothing_is_typed_behind_a_text_that_stands_in_the_input() -> None:
    stuck = scene(Rule(SIGN), stuck=HELD.held)
    assert next_step(WAITING, stuck, look(f"> {TEXT}", offset=25, sign_at=1.0, at=9.0)) == Wait(
        60.0
    )
    assert next_step(WAITING, stuck, look(offset=25, sign_at=1.0, at=9.0)) == Type(Stage.PASTED)


@pytest.mark.parametrize(
    ("seen", "step"),
    [
        pytest.param(look(at=1.0), Wait(3.0), id="no answer: a while"),
        pytest.param(look(at=3.0), Type(Stage.PRESSED, 1), id="no answer at all"),
        pytest.param(
            look(f"> {TEXT}", offset=20, changed_at=1.0, at=1.1),
            Wait(1.3, seen_at=1.1),
            id="seen just now",
        ),
        pytest.param(
            look(f"> {TEXT}", offset=20, changed_at=1.0, at=1.3),
            Type(Stage.PRESSED, 1),
            id="seen and quiet",
        ),
        pytest.param(
            look("> [Pasted]", offset=20, changed_at=1.0, at=1.4), Wait(2.5), id="shown otherwise"
        ),
        pytest.param(
            look("working", offset=20, changed_at=9.9, at=10.0),
            Type(Stage.PRESSED, 1),
            id="it never rests",
        ),
    ],
)
def test_the_submit_key_is_typed_apart_once_the_text_is_seen(seen: Look, step: Any) -> None:
    assert next_step(PASTED, scene(before=look(), typed_at=0.0), seen) == step


def test_a_screen_that_never_rests_is_not_waited_for_where_the_text_is_seen() -> None:
    restless = look(f"> {TEXT}", offset=20, changed_at=3.0, at=3.0)
    soon = scene(before=look(), typed_at=0.0, seen_at=2.5)
    assert next_step(PASTED, soon, restless) == Wait(3.3, seen_at=2.5)
    typed = scene(before=look(), typed_at=0.0, seen_at=2.0)
    assert next_step(PASTED, typed, restless) == Type(Stage.PRESSED, 1)


def test_after_a_restart_a_text_is_typed_only_where_it_may_be() -> None:
    resumed = scene(Rule(SIGN), before=look())
    assert next_step(PASTED, resumed, look("menu", offset=12, at=1.0)) == Wait(float("inf"))
    for seen in (look(sign_at=0.0, at=1.0), look(f"> {TEXT}", offset=20, at=1.0)):
        assert next_step(PASTED, resumed, seen) == Type(Stage.PASTED)  # once: the shim knows


@pytest.mark.parametrize("attempt", range(1, len(WINDOWS) + 1))
def test_the_key_is_repeated_only_while_the_text_is_seen_in_the_input(attempt: int) -> None:
    delivery = dataclasses.replace(PRESSED, attempts=attempt)
    now = dataclasses.replace(HELD, typed_at=100.0)
    window = WINDOWS[attempt - 1]
    assert next_step(delivery, now, dataclasses.replace(TYPED, at=100.5)) == Wait(100.0 + window)
    step = next_step(delivery, now, dataclasses.replace(TYPED, at=100.0 + window))
    if attempt < len(WINDOWS):
        assert step == Type(Stage.PRESSED, attempt + 1)
    else:
        assert isinstance(step, Failed)
        assert (step.reason, step.is_held) == ("NotSubmitted", True)


def test_what_left_the_input_for_a_moment_only_was_not_taken() -> None:
    now = dataclasses.replace(HELD, typed_at=100.0)
    gone = look("> ", offset=25, at=100.5)
    assert next_step(PRESSED, now, gone) == Wait(100.8, taken_at=100.5)
    later = dataclasses.replace(now, taken_at=100.5)
    assert next_step(PRESSED, later, dataclasses.replace(gone, at=100.7)) == Wait(
        100.8, taken_at=100.5
    )
    assert next_step(PRESSED, later, dataclasses.replace(gone, at=100.8)) == Submitted()


def test_where_nothing_can_be_told_it_is_said_that_it_may_have_been_taken() -> None:
    blind = with_mark(PASTED, scene(before=look(), typed_at=100.0), look())
    step = next_step(PRESSED, blind, look(at=100.0 + WINDOWS[0]))
    assert isinstance(step, Failed)
    assert (step.reason, "may have been taken" in step.message) == ("NotSubmitted", True)


def test_after_a_restart_a_key_whose_effect_is_seen_is_not_typed() -> None:
    assert next_step(PRESSED, HELD, dataclasses.replace(TYPED, at=1.0)) == Type(Stage.PRESSED, 1)
    taken = look("> ", offset=25, at=1.0)
    assert next_step(PRESSED, HELD, taken) == Wait(1.3, taken_at=1.0)


def test_nothing_is_typed_while_something_is_unread() -> None:
    ready = look(sign_at=1.0, at=9.0, unread_at=9.0)
    assert isinstance(next_step(WAITING, scene(Rule(SIGN)), ready), Wait)
    assert next_step(WAITING, scene(Rule(SIGN)), dataclasses.replace(ready, at=9.1)) == Type(
        Stage.PASTED
    )
    for delivery in (PASTED, PRESSED):
        now = dataclasses.replace(HELD, typed_at=100.0, give_up_at=500.0)
        unread = look(f"> {TEXT}", offset=30, at=300.0, changed_at=101.0, unread_at=300.0)
        wait = next_step(delivery, now, unread)
        assert isinstance(wait, Wait)
        assert (wait.until, "does not read" in wait.note) == (500.0, True)
        over = next_step(delivery, now, dataclasses.replace(unread, at=500.0, unread_at=500.0))
        assert isinstance(over, Failed)
        assert (over.reason, over.is_held) == ("NotSubmitted", True)


@pytest.mark.parametrize("delivery", [PASTED, PRESSED])
def test_that_nothing_is_read_is_no_alarm_before_the_readiness_timeout(delivery: Delivery) -> None:
    now = dataclasses.replace(
        HELD, rule=Rule(timeout_seconds=120.0), typed_at=2.0, give_up_at=500.0
    )
    unread = look(f"> {TEXT}", offset=30, at=119.0, changed_at=3.0, unread_at=119.0)
    assert next_step(delivery, now, unread) == Wait(120.0)  # it may be starting still
    late = dataclasses.replace(unread, at=120.0, unread_at=120.0)
    assert next_step(delivery, now, late) == Wait(500.0, note=UNREAD_NOTE)


def test_a_key_has_its_time_from_when_it_was_read() -> None:
    now = dataclasses.replace(HELD, typed_at=100.0)
    read = dataclasses.replace(TYPED, at=121.0, unread_at=120.0)
    assert next_step(PRESSED, now, read) == Wait(120.0 + WINDOWS[0])


def test_what_is_seen_is_no_effect_of_a_key_that_is_unread_but_for_whole_lines() -> None:
    now = dataclasses.replace(HELD, typed_at=100.0, taken_at=100.0)
    gone = look(offset=30, at=101.0, unread_at=101.0)
    assert isinstance(next_step(PRESSED, now, gone), Wait)
    assert next_step(PRESSED, now, dataclasses.replace(gone, line_mode=True)) == Submitted()


def test_after_a_restart_a_text_that_the_shim_typed_is_taken_further_though_not_seen() -> None:
    resumed = scene(Rule(SIGN), before=look(), is_typed=True)
    note = look("> [Pasted text #1]", offset=20, at=1.0)
    assert next_step(PASTED, resumed, note) == Type(Stage.PASTED)


def test_a_line_that_a_terminal_would_cut_is_refused_before_it_is_typed() -> None:
    ready: Any = {"line_mode": True, "sign_at": 0.0, "at": 1.0}
    for length, kind in ((4094, Type), (4095, Failed)):
        delivery = dataclasses.replace(WAITING, text="x" * length)
        assert isinstance(next_step(delivery, scene(Rule(SIGN)), look(**ready)), kind)


@given(
    st.sampled_from([WAITING, PASTED, PRESSED]),
    st.sampled_from([None, 0.0]),
    st.sampled_from(["", "> ", f"> {TEXT}", f"{TEXT}\n> ", "menu"]),
    st.floats(0, 200),
    st.floats(0, 200),
    st.integers(0, 40),
)
def test_a_step_never_waits_for_what_is_past_and_never_skips_a_stage(
    delivery: Delivery, typed_at: float | None, text: str, at: float, changed_at: float, offset: int
) -> None:
    resumed = typed_at is None
    now = dataclasses.replace(HELD, typed_at=typed_at)
    seen = look(text, at=at, changed_at=min(at, changed_at), offset=offset)
    match next_step(delivery, now, seen):
        case Wait(until):
            assert until > at
        case Type(stage, attempt):
            allowed = {
                Stage.WAITING: {(Stage.PASTED, 0)},
                Stage.PASTED: {(Stage.PASTED, 0)} if resumed else {(Stage.PRESSED, 1)},
                Stage.PRESSED: {(Stage.PRESSED, 1 if resumed else 2)},
            }
            assert (stage, attempt) in allowed[delivery.stage]
        case Submitted():
            assert delivery.stage is Stage.PRESSED
