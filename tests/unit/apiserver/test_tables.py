"""Tables; cells are compared with those of a CRD server of Kubernetes 1.36."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from apiserver.tables import IncludeError, age, table

NOW = datetime(2026, 11, 22, 14, 8, 37, tzinfo=UTC)

COLUMNS = [
    {"name": "S", "type": "string", "jsonPath": ".spec.s", "description": "a string"},
    {"name": "I", "type": "integer", "jsonPath": ".spec.i"},
    {"name": "B", "type": "boolean", "jsonPath": ".spec.b"},
    {"name": "D", "type": "date", "jsonPath": ".spec.d", "priority": 1},
    {"name": "O", "type": "string", "jsonPath": ".spec.o"},
    {"name": "L", "type": "string", "jsonPath": ".spec.l[*]"},
    {"name": "F", "type": "string", "jsonPath": '.spec.c[?(@.type=="Ready")].status'},
    {"name": "SI", "type": "string", "jsonPath": ".spec.i"},
    {"name": "IS", "type": "integer", "jsonPath": ".spec.s"},
    {"name": "NI", "type": "number", "jsonPath": ".spec.i"},
    {"name": "DS", "type": "date", "jsonPath": ".spec.s"},
    {"name": "Age", "type": "date", "jsonPath": ".metadata.creationTimestamp"},
]
CREATED = "2026-11-22T14:08:37Z"


@pytest.mark.parametrize(
    ("spec", "cells"),
    [
        pytest.param(
            {
                "s": "a",
                "i": 3,
                "b": True,
                "d": "2026-01-01T00:00:00Z",
                "o": {"a": 1, "b": ["x"]},
                "l": ["p", "q"],
                "c": [{"type": "Ready", "status": "True"}],
            },
            ["a", 3, True, "325d", '{"a":1,"b":["x"]}', "p", "True", "3", None, 3, "<invalid>"],
            id="everything is there",
        ),
        pytest.param({}, [None] * 11, id="nothing is there"),
        pytest.param(
            {"s": "x y", "i": 0, "b": False, "d": "garbage", "l": [], "o": {}},
            ["x y", 0, False, "<invalid>", "{}", None, None, "0", None, 0, "<invalid>"],
            id="empty and odd values",
        ),
    ],
)
def test_cells_are_those_of_kubernetes(spec: Any, cells: list[Any]) -> None:
    obj = {"metadata": {"name": "n", "creationTimestamp": CREATED}, "spec": spec}
    [row] = table(COLUMNS, [obj], NOW, "None")["rows"]
    assert row == {"cells": ["n", *cells, "0s"], "object": None}


def test_columns_are_described() -> None:
    name, first, second, *_ = table(COLUMNS, [], NOW)["columnDefinitions"]
    assert (name["name"], name["type"], name["format"], name["priority"]) == (
        "Name",
        "string",
        "name",
        0,
    )
    assert first["description"] == "a string"
    text = "Custom resource definition column (in JSONPath format): .spec.i"
    assert second == {
        "name": "I",
        "type": "integer",
        "format": "",
        "description": text,
        "priority": 0,
    }


def test_without_columns_there_are_name_and_age() -> None:
    obj = {"metadata": {"name": "n", "creationTimestamp": CREATED}}
    made = table([], [obj], NOW + timedelta(minutes=5))
    assert [column["name"] for column in made["columnDefinitions"]] == ["Name", "Age"]
    assert made["rows"][0]["cells"] == ["n", "5m"]


def test_rows_carry_what_was_asked_for() -> None:
    obj = {"kind": "X", "metadata": {"name": "n"}, "spec": {}}
    partial = {
        "kind": "PartialObjectMetadata",
        "apiVersion": "meta.k8s.io/v1",
        "metadata": {"name": "n"},
    }
    for include, carried in (("", partial), ("Metadata", partial), ("Object", obj), ("None", None)):
        assert table([], [obj], NOW, include)["rows"][0]["object"] == carried
    with pytest.raises(IncludeError) as caught:
        table([], [obj], NOW, "Bogus")
    assert str(caught.value) == (
        'Unable to convert to Table as requested: includeObject: Invalid value: "Bogus": '
        "must be 'Metadata', 'Object', 'None', or empty"
    )


@pytest.mark.parametrize(
    ("seconds", "shown"),
    [
        (-5, "<invalid>"),
        (-0.5, "0s"),
        (0, "0s"),
        (119, "119s"),
        (120, "2m"),
        (190, "3m10s"),
        (600, "10m"),
        (10_799, "179m"),
        (10_800, "3h"),
        (15_000, "4h10m"),
        (28_800, "8h"),
        (172_799, "47h"),
        (172_800, "2d"),
        (190_000, "2d4h"),
        (691_200, "8d"),
        (63_071_999, "729d"),
        (63_072_000, "2y"),
        (95_472_000, "3y10d"),
        (252_288_000, "8y"),
        (300_000_000, "9y"),
    ],
)
def test_ages_are_shown_as_kubectl_does(seconds: float, shown: str) -> None:
    assert age(seconds) == shown
