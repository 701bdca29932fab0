"""Definitions: created, established, changed, refused, deleted with their objects."""

import copy
from typing import Any

from tests.conformance.client import Recorder
from tests.conformance.scenario import CRDS, MERGE, scenario

GROUP = "conformance.example"


def definition(plural: str, kind: str, **version: Any) -> dict[str, Any]:
    schema = {
        "type": "object",
        "properties": {
            "spec": {"type": "object", "properties": {"size": {"type": "integer"}}},
        },
    }
    first = {"name": "v1", "served": True, "storage": True, "schema": {"openAPIV3Schema": schema}}
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": f"{plural}.{GROUP}"},
        "spec": {
            "group": GROUP,
            "scope": "Namespaced",
            "names": {"plural": plural, "kind": kind},
            "versions": [first | version],
        },
    }


def conditions(crd: dict[str, Any]) -> dict[str, Any]:
    found = (crd.get("status") or {}).get("conditions") or ()
    return {item["type"]: [item["status"], item["reason"], item["message"]] for item in found}


def established(crd: dict[str, Any]) -> bool:
    return bool(conditions(crd).get("Established", [""])[0] == "True")


def is_list(answer: Any) -> bool:
    return isinstance(answer, dict) and str(answer.get("kind", "")).endswith("List")


@scenario
def definitions_live(api: Recorder, ns: str) -> None:
    made = definition("lives", "Life")
    answer = api.call("create", "POST", CRDS, made, keep=False)
    api.note("spec", answer["spec"])
    api.call("again", "POST", CRDS, made)
    crd = f"{CRDS}/lives.{GROUP}"
    answer = api.until(crd, established)
    accepted, stored = answer["status"]["acceptedNames"], answer["status"]["storedVersions"]
    api.note("status", [conditions(answer), accepted, stored])
    path = f"/apis/{GROUP}/v1/namespaces/{ns}/lives"
    api.until(path, is_list)
    life: dict[str, Any] = {"apiVersion": f"{GROUP}/v1", "kind": "Life", "metadata": {"name": "a"}}
    life["spec"] = {"size": 1, "color": "red"}
    api.call("an object", "POST", path, life)
    schema = "/spec/versions/0/schema/openAPIV3Schema/properties/spec/properties/color"
    change = [{"op": "add", "path": schema, "value": {"type": "string", "default": "blue"}}]
    content = "application/json-patch+json"
    answer = api.call("new field", "PATCH", crd, change, content=content, keep=False)
    api.note("generation", answer["metadata"]["generation"])
    api.until(f"{path}/a", lambda found: found.get("spec", {}).get("color") == "blue")
    api.call("shows its default", "GET", f"{path}/a")
    held = {"metadata": {"finalizers": ["conformance.example/hold"]}}
    api.call("hold", "PATCH", f"{path}/a", held, content=MERGE, keep=False)
    api.call("delete", "DELETE", crd, keep=False)
    answer = api.until(crd, lambda found: "Terminating" in conditions(found))
    api.note("finalizers", answer["metadata"]["finalizers"])
    api.until(f"{path}/a", lambda found: "deletionTimestamp" in found["metadata"])
    other = copy.deepcopy(life)
    other["metadata"]["name"] = "b"
    api.call("no new object", "POST", path, other)
    api.call("let go", "PATCH", f"{path}/a", {"metadata": {"finalizers": None}}, content=MERGE)
    api.gone(crd)
    api.until(path, lambda answer: not is_list(answer))
    api.call("resource is gone", "GET", path)


@scenario
def definitions_are_checked(api: Recorder, ns: str) -> None:
    del ns
    bad: dict[str, dict[str, Any]] = {}
    bad["name"] = definition("odds", "Odd")
    bad["name"]["metadata"]["name"] = "other"
    bad["no versions"] = definition("odds", "Odd")
    bad["no versions"]["spec"]["versions"] = []
    bad["scope"] = definition("odds", "Odd")
    bad["scope"]["spec"]["scope"] = "Galaxy"
    bad["no schema"] = definition("odds", "Odd", schema=None)
    no_type: dict[str, Any] = {"openAPIV3Schema": {"properties": {"spec": {"properties": {}}}}}
    bad["no types"] = definition("odds", "Odd", schema=no_type)
    bad["not stored"] = definition("odds", "Odd", storage=False)
    bad["plural"] = definition("Odds", "Odd")
    bad["group"] = definition("odds", "Odd")
    bad["group"]["spec"]["group"] = "nodots"
    column = {"name": "X", "type": "text", "jsonPath": "spec.x"}
    bad["column"] = definition("odds", "Odd", additionalPrinterColumns=[column])
    rules = {"type": "object", "x-kubernetes-validations": [{"rule": "self.nothing > 1"}]}
    bad["rule"] = definition("odds", "Odd", schema={"openAPIV3Schema": rules})
    for label, body in bad.items():
        api.call(label, "POST", CRDS, body)
    unknown = definition("odds", "Odd")
    unknown["spec"]["odd"] = 1
    unknown["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["minimun"] = 1
    api.call("unknown fields", "POST", f"{CRDS}?fieldValidation=Strict&dryRun=All", unknown)
    answer = api.call("pruned", "POST", f"{CRDS}?dryRun=All", unknown, keep=False)
    api.note("pruned", answer["spec"])


@scenario
def definitions_that_clash(api: Recorder, ns: str) -> None:
    del ns
    first = definition("firsts", "First")
    first["spec"]["names"]["shortNames"] = ["fst"]
    second = definition("seconds", "First")
    second["spec"]["names"]["shortNames"] = ["fst"]
    api.call("first", "POST", CRDS, first, keep=False)
    api.until(f"{CRDS}/firsts.{GROUP}", established)
    api.call("second", "POST", CRDS, second, keep=False)
    answer = api.until(f"{CRDS}/seconds.{GROUP}", lambda crd: bool(conditions(crd)))
    api.note("second", conditions(answer))
    api.call("delete first", "DELETE", f"{CRDS}/firsts.{GROUP}", keep=False)
    answer = api.until(f"{CRDS}/seconds.{GROUP}", established)
    api.note("second afterwards", conditions(answer))
    api.call("delete second", "DELETE", f"{CRDS}/seconds.{GROUP}", keep=False)
    api.gone(f"{CRDS}/seconds.{GROUP}")


@scenario
def definitions_with_several_versions(api: Recorder, ns: str) -> None:
    made = definition("manies", "Many")
    second = copy.deepcopy(made["spec"]["versions"][0]) | {"name": "v2", "storage": False}
    second |= {"deprecated": True}
    made["spec"]["versions"].append(second)
    api.call("create", "POST", CRDS, made, keep=False)
    crd = f"{CRDS}/manies.{GROUP}"
    api.until(crd, established)
    paths = {v: f"/apis/{GROUP}/{v}/namespaces/{ns}/manies" for v in ("v1", "v2")}
    for path in paths.values():
        api.until(path, is_list)
    body = {"apiVersion": f"{GROUP}/v2", "kind": "Many", "metadata": {"name": "a"}}
    api.call("create in v2", "POST", paths["v2"], body | {"spec": {"size": 1}})
    api.call("read in v1", "GET", f"{paths['v1']}/a")
    api.call("list in v2", "GET", paths["v2"])
    drop = [{"op": "remove", "path": "/spec/versions/0"}]
    content = "application/json-patch+json"
    api.call("the stored one stays", "PATCH", crd, drop, content=content)
    api.call("scope stays", "PATCH", crd, {"spec": {"scope": "Cluster"}}, content=MERGE)
    api.call("delete", "DELETE", crd, keep=False)
    api.gone(crd)
