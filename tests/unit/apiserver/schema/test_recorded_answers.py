"""Our answers against those that a CRD server of Kubernetes 1.36 gave to the same objects."""

import copy
import json
from pathlib import Path
from typing import Any

import pytest
import yaml

from apiserver.schema.compiled import CompiledSchema
from apiserver.schema.errors import aggregate
from apiserver.schema.metadata import finalizer_warnings, validate_metadata

DATA = Path(__file__).parent / "data"
CASES = yaml.safe_load((DATA / "cases.yaml").read_text(encoding="utf-8"))
ANSWERS = json.loads((DATA / "answers.json").read_text(encoding="utf-8"))

STATED_DIFFERENCES = {
    ("celvalues", 9): "sets are compared in order",
    ("celvalues", 33): "named formats of CEL",
}
"""Where we differ on purpose; each is in the docstring of the module that differs."""

ELSEWHERE = {400, 409}
"""Answers of the decoder and of the store, which are not this package's business."""


def manifest(case: dict[str, Any], item: dict[str, Any], number: int) -> dict[str, Any]:
    obj = {key: copy.deepcopy(value) for key, value in item.items() if key not in {"old", "name"}}
    metadata = obj.setdefault("metadata", {})
    if name := item.get("name", f"c{number}"):
        metadata.setdefault("name", name)
    return {"apiVersion": "example.dev/v1", "kind": case["name"].capitalize(), **obj}


def schema_of(case: dict[str, Any]) -> CompiledSchema:
    schema: dict[str, Any] = {"type": "object", "properties": {"spec": case["spec"]}}
    if rules := [rule for rule in case.get("rules", ()) if not rule.get("absent")]:
        schema["x-kubernetes-validations"] = rules
    return CompiledSchema(schema)


def recorded() -> list[Any]:
    found = []
    for case in CASES:
        schema = schema_of(case)
        answers = ANSWERS[case["name"]]["objects"]
        assert len(answers) == len(case["objects"]), f"record {case['name']} again"
        for number, (item, answer) in enumerate(zip(case["objects"], answers, strict=True)):
            if answer["code"] in ELSEWHERE:
                continue
            name = f"{case['name']}-{number}"
            marks = []
            if reason := STATED_DIFFERENCES.get((case["name"], number)):
                marks = [pytest.mark.xfail(strict=True, reason=reason)]
            found.append(pytest.param(case, schema, item, number, answer, id=name, marks=marks))
    return found


def settle(schema: CompiledSchema, obj: dict[str, Any]) -> list[str]:
    dropped = schema.prune(obj)
    schema.default(obj)
    return dropped


def texts(message: str, errors: list[dict[str, str]]) -> list[str]:
    """Return the single complaints of a Status, sorted: their order is that of a Go map."""
    assert message
    return sorted(f"{error['field']}: {error['message']}" for error in errors)


@pytest.mark.parametrize(("case", "schema", "item", "number", "answer"), recorded())
def test_the_answer_is_that_of_kubernetes(
    case: dict[str, Any], schema: CompiledSchema, item: dict[str, Any], number: int, answer: Any
) -> None:
    obj = manifest(case, item, number)
    old = None
    if "old" in item:
        old = manifest(case, item["old"], number)
        settle(schema, old)
    dropped = settle(schema, obj)
    errors = schema.validate(obj, old)
    if case["name"] == "metadata":
        if "generateName" in obj["metadata"]:
            obj["metadata"]["name"] = answer["message"].split('"')[1]
        errors += validate_metadata(obj, namespaced=False)
    if answer["code"] >= 400:
        ours = texts("ours", [error.cause() for error in errors])
        theirs = texts(answer["message"], answer["causes"])
        assert list(dict.fromkeys(ours)) == list(dict.fromkeys(theirs))
        assert {e.reason for e in errors} == {c["reason"] for c in answer["causes"]}
        return
    assert [error.text() for error in errors] == []
    if case["name"] != "metadata":
        assert obj.get("spec") == answer["stored"].get("spec")
    unknown = [text.split('\\"')[1] for text in answer.get("warnings", ()) if "unknown" in text]
    unknown = [path.encode("latin-1").decode() for path in unknown]
    assert dropped == sorted(path for path in unknown if not path.startswith("metadata."))


def test_a_finalizer_without_a_domain_is_warned_about() -> None:
    warning = ANSWERS["metadata"]["objects"][16]["warnings"][0]
    ours = finalizer_warnings(["plain", "orphan", "example.dev/x"])
    assert [f"299 - {json.dumps(text)}" for text in ours] == [warning]


def test_the_whole_message_is_put_together_as_kubernetes_does() -> None:
    case = next(case for case in CASES if case["name"] == "requirements")
    answer = ANSWERS["requirements"]["objects"][0]
    errors = schema_of(case).validate(manifest(case, case["objects"][0], 0))
    assert answer["message"].endswith(f'"c0" is invalid: {aggregate(errors)}')
