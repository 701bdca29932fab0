"""OpenAPI documents: what kubectl looks for in them."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest

from apiserver.openapi.builtin import GROUP_PACKAGES
from apiserver.openapi.documents import build, builtin_schema
from apiserver.schema.compiled import CompiledSchema

VERBS = ("create", "delete", "deletecollection", "get", "list", "patch", "update", "watch")


@dataclass
class Kind:
    """A resource to be described."""

    group: str
    version: str
    kind: str
    plural: str
    namespaced: bool = True
    verbs: tuple[str, ...] = VERBS
    subresources: frozenset[str] = frozenset()
    openapi: dict[str, Any] | None = None
    selectable: tuple[str, ...] = ()

    @property
    def list_kind(self) -> str:
        return f"{self.kind}List"


THING = Kind(
    "example.dev",
    "v1",
    "Thing",
    "things",
    subresources=frozenset({"status"}),
    openapi={
        "description": "A thing.",
        "type": "object",
        "properties": {"spec": {"type": "object", "description": "What is wanted."}},
    },
    selectable=("spec.color",),
)
RESOURCES = [
    Kind("", "v1", "Namespace", "namespaces", namespaced=False),
    Kind("", "v1", "Secret", "secrets"),
    Kind("", "v1", "ConfigMap", "configmaps"),
    Kind("", "v1", "Event", "events"),
    Kind("", "v1", "ServiceAccount", "serviceaccounts"),
    Kind("", "v1", "ResourceQuota", "resourcequotas"),
    Kind("coordination.k8s.io", "v1", "Lease", "leases"),
    Kind("events.k8s.io", "v1", "Event", "events"),
    Kind("rbac.authorization.k8s.io", "v1", "Role", "roles"),
    Kind("rbac.authorization.k8s.io", "v1", "ClusterRole", "clusterroles", namespaced=False),
    Kind("rbac.authorization.k8s.io", "v1", "RoleBinding", "rolebindings"),
    Kind(
        "apiextensions.k8s.io",
        "v1",
        "CustomResourceDefinition",
        "customresourcedefinitions",
        namespaced=False,
    ),
    Kind("authorization.k8s.io", "v1", "SubjectAccessReview", "reviews", verbs=("create",)),
    THING,
]
DOCUMENTS = build(RESOURCES)


def walk(value: Any) -> Iterator[dict[str, Any]]:
    if isinstance(value, dict):
        yield value
    for item in value.values() if isinstance(value, dict) else value:
        if isinstance(item, dict | list):
            yield from walk(item)


def test_there_is_a_document_for_each_group_and_version() -> None:
    assert set(DOCUMENTS) == {
        "api/v1",
        "apis/apiextensions.k8s.io/v1",
        "apis/authorization.k8s.io/v1",
        "apis/coordination.k8s.io/v1",
        "apis/events.k8s.io/v1",
        "apis/example.dev/v1",
        "apis/rbac.authorization.k8s.io/v1",
    }


@pytest.mark.parametrize("path", DOCUMENTS)
def test_every_reference_leads_to_a_schema_of_the_same_document(path: str) -> None:
    document = DOCUMENTS[path]
    schemas = document["components"]["schemas"]
    for part in walk(document):
        if "$ref" in part:
            assert schemas[part["$ref"].removeprefix("#/components/schemas/")]


@pytest.mark.parametrize("path", DOCUMENTS)
def test_operations_have_unique_names_and_say_what_they_are_about(path: str) -> None:
    names: list[str] = []
    for item in DOCUMENTS[path]["paths"].values():
        for method, operation in item.items():
            if method == "parameters":
                continue
            names.append(operation["operationId"])
            assert operation["x-kubernetes-group-version-kind"]["kind"]
            query = {parameter["name"] for parameter in operation["parameters"]}
            assert ("fieldValidation" in query) is (method in {"post", "put", "patch"})
    assert len(set(names)) == len(names)


@pytest.mark.parametrize("resource", RESOURCES, ids=lambda resource: resource.kind)
def test_every_kind_has_one_schema_with_its_name(resource: Kind) -> None:
    path = f"apis/{resource.group}/{resource.version}" if resource.group else "api/v1"
    wanted = {"group": resource.group, "version": resource.version, "kind": resource.kind}
    schemas = DOCUMENTS[path]["components"]["schemas"].values()
    [found] = [s for s in schemas if wanted in s.get("x-kubernetes-group-version-kind", ())]
    assert found["description"]
    assert "metadata" in found["properties"]


def test_every_field_of_a_built_in_type_is_described() -> None:
    for path, document in DOCUMENTS.items():
        if path == "apis/example.dev/v1":
            continue
        for name, schema in document["components"]["schemas"].items():
            assert schema["description"], name
            for field, value in schema.get("properties", {}).items():
                assert value["description"], f"{name}.{field}"


def test_a_custom_resource_keeps_its_schema_and_gets_the_common_fields() -> None:
    document = DOCUMENTS["apis/example.dev/v1"]
    thing = document["components"]["schemas"]["dev.example.v1.Thing"]
    assert thing["description"] == "A thing."
    assert thing["properties"]["spec"]["description"] == "What is wanted."
    assert "allOf" in thing["properties"]["metadata"]
    assert thing["x-kubernetes-selectable-fields"] == [{"fieldPath": "spec.color"}]
    assert "/apis/example.dev/v1/namespaces/{namespace}/things/{name}/status" in document["paths"]
    assert "apiVersion" not in (THING.openapi or {})["properties"]


def test_reviews_are_created_only() -> None:
    paths = DOCUMENTS["apis/authorization.k8s.io/v1"]["paths"]
    [item] = paths.values()
    assert set(item) == {"post", "parameters"}


def test_a_built_in_schema_drops_what_the_kind_has_not() -> None:
    secret = CompiledSchema(builtin_schema("", "Secret") or {})
    obj = {"kind": "Secret", "data": {"a": "Yg=="}, "bogus": 1, "metadata": {"x": 1}}
    assert secret.prune(obj) == ["bogus"]
    assert secret.validate(obj) == []
    assert [e.field for e in secret.validate({"data": {"a": 1}})] == ["data.a"]
    assert builtin_schema("", "Pod") is None
    assert builtin_schema("example.dev", "Secret") is None


def test_every_group_has_its_types() -> None:
    for group in GROUP_PACKAGES:
        assert any(resource.group == group for resource in RESOURCES) or group in {
            "authentication.k8s.io"
        }
