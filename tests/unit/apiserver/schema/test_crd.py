"""CRDs: our verdict against that of a CRD server of Kubernetes 1.36."""

import copy
import importlib.util
import json
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from apiserver.schema.crd import default_crd, prune_crd, validate_crd

HERE = Path(__file__).parent
CASES = yaml.safe_load((HERE / "data" / "crds.yaml").read_text(encoding="utf-8"))
ANSWERS = json.loads((HERE / "data" / "crd_answers.json").read_text(encoding="utf-8"))

STATED_DIFFERENCES = {
    "spec.conversion.webhookClientConfig": "webhook conversion is refused as a whole",
    "spec.conversion.conversionReviewVersions": "webhook conversion is refused as a whole",
    "status.storedVersions": "the status is computed by whoever stores the definition",
    "spec.version": "a field that left the API; spec.versions[0].name says the same",
}
"""Causes that we do not name."""


def _definition() -> Any:
    sys.path.insert(0, str(HERE))
    try:
        spec = importlib.util.spec_from_file_location("record_crds", HERE / "record_crds.py")
        assert spec is not None
        assert spec.loader is not None
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
    finally:
        sys.path.remove(str(HERE))
    return module.definition


definition = _definition()


def comparable(text: str) -> str:
    """Return a complaint without what the CEL compilers say: they differ in their words."""
    for marker in ("compilation failed: ", "internal error: "):
        text = text.partition(marker)[0] + (marker if marker in text else "")
    return text


@pytest.mark.parametrize(
    ("case", "answer"),
    list(zip(CASES, ANSWERS, strict=True)),
    ids=[json.dumps(case)[:80] for case in CASES],
)
def test_the_verdict_is_that_of_kubernetes(case: Any, answer: Any) -> None:
    crd = definition(case)
    assert prune_crd(crd) == []
    default_crd(crd)
    errors = validate_crd(crd)
    ours = [f"{e.reason} {e.field} {comparable(e.body())}" for e in errors]
    theirs = [
        f"{c['reason']} {c['field']} {comparable(c['message'])}"
        for c in answer.get("causes", ())
        if c["field"] not in STATED_DIFFERENCES
    ]
    if case.get("merge", {}).get("spec", {}).get("conversion", {}).get("strategy") == "Webhook":
        assert [error.field for error in errors] == ["spec.conversion.strategy"]
        return
    assert sorted(set(ours)) == sorted(set(theirs))
    if answer["code"] == 201:
        assert {k: v for k, v in crd["spec"].items() if k != "versions"} == {
            k: v for k, v in answer["spec"].items() if k != "versions"
        }


def test_names_and_scope_stay() -> None:
    old = definition({})
    new = copy.deepcopy(old)
    new["spec"]["scope"] = "Cluster"
    new["spec"]["names"]["kind"] = "Other"
    for crd in (old, new):
        default_crd(crd)
    new["spec"]["names"]["singular"] = "thing"
    texts = [error.text() for error in validate_crd(new, old)]
    assert texts == [
        'spec.scope: Invalid value: "Cluster": field is immutable',
        'spec.names.kind: Invalid value: "Other": field is immutable',
    ]


def test_schemas_that_differ_are_named_by_version() -> None:
    versions = [
        {"name": "v1", "served": True, "storage": True},
        {
            "name": "v2",
            "served": True,
            "storage": False,
            "schema": {"openAPIV3Schema": {"type": "string"}},
        },
    ]
    crd = definition({"versions": versions})
    default_crd(crd)
    fields = [error.field for error in validate_crd(crd)]
    assert fields == ["spec.versions[1].schema.openAPIV3Schema.type"]


def test_unknown_fields_are_dropped_and_named() -> None:
    crd = definition({"props": {"x": {"type": "string", "bogus": 1, "minimun": 2, "title": None}}})
    crd["spec"]["versions"][0]["stored"] = True
    at = "spec.versions[0]"
    schema = f"{at}.schema.openAPIV3Schema.properties.spec.properties.x"
    assert prune_crd(crd) == [f"{schema}.bogus", f"{schema}.minimun", f"{at}.stored"]
    assert validate_crd(crd) != []  # not defaulted yet
    default_crd(crd)
    assert validate_crd(crd) == []


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=3),
    lambda inner: (
        st.lists(inner, max_size=2)
        | st.dictionaries(st.sampled_from(["type", "properties", "items", "default", "x"]), inner)
    ),
    max_leaves=8,
)


@given(JSON, JSON)
def test_no_definition_makes_it_fall(schema: Any, names: Any) -> None:
    for crd in (
        definition({"schema": schema}),
        definition({"props": {"x": schema}}),
        definition({"merge": {"spec": {"names": names}}}),
        definition({"versions": [{"name": names, "additionalPrinterColumns": [schema]}]}),
        {"spec": schema},
        {"metadata": {}, "spec": {"versions": [schema]}},
    ):
        prune_crd(crd)
        default_crd(crd)
        assert isinstance(validate_crd(crd), list)


def test_a_schema_that_is_nested_endlessly_is_refused() -> None:
    schema: Any = {"type": "string"}
    for _ in range(200):
        schema = {"type": "array", "items": schema}
    errors = validate_crd(definition({"props": {"x": schema}}))
    assert {error.detail for error in errors} == {"nested too deeply"}
