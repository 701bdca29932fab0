"""Requests that make no sense, or that ask for what is not there."""

import json
from typing import Any

from tests.conformance.client import Recorder
from tests.conformance.scenario import APPLY, JSON_PATCH, MERGE, WIDGETS, scenario, widget


def named(name: str, **meta: Any) -> dict[str, Any]:
    body = widget(name)
    body["metadata"] |= meta
    return body


@scenario
def options_have_few_values(api: Recorder, ns: str) -> None:
    path = WIDGETS.format(ns=ns)
    api.call("create", "POST", path, widget("a"), keep=False)
    api.call("validation", "POST", f"{path}?fieldValidation=Foo", widget("b"))
    api.call("validation of a patch", "PATCH", f"{path}/a?fieldValidation=Foo", {}, content=MERGE)
    api.call("dry run", "PUT", f"{path}/a?dryRun=Foo", widget("a"))
    api.call("dry run of a deletion", "DELETE", f"{path}/a?dryRun=Foo")
    api.call("policy", "DELETE", f"{path}/a", {"propagationPolicy": "Foo"})
    both = {"propagationPolicy": "Orphan", "orphanDependents": True}
    api.call("two policies", "DELETE", f"{path}/a", both)
    api.call("still there", "GET", f"{path}/a")


@scenario
def bodies_that_are_no_objects(api: Recorder, ns: str) -> None:
    path = WIDGETS.format(ns=ns)
    no_kind = widget("a")
    del no_kind["kind"]
    bodies: dict[str, Any] = {
        "array": "[]",
        "empty": "",
        "no kind": no_kind,
        "metadata is text": widget("a") | {"metadata": "x"},
        "label is a number": named("a", labels={"a": 1}),
        "finalizers are a map": named("a", finalizers={}),
        "unknown metadata": named("a", foo=1),
        "version set": named("a", resourceVersion="5"),
        "empty name": widget(""),
    }
    for label, body in bodies.items():
        answer = api.call(label, "POST", path, body, keep=False)
        meta = answer.get("metadata", {})
        shown = {name: answer.get(name) for name in ("code", "reason")}
        api.note(label, shown | {"name": meta.get("name")})
    api.call("text", "POST", path, "x", content="text/plain", keep=False)
    strict = f"{path}?fieldValidation=Strict"
    api.call("unknown metadata, strict", "POST", strict, named("s", foo=1))
    api.call("wrong kind, wrong group", "POST", path, widget("a") | {"apiVersion": "v1"})


@scenario
def names_and_namespaces_must_agree(api: Recorder, ns: str) -> None:
    path = WIDGETS.format(ns=ns)
    made = api.call("create", "POST", path, widget("a"), keep=False)
    version = made["metadata"]["resourceVersion"]
    api.call("put name", "PUT", f"{path}/a", named("b", resourceVersion=version))
    api.call("put uid", "PUT", f"{path}/a", named("a", uid="1", resourceVersion=version))
    api.call("put text as version", "PUT", f"{path}/a", named("a", resourceVersion="x"))
    api.call("put absent", "PUT", f"{path}/z", named("z", resourceVersion="1"))
    for name in ("name", "namespace", "resourceVersion"):
        patch = {"metadata": {name: "1"}}
        api.call(f"patch {name}", "PATCH", f"{path}/a", patch, content=MERGE)
    patch = {"metadata": {"uid": "b"}}
    answer = api.call("patch uid", "PATCH", f"{path}/a", patch, content=MERGE, keep=False)
    api.note("patch uid", [answer["code"], answer["reason"]])
    for name in ("kind", "apiVersion"):
        patch = {name: "Foo"}
        answer = api.call(f"patch {name}", "PATCH", f"{path}/a", patch, content=MERGE, keep=False)
        api.note(f"patch {name}", [answer.get("code"), answer.get("reason"), answer.get("kind")])
    api.call("cannot be changed", "GET", f"{path}/a")


@scenario
def patches_that_are_none(api: Recorder, ns: str) -> None:
    path = WIDGETS.format(ns=ns)
    api.call("create", "POST", path, widget("a"), keep=False)
    for label, content, body in (
        ("merge with a list", MERGE, "[]"),
        ("merge with half an object", MERGE, "{"),
        ("JSON patch with an object", JSON_PATCH, "{}"),
        ("unknown operation", JSON_PATCH, '[{"op":"shout","path":"/spec"}]'),
        ("no path", JSON_PATCH, '[{"op":"add","value":1}]'),
    ):
        answer = api.call(label, "PATCH", f"{path}/a", body, content=content, keep=False)
        api.note(label, [answer.get("code"), answer.get("reason")])
    api.call("text", "PATCH", f"{path}/a", "x", content="text/plain")
    api.call("of what is absent", "PATCH", f"{path}/z", {}, content=MERGE)
    api.call("without a spec", "PATCH", f"{path}/a", {"spec": None}, content=MERGE)
    api.call("warned", "PATCH", f"{path}/a", {"spec": {"x": 1}}, content=MERGE)
    status = f"{path}/a/status"
    api.call("status", "PATCH", status, {"status": {"odd": 1}}, content=MERGE)
    strict = f"{status}?fieldValidation=Strict"
    answer = api.call("status", "PATCH", strict, {"spec": {"z": 1}}, content=MERGE, keep=False)
    api.note("strict status", [answer.get("code"), answer.get("reason")])


@scenario
def server_side_apply(api: Recorder, ns: str) -> None:
    path = WIDGETS.format(ns=ns)
    body = json.dumps(widget("a"))
    api.call("apply", "PATCH", f"{path}/a?fieldManager=me", body, content=APPLY)


@scenario
def scale(api: Recorder, ns: str) -> None:
    path = f"{WIDGETS.format(ns=ns)}/a/scale"
    api.call("absent", "GET", path)
    api.call("create", "POST", WIDGETS.format(ns=ns), widget("a", size=2), keep=False)
    api.call("get", "GET", path)
    api.call("patch", "PATCH", path, {"spec": {"replicas": 3}}, content=MERGE)
    api.call("negative", "PATCH", path, {"spec": {"replicas": -3}}, content=MERGE)
    api.call("against the schema", "PATCH", path, {"spec": {"replicas": 30}}, content=MERGE)
    found = api.call("get again", "GET", path)
    found["spec"]["replicas"] = 4
    api.call("put", "PUT", path, found)
    api.call("put again", "PUT", path, found)
    api.call("the object", "GET", path.removesuffix("/scale"))


@scenario
def paths_that_lead_nowhere(api: Recorder, ns: str) -> None:
    path = WIDGETS.format(ns=ns)
    everywhere = "/apis/conformance.example/v1/widgets"
    api.call("create", "POST", path, widget("a"), keep=False)
    for label, method, where in (
        ("subresource", "GET", f"{path}/a/foo"),
        ("post without namespace", "POST", everywhere),
        ("delete without namespace", "DELETE", everywhere),
        ("put of a collection", "PUT", path),
        ("patch of a collection", "PATCH", path),
        ("post on an object", "POST", f"{path}/a"),
        ("resource", "GET", "/apis/conformance.example/v1/foos"),
        ("version", "GET", "/apis/conformance.example/v7/widgets"),
        ("group", "GET", "/apis/foo.example/v1/foos"),
        ("core resource", "GET", "/api/v1/foos"),
        ("core version", "GET", "/api/v7/pods"),
        ("path", "GET", "/nothing"),
    ):
        body = widget("x") if method in {"POST", "PUT", "PATCH"} else None
        content = MERGE if method == "PATCH" else "application/json"
        answer = api.call(label, method, where, body, content=content, keep=False)
        if "paths" in answer:
            answer = {"paths": "…"}
        api.note(label, [answer["code"], answer["message"]] if "code" in answer else answer)


@scenario
def answers_in_other_media_types(api: Recorder, ns: str) -> None:
    path = WIDGETS.format(ns=ns)
    api.call("create", "POST", path, widget("a"), keep=False)
    answer = api.call("yaml", "GET", f"{path}/a", accept="application/yaml", keep=False)
    api.note("yaml", answer.splitlines()[0])
    api.call("nonsense", "GET", f"{path}/a", accept="text/html")
    table = "application/json;as=Table;v=v1;g=meta.k8s.io"
    api.call("include", "GET", f"{path}/a?includeObject=Foo", accept=table)
    text = json.dumps(widget("b")).replace('"', "'")  # YAML, but no JSON
    api.call("from yaml", "POST", path, text, content="application/yaml")
    api.call("from no type", "POST", path, text, content="text/plain", keep=False)


@scenario
def objects_have_a_size(api: Recorder, ns: str) -> None:
    path = WIDGETS.format(ns=ns)
    api.call("create", "POST", path, widget("a", free={}), keep=False)
    for label, size in {"large": 1 << 20, "larger": 1700 << 10, "body": 3200 << 10}.items():
        body = widget(label.partition(" ")[0], free={"text": "x" * size})
        answer = api.call(label, "POST", path, body, keep=False)
        body = [answer["kind"], answer.get("code"), answer.get("reason"), answer.get("message")]
        api.note(label, body)
    for name in ("x", "y"):
        patch = {"spec": {"free": {name: "x" * (1 << 20)}}}
        answer = api.call(name, "PATCH", f"{path}/a", patch, content=MERGE, keep=False)
        body = [answer["kind"], answer.get("code"), answer.get("reason"), answer.get("message")]
        api.note(f"grown by {name}", body)
