"""Who gets in, who may do what, and who finds out about it."""

from __future__ import annotations

from typing import Any

import pytest

pytestmark = pytest.mark.anyio

RBAC = "/apis/rbac.authorization.k8s.io/v1"
MAPS = "/api/v1/namespaces/default/configmaps"
AUTHENTICATION = "/apis/authentication.k8s.io/v1"
AUTHORIZATION = "/apis/authorization.k8s.io/v1"
TOKEN = "/api/v1/namespaces/default/serviceaccounts/bot/token"
READ = {"verbs": ["get", "list", "watch"], "apiGroups": [""], "resources": ["configmaps"]}


async def account(api: Any, *rules: Any, **spec: Any) -> str:
    """Make a ServiceAccount that may do what *rules* say; return a token of it."""
    await api.post("/api/v1/namespaces/default/serviceaccounts", {"metadata": {"name": "bot"}})
    if rules:
        path = f"{RBAC}/namespaces/default"
        await api.post(f"{path}/roles", {"metadata": {"name": "bot"}, "rules": list(rules)})
        await api.post(
            f"{path}/rolebindings",
            {
                "metadata": {"name": "bot"},
                "roleRef": {"kind": "Role", "name": "bot"},
                "subjects": [{"kind": "ServiceAccount", "name": "bot"}],
            },
        )
    answer = await api.post(TOKEN, {"spec": spec})
    assert answer.code == 201, answer.body
    return str(answer.json["status"]["token"])


@pytest.mark.parametrize("path", ["/healthz", "/livez", "/readyz", "/version"])
async def test_health_is_public(api: Any, path: str) -> None:
    api.token = None
    assert (await api.get(path)).code == 200
    api.token = "wrong"
    assert (await api.get(path)).code == 401


@pytest.mark.parametrize("path", ["/", "/api", "/apis", MAPS, "/openapi/v3", "/healthz/../api"])
@pytest.mark.parametrize("token", [None, "wrong", "a.b.c", ""])
async def test_all_else_needs_a_credential(api: Any, path: str, token: str | None) -> None:
    api.token = token
    answer = await api.get(path)
    assert (answer.code, answer.reason) == (401, "Unauthorized")


async def test_an_account_may_do_what_its_roles_say_and_no_more(api: Any) -> None:
    await api.post(MAPS, {"metadata": {"name": "c"}})
    api.token = await account(api, READ)
    assert (await api.get(MAPS)).code == 200
    assert (await api.get(f"{MAPS}/c")).code == 200
    for answer in (
        await api.post(MAPS, {"metadata": {"name": "d"}}),
        await api.delete(f"{MAPS}/c"),
        await api.get("/api/v1/configmaps"),
        await api.get("/api/v1/namespaces/kube-system/configmaps"),
        await api.get("/api/v1/namespaces/default/secrets"),
    ):
        assert (answer.code, answer.reason) == (403, "Forbidden")
    assert answer.json["message"] == (
        'secrets is forbidden: User "system:serviceaccount:default:bot" cannot list resource'
        ' "secrets" in API group "" in the namespace "default"'
    )


async def test_names_and_subresources_limit_a_rule(api: Any) -> None:
    named = READ | {"resourceNames": ["c"]}
    token = {"verbs": ["create"], "apiGroups": [""], "resources": ["serviceaccounts/token"]}
    api.token = await account(api, named, token)
    assert (await api.get(f"{MAPS}/c")).code == 404
    assert (await api.get(f"{MAPS}/d")).code == 403
    assert (await api.get(MAPS)).code == 403
    assert (await api.get(f"{MAPS}?fieldSelector=metadata.name%3Dc")).code == 200
    assert (await api.post(TOKEN, {})).code == 201
    assert (await api.get("/api/v1/namespaces/default/serviceaccounts/bot")).code == 403


async def test_a_right_that_is_taken_away_is_gone_at_once(api: Any) -> None:
    admin, bot = api.token, await account(api, READ)
    api.token = bot
    assert (await api.get(MAPS)).code == 200
    api.token = admin
    await api.delete(f"{RBAC}/namespaces/default/rolebindings/bot")
    api.token = bot
    assert (await api.get(MAPS)).code == 403


async def test_nobody_hands_out_rights_that_he_does_not_have(api: Any) -> None:
    manage = {
        "verbs": ["*"],
        "apiGroups": ["rbac.authorization.k8s.io"],
        "resources": ["roles", "rolebindings"],
    }
    manage_without_bind = manage | {"verbs": ["create", "update", "patch", "get"]}
    api.token = await account(api, READ, manage_without_bind)
    path = f"{RBAC}/namespaces/default"
    secrets = {"verbs": ["get"], "apiGroups": [""], "resources": ["secrets"]}
    more = {"metadata": {"name": "more"}, "rules": [secrets]}
    answer = await api.post(f"{path}/roles", more)
    assert answer.code == 403
    assert "attempting to grant RBAC permissions not currently held" in answer.json["message"]
    assert '{APIGroups:[""], Resources:["secrets"], Verbs:["get"]}' in answer.json["message"]
    same = {"metadata": {"name": "same"}, "rules": [READ | {"verbs": ["get"]}]}
    assert (await api.post(f"{path}/roles", same)).code == 201
    assert (await api.merge(f"{path}/roles/same", {"rules": [secrets]})).code == 403
    binding = {
        "metadata": {"name": "boss"},
        "roleRef": {"kind": "ClusterRole", "name": "cluster-admin"},
        "subjects": [{"kind": "User", "name": "me"}],
    }
    assert (await api.post(f"{path}/rolebindings", binding)).code == 403
    binding["roleRef"] = {"kind": "Role", "name": "same"}
    assert (await api.post(f"{path}/rolebindings", binding)).code == 201


async def test_a_binding_keeps_its_role(api: Any) -> None:
    await account(api, READ)
    patch = {"roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": "x"}}
    answer = await api.merge(f"{RBAC}/namespaces/default/rolebindings/bot", patch)
    assert answer.code == 422
    assert "cannot change roleRef" in answer.json["message"]


async def test_a_token_dies_with_its_account(api: Any) -> None:
    admin, bot = api.token, await account(api, READ)
    path = "/api/v1/namespaces/default/serviceaccounts"
    await api.delete(f"{path}/bot")
    await api.post(path, {"metadata": {"name": "bot"}})
    api.token = bot
    assert (await api.get(MAPS)).code == 401
    api.token = admin


async def test_a_token_for_others_does_not_open_this_api(api: Any) -> None:
    token = await account(api, READ, audiences=["elsewhere"])
    review = {"spec": {"token": token, "audiences": ["elsewhere", "nowhere"]}}
    found = (await api.post(f"{AUTHENTICATION}/tokenreviews", review)).json["status"]
    assert found["authenticated"] is True
    assert found["audiences"] == ["elsewhere"]
    assert found["user"]["username"] == "system:serviceaccount:default:bot"
    here = (await api.post(f"{AUTHENTICATION}/tokenreviews", {"spec": {"token": token}})).json
    assert "authenticated" not in here["status"]
    api.token = token
    assert (await api.get(MAPS)).code == 401


async def test_a_forged_token_proves_nothing(api: Any) -> None:
    token = await account(api, READ)
    head, body, signature = token.split(".")
    none = "eyJhbGciOiJub25lIiwidHlwIjoiSldUIn0"
    for forged in (f"{head}.{body}.", f"{none}.{body}.", f"{head}.{body}x.{signature}"):
        api.token = forged
        assert (await api.get(MAPS)).code == 401


async def test_a_token_bound_to_a_secret_dies_with_it(api: Any) -> None:
    admin = api.token
    secrets = "/api/v1/namespaces/default/secrets"
    await api.post(secrets, {"metadata": {"name": "s"}})
    token = await account(api, READ, boundObjectRef={"kind": "Secret", "name": "s"})
    api.token = token
    assert (await api.get(MAPS)).code == 200
    api.token = admin
    await api.delete(f"{secrets}/s")
    api.token = token
    assert (await api.get(MAPS)).code == 401


async def test_short_tokens_are_not_given(api: Any) -> None:
    await account(api)
    answer = await api.post(TOKEN, {"spec": {"expirationSeconds": 5}})
    assert answer.code == 422
    assert "may not specify a duration less than 10 minutes" in answer.json["message"]


@pytest.mark.parametrize("groups", [["system:masters"], ["team"]])
async def test_access_reviews_answer_for_others(api: Any, groups: list[str]) -> None:
    wanted = {"verb": "get", "resource": "secrets", "namespace": "default"}
    spec = {"user": "jane", "groups": groups, "resourceAttributes": wanted}
    answer = await api.post(f"{AUTHORIZATION}/subjectaccessreviews", {"spec": spec})
    assert answer.code == 201
    assert answer.json["status"]["allowed"] is (groups == ["system:masters"])


async def test_access_reviews_answer_for_oneself(api: Any) -> None:
    api.token = await account(api, READ)
    for verb, allowed in (("list", True), ("delete", False)):
        wanted = {"verb": verb, "resource": "configmaps", "namespace": "default"}
        body = {"spec": {"resourceAttributes": wanted}}
        answer = await api.post(f"{AUTHORIZATION}/selfsubjectaccessreviews", body)
        assert answer.json["status"]["allowed"] is allowed
    rules = await api.post(
        f"{AUTHORIZATION}/selfsubjectrulesreviews", {"spec": {"namespace": "default"}}
    )
    assert READ in rules.json["status"]["resourceRules"]
    me = await api.post(f"{AUTHENTICATION}/selfsubjectreviews", {})
    assert me.json["status"]["userInfo"]["username"] == "system:serviceaccount:default:bot"


async def test_impersonation_needs_the_right_to_it(api: Any) -> None:
    answer = await api.get(MAPS, impersonate_user="jane")
    assert answer.code == 403
    assert 'User "jane" cannot list' in answer.json["message"]
    assert (
        await api.get(MAPS, impersonate_user="j", impersonate_group="system:masters")
    ).code == 200
    assert (await api.get(MAPS, impersonate_group="system:masters")).code == 400
    api.token = await account(api, READ)
    assert (await api.get(MAPS, impersonate_user="jane")).code == 403
    assert "impersonate" in (await api.get(MAPS, impersonate_user="jane")).json["message"]


async def test_the_default_roles_serve_those_bound_to_them(api: Any) -> None:
    body = {
        "metadata": {"name": "jane"},
        "roleRef": {"kind": "ClusterRole", "name": "view"},
        "subjects": [{"kind": "User", "name": "jane"}],
    }
    await api.until(f"{RBAC}/clusterroles/view", lambda a: a.json.get("rules"))
    await api.post(f"{RBAC}/namespaces/default/rolebindings", body)
    assert (await api.get(MAPS, impersonate_user="jane")).code == 200
    secrets = "/api/v1/namespaces/default/secrets"
    assert (await api.get(secrets, impersonate_user="jane")).code == 403
    assert (await api.get("/apis", impersonate_user="jane")).code == 200
