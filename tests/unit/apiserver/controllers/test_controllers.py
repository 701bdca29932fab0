"""What the server does by itself, seen from outside."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from apiserver import clock
from apiserver.controllers.expiry import Expiry
from apiserver.store.records import Key

pytestmark = pytest.mark.anyio

CRDS = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"
WIDGETS = "/apis/example.com/v1/namespaces/default/widgets"
ROLES = "/apis/rbac.authorization.k8s.io/v1/clusterroles"


def gone(answer: Any) -> bool:
    return answer.code == 404


async def owned(shop: Any, name: str, *owners: Any, **reference: Any) -> Any:
    refs = [
        {
            "apiVersion": "example.com/v1",
            "kind": "Widget",
            "name": owner["metadata"]["name"],
            "uid": owner["metadata"]["uid"],
        }
        | reference
        for owner in owners
    ]
    answer = await shop.post(WIDGETS, shop.widget(name, meta={"ownerReferences": refs}))
    assert answer.code == 201
    return answer.json


async def test_a_whole_family_goes_with_its_last_owner(shop: Any) -> None:
    root = await owned(shop, "root")
    child = await owned(shop, "child", root)
    await owned(shop, "grandchild", child)
    await shop.delete(f"{WIDGETS}/root")
    await shop.until(f"{WIDGETS}/child", gone)
    await shop.until(f"{WIDGETS}/grandchild", gone)


async def test_an_object_with_another_owner_stays_and_forgets_the_dead_one(shop: Any) -> None:
    one, two = await owned(shop, "one"), await owned(shop, "two")
    await owned(shop, "child", one, two)
    await shop.delete(f"{WIDGETS}/one")
    answer = await shop.until(
        f"{WIDGETS}/child", lambda a: len(a.json["metadata"]["ownerReferences"]) == 1
    )
    assert answer.json["metadata"]["ownerReferences"][0]["uid"] == two["metadata"]["uid"]


async def test_an_object_whose_owner_never_was_goes(shop: Any) -> None:
    ghost = {"metadata": {"name": "ghost", "uid": "none"}}
    await owned(shop, "child", ghost)
    await shop.until(f"{WIDGETS}/child", gone)


async def test_an_owner_of_an_unknown_kind_is_left_alone(shop: Any) -> None:
    ghost = {"metadata": {"name": "ghost", "uid": "none"}}
    await owned(shop, "safe", ghost, kind="Mystery")
    await owned(shop, "child", ghost)
    await shop.until(f"{WIDGETS}/child", gone)
    assert (await shop.get(f"{WIDGETS}/safe")).code == 200


async def test_foreground_deletion_waits_for_those_that_block(shop: Any) -> None:
    root = await owned(shop, "root")
    refs = {"blockOwnerDeletion": True}
    await owned(shop, "child", root, **refs)
    await shop.merge(f"{WIDGETS}/child", {"metadata": {"finalizers": ["example.com/x"]}})
    answer = await shop.delete(f"{WIDGETS}/root", {"propagationPolicy": "Foreground"})
    assert answer.json["metadata"]["finalizers"] == ["foregroundDeletion"]
    await shop.until(f"{WIDGETS}/child", lambda a: "deletionTimestamp" in a.json["metadata"])
    assert (await shop.get(f"{WIDGETS}/root")).code == 200
    await shop.merge(f"{WIDGETS}/child", {"metadata": {"finalizers": None}})
    await shop.until(f"{WIDGETS}/root", gone)


async def test_orphans_stay_without_their_owner(shop: Any) -> None:
    root = await owned(shop, "root")
    await owned(shop, "child", root)
    await shop.delete(f"{WIDGETS}/root", {"propagationPolicy": "Orphan"})
    await shop.until(f"{WIDGETS}/root", gone)
    child = (await shop.get(f"{WIDGETS}/child")).json
    assert "ownerReferences" not in child["metadata"]
    assert "deletionTimestamp" not in child["metadata"]


async def test_a_deleted_namespace_is_emptied_first(shop: Any) -> None:
    await shop.post("/api/v1/namespaces", {"metadata": {"name": "team"}})
    path = WIDGETS.replace("default", "team")
    await shop.post(path, shop.widget("w", meta={"finalizers": ["example.com/x"]}))
    await shop.post("/api/v1/namespaces/team/secrets", {"metadata": {"name": "s"}})
    answer = await shop.delete("/api/v1/namespaces/team")
    assert answer.json["status"]["phase"] == "Terminating"
    refused = await shop.post("/api/v1/namespaces/team/configmaps", {"metadata": {"name": "c"}})
    assert refused.code == 403
    assert refused.json["details"]["causes"][0]["reason"] == "NamespaceTerminating"
    await shop.until("/api/v1/namespaces/team/secrets/s", gone)
    answer = await shop.until("/api/v1/namespaces/team", lambda a: "conditions" in a.json["status"])
    text = [item["message"] for item in answer.json["status"]["conditions"]]
    assert "Some resources are remaining: widgets.example.com has 1 resource instances" in text
    await shop.merge(f"{path}/w", {"metadata": {"finalizers": None}})
    await shop.until("/api/v1/namespaces/team", gone)


async def test_each_namespace_has_a_default_account(api: Any) -> None:
    await api.post("/api/v1/namespaces", {"metadata": {"name": "team"}})
    path = "/api/v1/namespaces/team/serviceaccounts/default"
    first = await api.until(path, lambda a: a.code == 200)
    await api.delete(path)
    await api.until(
        path,
        lambda a: a.code == 200 and a.json["metadata"]["uid"] != first.json["metadata"]["uid"],
    )


@pytest.mark.parametrize("name", ["default", "kube-system", "kube-public"])
async def test_the_first_namespaces_stay(api: Any, name: str) -> None:
    assert (await api.delete(f"/api/v1/namespaces/{name}")).code == 403


async def test_a_deleted_definition_takes_its_objects_along(shop: Any) -> None:
    held = shop.widget("w", meta={"finalizers": ["example.com/x"]})
    await shop.post(WIDGETS, held)
    await shop.delete(f"{CRDS}/widgets.example.com")
    await shop.until(f"{WIDGETS}/w", lambda a: "deletionTimestamp" in a.json["metadata"])
    refused = await shop.post(WIDGETS, shop.widget("new"))
    assert refused.code == 403
    await shop.merge(f"{WIDGETS}/w", {"metadata": {"finalizers": None}})
    await shop.until(f"{CRDS}/widgets.example.com", gone)
    assert (await shop.get(WIDGETS)).code == 404
    assert (await shop.get("/apis/example.com")).code == 404
    await shop.define(shop.widgets())
    assert (await shop.get(WIDGETS)).json["items"] == []


async def test_a_definition_whose_names_are_taken_waits_until_they_are_free(shop: Any) -> None:
    other = shop.widgets()
    other["metadata"]["name"] = "gadgets.example.com"
    other["spec"]["names"] = {"plural": "gadgets", "kind": "Widget"}
    created = (await shop.post(CRDS, other)).json
    conditions = {item["type"]: item for item in created["status"]["conditions"]}
    assert conditions["NamesAccepted"]["status"] == "False"
    assert conditions["NamesAccepted"]["reason"] == "ListKindConflict"
    assert conditions["Established"]["status"] == "False"
    assert (await shop.get("/apis/example.com/v1/gadgets")).code == 404
    await shop.delete(f"{CRDS}/widgets.example.com")
    await shop.until("/apis/example.com/v1/gadgets", lambda a: a.code == 200)


async def test_a_new_default_shows_in_old_objects(shop: Any) -> None:
    await shop.post(WIDGETS, shop.widget("w"))
    crd = (await shop.get(f"{CRDS}/widgets.example.com")).json
    schema = crd["spec"]["versions"][0]["schema"]["openAPIV3Schema"]
    schema["properties"]["spec"]["properties"]["shape"] = {"type": "string", "default": "round"}
    assert (await shop.put(f"{CRDS}/widgets.example.com", crd)).code == 200
    assert (await shop.get(f"{WIDGETS}/w")).json["spec"]["shape"] == "round"


async def test_a_second_version_serves_the_same_objects(shop: Any) -> None:
    await shop.post(WIDGETS, shop.widget("w"))
    crd = (await shop.get(f"{CRDS}/widgets.example.com")).json
    versions = crd["spec"]["versions"]
    versions.append(versions[0] | {"name": "v2", "storage": True})
    versions[0]["storage"] = False
    updated = (await shop.put(f"{CRDS}/widgets.example.com", crd)).json
    assert updated["status"]["storedVersions"] == ["v1", "v2"]
    two = WIDGETS.replace("v1", "v2")
    assert (await shop.get(f"{two}/w")).json["apiVersion"] == "example.com/v2"
    await shop.merge(f"{two}/w", {"spec": {"color": "blue"}})
    one = (await shop.get(f"{WIDGETS}/w")).json
    assert (one["apiVersion"], one["spec"]["color"]) == ("example.com/v1", "blue")
    group = (await shop.get("/apis/example.com")).json
    assert group["preferredVersion"]["version"] == "v2"


async def test_old_events_go_and_repeated_ones_stay(api: Any) -> None:
    old = clock.stamp(clock.now() - timedelta(hours=2))
    about = {"kind": "Pod", "name": "p", "namespace": "default"}
    for name, last in (("old", old), ("repeated", clock.stamp())):
        body = {
            "metadata": {"name": name, "namespace": "default"},
            "involvedObject": about,
            "firstTimestamp": old,
            "lastTimestamp": last,
        }
        # the creation is now: an event counts from when it was last seen, by its own word
        entry = await api.post("/api/v1/namespaces/default/events", body)
        assert entry.code == 201
        key = Key("events", "default", name)
        stored = api.plane.store.get(key).load()
        stored["metadata"]["creationTimestamp"] = old
        await api.plane.store.put(key, stored)[1]
    assert await Expiry(api.plane.store).sweep() == 1
    left = (await api.get("/api/v1/namespaces/default/events")).json["items"]
    assert [item["metadata"]["name"] for item in left] == ["repeated"]


async def test_a_role_gathers_the_rules_of_those_it_selects(api: Any) -> None:
    label = {"rbac.authorization.k8s.io/aggregate-to-view": "true"}
    rule = {"verbs": ["get"], "apiGroups": ["example.com"], "resources": ["widgets"]}
    await api.post(ROLES, {"metadata": {"name": "widgets", "labels": label}, "rules": [rule]})
    await api.until(f"{ROLES}/view", lambda a: rule in a.json["rules"])
    await api.until(f"{ROLES}/admin", lambda a: rule in a.json["rules"])
