"""What the recorded cases do not show: status writes, ratcheting's limits, purity."""

import copy
import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from apiserver.schema.compiled import CompiledSchema
from apiserver.schema.equality import identical
from apiserver.schema.errors import FieldError, aggregate, go_float, invalid, quote

SCHEMA: dict[str, Any] = {
    "type": "object",
    "properties": {
        "spec": {"type": "object", "properties": {"n": {"type": "integer", "maximum": 5}}},
        "status": {
            "type": "object",
            "properties": {
                "phase": {"type": "string", "enum": ["A", "B"]},
                "conditions": {
                    "type": "array",
                    "x-kubernetes-list-type": "map",
                    "x-kubernetes-list-map-keys": ["type"],
                    "items": {
                        "type": "object",
                        "required": ["type"],
                        "properties": {"type": {"type": "string"}, "n": {"type": "integer"}},
                    },
                },
            },
            "x-kubernetes-validations": [{"rule": "self.phase != 'B'", "message": "not B"}],
        },
    },
}


def texts(errors: list[FieldError]) -> list[str]:
    return [error.text() for error in errors]


def test_a_status_write_is_checked_in_its_status_alone() -> None:
    schema = CompiledSchema(SCHEMA)
    old = {"spec": {"n": 9}, "status": {"phase": "A"}}
    good = {"spec": {"n": 9}, "status": {"phase": "A", "conditions": [{"type": "Ready"}]}}
    assert schema.validate(good, old, status_only=True) == []
    assert schema.validate({"spec": {"n": 9}}, old, status_only=True) == []
    bad = {"spec": {"n": 9}, "status": {"conditions": [{"type": "R"}, {"type": "R"}]}}
    [error] = schema.validate(
        {**bad, "status": {**bad["status"], "phase": "A"}}, old, status_only=True
    )
    assert error.text() == 'status.conditions[1]: Duplicate value: {"type":"R"}'
    broken = {"spec": {"n": 9}, "status": {"phase": "B"}}
    assert texts(schema.validate(broken, old, status_only=True)) == ["status: Invalid value: not B"]


def test_a_value_that_equals_another_type_is_not_taken_for_unchanged() -> None:
    schema = CompiledSchema(SCHEMA)
    errors = schema.validate({"spec": {"n": True}}, {"spec": {"n": 1}})
    assert errors[0].field == "spec.n"


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        (1, True, False),
        (0, False, False),
        (1, 1, True),
        ([1, {"a": False}], [1, {"a": 0}], False),
        ({"a": 1, "b": 2}, {"b": 2, "a": 1}, True),
        ({"a": 2**70}, {"a": 2**70}, True),
        ({"a": [2**70, True]}, {"a": [2**70, 1]}, False),
        (None, None, True),
        ("a", "b", False),
    ],
)
def test_identity_of_json_values(one: Any, other: Any, *, same: bool) -> None:
    assert identical(one, other) is same


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=3),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["spec", "status", "n", "phase", "conditions", "type", "x"]),
            inner,
        )
    ),
    max_leaves=12,
)


@given(st.dictionaries(st.sampled_from(["spec", "status", "x"]), JSON))
def test_any_object_is_settled_once_and_for_all(obj: dict[str, Any]) -> None:
    schema = CompiledSchema(SCHEMA)
    schema.prune(obj)
    schema.default(obj)
    settled = copy.deepcopy(obj)
    assert schema.prune(obj) == []
    schema.default(obj)
    assert identical(obj, settled)
    errors = schema.validate(obj)
    assert identical(obj, settled)
    assert schema.validate(obj, settled) == []
    assert all(isinstance(text, str) for text in texts(errors))


def test_a_fraction_in_place_of_an_integer_is_refused_at_once() -> None:
    for number in (1.5, -1e300, 1e18 + 0.5, math.inf):
        errors = CompiledSchema(SCHEMA).validate({"spec": {"n": number}})
        assert errors


def test_defaults_are_copies() -> None:
    schema = CompiledSchema(
        {
            "type": "object",
            "properties": {"l": {"type": "array", "default": [], "items": {"type": "string"}}},
        }
    )
    one: dict[str, Any] = {}
    schema.default(one)
    one["l"].append("x")
    other: dict[str, Any] = {}
    schema.default(other)
    assert other == {"l": []}


def test_texts_are_put_together_as_go_does() -> None:
    assert quote('a"\\\n\x01ü\u200b') == '"a\\"\\\\\\n\\x01ü\\u200b"'
    assert [go_float(number) for number in (1.0, 1.5, 1e21, 1e-7, -math.inf)] == [
        "1",
        "1.5",
        "1e+21",
        "1e-07",
        "-Inf",
    ]
    twice = [invalid("a", {"<": 1}, "x"), invalid("a", {"<": 1}, "x"), invalid("b", None, "y")]
    assert aggregate(twice) == ('[a: Invalid value: {"\\u003c":1}: x, b: Invalid value: null: y]')
