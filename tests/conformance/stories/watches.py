"""Resource versions of lists, gets and watches."""

import time

from tests.conformance.client import Recorder, normalise
from tests.conformance.scenario import CONFIG_MAPS, WIDGETS, config_map, scenario, widget

FUTURE = "999999999"


@scenario
def versions_of_lists(api: Recorder, ns: str) -> None:
    path = WIDGETS.format(ns=ns)
    first = api.call("create a", "POST", path, widget("a"), keep=False)["metadata"]
    second = api.call("create b", "POST", path, widget("b"), keep=False)["metadata"]
    for query in (
        "resourceVersion=0",
        f"resourceVersion={first['resourceVersion']}&resourceVersionMatch=Exact",
        f"resourceVersion={second['resourceVersion']}&resourceVersionMatch=Exact",
        f"resourceVersion={first['resourceVersion']}&resourceVersionMatch=NotOlderThan",
        f"resourceVersion={first['resourceVersion']}",
        f"resourceVersion={second['resourceVersion']}&limit=1",
    ):
        answer = api.call(query, "GET", f"{path}?{query}", keep=False)
        version = answer["metadata"]["resourceVersion"]
        label = query.replace(first["resourceVersion"], "first")
        label = label.replace(second["resourceVersion"], "second")
        names = [item["metadata"]["name"] for item in answer["items"]]
        exact = "Exact" in query and version in query
        api.note(label, {"names": names, "exact": exact})
    for query in (
        "resourceVersionMatch=Exact",
        "resourceVersionMatch=Foo&resourceVersion=1",
        "resourceVersionMatch=Exact&resourceVersion=0",
        "resourceVersionMatch=Exact&resourceVersion=1&continue=x",
        "sendInitialEvents=true",
        "resourceVersion=x",
    ):
        api.call(query, "GET", f"{path}?{query}")
    answer = api.call("limit", "GET", f"{path}?limit=x", keep=False)
    api.note("limit", [answer["code"], answer["reason"]])


@scenario
def versions_of_watches(api: Recorder, ns: str) -> None:
    path = WIDGETS.format(ns=ns)
    for query in ("resourceVersionMatch=NotOlderThan", "sendInitialEvents=true"):
        api.call(query, "GET", f"{path}?watch=1&{query}")
    answer = api.call("version", "GET", f"{path}?watch=1&resourceVersion=x", keep=False)
    api.note("version", [answer.get("code"), answer.get("reason")])


@scenario
def versions_of_the_future(api: Recorder, ns: str) -> None:
    path = CONFIG_MAPS.format(ns=ns)
    api.call("create", "POST", path, config_map("a"), keep=False)
    for label, query in (
        ("list", f"{path}?resourceVersion={FUTURE}"),
        ("get", f"{path}/a?resourceVersion={FUTURE}"),
    ):
        answer = api.call(label, "GET", query, keep=False)
        message, _, _ = str(answer["message"]).partition(":")
        details = answer["details"] | {"retryAfterSeconds": 1}
        body = [answer["code"], answer["reason"], message, normalise(details)]
        api.note(label, body)


@scenario
def watches_end_in_time(api: Recorder, ns: str) -> None:
    path = WIDGETS.format(ns=ns)
    api.call("create", "POST", path, widget("a"), keep=False)
    start = time.monotonic()
    events = api.watch("end", f"{path}?watch=1&timeoutSeconds=1", 0, keep=False)
    took = time.monotonic() - start
    api.note("types", [event["type"] for event in events])
    api.note("in time", 0.5 < took < 5)


@scenario
def watches_with_initial_events(api: Recorder, ns: str) -> None:
    path = WIDGETS.format(ns=ns)
    for name in ("a", "b"):
        api.call("create", "POST", path, widget(name), keep=False)
    query = "watch=1&sendInitialEvents=true&resourceVersionMatch=NotOlderThan"
    query += "&allowWatchBookmarks=true&timeoutSeconds=10"
    api.watch("three events", f"{path}?{query}", 3)


@scenario
def watches_of_one_object_and_of_tables(api: Recorder, ns: str) -> None:
    path = WIDGETS.format(ns=ns)
    version = api.call("list", "GET", path, keep=False)["metadata"]["resourceVersion"]
    for name in ("a", "b"):
        api.call("create", "POST", path, widget(name), keep=False)
    api.call("delete", "DELETE", f"{path}/b", keep=False)
    query = f"resourceVersion={version}&timeoutSeconds=10"
    api.watch("one", f"{path}?watch=1&fieldSelector=metadata.name%3Db&{query}", 2)
    api.watch("green", f"{path}?watch=1&fieldSelector=spec.color%3Dred&{query}", 3)
    events = api.watch("everywhere", f"/apis/conformance.example/v1/widgets?watch=1&{query}", 3)
    assert len(events) == 3
