"""Quotas of objects: what is beyond them, what their status says, what they may say themselves.

Core kinds only: the newer server of custom resources that answers here has no quotas.
"""

from typing import Any

from tests.conformance.client import Recorder
from tests.conformance.scenario import CONFIG_MAPS, MERGE, TABLE, config_map, scenario

QUOTAS = "/api/v1/namespaces/{ns}/resourcequotas"
COUNT = "count/configmaps"


def quota(name: str, hard: dict[str, Any], **spec: Any) -> dict[str, Any]:
    return {
        "apiVersion": "v1",
        "kind": "ResourceQuota",
        "metadata": {"name": name},
        "spec": {"hard": hard, **spec},
    }


def counted(api: Recorder, path: str, number: str, limit: str) -> Any:
    """Wait until the status of the quota at *path* is up to date; return the quota."""

    def holds(answer: Any) -> bool:
        status = answer.get("status", {})
        found = status.get("hard", {}).get(COUNT), status.get("used", {}).get(COUNT)
        return found == (limit, number)

    return api.until(path, holds)


@scenario
def quotas_of_objects(api: Recorder, ns: str) -> None:
    path, maps = QUOTAS.format(ns=ns), CONFIG_MAPS.format(ns=ns)
    hard = {COUNT: 2, "configmaps": "2000", "count/secrets": "1k", "count/events": "5"}
    api.call("quota", "POST", path, quota("a", hard))
    counted(api, f"{path}/a", "0", "2")
    api.call("dry", "POST", f"{maps}?dryRun=All", config_map("d"))
    api.call("first", "POST", maps, config_map("one"))
    api.call("second", "POST", maps, config_map("two"))
    api.call("third", "POST", maps, config_map("three"))
    api.call("third, dry", "POST", f"{maps}?dryRun=All", config_map("three"))
    api.call("one that is there", "POST", maps, config_map("one"))
    api.call("one that is wrong", "POST", maps, config_map("A_b"))
    api.call("of no namespace", "POST", maps.replace(ns, "nowhere"), config_map("x"))
    change = {"data": {"k": "v"}}
    api.call("a change", "PATCH", f"{maps}/one", change, content=MERGE)
    api.note("status", counted(api, f"{path}/a", "2", "2")["status"])
    table = api.call("table", "GET", f"{path}/a", accept=TABLE, keep=False)
    names = [[each[name] for name in ("name", "type")] for each in table["columnDefinitions"]]
    cells = table["rows"][0]["cells"]
    api.note("table", [names, [cells[0], *cells[2:]]])
    less = {"spec": {"hard": {COUNT: "1"}}}
    api.call("less than there is", "PATCH", f"{path}/a", less, content=MERGE)
    counted(api, f"{path}/a", "2", "1")
    api.call("beyond that", "POST", maps, config_map("three"))
    for name in ("one", "two"):
        api.call("delete", "DELETE", f"{maps}/{name}", keep=False)
    api.note("status of less", counted(api, f"{path}/a", "0", "1")["status"])
    api.call("one again", "POST", maps, config_map("one"))
    scoped = quota("pods", {"pods": "0"}, scopes=["NotTerminating"])
    api.call("of some pods", "POST", path, scoped)


@scenario
def an_object_that_is_held_takes_its_place(api: Recorder, ns: str) -> None:
    path, maps = QUOTAS.format(ns=ns), CONFIG_MAPS.format(ns=ns)
    api.call("quota", "POST", path, quota("q", {COUNT: "1"}))
    counted(api, f"{path}/q", "0", "1")
    held = config_map("held")
    held["metadata"]["finalizers"] = ["conformance.example/hold"]
    api.call("held", "POST", maps, held)
    api.call("delete", "DELETE", f"{maps}/held", keep=False)
    api.call("another", "POST", maps, config_map("another"))
    free = {"metadata": {"finalizers": None}}
    api.call("free", "PATCH", f"{maps}/held", free, content=MERGE, keep=False)
    counted(api, f"{path}/q", "0", "1")
    api.call("another again", "POST", maps, config_map("another"))


@scenario
def quotas_are_checked(api: Recorder, ns: str) -> None:
    path = QUOTAS.format(ns=ns)
    for label, hard in (
        ("below nothing", {COUNT: "-1"}),
        ("unknown", {"widgets": "1"}),
        ("unknown and below nothing", {"widgets": "-1"}),
        ("no name", {"count/": "1"}),
        ("bad prefix", {"a b/c": "1"}),
        (
            "unknown to all",
            {"count/x.y.z": "1", "requests.cpu": "500m", "requests.memory": "2048Ki"},
        ),
    ):
        api.call(label, "POST", path, quota("q", hard))
    for label, value in (("half", "0.5"), ("word", "x"), ("truth", True)):
        answer = api.call(label, "POST", path, quota("z", {COUNT: value}), keep=False)
        causes = (answer.get("details") or {}).get("causes", [])
        api.note(label, [answer["code"], answer["reason"], [each["field"] for each in causes]])
    first = quota("r", {"count/resourcequotas": "1"})
    api.call("of quotas", "POST", path, first)
    negative = {"spec": {"hard": {"count/resourcequotas": "-2"}}}
    api.call("changed", "PATCH", f"{path}/r", negative, content=MERGE)
