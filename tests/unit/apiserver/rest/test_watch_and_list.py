"""list and watch: selectors, pages, versions, forms, and streams that end as they should."""

from __future__ import annotations

import gzip
import json
from typing import Any

import pytest

from apiserver.rest import watching as watching_module

pytestmark = pytest.mark.anyio

WIDGETS = "/apis/example.com/v1/namespaces/default/widgets"
EVERYWHERE = "/apis/example.com/v1/widgets"
TABLE = "application/json;as=Table;v=v1;g=meta.k8s.io,application/json"


async def make(shop: Any, *names: str) -> None:
    for name in names:
        answer = await shop.post(WIDGETS, shop.widget(name, meta={"labels": {"n": name}}))
        assert answer.code == 201


def names(answer: Any) -> list[str]:
    return [item["metadata"]["name"] for item in answer.json["items"]]


async def test_a_list_is_ordered_and_says_its_version(shop: Any) -> None:
    await make(shop, "b", "a", "c")
    answer = await shop.get(WIDGETS)
    assert names(answer) == ["a", "b", "c"]
    assert answer.json["kind"] == "WidgetList"
    assert int(answer.json["metadata"]["resourceVersion"]) >= 1


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("labelSelector=n%3Da", ["a"]),
        ("labelSelector=n+notin+(a,b)", ["c"]),
        ("labelSelector=!n", []),
        ("fieldSelector=metadata.name%3Db", ["b"]),
        ("fieldSelector=metadata.namespace!%3Ddefault", []),
        ("fieldSelector=spec.color%3Dred", ["a", "b", "c"]),
        ("fieldSelector=spec.color%3Dblue", []),
    ],
)
async def test_selectors_choose(shop: Any, query: str, expected: list[str]) -> None:
    await make(shop, "a", "b", "c")
    assert names(await shop.get(f"{EVERYWHERE}?{query}")) == expected


async def test_a_field_that_cannot_be_selected_by_is_named(shop: Any) -> None:
    answer = await shop.get(f"{WIDGETS}?fieldSelector=spec.size%3D3")
    assert answer.code == 400
    assert answer.json["message"] == "field label not supported: spec.size"


async def test_pages_show_the_state_of_the_first_page(shop: Any) -> None:
    await make(shop, "a", "b", "c", "d", "e")
    first = await shop.get(f"{WIDGETS}?limit=2")
    assert names(first) == ["a", "b"]
    assert first.json["metadata"]["remainingItemCount"] == 3
    await shop.delete(f"{WIDGETS}/c")
    await make(shop, "bb")
    token = first.json["metadata"]["continue"]
    second = await shop.get(f"{WIDGETS}?limit=2&continue={token}")
    assert names(second) == ["c", "d"]
    token = second.json["metadata"]["continue"]
    third = await shop.get(f"{WIDGETS}?limit=2&continue={token}")
    assert names(third) == ["e"]
    assert not third.json["metadata"]["continue"]


async def test_a_page_of_the_compacted_past_can_be_continued_inconsistently(shop: Any) -> None:
    await make(shop, "a", "b", "c")
    first = await shop.get(f"{WIDGETS}?limit=1")
    await make(shop, "d")
    shop.plane.store.compact(shop.plane.store.revision)
    gone = await shop.get(f"{WIDGETS}?limit=1&continue={first.json['metadata']['continue']}")
    assert (gone.code, gone.reason) == (410, "Expired")
    token = gone.json["metadata"]["continue"]
    assert names(await shop.get(f"{WIDGETS}?continue={token}")) == ["b", "c", "d"]


@pytest.mark.parametrize("token", ["%%%", "e30", "eyJ2IjoieCJ9"])
async def test_a_token_that_is_none_is_refused(shop: Any, token: str) -> None:
    answer = await shop.get(f"{WIDGETS}?limit=1&continue={token}")
    assert answer.code == 400


async def test_an_exact_version_shows_the_past(shop: Any) -> None:
    await make(shop, "a")
    then = (await shop.get(WIDGETS)).json["metadata"]["resourceVersion"]
    await make(shop, "b")
    match = f"{WIDGETS}?resourceVersion={then}&resourceVersionMatch"
    assert names(await shop.get(f"{match}=Exact")) == ["a"]
    assert names(await shop.get(f"{match}=NotOlderThan")) == ["a", "b"]


@pytest.mark.parametrize(
    "query",
    [
        "resourceVersionMatch=Exact",
        "resourceVersionMatch=Sometimes&resourceVersion=1",
        "resourceVersionMatch=Exact&resourceVersion=0",
        "sendInitialEvents=true",
    ],
)
async def test_list_options_that_make_no_sense_are_invalid(shop: Any, query: str) -> None:
    answer = await shop.get(f"{WIDGETS}?{query}")
    assert (answer.code, answer.json["details"]["kind"]) == (422, "ListOptions")


async def test_a_future_version_is_answered_later(shop: Any) -> None:
    answer = await shop.get(f"{WIDGETS}?resourceVersion=999999")
    assert (answer.code, answer.reason) == (504, "Timeout")
    assert answer.json["details"]["causes"][0]["reason"] == "ResourceVersionTooLarge"


async def test_tables_have_a_row_for_each_object(shop: Any) -> None:
    await make(shop, "a", "b")
    table = (await shop.get(WIDGETS, accept=TABLE)).json
    assert table["kind"] == "Table"
    assert [row["cells"][0] for row in table["rows"]] == ["a", "b"]
    assert table["rows"][0]["object"]["kind"] == "PartialObjectMetadata"


async def test_built_in_tables_count_what_no_path_can_say(api: Any) -> None:
    await api.post(
        "/api/v1/namespaces/default/secrets",
        {"metadata": {"name": "s"}, "stringData": {"a": "x", "b": "y"}},
    )
    table = (await api.get("/api/v1/namespaces/default/secrets", accept=TABLE)).json
    assert table["rows"][0]["cells"][:3] == ["s", "Opaque", 2]
    whole = await api.get("/api/v1/namespaces/default/secrets?includeObject=Object", accept=TABLE)
    assert "_print" not in whole.json["rows"][0]["object"]


async def test_metadata_alone_can_be_asked_for(shop: Any) -> None:
    await make(shop, "a")
    accept = "application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1"
    found = (await shop.get(WIDGETS, accept=accept)).json
    assert found["kind"] == "PartialObjectMetadataList"
    assert set(found["items"][0]) == {"kind", "apiVersion", "metadata"}


async def test_a_form_that_nobody_speaks_is_not_acceptable(shop: Any) -> None:
    assert (await shop.get(WIDGETS, accept="text/html")).code == 406


async def test_large_answers_are_compressed_on_request(shop: Any) -> None:
    await shop.post(WIDGETS, shop.widget("w", meta={"annotations": {"a": "x" * 200_000}}))
    answer = await shop.get(WIDGETS, accept_encoding="gzip")
    assert ("content-encoding", "gzip") in answer.headers
    packed, plain = json.loads(gzip.decompress(answer.body)), (await shop.get(WIDGETS)).json
    assert packed["items"] == plain["items"], "the list's version moves with every write"


async def test_a_watch_without_version_begins_with_what_is_there(shop: Any) -> None:
    await make(shop, "a")
    watch = shop.watch(f"{WIDGETS}?watch=true")
    assert (await watch.next())["object"]["metadata"]["name"] == "a"
    await make(shop, "b")
    assert (await watch.next())["type"] == "ADDED"
    await shop.merge(f"{WIDGETS}/b", {"spec": {"color": "blue"}})
    event = await watch.next()
    assert (event["type"], event["object"]["spec"]["color"]) == ("MODIFIED", "blue")
    await shop.delete(f"{WIDGETS}/b")
    gone = await watch.next()
    assert gone["type"] == "DELETED"
    version = int(gone["object"]["metadata"]["resourceVersion"])
    assert version > int(event["object"]["metadata"]["resourceVersion"])


async def test_a_watch_goes_on_from_a_list(shop: Any) -> None:
    await make(shop, "a")
    version = (await shop.get(WIDGETS)).json["metadata"]["resourceVersion"]
    await make(shop, "b")
    watch = shop.watch(f"{WIDGETS}?watch=1&resourceVersion={version}")
    assert (await watch.next())["object"]["metadata"]["name"] == "b"


async def test_a_watcher_sees_objects_enter_and_leave_its_selection(shop: Any) -> None:
    await make(shop, "a")
    watch = shop.watch(f"{WIDGETS}?watch=1&labelSelector=mine&allowWatchBookmarks=true")
    await shop.merge(f"{WIDGETS}/a", {"metadata": {"labels": {"mine": "x"}}})
    assert (await watch.next())["type"] == "ADDED"
    left = await shop.merge(f"{WIDGETS}/a", {"metadata": {"labels": {"mine": None}}})
    event = await watch.next()
    assert event["type"] == "DELETED"
    assert event["object"]["metadata"]["labels"]["mine"] == "x"
    version = left.json["metadata"]["resourceVersion"]
    assert event["object"]["metadata"]["resourceVersion"] == version


async def test_one_object_can_be_watched(shop: Any) -> None:
    await make(shop, "a")
    watch = shop.watch(f"{WIDGETS}?watch=1&fieldSelector=metadata.name%3Db")
    await make(shop, "b")
    assert (await watch.next())["object"]["metadata"]["name"] == "b"


async def test_an_expired_version_is_told_within_the_stream(shop: Any) -> None:
    await make(shop, "a", "b")
    shop.plane.store.compact(shop.plane.store.revision)
    watch = shop.watch(f"{WIDGETS}?watch=1&resourceVersion=1")
    event = await watch.next()
    assert event["type"] == "ERROR"
    assert (event["object"]["code"], event["object"]["reason"]) == (410, "Expired")
    await watch.ended.wait()


async def test_initial_events_end_with_a_bookmark(shop: Any) -> None:
    await make(shop, "a")
    options = "sendInitialEvents=true&resourceVersionMatch=NotOlderThan&allowWatchBookmarks=true"
    watch = shop.watch(f"{WIDGETS}?watch=1&{options}")
    assert (await watch.next())["type"] == "ADDED"
    bookmark = await watch.next()
    assert bookmark["type"] == "BOOKMARK"
    assert bookmark["object"]["kind"] == "Widget"
    annotations = bookmark["object"]["metadata"]["annotations"]
    assert annotations == {"k8s.io/initial-events-end": "true"}


async def test_bookmarks_tell_the_version_of_other_resources_too(
    shop: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(watching_module, "BOOKMARK_SECONDS", 0.05)
    version = shop.plane.store.revision
    watch = shop.watch(f"{WIDGETS}?watch=1&resourceVersion={version}&allowWatchBookmarks=true")
    await shop.post("/api/v1/namespaces/default/configmaps", {"metadata": {"name": "c"}})
    while int((await watch.next())["object"]["metadata"]["resourceVersion"]) <= version:
        pass


async def test_a_watch_ends_normally_when_its_time_is_up(shop: Any) -> None:
    watch = shop.watch(f"{WIDGETS}?watch=1&timeoutSeconds=1")
    await watch.ended.wait()


async def test_a_watch_ends_when_its_client_is_gone(shop: Any) -> None:
    watch = shop.watch(f"{WIDGETS}?watch=1")
    await make(shop, "a")
    await watch.next()
    watch.gone.set()
    await watch.ended.wait()


async def test_watch_events_can_be_tables(shop: Any) -> None:
    watch = shop.watch(f"{WIDGETS}?watch=1", accept=TABLE)
    await make(shop, "a")
    event = await watch.next()
    assert event["object"]["kind"] == "Table"
    assert event["object"]["rows"][0]["cells"][0] == "a"


async def test_a_changed_definition_ends_the_watches_of_its_objects(shop: Any) -> None:
    watch = shop.watch(f"{WIDGETS}?watch=1")
    await make(shop, "a")
    await watch.next()
    patch = {"spec": {"names": {"shortNames": ["wd"]}}}
    crd = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions/widgets.example.com"
    assert (await shop.merge(crd, patch)).code == 200
    await watch.ended.wait()


async def test_events_are_the_same_in_both_groups(api: Any) -> None:
    body = {
        "metadata": {"name": "e", "namespace": "default"},
        "involvedObject": {"kind": "Widget", "name": "w", "namespace": "default"},
        "reason": "Made",
        "message": "It is made.",
    }
    core = "/api/v1/namespaces/default/events"
    assert (await api.post(core, body)).code == 201
    new = (await api.get("/apis/events.k8s.io/v1/namespaces/default/events/e")).json
    assert (new["note"], new["regarding"]["name"]) == ("It is made.", "w")
    selector = "involvedObject.kind%3DWidget,involvedObject.name%3Dw"
    assert names(await api.get(f"{core}?fieldSelector={selector}")) == ["e"]
