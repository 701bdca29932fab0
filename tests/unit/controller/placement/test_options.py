"""Values for an agent's options: what is taken, and what becomes of it."""

import json
import tomllib
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from controller.placement.options import arguments, texts, unfit, variables
from runner.drivers.agents import expand as runner_expand
from schemas.agentclass import AgentClassSpec

AGENT = AgentClassSpec.model_validate(
    {
        "executable": "greet",
        "options": [
            {"name": "effort", "values": ["low", "-high"], "flag": "--effort"},
            {"name": "title", "flag": "--title"},
            {"name": "note", "env": "NOTE"},
            {"name": "turns", "type": "integer", "minimum": 1, "maximum": 9, "flag": "-t"},
            {"name": "warmth", "type": "number", "maximum": 2, "env": "WARMTH"},
            {"name": "verbose", "type": "boolean", "flag": "-v", "env": "VERBOSE"},
        ],
    }
)


@pytest.mark.parametrize(
    ("name", "value", "text"),
    [
        pytest.param("effort", "-high", "-high", id="a named value, whatever it begins with"),
        pytest.param("title", "$(HOME) $HOME `id`", "$(HOME) $HOME `id`", id="text is text"),
        pytest.param("note", "--x", "--x", id="a dash in a variable harms nobody"),
        pytest.param("turns", 9, "9", id="an integer"),
        pytest.param("turns", 2.0, "2", id="a whole number"),
        pytest.param("warmth", -0.5, "-0.5", id="a number"),
        pytest.param("warmth", 1e-9, "1e-09", id="a tiny number"),
        pytest.param("warmth", 0.00012345678901234567, "0.00012345678901234567", id="digits"),
        pytest.param("warmth", -0.0, "0", id="nothing"),
        pytest.param("verbose", True, "true", id="true"),
    ],
)
def test_what_fits_is_taken_as_text(name: str, value: Any, text: str) -> None:
    assert texts(AGENT, {name: value}) == {name: text}
    assert unfit(AGENT, {name: text}) is None


@pytest.mark.parametrize(
    ("name", "value", "says"),
    [
        pytest.param("effort", "LOW", "must be one of low, -high", id="none of the values"),
        pytest.param("title", "--yolo", "must be a text that does not begin with -", id="a flag"),
        pytest.param("title", "a\0b", "must be a text", id="NUL"),
        pytest.param("title", 5, "must be a text", id="a number for a text"),
        pytest.param("title", True, "must be a text", id="true for a text"),
        pytest.param("turns", 0, "must be an integer from 1 to 9", id="too small"),
        pytest.param("turns", 10, "must be an integer from 1 to 9", id="too big"),
        pytest.param("turns", 1.5, "must be an integer", id="a fraction"),
        pytest.param("turns", "3", "must be an integer", id="a text for a number"),
        pytest.param("turns", True, "must be an integer", id="true for a number"),
        pytest.param("warmth", 2.01, "must be a number of at most 2", id="beyond the maximum"),
        pytest.param("warmth", -(10**400), "must be a number", id="more than a float can hold"),
        pytest.param("warmth", float("inf"), "must be a number", id="infinity"),
        pytest.param("warmth", float("nan"), "must be a number", id="not a number"),
        pytest.param("verbose", "true", "must be true or false", id="a text for a boolean"),
        pytest.param("verbose", 1, "must be true or false", id="a number for a boolean"),
        pytest.param("nothing", "x", "there are: effort, title", id="no such option"),
    ],
)
def test_what_does_not_fit_is_refused_and_says_what_would(name: str, value: Any, says: str) -> None:
    with pytest.raises(ValueError, match=says) as caught:
        texts(AGENT, {name: value})
    assert str(caught.value).startswith(f"{name}: ")


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("turns", "03"),
        ("turns", " 3"),
        ("turns", "3\n"),
        ("turns", "٣"),
        ("turns", "1" * 40),
        ("warmth", "1e999"),
        ("warmth", "nan"),
        ("verbose", "True"),
        ("verbose", ""),
    ],
)
def test_texts_that_people_write_are_checked_as_strictly(name: str, text: str) -> None:
    assert unfit(AGENT, {name: text}) is not None


def test_options_become_flags_and_variables_in_the_order_of_the_class() -> None:
    config = {
        "verbose": "true",
        "turns": "3",
        "warmth": "0.5",
        "note": "n",
        "title": "a b",
        "effort": "low",
    }
    assert list(arguments(AGENT, config)) == [
        *("--effort", "low"),
        *("--title", "a b"),
        *("-t", "3"),
        "-v",
    ]
    assert list(variables(AGENT, config).items()) == [
        ("NOTE", "n"),
        ("WARMTH", "0.5"),
        ("VERBOSE", "true"),
    ]


def test_false_is_no_flag_and_a_variable_that_says_so() -> None:
    assert list(arguments(AGENT, {"verbose": "false"})) == []
    assert variables(AGENT, {"verbose": "false"}) == {"VERBOSE": "false"}


_VALUES = st.one_of(
    st.booleans(), st.integers(), st.floats(), st.text(max_size=20), st.sampled_from(["low", 3])
)


@settings(deadline=None)
@given(st.dictionaries(st.sampled_from([o.name for o in AGENT.options]), _VALUES))
def test_whatever_is_taken_fits(values: dict[str, Any]) -> None:
    try:
        config = texts(AGENT, values)
    except ValueError:
        return
    assert unfit(AGENT, config) is None
    for flag, value in zip(arguments(AGENT, config), [*arguments(AGENT, config)][1:], strict=False):
        assert flag != "--title" or not value.startswith("-")


def _toml_option(**more: object) -> AgentClassSpec:
    base = {"name": "base", "format": "toml", "args": ["-c", 'base_url="$(VALUE)"']}
    return AgentClassSpec.model_validate({"executable": "codex", "options": [base | more]})


@pytest.mark.parametrize(
    "value",
    [
        "http://127.0.0.1:1/v1",
        'x"\nmodel_provider="evil',
        "back\\slash\ttab\x7f\x01",
        "$(HOME) $$ ${TOKEN}",
        "ünïcode 🙂",
    ],
)
def test_a_value_within_toml_cannot_end_its_text(value: str) -> None:
    agent = _toml_option()
    assert unfit(agent, {"base": value}) is None
    flag, setting = (runner_expand(arg, {}) for arg in arguments(agent, {"base": value}))
    assert flag == "-c"
    assert tomllib.loads(setting) == {"base_url": value}


@pytest.mark.parametrize("value", ["a\nb", '"quoted"', "\x1f", "é"])
def test_a_value_within_json_cannot_end_its_text(value: str) -> None:
    agent = _toml_option(format="json", args=['--config={"base": "$(VALUE)"}'])
    (arg,) = (runner_expand(arg, {}) for arg in arguments(agent, {"base": value}))
    assert json.loads(arg.removeprefix("--config=")) == {"base": value}


def test_a_boolean_gives_its_arguments_when_it_is_true() -> None:
    agent = _toml_option(type="boolean", args=["--search", "--deep"])
    assert list(arguments(agent, {"base": "true"})) == ["--search", "--deep"]
    assert list(arguments(agent, {"base": "false"})) == []


def test_a_value_that_begins_an_argument_may_not_look_like_a_flag() -> None:
    assert unfit(_toml_option(args=["$(VALUE)"]), {"base": "--evil"}) is not None
    assert unfit(_toml_option(), {"base": "--evil"}) is None
