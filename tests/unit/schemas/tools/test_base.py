"""Arguments are taken as they are or refused in one sentence, and schemas say the same."""

from typing import Any

import jsonschema
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from schemas.tools.base import InvalidArgumentsError, json_schema, parsed
from schemas.tools.catalogue import CATALOGUE

NAMES = (
    "list_available_pods",
    "list_runners",
    "list_repositories",
    "observe_terminal",
    "send_terminal_text",
    "send_terminal_key",
    "bind_pod",
    "accept_binding",
    "reject_binding",
    "unbind_pod",
    "get_bindings",
    "get_bound_pods",
    "search_channels",
    "create_channel",
    "get_channel",
    "send_channel_message",
    "get_channel_messages",
    "get_channel_document",
    "update_channel_document",
    "search_tickets",
    "get_ticket",
    "create_ticket",
    "update_ticket",
    "create_pod",
)
"""Prompts and skills rely on these."""


def test_the_catalogue_has_the_24_tools():
    assert tuple(CATALOGUE) == NAMES
    assert len(NAMES) == 24


@pytest.mark.parametrize(
    ("name", "values", "sentence"),
    [
        pytest.param("observe_terminal", {}, "pod_key: it is required", id="missing"),
        pytest.param(
            "list_runners",
            {"all": 1},
            "all: there is no such argument; there are: none",
            id="unknown",
        ),
        pytest.param(
            "send_terminal_text",
            {"pod_key": "a", "text": "x", "enter": True},
            "enter: there is no such argument; there are: pod_key, text",
            id="unknown beside known ones",
        ),
        pytest.param("observe_terminal", {"pod_key": 5}, "pod_key: input", id="no text"),
        pytest.param("observe_terminal", {"pod_key": ""}, "pod_key: string should", id="too short"),
        pytest.param(
            "observe_terminal",
            {"pod_key": "a", "lines": "50"},
            "lines: input",
            id="a number in text",
        ),
        pytest.param(
            "observe_terminal",
            {"pod_key": "a", "lines": True},
            "lines: input",
            id="a yes for a number",
        ),
        pytest.param(
            "observe_terminal", {"pod_key": "a", "raw": 1}, "raw: input", id="a number for a yes"
        ),
        pytest.param(
            "send_terminal_key", {"pod_key": "a", "keys": []}, "keys: list should", id="too few"
        ),
        pytest.param(
            "send_terminal_key",
            {"pod_key": "a", "keys": ["up", 5]},
            "keys[1]: input",
            id="one wrong in a list",
        ),
        pytest.param(
            "bind_pod",
            {"target_pod": "a", "scopes": ["terminal:all"]},
            "scopes[0]: input should be 'terminal:read' or 'terminal:write'",
            id="none of the words",
        ),
        pytest.param(
            "create_pod",
            {"agent_type_id": "a", "permission_mode": "yolo"},
            "'acceptEdits'",
            id="a mode",
        ),
        pytest.param(
            "create_pod",
            {"agent_type_id": "a", "config_overrides": {"a": []}},
            "config_overrides.a",
            id="a value that is no value",
        ),
    ],
)
def test_wrong_arguments_are_named_in_one_sentence(
    name: str, values: dict[str, Any], sentence: str
):
    with pytest.raises(InvalidArgumentsError) as refused:
        parsed(CATALOGUE[name].arguments, values)
    assert sentence in str(refused.value)
    assert "\n" not in str(refused.value)


def test_a_refusal_does_not_repeat_what_was_sent():
    with pytest.raises(InvalidArgumentsError) as refused:
        parsed(CATALOGUE["send_terminal_text"].arguments, {"pod_key": 1, "text": ["hunter2"]})
    assert "hunter2" not in str(refused.value)


def test_many_wrong_arguments_are_counted():
    values = {f"wrong{number}": 1 for number in range(9)}
    with pytest.raises(InvalidArgumentsError) as refused:
        parsed(CATALOGUE["list_runners"].arguments, values)
    assert str(refused.value).endswith("and 5 more")


def test_null_means_absent():
    found = parsed(CATALOGUE["observe_terminal"].arguments, {"pod_key": "a", "lines": None})
    assert found.model_dump()["lines"] == 50


@pytest.mark.parametrize("name", CATALOGUE)
def test_schemas_are_plain_and_strict(name: str):
    tool = CATALOGUE[name]
    for model in (tool.arguments, tool.result):
        schema = json_schema(model)
        jsonschema.Draft202012Validator.check_schema(schema)
        assert schema["type"] == "object"
        for node in _nodes(schema):
            assert "$ref" not in node
            assert not isinstance(node.get("title"), str)
            if "properties" in node:
                assert node["additionalProperties"] is False
            assert all(each.get("type") != "null" for each in node.get("anyOf", ()))
            assert node.get("type") != "string" or "pattern" not in node


def _nodes(node: Any) -> list[dict[str, Any]]:
    found = [node] if isinstance(node, dict) and ("type" in node or "anyOf" in node) else []
    children = node.values() if isinstance(node, dict) else node if isinstance(node, list) else ()
    return [*found, *(each for child in children for each in _nodes(child))]


VALUES = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-2, 10_001),
    st.text(max_size=3),
    st.sampled_from(["terminal:read", "todo", "bug", "high", "active", "plan", "system"]),
    st.lists(st.sampled_from(["terminal:read", "up", "a", 1]), max_size=3),
    st.dictionaries(st.text(min_size=1, max_size=2), st.integers(), max_size=2),
)


VALIDATORS = {
    tool.name: jsonschema.Draft202012Validator(json_schema(tool.arguments))
    for tool in CATALOGUE.values()
}


@pytest.mark.parametrize("name", CATALOGUE)
@settings(max_examples=40, deadline=None)
@given(data=st.data())
def test_a_schema_takes_what_the_tool_takes(name: str, data: st.DataObject):
    """What the agent's model is told, and what is checked, are the same."""
    model = CATALOGUE[name].arguments
    known = st.sampled_from([*model.model_fields, "unknown"])
    values = data.draw(st.dictionaries(known, VALUES, max_size=4))
    given_values = {key: value for key, value in values.items() if value is not None}
    fits = VALIDATORS[name].is_valid(given_values)
    try:
        parsed(model, values)
    except InvalidArgumentsError:
        assert not fits, values
    else:
        assert fits, values
