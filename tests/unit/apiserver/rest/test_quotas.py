"""Quotas: one more than a namespace may hold is refused, whoever is first; the status follows."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest

from apiserver.controlplane import ControlPlane
from apiserver.store.records import Key

pytestmark = pytest.mark.anyio

WIDGETS = "/apis/example.com/v1/namespaces/default/widgets"
MAPS = "/api/v1/namespaces/default/configmaps"
QUOTAS = "/api/v1/namespaces/default/resourcequotas"
COUNT = "count/widgets.example.com"


def quota(name: str, hard: dict[str, Any], **spec: Any) -> dict[str, Any]:
    return {"metadata": {"name": name}, "spec": {"hard": hard, **spec}}


async def limit(api: Any, hard: dict[str, Any], name: str = "q", **spec: Any) -> None:
    answer = await api.post(QUOTAS, quota(name, hard, **spec))
    assert answer.code == 201, answer.body


async def used(api: Any, wanted: str, count: str = COUNT) -> None:
    """Wait until the quota's status says so many."""
    await api.until(f"{QUOTAS}/q", lambda a: a.json["status"].get("used", {}).get(count) == wanted)


async def test_what_is_beyond_a_quota_is_refused_as_kubernetes_refuses_it(shop: Any) -> None:
    await limit(shop, {COUNT: "1"})
    assert (await shop.post(WIDGETS, shop.widget("a"))).code == 201
    answer = await shop.post(WIDGETS, shop.widget("b"))
    assert (answer.code, answer.reason) == (403, "Forbidden")
    assert answer.json["message"] == (
        'widgets.example.com "b" is forbidden: exceeded quota: q,'
        f" requested: {COUNT}=1, used: {COUNT}=1, limited: {COUNT}=1"
    )
    assert answer.json["details"] == {"name": "b", "group": "example.com", "kind": "widgets"}
    assert (await shop.get(f"{WIDGETS}/b")).code == 404


async def test_a_limit_holds_at_once_for_what_is_there_already(shop: Any) -> None:
    for name in ("a", "b", "c"):
        await shop.post(WIDGETS, shop.widget(name))
    await limit(shop, {COUNT: 2})
    answer = await shop.post(WIDGETS, shop.widget("d"))
    assert f"used: {COUNT}=3, limited: {COUNT}=2" in answer.json["message"]
    label = {"metadata": {"labels": {"still": "changed"}}}
    assert (await shop.merge(f"{WIDGETS}/a", label)).code == 200  # what is there is not touched
    await shop.merge(f"{QUOTAS}/q", {"spec": {"hard": {COUNT: "4"}}})
    assert (await shop.post(WIDGETS, shop.widget("d"))).code == 201


async def test_of_many_at_the_same_moment_as_many_are_made_as_there_is_room_for(shop: Any) -> None:
    await limit(shop, {COUNT: "3"})
    async with asyncio.TaskGroup() as tasks:
        asked = [
            tasks.create_task(shop.post(WIDGETS, shop.widget(f"w{number}"))) for number in range(20)
        ]
    codes = [each.result().code for each in asked]
    assert (codes.count(201), codes.count(403)) == (3, 17)
    assert len((await shop.get(WIDGETS)).json["items"]) == 3
    await used(shop, "3")


async def test_a_place_is_free_again_once_the_object_is_gone_and_not_before(shop: Any) -> None:
    await limit(shop, {COUNT: "1"})
    await shop.post(WIDGETS, shop.widget("a", meta={"finalizers": ["example.com/hold"]}))
    assert (await shop.delete(f"{WIDGETS}/a")).code == 200
    assert (await shop.post(WIDGETS, shop.widget("b"))).code == 403
    await shop.merge(f"{WIDGETS}/a", {"metadata": {"finalizers": None}})
    assert (await shop.post(WIDGETS, shop.widget("b"))).code == 201


async def test_a_dry_run_is_refused_as_well_and_takes_no_place(shop: Any) -> None:
    await limit(shop, {COUNT: "1"})
    for _ in range(2):
        assert (await shop.post(f"{WIDGETS}?dryRun=All", shop.widget("d"))).code == 201
    assert (await shop.post(WIDGETS, shop.widget("a"))).code == 201
    assert (await shop.post(f"{WIDGETS}?dryRun=All", shop.widget("d"))).code == 403


async def test_a_quota_is_about_its_namespace_and_its_kind(shop: Any) -> None:
    await limit(shop, {COUNT: "0", "count/events": "0"})
    await shop.post("/api/v1/namespaces", {"metadata": {"name": "other"}})
    elsewhere = "/apis/example.com/v1/namespaces/other/widgets"
    assert (await shop.post(elsewhere, shop.widget("a"))).code == 201
    assert (await shop.post(MAPS, {"metadata": {"name": "a"}})).code == 201
    event = {
        "metadata": {"name": "e"},
        "involvedObject": {"kind": "Widget", "name": "a", "namespace": "default"},
    }
    events = "/api/v1/namespaces/default/events"
    assert (await shop.post(events, event)).code == 201  # Kubernetes does not count them either
    assert (await shop.post(WIDGETS, shop.widget("a"))).code == 403


async def test_each_of_several_quotas_holds_and_the_first_that_is_full_is_named(api: Any) -> None:
    await limit(api, {"count/configmaps": "2"}, "b")
    await limit(api, {"count/configmaps": "9", "configmaps": "1", "pods": "0"}, "a")
    assert (await api.post(MAPS, {"metadata": {"name": "x"}})).code == 201
    answer = await api.post(MAPS, {"metadata": {"name": "y"}})
    assert answer.json["message"] == (
        'configmaps "y" is forbidden: exceeded quota: a,'
        " requested: configmaps=1, used: configmaps=1, limited: configmaps=1"
    )
    await api.merge(f"{QUOTAS}/a", {"spec": {"hard": {"configmaps": "0", "count/configmaps": "0"}}})
    answer = await api.post(MAPS, {"metadata": {"name": "y"}})
    assert "requested: configmaps=1,count/configmaps=1," in answer.json["message"]


async def test_a_quota_of_some_pods_counts_nothing_else(api: Any) -> None:
    await limit(api, {"count/configmaps": "0"}, scopes=["NotTerminating"])
    assert (await api.post(MAPS, {"metadata": {"name": "a"}})).code == 201
    await used(api, "0", "count/configmaps")


async def test_the_status_tells_the_limits_and_what_is_used(shop: Any) -> None:
    await shop.post(WIDGETS, shop.widget("a"))
    await limit(shop, {COUNT: 2000, "count/gadgets.example.com": "5"})
    await used(shop, "1")
    await shop.post(WIDGETS, shop.widget("b"))
    await used(shop, "2")
    await shop.delete(f"{WIDGETS}/a")
    await used(shop, "1")
    status = {"status": {"used": {COUNT: "7"}, "hard": {COUNT: "1k"}}}
    await shop.merge(f"{QUOTAS}/q/status", status)  # somebody else's word does not count
    await used(shop, "1")
    hard = {COUNT: "2k", "count/gadgets.example.com": "5"}
    found = (await shop.get(f"{QUOTAS}/q")).json
    assert (found["spec"]["hard"], found["status"]["hard"]) == (hard, hard)
    await shop.merge(f"{QUOTAS}/q", {"spec": {"hard": None}})
    await shop.until(f"{QUOTAS}/q", lambda answer: answer.json["status"] == {})


async def test_a_kind_that_is_defined_later_is_counted_then(api: Any) -> None:
    await limit(api, {COUNT: "1"})
    await api.until(f"{QUOTAS}/q", lambda answer: answer.json["status"] == {"hard": {COUNT: "1"}})
    await api.define(api.widgets())
    await used(api, "0")
    await api.post(WIDGETS, api.widget("a"))
    assert (await api.post(WIDGETS, api.widget("b"))).code == 403


async def test_a_quota_of_an_older_database_is_in_force_and_gets_its_status(tmp_path: Path) -> None:
    before = ControlPlane(tmp_path)
    await before.start()
    key = Key("resourcequotas", "default", "old")
    meta = {"name": "old", "namespace": "default", "uid": "u"}
    old = {"apiVersion": "v1", "kind": "ResourceQuota", "metadata": meta, "status": {}}
    await before.store.put(key, {**old, "spec": {"hard": {"count/configmaps": 1}}})[1]
    await before.stop()
    again = ControlPlane(tmp_path)
    await again.start()
    async with asyncio.TaskGroup() as tasks:
        controllers = tasks.create_task(again.run())
        async with asyncio.timeout(10):
            while not (found := again.store.get(key)) or not found.load()["status"]:
                await asyncio.sleep(0.005)
        controllers.cancel()
    await again.stop()
    status = {"hard": {"count/configmaps": "1"}, "used": {"count/configmaps": "0"}}
    assert found.load()["status"] == status


@pytest.mark.parametrize(
    ("hard", "code", "text"),
    [
        pytest.param({COUNT: "-1"}, 422, "must be greater than or equal to 0", id="below 0"),
        pytest.param({COUNT: "0.5"}, 422, "must be an integer", id="half an object"),
        pytest.param({COUNT: "many"}, 400, "quantities must match", id="no number"),
        pytest.param({COUNT: True}, 400, "", id="a truth"),
        pytest.param({"widgets": "1"}, 422, "must be a standard resource", id="no such name"),
        pytest.param({"count/": "1"}, 422, "name part must be non-empty", id="a name without end"),
    ],
)
async def test_a_limit_that_means_nothing_is_refused(
    api: Any, hard: dict[str, Any], code: int, text: str
) -> None:
    answer = await api.post(QUOTAS, quota("q", hard))
    assert answer.code == code
    assert text in answer.json["message"]


async def test_what_is_no_object_of_its_kind_is_told_so_before_the_quota_is_asked(
    api: Any,
) -> None:
    await limit(api, {"count/configmaps": "0"})
    assert (await api.post(MAPS, {"metadata": {"name": "A_b"}})).code == 422
