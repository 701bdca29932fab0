"""Lists, pages, tables and watches."""

from tests.conformance.client import Recorder
from tests.conformance.scenario import (
    CONFIG_MAPS,
    MERGE,
    TABLE,
    WIDGETS,
    config_map,
    scenario,
    widget,
)


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
