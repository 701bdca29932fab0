"""Custom objects: what is accepted, refused, changed, deleted."""

from typing import Any

from tests.conformance.client import Recorder
from tests.conformance.scenario import (
    CONFIG_MAPS,
    JSON_PATCH,
    MERGE,
    STRATEGIC,
    WIDGETS,
    config_map,
    scenario,
    widget,
)


@scenario
def create_read_and_delete(api: Recorder, ns: str) -> None:
    path = WIDGETS.format(ns=ns)
    api.call("create", "POST", path, widget("a", size=2))
    api.call("create again", "POST", path, widget("a"))
    api.call("get", "GET", f"{path}/a")
    api.call("get absent", "GET", f"{path}/b")
    api.call("list", "GET", path)
    api.call("delete", "DELETE", f"{path}/a")
    api.call("delete again", "DELETE", f"{path}/a")
    api.call("list is empty", "GET", path)


@scenario
def invalid_objects_name_the_field(api: Recorder, ns: str) -> None:
    path = WIDGETS.format(ns=ns)
    bad: dict[str, dict[str, Any]] = {
        "too small": {"size": 0},
        "too large": {"size": 11},
        "wrong type": {"size": "big"},
        "not one of": {"color": "blue"},
        "pattern": {"name": "UPPER"},
        "too long": {"name": "abcdefghij"},
        "format": {"when": "yesterday"},
        "duplicate in set": {"tags": ["x", "x"]},
        "duplicate in map": {"parts": [{"id": "p"}, {"id": "p"}]},
        "missing key": {"parts": [{"count": 2}]},
        "too many": {"tags": ["a", "b", "c", "d", "e"]},
        "rule": {"size": 9},
        "two at once": {"size": 0, "name": "UPPER"},
        "int or string": {"port": True},
    }
    for label, spec in bad.items():
        api.call(label, "POST", path, widget("bad", **spec))
    without = widget("bad")
    del without["spec"]["size"]
    api.call("required", "POST", path, without)
    del without["spec"]
    api.call("required spec", "POST", path, without)
    null = widget("bad")
    null["spec"]["size"] = None
    api.call("null", "POST", path, null)


@scenario
def invalid_metadata_is_refused(api: Recorder, ns: str) -> None:
    path = WIDGETS.format(ns=ns)
    for label, metadata in {
        "upper case name": {"name": "Upper"},
        "no name": {},
        "label value": {"name": "x", "labels": {"a": "not valid!"}},
        "label key": {"name": "x", "labels": {"a b": "c"}},
        "annotation key": {"name": "x", "annotations": {"a b": "c"}},
        "finalizer": {"name": "x", "finalizers": ["nodomain !"]},
        "foreign namespace": {"name": "x", "namespace": "other"},
        "owner without uid": {
            "name": "x",
            "ownerReferences": [{"apiVersion": "v1", "kind": "ConfigMap", "name": "o"}],
        },
    }.items():
        api.call(label, "POST", path, widget("x") | {"metadata": metadata})


@scenario
def unknown_fields_are_pruned_or_refused(api: Recorder, ns: str) -> None:
    path = WIDGETS.format(ns=ns)
    extra = widget("a", unknown=1, free={"kept": {"x": 1}}, parts=[{"id": "p", "odd": 1}])
    extra["also"] = "unknown"
    api.call("ignore", "POST", f"{path}?fieldValidation=Ignore", extra)
    extra["metadata"]["name"] = "b"
    api.call("warn", "POST", f"{path}?fieldValidation=Warn", extra)
    api.call("strict", "POST", f"{path}?fieldValidation=Strict", extra)
    twice = '{"apiVersion":"conformance.example/v1","kind":"Widget","metadata":{"name":"d"},'
    twice += '"spec":{"size":1,"size":2}}'
    api.call("duplicate key, strict", "POST", f"{path}?fieldValidation=Strict", twice)
    patch = {"spec": {"unknown": 2}}
    strict = f"{path}/a?fieldValidation=Strict"
    answer = api.call("strict patch", "PATCH", strict, patch, content=MERGE, keep=False)
    # the text quotes the whole object, managed fields and all
    body = [answer["reason"], answer["message"].rpartition("strict decoding error: ")[2]]
    api.transcript.append({"label": "strict patch", "status": answer["code"], "body": body})


@scenario
def defaults_are_filled_in(api: Recorder, ns: str) -> None:
    path = WIDGETS.format(ns=ns)
    api.call("defaults", "POST", path, widget("a", parts=[{"id": "p"}]))
    api.call("null takes the default", "POST", path, widget("b", color=None))
    api.call("patch away", "PATCH", f"{path}/a", {"spec": {"color": None}}, content=MERGE)


@scenario
def rules_see_the_old_object(api: Recorder, ns: str) -> None:
    path = WIDGETS.format(ns=ns)
    api.call("create", "POST", path, widget("a", fixed="x"))
    api.call("change", "PATCH", f"{path}/a", {"spec": {"fixed": "y"}}, content=MERGE)
    api.call("remove", "PATCH", f"{path}/a", {"spec": {"fixed": None}}, content=MERGE)
    api.call("other", "PATCH", f"{path}/a", {"spec": {"size": 3}}, content=MERGE)


@scenario
def optimistic_locking(api: Recorder, ns: str) -> None:
    path = WIDGETS.format(ns=ns)
    first = api.call("create", "POST", path, widget("a"))
    second = api.call("patch", "PATCH", f"{path}/a", {"spec": {"size": 2}}, content=MERGE)
    api.call("put the old version", "PUT", f"{path}/a", first)
    second["spec"]["size"] = 3
    api.call("put the new version", "PUT", f"{path}/a", second)
    del second["metadata"]["resourceVersion"]
    api.call("put without version", "PUT", f"{path}/a", second)
    stale = {"metadata": {"resourceVersion": first["metadata"]["resourceVersion"]}}
    api.call("patch with an old version", "PATCH", f"{path}/a", stale, content=MERGE)
    other = dict(second, metadata={**second["metadata"], "name": "b"})
    api.call("put under another name", "PUT", f"{path}/a", other)
    api.call("put what is not there", "PUT", f"{path}/c", widget("c"))


@scenario
def status_is_a_world_of_its_own(api: Recorder, ns: str) -> None:
    path = WIDGETS.format(ns=ns)
    api.call("status at create is dropped", "POST", path, widget("a") | {"status": {"phase": "x"}})
    patch = {"status": {"phase": "Up"}, "spec": {"size": 5}, "metadata": {"labels": {"l": "v"}}}
    api.call("patch status", "PATCH", f"{path}/a/status", patch, content=MERGE)
    api.call("patch status through the object", "PATCH", f"{path}/a", patch, content=MERGE)
    api.call("get status", "GET", f"{path}/a/status")
    wrong = {"status": {"phase": 7}}
    api.call("invalid status", "PATCH", f"{path}/a/status", wrong, content=MERGE)


@scenario
def generation_counts_changes_of_the_spec(api: Recorder, ns: str) -> None:
    path = WIDGETS.format(ns=ns)
    api.call("create", "POST", path, widget("a"))
    label = {"metadata": {"labels": {"l": "v"}}}
    api.call("label", "PATCH", f"{path}/a", label, content=MERGE)
    api.call("spec", "PATCH", f"{path}/a", {"spec": {"size": 2}}, content=MERGE)
    api.call("status", "PATCH", f"{path}/a/status", {"status": {"phase": "x"}}, content=MERGE)


@scenario
def writing_nothing_writes_nothing(api: Recorder, ns: str) -> None:
    path = WIDGETS.format(ns=ns)
    first = api.call("create", "POST", path, widget("a"))
    again = api.call("patch nothing", "PATCH", f"{path}/a", {"spec": {"size": 1}}, content=MERGE)
    same = first["metadata"]["resourceVersion"] == again["metadata"]["resourceVersion"]
    put = api.call("put the same", "PUT", f"{path}/a", again)
    same = same and put["metadata"]["resourceVersion"] == first["metadata"]["resourceVersion"]
    api.transcript.append({"label": "version stays", "status": 0, "body": same})


@scenario
def json_patches(api: Recorder, ns: str) -> None:
    path = WIDGETS.format(ns=ns)
    api.call("create", "POST", path, widget("a", tags=["x"]))
    for label, operations in {
        "add": [{"op": "add", "path": "/spec/tags/-", "value": "y"}],
        "replace": [{"op": "replace", "path": "/spec/size", "value": 4}],
        "test holds": [
            {"op": "test", "path": "/spec/size", "value": 4},
            {"op": "remove", "path": "/spec/tags/0"},
        ],
        "test fails": [{"op": "test", "path": "/spec/size", "value": 5}],
        "remove absent": [{"op": "remove", "path": "/spec/nothing"}],
    }.items():
        answer = api.call(
            label,
            "PATCH",
            f"{path}/a",
            operations,
            content=JSON_PATCH,
            keep="fail" not in label and "absent" not in label,
        )
        if answer.get("kind") == "Status":  # the text is that of a Go library
            entry = {k: answer.get(k) for k in ("status", "reason", "code")}
            api.transcript.append({"label": label, "status": answer["code"], "body": entry})
    api.call("strategic on custom", "PATCH", f"{path}/a", {"spec": {}}, content=STRATEGIC)


@scenario
def strategic_merge_of_config_maps(api: Recorder, ns: str) -> None:
    path = CONFIG_MAPS.format(ns=ns)
    api.call("create", "POST", path, config_map("a", one="1", two="2"))
    patch = {"data": {"one": None, "three": "3"}, "metadata": {"labels": {"l": "v"}}}
    api.call("patch", "PATCH", f"{path}/a", patch, content=STRATEGIC)
    final = {"metadata": {"finalizers": ["conformance.example/x"]}}
    api.call("add finalizer", "PATCH", f"{path}/a", final, content=STRATEGIC)
    second = {"metadata": {"finalizers": ["conformance.example/y"]}}
    api.call("merge finalizers", "PATCH", f"{path}/a", second, content=STRATEGIC)
    gone = {"metadata": {"finalizers": None}}
    api.call("no finalizers", "PATCH", f"{path}/a", gone, content=MERGE)


@scenario
def finalizers_hold_a_deletion(api: Recorder, ns: str) -> None:
    path = WIDGETS.format(ns=ns)
    made = widget("a")
    made["metadata"]["finalizers"] = ["conformance.example/hold"]
    api.call("create", "POST", path, made)
    api.call("delete", "DELETE", f"{path}/a")
    api.call("still there", "GET", f"{path}/a")
    api.call("delete again", "DELETE", f"{path}/a")
    more = {"metadata": {"finalizers": ["conformance.example/hold", "conformance.example/more"]}}
    api.call("add a finalizer", "PATCH", f"{path}/a", more, content=MERGE)
    api.call("change spec", "PATCH", f"{path}/a", {"spec": {"size": 2}}, content=MERGE)
    none = {"metadata": {"finalizers": None}}
    api.call("remove the finalizer", "PATCH", f"{path}/a", none, content=MERGE)
    api.call("gone", "GET", f"{path}/a")


@scenario
def deletes_with_conditions(api: Recorder, ns: str) -> None:
    path = WIDGETS.format(ns=ns)
    made = api.call("create", "POST", path, widget("a"))
    wrong = {"kind": "DeleteOptions", "apiVersion": "v1", "preconditions": {"uid": "other"}}
    api.call("other uid", "DELETE", f"{path}/a", wrong, keep=False)
    answer = api.call("other uid", "DELETE", f"{path}/a", wrong, keep=False)
    entry = {k: answer.get(k) for k in ("status", "reason", "code")}
    api.transcript.append({"label": "other uid", "status": answer["code"], "body": entry})
    right = dict(wrong, preconditions={"uid": made["metadata"]["uid"]})
    api.call("dry run", "DELETE", f"{path}/a", right | {"dryRun": ["All"]})
    api.call("same uid", "DELETE", f"{path}/a", right)
    api.call("create again", "POST", path, widget("a"), keep=False)
    api.call("dry run in the query", "DELETE", f"{path}/a?dryRun=All")
    api.call("still there", "GET", f"{path}/a")
    api.call("dry run in the query, and a body", "DELETE", f"{path}/a?dryRun=All", {})
    api.call("there or not", "GET", f"{path}/a")


@scenario
def delete_collection(api: Recorder, ns: str) -> None:
    path = WIDGETS.format(ns=ns)
    for name in ("a", "b", "c"):
        made = widget(name)
        made["metadata"]["labels"] = {"keep": "yes" if name == "c" else "no"}
        api.call(f"create {name}", "POST", path, made)
    answer = api.call("delete some", "DELETE", f"{path}?labelSelector=keep%3Dno", keep=False)
    names = sorted(item["metadata"]["name"] for item in answer.get("items", []))
    api.transcript.append({"label": "delete some", "status": 200, "body": names})
    api.call("one is left", "GET", path)


@scenario
def dry_runs_change_nothing(api: Recorder, ns: str) -> None:
    path = WIDGETS.format(ns=ns)
    api.call("create", "POST", f"{path}?dryRun=All", widget("a"))
    api.call("not there", "GET", f"{path}/a")
    api.call("really", "POST", path, widget("a"), keep=False)
    patch = {"spec": {"size": 7}}
    api.call("patch", "PATCH", f"{path}/a?dryRun=All", patch, content=MERGE)
    api.call("as before", "GET", f"{path}/a")
    api.call("bad value", "POST", f"{path}?dryRun=Some", widget("c"))


@scenario
def names_can_be_generated(api: Recorder, ns: str) -> None:
    path = WIDGETS.format(ns=ns)
    made = widget("x") | {"metadata": {"generateName": "gen-"}}
    answer = api.call("create", "POST", path, made, keep=False)
    name = answer["metadata"]["name"]
    body = {"prefix": name[:4], "length": len(name)}
    api.transcript.append({"label": "name", "status": 201, "body": body})


@scenario
def bad_requests(api: Recorder, ns: str) -> None:
    path = WIDGETS.format(ns=ns)
    answer = api.call("not JSON", "POST", path, "{", keep=False)
    api.transcript.append({"label": "not JSON", "status": answer["code"], "body": answer["reason"]})
    api.call("wrong kind", "POST", path, widget("a") | {"kind": "Gadget"})
    api.call("wrong version", "POST", path, widget("a") | {"apiVersion": "conformance.example/v2"})
    api.call("media type", "PATCH", f"{path}/a", {}, content="application/json")
    api.call("no such resource", "GET", path.replace("widgets", "gadgets"), keep=False)
    api.call("namespace absent", "POST", WIDGETS.format(ns="nonesuch"), widget("a"))
