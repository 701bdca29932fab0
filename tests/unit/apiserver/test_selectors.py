"""Selectors against the answers of a CRD server of Kubernetes 1.36."""

import contextlib
import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from apiserver.selectors import (
    EVENT_FIELDS,
    FieldSelector,
    LabelSelector,
    SelectorError,
)

ANSWERS = json.loads((Path(__file__).parent / "data" / "selectors.json").read_text("utf-8"))
OBJECTS = [
    {
        "metadata": {"name": f"sel{number}", "namespace": "default", "labels": labels},
        "spec": {"s": "x y" if number == 1 else "a"},
    }
    for number, labels in enumerate(ANSWERS["labels"])
]


def answer(select: Any) -> Any:
    try:
        selector = select()
    except SelectorError as exc:
        return f"400 {exc}"
    return [number for number, obj in enumerate(OBJECTS) if selector(obj)]


@pytest.mark.parametrize(("text", "theirs"), ANSWERS["label"].items())
def test_label_selectors_answer_as_kubernetes(text: str, theirs: Any) -> None:
    def select() -> Any:
        selector = LabelSelector.parse(text)
        return selector.matches

    assert answer(select) == theirs


@pytest.mark.parametrize(("text", "theirs"), ANSWERS["field"].items())
def test_field_selectors_answer_as_kubernetes(text: str, theirs: Any) -> None:
    def select() -> Any:
        return FieldSelector.parse(text, ["spec.s"]).matches

    assert answer(select) == theirs


@given(st.text(alphabet="ab=!,() \\<>in-", max_size=20))
def test_any_text_is_a_selector_or_refused(text: str) -> None:
    for parse in (LabelSelector.parse, FieldSelector.parse):
        with contextlib.suppress(SelectorError):
            parse(text)


def test_selectors_of_manifests_mean_the_same() -> None:
    raw = {
        "matchLabels": {"a": "1"},
        "matchExpressions": [
            {"key": "b", "operator": "In", "values": ["x", "y"]},
            {"key": "c", "operator": "DoesNotExist"},
            {"key": "d", "operator": "NotIn", "values": ["z"]},
            {"key": "e", "operator": "Exists"},
        ],
    }
    selector = LabelSelector.of(raw)
    assert selector == LabelSelector.parse("a=1,b in (x,y),!c,d notin (z),e")
    assert selector.admits({"a": "1", "b": "y", "e": ""})
    assert not selector.admits({"a": "1", "b": "y", "e": "", "c": ""})
    assert LabelSelector.of({}).admits(None)
    with pytest.raises(SelectorError, match="Near"):
        LabelSelector.of({"matchExpressions": [{"key": "a", "operator": "Near"}]})


def test_events_are_selected_by_what_they_are_about() -> None:
    event = {
        "involvedObject": {"kind": "AgentPod", "name": "x", "uid": "1"},
        "source": {"component": "controller"},
        "type": "Warning",
    }
    text = "involvedObject.kind=AgentPod,involvedObject.uid=1,source=controller,type!=Normal"
    selector = FieldSelector.parse(text, EVENT_FIELDS)
    assert selector.matches(event)
    assert selector.required("involvedObject.uid") == "1"
    assert selector.required("type") is None
    assert not selector.matches({"involvedObject": {"kind": "Runner"}})
