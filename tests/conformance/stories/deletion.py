"""Deletion: of namespaces, and of what others own. The real server has its controllers for it."""

from typing import Any

from tests.conformance.client import Recorder
from tests.conformance.scenario import CONFIG_MAPS, MERGE, config_map, scenario


def owned(body: dict[str, Any], owner: dict[str, Any], *, block: bool = False) -> dict[str, Any]:
    reference = {name: owner[name] for name in ("apiVersion", "kind")}
    reference |= {name: owner["metadata"][name] for name in ("name", "uid")}
    if block:
        reference["blockOwnerDeletion"] = True
    body["metadata"]["ownerReferences"] = [reference]
    return body


@scenario
def background_deletion(api: Recorder, ns: str) -> None:
    maps = CONFIG_MAPS.format(ns=ns)
    owner = api.call("owner", "POST", maps, config_map("owner"), keep=False)
    api.call("dependent", "POST", maps, owned(config_map("dependent"), owner), keep=False)
    child = api.call("child", "POST", maps, owned(config_map("child"), owner), keep=False)
    api.call("grandchild", "POST", maps, owned(config_map("grandchild"), child), keep=False)
    api.call("delete", "DELETE", f"{maps}/owner", {"propagationPolicy": "Background"})
    for name in ("dependent", "child", "grandchild"):
        api.gone(f"{maps}/{name}")
    api.call("the owner is gone", "GET", f"{maps}/owner")


@scenario
def foreground_deletion(api: Recorder, ns: str) -> None:
    maps = CONFIG_MAPS.format(ns=ns)
    owner = api.call("owner", "POST", maps, config_map("owner"), keep=False)
    dependent = owned(config_map("dependent"), owner, block=True)
    dependent["metadata"]["finalizers"] = ["conformance.example/hold"]
    api.call("dependent", "POST", maps, dependent, keep=False)
    api.call("delete", "DELETE", f"{maps}/owner", {"propagationPolicy": "Foreground"})
    held = api.until(
        f"{maps}/dependent", lambda found: "deletionTimestamp" in found.get("metadata", {})
    )
    api.note("the dependent waits", held["metadata"]["finalizers"])
    api.call("the owner waits", "GET", f"{maps}/owner")
    none = {"metadata": {"finalizers": None}}
    api.call("let go", "PATCH", f"{maps}/dependent", none, content=MERGE, keep=False)
    api.gone(f"{maps}/dependent")
    api.gone(f"{maps}/owner")


@scenario
def orphaning_deletion(api: Recorder, ns: str) -> None:
    maps = CONFIG_MAPS.format(ns=ns)
    owner = api.call("owner", "POST", maps, config_map("owner"), keep=False)
    api.call("dependent", "POST", maps, owned(config_map("dependent"), owner), keep=False)
    api.call("delete", "DELETE", f"{maps}/owner", {"propagationPolicy": "Orphan"})
    api.gone(f"{maps}/owner")
    api.call("the dependent stays", "GET", f"{maps}/dependent")


@scenario
def objects_of_an_owner_that_never_was(api: Recorder, ns: str) -> None:
    maps = CONFIG_MAPS.format(ns=ns)
    ghost = config_map("ghost")
    ghost["metadata"]["uid"] = "0e1c2f0a-0000-4000-8000-000000000000"
    api.call("dependent", "POST", maps, owned(config_map("dependent"), ghost), keep=False)
    api.gone(f"{maps}/dependent")
    api.call("is gone", "GET", f"{maps}/dependent")


@scenario
def namespaces_go_with_what_is_in_them(api: Recorder, ns: str) -> None:
    maps = CONFIG_MAPS.format(ns=ns)
    path = f"/api/v1/namespaces/{ns}"
    api.call("map", "POST", maps, config_map("a"), keep=False)
    held = config_map("held")
    held["metadata"]["finalizers"] = ["conformance.example/hold"]
    api.call("held", "POST", maps, held, keep=False)
    answer = api.call("delete", "DELETE", path, keep=False)
    api.note("delete", [answer["kind"], answer["spec"], answer["status"]["phase"]])
    api.gone(f"{maps}/a")
    api.call("no new content", "POST", maps, config_map("b"))
    remaining = "NamespaceContentRemaining"

    def reported(found: dict[str, Any]) -> bool:
        conditions = found["status"].get("conditions") or ()
        return any(c["type"] == remaining and c["status"] == "True" for c in conditions)

    answer = api.until(path, reported)
    shown = {
        c["type"]: [c["status"], c["reason"], c["message"]] for c in answer["status"]["conditions"]
    }
    api.note("conditions", {name: shown[name] for name in sorted(shown)})
    answer = api.call("delete again", "DELETE", path, keep=False)
    api.note("delete again", [answer.get("kind"), answer.get("code"), answer.get("reason")])
    none = {"metadata": {"finalizers": None}}
    api.call("let go", "PATCH", f"{maps}/held", none, content=MERGE, keep=False)
    api.gone(path)
    api.call("is gone", "GET", path)
