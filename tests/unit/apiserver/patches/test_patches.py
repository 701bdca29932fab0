"""Patches against the answers of a CRD server of Kubernetes 1.36, and by their properties."""

import contextlib
import copy
import importlib.util
import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from apiserver.patches import PatchError, json_patch, merge_patch, strategic_merge

HERE = Path(__file__).parent
ANSWERS = json.loads((HERE / "answers.json").read_text(encoding="utf-8"))


def _cases() -> Any:
    spec = importlib.util.spec_from_file_location("patch_cases", HERE / "cases.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


CASES = _cases()

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner),
    max_leaves=10,
)
POINTERS = st.lists(st.sampled_from(["a", "0", "1", "-", "-1", "x~1y", ""]), max_size=3).map(
    lambda parts: "".join(f"/{part}" for part in parts)
)
OPERATIONS = st.lists(
    st.fixed_dictionaries(
        {
            "op": st.sampled_from(["add", "remove", "replace", "move", "copy", "test"]),
            "path": POINTERS,
            "from": POINTERS,
            "value": JSON,
        }
    ),
    max_size=5,
)


@pytest.mark.parametrize(("patch", "answer"), list(zip(CASES.MERGE, ANSWERS["merge"], strict=True)))
def test_merge_patch_answers_as_kubernetes(patch: Any, answer: Any) -> None:
    assert merge_patch({"spec": CASES.TARGET}, {"spec": patch})["spec"] == answer["answer"]


@pytest.mark.parametrize(
    ("patch", "answer"),
    list(zip(CASES.JSON, ANSWERS["json"], strict=True)),
    ids=lambda value: json.dumps(value)[:60],
)
def test_json_patch_answers_as_kubernetes(patch: Any, answer: Any) -> None:
    target = {"spec": copy.deepcopy(CASES.TARGET)}
    if answer["code"] == 200:
        assert json_patch(target, patch)["spec"] == answer["answer"]
    else:
        with pytest.raises(PatchError) as caught:
            json_patch(target, patch)
        status = answer["answer"]
        assert (caught.value.status, caught.value.reason) == (status["code"], status["reason"])
        assert caught.value.message == status["message"]
    assert target == {"spec": CASES.TARGET}


@given(JSON, JSON)
def test_merging_twice_changes_nothing_and_the_inputs_stay(target: Any, patch: Any) -> None:
    before = copy.deepcopy((target, patch))
    once = merge_patch(target, patch)
    assert merge_patch(once, patch) == once
    assert (target, patch) == before


@given(JSON, OPERATIONS)
def test_json_patch_leaves_its_inputs_and_fails_only_as_patch_error(target: Any, ops: Any) -> None:
    before = copy.deepcopy((target, ops))
    with contextlib.suppress(PatchError):
        json_patch(target, ops)
    assert (target, ops) == before


def test_copies_that_double_an_object_are_refused() -> None:
    doubling = [{"op": "copy", "from": "/a", "path": f"/a/{n}"} for n in range(60)]
    with pytest.raises(PatchError, match="exceeding the limit") as caught:
        json_patch({"a": {"x": "y" * 100}}, doubling)
    assert caught.value.status == 413


def test_strategic_merge_merges_keyed_lists_and_replaces_others() -> None:
    target = {
        "metadata": {"ownerReferences": [{"uid": "1", "name": "a"}], "finalizers": ["x/a"]},
        "secrets": [{"name": "one"}, {"name": "two"}],
        "rules": [1, 2],
    }
    patch = {
        "metadata": {
            "ownerReferences": [{"uid": "2", "name": "b"}, {"uid": "1", "controller": True}],
            "finalizers": ["x/b", "x/a"],
        },
        "secrets": [{"name": "one", "$patch": "delete"}, {"name": "three"}],
        "$setElementOrder/secrets": [{"name": "three"}, {"name": "two"}],
        "rules": [3],
    }
    before = copy.deepcopy((target, patch))
    assert strategic_merge("ServiceAccount", target, patch) == {
        "metadata": {
            "ownerReferences": [
                {"uid": "2", "name": "b"},
                {"uid": "1", "name": "a", "controller": True},
            ],
            "finalizers": ["x/b", "x/a"],
        },
        "secrets": [{"name": "three"}, {"name": "two"}],
        "rules": [3],
    }
    assert (target, patch) == before


@pytest.mark.parametrize(
    ("patch", "data"),
    [
        pytest.param({"data": {"a": None, "b": "2"}}, {"b": "2", "k": "v"}, id="null removes"),
        pytest.param({"data": {"$patch": "replace", "b": "2"}}, {"b": "2"}, id="replace"),
        pytest.param({"data": {"$retainKeys": ["k"]}}, {"k": "v"}, id="retain keys"),
        pytest.param({"data": {"$patch": "delete"}}, None, id="delete"),
    ],
)
def test_strategic_directives_of_maps(patch: Any, data: Any) -> None:
    merged = strategic_merge("ConfigMap", {"data": {"a": "1", "k": "v"}}, patch)
    assert merged.get("data") == data


def test_strategic_merge_deletes_plain_values() -> None:
    target = {"metadata": {"finalizers": ["a/a", "b/b"]}}
    patch = {"metadata": {"$deleteFromPrimitiveList/finalizers": ["a/a"]}}
    assert strategic_merge("Secret", target, patch) == {"metadata": {"finalizers": ["b/b"]}}


@pytest.mark.parametrize(
    "patch",
    [
        {"metadata": {"$patch": "dance"}},
        {"metadata": {"$retainKeys": 1}},
        {"metadata": {"ownerReferences": [{"name": "without uid"}]}},
        {"metadata": {"ownerReferences": ["text"]}},
        {"metadata": {"$deleteFromPrimitiveList/finalizers": 1}},
    ],
)
def test_malformed_directives_are_refused(patch: Any) -> None:
    with pytest.raises(PatchError) as caught:
        strategic_merge("Secret", {"metadata": {}}, patch)
    assert caught.value.status == 400


def test_what_is_nested_endlessly_is_refused() -> None:
    deep: Any = {}
    for _ in range(2000):
        deep = {"a": deep}
    for patching in (
        lambda: merge_patch({}, deep),
        lambda: strategic_merge("Secret", {}, deep),
        lambda: json_patch({}, [{"op": "add", "path": "/a", "value": deep}]),
    ):
        with pytest.raises(PatchError) as caught:
            patching()
        assert caught.value.status == 422
