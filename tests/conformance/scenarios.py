"""What is asked of an API server: each scenario is a story, told to the embedded and the real one.

A scenario works in a namespace of its own, named after it. Names of upstream's integration tests
are facts; the stories are ours.
"""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import yaml

from tests.conformance.client import Recorder

Scenario = Callable[[Recorder, str], None]
SCENARIOS: dict[str, Scenario] = {}

MERGE = "application/merge-patch+json"
JSON_PATCH = "application/json-patch+json"
STRATEGIC = "application/strategic-merge-patch+json"
TABLE = "application/json;as=Table;v=v1;g=meta.k8s.io"

WIDGETS = "/apis/conformance.example/v1/namespaces/{ns}/widgets"
CONFIG_MAPS = "/api/v1/namespaces/{ns}/configmaps"

WIDGET_CRD: dict[str, Any] = yaml.safe_load(
    Path(__file__).with_name("widget.yaml").read_text(encoding="utf-8")
)


def scenario(function: Scenario) -> Scenario:
    """Register a scenario under its function's name."""
    SCENARIOS[function.__name__] = function
    return function


def widget(name: str, /, **spec: Any) -> dict[str, Any]:
    return {
        "apiVersion": "conformance.example/v1",
        "kind": "Widget",
        "metadata": {"name": name},
        "spec": {"size": 1, **spec},
    }


def config_map(name: str, /, **data: str) -> dict[str, Any]:
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}, "data": data}


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
    api.call("dry run", "DELETE", f"{path}/a?dryRun=All", right)
    api.call("same uid", "DELETE", f"{path}/a", right)


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
def selectors(api: Recorder, ns: str) -> None:
    path = WIDGETS.format(ns=ns)
    for name, labels in {"a": {"t": "1"}, "b": {"t": "2"}, "c": {}}.items():
        made = widget(name, color="green" if name == "b" else "red")
        made["metadata"]["labels"] = labels
        api.call(f"create {name}", "POST", path, made, keep=False)
    for query in (
        "labelSelector=t%3D1",
        "labelSelector=t",
        "labelSelector=%21t",
        "labelSelector=t+in+%281%2C2%29",
        "labelSelector=t+notin+%281%29",
        "labelSelector=t%21%3D1",
        "fieldSelector=metadata.name%3Db",
        "fieldSelector=metadata.name%21%3Db",
        "fieldSelector=spec.color%3Dgreen",
    ):
        answer = api.call(query, "GET", f"{path}?{query}", keep=False)
        names = [item["metadata"]["name"] for item in answer["items"]]
        api.transcript.append({"label": query, "status": 200, "body": names})
    api.call("bad label selector", "GET", f"{path}?labelSelector=a%3D%3D%3Db")
    api.call("bad field selector", "GET", f"{path}?fieldSelector=spec.size%3D1")


@scenario
def pages(api: Recorder, ns: str) -> None:
    path = CONFIG_MAPS.format(ns=ns)
    for number in range(5):
        api.call("create", "POST", path, config_map(f"m{number}"), keep=False)
    seen, query = [], "limit=2&labelSelector=%21auto"
    while query:
        answer = api.call("page", "GET", f"{path}?{query}", keep=False)
        names = [item["metadata"]["name"] for item in answer["items"]]
        seen.append([name for name in names if name.startswith("m")])
        token = answer["metadata"].get("continue")
        query = f"limit=2&labelSelector=%21auto&continue={token}" if token else ""
    body = [name for page in seen for name in page]
    api.transcript.append({"label": "all, in order", "status": 200, "body": body})
    api.call("bad token", "GET", f"{path}?limit=2&continue=nonsense")


@scenario
def watching(api: Recorder, ns: str) -> None:
    path = WIDGETS.format(ns=ns)
    listed = api.call("list", "GET", path)
    version = listed["metadata"]["resourceVersion"]
    api.call("create", "POST", path, widget("a"), keep=False)
    api.call("patch", "PATCH", f"{path}/a", {"spec": {"size": 2}}, content=MERGE, keep=False)
    api.call("same", "PATCH", f"{path}/a", {"spec": {"size": 2}}, content=MERGE, keep=False)
    api.call("delete", "DELETE", f"{path}/a", keep=False)
    query = f"watch=1&resourceVersion={version}&timeoutSeconds=10"
    events = api.watch("three events", f"{path}?{query}", 3)
    versions = [int(event["object"]["metadata"]["resourceVersion"]) for event in events]
    rising = versions == sorted(set(versions))
    api.transcript.append({"label": "versions rise", "status": 0, "body": rising})
    api.call("create b", "POST", path, widget("b", color="green"), keep=False)
    query = "watch=1&fieldSelector=metadata.name%3Db&timeoutSeconds=10"
    api.watch("what is there comes first", f"{path}?{query}", 1)


@scenario
def labels_move_objects_in_and_out_of_a_watch(api: Recorder, ns: str) -> None:
    path = WIDGETS.format(ns=ns)
    version = api.call("list", "GET", path, keep=False)["metadata"]["resourceVersion"]
    api.call("create", "POST", path, widget("a"), keep=False)
    for value in ("yes", None):
        label = {"metadata": {"labels": {"in": value}}}
        api.call("label", "PATCH", f"{path}/a", label, content=MERGE, keep=False)
    query = f"watch=1&labelSelector=in&resourceVersion={version}&timeoutSeconds=10"
    api.watch("added, then deleted", f"{path}?{query}", 2)


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
def tables(api: Recorder, ns: str) -> None:
    path = WIDGETS.format(ns=ns)
    api.call("create", "POST", path, widget("a", size=4), keep=False)
    status = {"status": {"phase": "Up", "conditions": [{"type": "Ready", "status": "True"}]}}
    api.call("status", "PATCH", f"{path}/a/status", status, content=MERGE, keep=False)
    api.call("list", "GET", path, accept=f"{TABLE},application/json")
    api.call("one, whole", "GET", f"{path}/a?includeObject=Object", accept=TABLE)
    api.call("one, none", "GET", f"{path}/a?includeObject=None", accept=TABLE)


@scenario
def partial_metadata(api: Recorder, ns: str) -> None:
    path = WIDGETS.format(ns=ns)
    api.call("create", "POST", path, widget("a"), keep=False)
    one = "application/json;as=PartialObjectMetadata;v=v1;g=meta.k8s.io"
    many = "application/json;as=PartialObjectMetadataList;v=v1;g=meta.k8s.io"
    api.call("one", "GET", f"{path}/a", accept=one)
    api.call("list", "GET", path, accept=many)


@scenario
def names_can_be_generated(api: Recorder, ns: str) -> None:
    path = WIDGETS.format(ns=ns)
    made = widget("x") | {"metadata": {"generateName": "gen-"}}
    answer = api.call("create", "POST", path, made, keep=False)
    name = answer["metadata"]["name"]
    body = {"prefix": name[:4], "length": len(name)}
    api.transcript.append({"label": "name", "status": 201, "body": body})


@scenario
def who_is_not_known_is_refused(api: Recorder, ns: str) -> None:
    path = CONFIG_MAPS.format(ns=ns)
    api.call("wrong token", "GET", path, token="nonsense")
    api.call("version needs none", "GET", "/healthz", token="")


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


@scenario
def our_rules_are_kept(api: Recorder, ns: str) -> None:
    pods = f"/apis/agentsmesh.io/v1alpha1/namespaces/{ns}/agentpods"

    def pod(name: str, **spec: Any) -> dict[str, Any]:
        return {
            "apiVersion": "agentsmesh.io/v1alpha1",
            "kind": "AgentPod",
            "metadata": {"name": name},
            "spec": {"agentClassName": "a", **spec},
        }

    api.call("least", "POST", pods, pod("a"))
    for label, spec in {
        "NUL": {"prompt": "a\0b"},
        "bytes": {"prompt": "é" * 20000},
        "branch": {"repositoryRef": {"name": "r", "worktree": {"branch": "--x"}}},
        "mode": {"permissionMode": "reckless"},
        "hosts": {"sandbox": {"network": "allowlist"}},
        "class": {"agentClassName": "Not A Name"},
    }.items():
        api.call(label, "POST", pods, pod("bad", **spec))
    api.call(
        "class changes", "PATCH", f"{pods}/a", {"spec": {"agentClassName": "b"}}, content=MERGE
    )
    api.call(
        "prompt before placement", "PATCH", f"{pods}/a", {"spec": {"prompt": "p"}}, content=MERGE
    )
    placement = {
        "runnerName": "r",
        "runnerUID": "u",
        "epoch": 1,
        "placedAt": "2026-01-01T00:00:00Z",
    }
    placed = {"status": {"placement": placement}}
    api.call("place", "PATCH", f"{pods}/a/status", placed, content=MERGE)
    api.call(
        "prompt after placement", "PATCH", f"{pods}/a", {"spec": {"prompt": "q"}}, content=MERGE
    )
    stop = {"spec": {"desiredState": "Stopped"}}
    api.call("stop after placement", "PATCH", f"{pods}/a", stop, content=MERGE)
    organizations = "/apis/agentsmesh.io/v1alpha1/organizations"
    member = {"subject": {"kind": "User", "name": "ada"}, "role": "member"}
    organization = {
        "apiVersion": "agentsmesh.io/v1alpha1",
        "kind": "Organization",
        "metadata": {"name": "conformance-org"},
        "spec": {"members": [member]},
    }
    api.call("no owner", "POST", organizations, organization)
    for label, url in {
        "https": "https://git.example/x.git",
        "option": "ssh://git@-oProxyCommand/y",
        "ext": "ext::sh -c id",
        "user": "https://user:pass@git.example/x.git",
        "dots": "https://git.example/../x.git",
        "path": "/srv/git/x.git",
    }.items():
        body = {
            "apiVersion": "agentsmesh.io/v1alpha1",
            "kind": "Repository",
            "metadata": {"name": label},
            "spec": {"url": url},
        }
        repositories = f"/apis/agentsmesh.io/v1alpha1/namespaces/{ns}/repositories"
        api.call(f"url {label}", "POST", repositories, body)
    enrollments = f"/apis/agentsmesh.io/v1alpha1/namespaces/{ns}/runnerenrollments"
    enrollment = {
        "apiVersion": "agentsmesh.io/v1alpha1",
        "kind": "RunnerEnrollment",
        "metadata": {"name": "e"},
        "spec": {"runnerName": "r"},
    }
    api.call("enrollment", "POST", enrollments, enrollment)
    api.call("changed", "PATCH", f"{enrollments}/e", {"spec": {"maxUses": 2}}, content=MERGE)
    both = json.loads(json.dumps(enrollment))
    both["metadata"]["name"] = "f"
    both["spec"]["runnerNamePrefix"] = "p"
    api.call("both names", "POST", enrollments, both)
