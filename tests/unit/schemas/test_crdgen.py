"""The CRDs that are committed are the CRDs that the models say."""

from collections.abc import Iterator
from typing import Any

import pytest
import yaml

from schemas import crdgen
from schemas.kinds import KINDS


def _nodes(node: dict[str, Any], path: str = "") -> Iterator[tuple[str, dict[str, Any]]]:
    yield path, node
    for name, child in node.get("properties", {}).items():
        yield from _nodes(child, f"{path}.{name}")
    for key in ("items", "additionalProperties"):
        if isinstance(node.get(key), dict):
            yield from _nodes(node[key], f"{path}[]")


@pytest.fixture(params=list(KINDS))
def schema(request: pytest.FixtureRequest) -> dict[str, Any]:
    return crdgen.schema(KINDS[request.param])


def test_committed_crds_are_what_the_models_generate():
    committed = {p.name: p.read_text(encoding="utf-8") for p in crdgen.FOLDER.glob("*.yaml")}
    assert committed == crdgen.rendered()


def test_rendered_crds_are_the_manifests_that_the_controller_installs():
    parsed = [yaml.safe_load(text) for text in crdgen.rendered().values()]
    assert parsed == crdgen.crds()


def test_every_field_is_described(schema: dict[str, Any]):
    below_metadata = {".metadata"}
    missing = [
        path
        for path, node in _nodes(schema)
        if path and not path.endswith("[]") and path not in below_metadata
        if not node.get("description")
    ]
    assert missing == []


def test_everything_is_bounded_so_that_rules_have_a_cost(schema: dict[str, Any]):
    bound = {"string": "maxLength", "array": "maxItems"}
    unbounded = [
        path
        for path, node in _nodes(schema)
        if path not in {".apiVersion", ".kind"} and "enum" not in node
        if (key := bound.get(node.get("type", ""))) and key not in node
    ]
    assert unbounded == []


def test_schemas_are_structural(schema: dict[str, Any]):
    forbidden = {"$ref", "anyOf", "allOf", "oneOf", "title", "const"}
    found = [(path, key) for path, node in _nodes(schema) for key in forbidden & set(node)]
    assert found == []
    assert [path for path, node in _nodes(schema) if "type" not in node] == []


def test_no_default_clutters_objects_with_emptiness(schema: dict[str, Any]):
    assert [path for path, node in _nodes(schema) if node.get("default") in ([], "")] == []


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_can_be_listed_with_the_others_and_tells_its_readiness(kind: str):
    crd = crdgen.crd(KINDS[kind])
    assert crd["spec"]["names"]["categories"] == ["mesh"]
    assert crd["spec"]["versions"][0]["subresources"] == {"status": {}}
    columns = [c["name"] for c in crd["spec"]["versions"][0]["additionalPrinterColumns"]]
    assert columns[-4:] == ["Ready", "Age", "Reason", "Message"]
