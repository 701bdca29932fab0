"""Paths into objects."""

import contextlib
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from apiserver.jsonpath import JsonPathError, parse

OBJECT: dict[str, Any] = {
    "metadata": {"labels": {"app.kubernetes.io/name": "x"}, "name": "n"},
    "spec": {"items": [{"a": 1}, {"a": 2}, {"b": 3}], "zero": 0, "no": False, "m": {"k": "v"}},
    "status": {
        "conditions": [
            {"type": "Ready", "status": "True", "n": 3},
            {"type": "It's (odd)", "status": "False", "n": 5},
        ]
    },
}


@pytest.mark.parametrize(
    ("path", "found"),
    [
        (".metadata.name", ["n"]),
        ("{.metadata.name}", ["n"]),
        ("$.metadata.name", ["n"]),
        (r".metadata.labels.app\.kubernetes\.io/name", ["x"]),
        (".metadata.labels['app.kubernetes.io/name']", ["x"]),
        (".spec.items[0].a", [1]),
        (".spec.items[-1].b", [3]),
        (".spec.items[9].a", []),
        (".spec.items[*].a", [1, 2]),
        (".spec.items[0:2].a", [1, 2]),
        (".spec.items[0,2]", [{"a": 1}, {"b": 3}]),
        (".spec.m.*", ["v"]),
        (".spec.m[*]", ["v"]),
        (".spec.zero", [0]),
        (".spec.no", [False]),
        (".spec.zero.deeper", []),
        (".spec.missing", []),
        ("..a", [1, 2]),
        ('.status.conditions[?(@.type=="Ready")].status', ["True"]),
        (".status.conditions[?(@.type=='Ready')].status", ["True"]),
        ('.status.conditions[?(@.type == "It\'s (odd)")].status', ["False"]),
        (".status.conditions[?(@.n>3)].n", [5]),
        (".status.conditions[?(@.n!=3)].n", [5]),
        (".status.conditions[?(@.type==3)].n", []),
        (".spec.items[?(@.b)].b", [3]),
    ],
)
def test_a_path_finds(path: str, found: list[Any]) -> None:
    assert parse(path).find(OBJECT) == found


@pytest.mark.parametrize("path", ["spec", ".a[", ".a[?(x)]", ".a[?(@.b==)]", ".a[0:1:0]", ".a b"])
def test_other_texts_are_refused(path: str) -> None:
    with pytest.raises(JsonPathError):
        parse(path)


def test_the_first_find_counts() -> None:
    assert parse(".spec.items[*].a").first(OBJECT) == 1
    assert parse(".nothing").first(OBJECT) is None


@given(st.text(alphabet=".a[]*?(@=='\")0:-\\$", max_size=20))
def test_any_text_is_a_path_or_refused(text: str) -> None:
    with contextlib.suppress(JsonPathError):
        parse(text).find(OBJECT)
