"""The rules of built-in kinds, as their users meet them."""

from __future__ import annotations

from typing import Any

import pytest

pytestmark = pytest.mark.anyio

CORE = "/api/v1/namespaces/default"


async def test_secrets_take_texts_and_keep_base64(api: Any) -> None:
    body = {"metadata": {"name": "s"}, "stringData": {"a": "b"}, "data": {"c": "ZA=="}}
    answer = await api.post(f"{CORE}/secrets", body)
    assert answer.json["data"] == {"a": "Yg==", "c": "ZA=="}
    assert answer.json["type"] == "Opaque"
    assert "stringData" not in answer.json


@pytest.mark.parametrize(
    ("path", "body", "code", "message"),
    [
        ("secrets", {"data": {"a": "not base64!"}}, 400, "illegal base64 data"),
        ("secrets", {"data": ["a"]}, 400, "cannot be handled as a Secret"),
        ("secrets", {"data": {"a/b": "YQ=="}}, 422, "a valid config key must consist of"),
        ("secrets", {"type": "kubernetes.io/tls"}, 422, "data[tls.crt]: Required value"),
        ("configmaps", {"data": {"a": 1}}, 400, "cannot be handled as a ConfigMap"),
        ("configmaps", {"data": {"a": "x" * (2 << 20)}}, 422, "Too long"),
        ("configmaps", {"data": {"a": "x"}, "binaryData": {"a": "YQ=="}}, 422, "duplicate of key"),
        ("serviceaccounts", {"secrets": "no"}, 400, "cannot be handled as a ServiceAccount"),
        (
            "events",
            {"involvedObject": {"namespace": "kube-system"}},
            422,
            "does not match event.namespace",
        ),
    ],
)
async def test_what_makes_no_sense_is_refused(
    api: Any, path: str, body: Any, code: int, message: str
) -> None:
    answer = await api.post(f"{CORE}/{path}", {"metadata": {"name": "x"}} | body)
    assert answer.code == code, answer.body
    assert message in answer.json["message"]


@pytest.mark.parametrize("kind", ["secrets", "configmaps"])
async def test_what_is_immutable_stays(api: Any, kind: str) -> None:
    body = {"metadata": {"name": "x"}, "data": {"a": "YQ=="}, "immutable": True}
    await api.post(f"{CORE}/{kind}", body)
    for patch in ({"data": {"a": "Yg=="}}, {"immutable": False}):
        answer = await api.merge(f"{CORE}/{kind}/x", patch)
        assert answer.code == 422
        assert "field is immutable when `immutable` is set" in answer.json["message"]
    labelled = await api.merge(f"{CORE}/{kind}/x", {"metadata": {"labels": {"a": "b"}}})
    assert labelled.code == 200


async def test_the_type_of_a_secret_stays(api: Any) -> None:
    await api.post(f"{CORE}/secrets", {"metadata": {"name": "x"}})
    assert (await api.merge(f"{CORE}/secrets/x", {"type": "other"})).code == 422


async def test_a_namespace_changes_on_each_endpoint_in_its_own_way(api: Any) -> None:
    path = "/api/v1/namespaces/team"
    made = (await api.post("/api/v1/namespaces", {"metadata": {"name": "team"}})).json
    assert made["status"] == {"phase": "Active"}
    assert made["metadata"]["labels"] == {"kubernetes.io/metadata.name": "team"}
    for patch in ({"spec": {"finalizers": []}}, {"status": {"phase": "Terminating"}}):
        found = (await api.merge(path, patch)).json
        assert found["spec"] == {"finalizers": ["kubernetes"]}
        assert found["status"] == {"phase": "Active"}
    finalized = await api.put(f"{path}/finalize", made | {"spec": {"finalizers": []}})
    assert finalized.json.get("spec", {}) == {}


async def test_updates_of_built_in_kinds_need_no_version(api: Any) -> None:
    body = {"metadata": {"name": "x"}, "data": {"a": "1"}}
    await api.post(f"{CORE}/configmaps", body)
    answer = await api.put(f"{CORE}/configmaps/x", body | {"data": {"a": "2"}})
    assert (answer.code, answer.json["data"]) == (200, {"a": "2"})


async def test_a_strategic_patch_merges_by_key(api: Any) -> None:
    body = {"metadata": {"name": "x", "finalizers": ["a.b/c"]}, "data": {"a": "1", "b": "2"}}
    await api.post(f"{CORE}/configmaps", body)
    patch = {"metadata": {"finalizers": ["d.e/f"]}, "data": {"a": None, "c": "3"}}
    kind = "application/strategic-merge-patch+json"
    answer = await api.send("PATCH", f"{CORE}/configmaps/x", patch, kind)
    assert answer.json["data"] == {"b": "2", "c": "3"}
    assert set(answer.json["metadata"]["finalizers"]) == {"a.b/c", "d.e/f"}
