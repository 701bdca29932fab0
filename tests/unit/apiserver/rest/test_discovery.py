"""Discovery, for clients old and new."""

from __future__ import annotations

from typing import Any

import pytest

from apiserver.rest.discovery import version_priority

pytestmark = pytest.mark.anyio

V2 = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList"
BETA = V2.replace("v=v2", "v=v2beta1")


@pytest.mark.parametrize(
    ("accept", "version"),
    [(f"{V2},{BETA},application/json", "v2"), (f"{BETA},application/json", "v2beta1")],
    ids=["new clients", "clients of 1.27"],
)
async def test_aggregated_discovery_speaks_the_version_that_is_asked_for(
    shop: Any, accept: str, version: str
) -> None:
    answer = await shop.get("/apis", accept=accept)
    assert dict(answer.headers)["content-type"].replace(" ", "") == (
        f"application/json;g=apidiscovery.k8s.io;v={version};as=APIGroupDiscoveryList"
    )
    assert answer.json["apiVersion"] == f"apidiscovery.k8s.io/{version}"
    groups = {item["metadata"]["name"]: item for item in answer.json["items"]}
    (resource,) = groups["example.com"]["versions"][0]["resources"]
    assert resource["resource"] == "widgets"
    assert resource["scope"] == "Namespaced"
    assert resource["subresources"][0]["subresource"] == "status"
    core = (await shop.get("/api", accept=accept)).json["items"]
    assert [item["metadata"].get("name", "") for item in core] == [""]


async def test_plain_discovery_lists_the_same(shop: Any) -> None:
    assert (await shop.get("/api")).json["versions"] == ["v1"]
    names = [group["name"] for group in (await shop.get("/apis")).json["groups"]]
    assert {"example.com", "apiextensions.k8s.io", "rbac.authorization.k8s.io"} <= set(names)
    found = (await shop.get("/apis/example.com/v1")).json
    assert [item["name"] for item in found["resources"]] == ["widgets", "widgets/status"]
    core = [item["name"] for item in (await shop.get("/api/v1")).json["resources"]]
    assert {"namespaces", "namespaces/finalize", "serviceaccounts/token"} <= set(core)


async def test_openapi_documents_follow_the_definitions(shop: Any) -> None:
    index = (await shop.get("/openapi/v3")).json["paths"]
    url = index["apis/example.com/v1"]["serverRelativeURL"]
    answer = await shop.get(url)
    schemas = answer.json["components"]["schemas"]
    assert schemas["com.example.v1.Widget"]["properties"]["spec"]["properties"]["color"]
    tag = dict(answer.headers)["etag"]
    assert (await shop.get(url, if_none_match=tag)).code == 304
    crd = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions/widgets.example.com"
    await shop.delete(crd)
    await shop.until(crd, lambda a: a.code == 404)
    assert "apis/example.com/v1" not in (await shop.get("/openapi/v3")).json["paths"]


def test_versions_are_preferred_as_kubernetes_does() -> None:
    wanted = ["v10", "v2", "v1", "v11beta2", "v10beta3", "v3beta1", "v12alpha1", "v11alpha2"]
    odd = ["foo10", "foo1"]
    assert sorted(odd + wanted[::-1], key=version_priority, reverse=True)[:8] == wanted
