"""Who may do what."""

import time
from typing import Any

from tests.conformance.client import Recorder
from tests.conformance.scenario import CONFIG_MAPS, MERGE, WIDGETS, config_map, scenario


@scenario
def who_is_not_known_is_refused(api: Recorder, ns: str) -> None:
    path = CONFIG_MAPS.format(ns=ns)
    api.call("wrong token", "GET", path, token="nonsense")
    api.call("version needs none", "GET", "/healthz", token="")


ROLES = "/apis/rbac.authorization.k8s.io/v1"
GROUP = "rbac.authorization.k8s.io"


def rule(verbs: list[str], resources: list[str], groups: tuple[str, ...] = ("",)) -> dict[str, Any]:
    return {"verbs": verbs, "resources": resources, "apiGroups": list(groups)}


def role(name: str, *rules: dict[str, Any]) -> dict[str, Any]:
    return {
        "apiVersion": f"{GROUP}/v1",
        "kind": "Role",
        "metadata": {"name": name},
        "rules": list(rules),
    }


def binding(name: str, to: str, *users: str) -> dict[str, Any]:
    return {
        "apiVersion": f"{GROUP}/v1",
        "kind": "RoleBinding",
        "metadata": {"name": name},
        "roleRef": {"apiGroup": GROUP, "kind": "Role", "name": to},
        "subjects": [{"kind": "User", "name": user, "apiGroup": GROUP} for user in users],
    }


@scenario
def rights_are_what_roles_say(api: Recorder, ns: str) -> None:
    roles = f"{ROLES}/namespaces/{ns}/roles"
    maps, widgets = CONFIG_MAPS.format(ns=ns), WIDGETS.format(ns=ns)
    api.call("before", "GET", maps, user="ada")
    api.call("everywhere", "GET", "/api/v1/configmaps", user="ada")
    api.call("one", "GET", f"{maps}/a", user="ada")
    api.call("delete", "DELETE", f"{maps}/a", user="ada")
    api.call("create", "POST", maps, config_map("a"), user="ada")
    api.call("namespace", "GET", f"/api/v1/namespaces/{ns}", user="ada")
    api.call("status", "PATCH", f"{widgets}/a/status", {}, content=MERGE, user="ada")
    api.call("path", "GET", "/metrics", user="ada")
    api.call("cluster role", "DELETE", f"{ROLES}/clusterroles/x", user="ada")
    reader = role("reader", rule(["get", "list"], ["configmaps"]))
    api.call("role", "POST", roles, reader)
    bindings = f"{ROLES}/namespaces/{ns}/rolebindings"
    api.call("binding", "POST", bindings, binding("ada", "reader", "ada"))
    api.until(
        f"{maps}?fieldSelector=metadata.name%3Dnone", lambda found: found["kind"].endswith("List")
    )
    deadline = time.monotonic() + 10
    while api.call("list", "GET", maps, user="ada", keep=False)["kind"] == "Status":
        assert time.monotonic() < deadline
        time.sleep(0.05)
    api.call("afterwards, create", "POST", maps, config_map("a"), user="ada")


@scenario
def roles_are_checked(api: Recorder, ns: str) -> None:
    roles = f"{ROLES}/namespaces/{ns}/roles"
    bindings = f"{ROLES}/namespaces/{ns}/rolebindings"
    api.call("no verbs", "POST", roles, role("a", rule([], ["configmaps"])))
    api.call("no resources", "POST", roles, role("a", rule(["get"], [])))
    api.call("no groups", "POST", roles, role("a", rule(["get"], ["x"], ())))
    paths = {"verbs": ["get"], "nonResourceURLs": ["/x"]}
    api.call("paths", "POST", roles, role("a", paths))
    api.call("good", "POST", roles, role("a", rule(["get"], ["configmaps"])))
    api.call("good binding", "POST", bindings, binding("b", "a", "ada"))
    other = {"roleRef": {"apiGroup": GROUP, "kind": "Role", "name": "other"}}
    api.call("other role", "PATCH", f"{bindings}/b", other, content=MERGE)
    wrong = binding("c", "a", "ada")
    wrong["roleRef"]["kind"] = "Thing"
    api.call("kind of role", "POST", bindings, wrong)
    wrong = binding("c", "a", "")
    api.call("nobody", "POST", bindings, wrong)
    wrong = binding("c", "a", "ada")
    wrong["subjects"][0] = {"kind": "Robot", "name": "x"}
    api.call("kind of subject", "POST", bindings, wrong)
    wrong = binding("c", "", "ada")
    api.call("no role", "POST", bindings, wrong)
    bound = {"apiVersion": f"{GROUP}/v1", "kind": "ClusterRoleBinding", "metadata": {"name": ns}}
    bound |= {"roleRef": {"apiGroup": GROUP, "kind": "ClusterRole", "name": "x"}}
    bound |= {"subjects": [{"kind": "ServiceAccount", "name": "robot"}]}
    api.call("account without namespace", "POST", f"{ROLES}/clusterrolebindings", bound)


@scenario
def nobody_hands_out_what_he_does_not_have(api: Recorder, ns: str) -> None:
    roles = f"{ROLES}/namespaces/{ns}/roles"
    bindings = f"{ROLES}/namespaces/{ns}/rolebindings"
    writer = rule(["create", "update", "get"], ["roles", "rolebindings"], (GROUP,))
    api.call("role", "POST", roles, role("writer", writer), keep=False)
    api.call("secret", "POST", roles, role("secrets", rule(["get"], ["secrets"])), keep=False)
    api.call("binding", "POST", bindings, binding("eve", "writer", "eve"), keep=False)
    path = f"{roles}/writer"
    deadline = time.monotonic() + 10
    while api.call("get", "GET", path, user="eve", keep=False)["kind"] == "Status":
        assert time.monotonic() < deadline
        time.sleep(0.05)
    more = role("more", rule(["get"], ["secrets"]))
    api.call("a role", "POST", roles, more, user="eve")
    api.call("a binding", "POST", bindings, binding("mine", "secrets", "eve"), user="eve")
    api.call("to nowhere", "POST", bindings, binding("mine", "nowhere", "eve"), user="eve")
    own = role("own", rule(["get"], ["roles"], (GROUP,)))
    api.call("what he has", "POST", roles, own, user="eve")


@scenario
def reviews(api: Recorder, ns: str) -> None:
    access = "/apis/authorization.k8s.io/v1/subjectaccessreviews"

    def ask(**spec: Any) -> dict[str, Any]:
        head = {"apiVersion": "authorization.k8s.io/v1", "kind": "SubjectAccessReview"}
        return head | {"spec": spec}

    attributes = {"verb": "get", "resource": "configmaps", "namespace": ns}

    def asked(label: str, path: str, body: dict[str, Any], user: str = "") -> None:
        answer = api.call(label, "POST", path, body, user=user, keep=False)
        if answer["kind"] == "Status":
            api.transcript.append({"label": label, "status": answer["code"], "body": answer})
        else:
            api.note(label, [answer["kind"], answer["spec"], answer["status"].get("allowed")])

    asked("no", access, ask(user="ada", resourceAttributes=attributes))
    asked("yes", access, ask(user="x", groups=["system:masters"], resourceAttributes=attributes))
    api.call("nobody", "POST", access, ask(resourceAttributes=attributes))
    both = ask(user="ada", resourceAttributes=attributes, nonResourceAttributes={"path": "/"})
    api.call("both", "POST", access, both, keep=False)
    api.call("neither", "POST", access, ask(user="ada"))
    path = ask(user="ada", nonResourceAttributes={"path": "/healthz", "verb": "get"})
    asked("path", access, path)
    mine = {"kind": "SelfSubjectAccessReview", "spec": {"resourceAttributes": attributes}}
    own = "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews"
    asked("self", own, mine)
    asked("ada herself", own, mine, "ada")
    local = f"/apis/authorization.k8s.io/v1/namespaces/{ns}/localsubjectaccessreviews"
    here = {"kind": "LocalSubjectAccessReview", "metadata": {"namespace": ns}}
    body = ask(user="ada", resourceAttributes=attributes) | here
    asked("local", local, body)
    elsewhere = ask(user="ada", resourceAttributes=attributes | {"namespace": "default"})
    api.call("other", "POST", local, elsewhere | here)
    rules = "/apis/authorization.k8s.io/v1/selfsubjectrulesreviews"
    body = {"kind": "SelfSubjectRulesReview", "spec": {"namespace": ns}}
    answer = api.call("rules", "POST", rules, body, keep=False)
    everything = {"verbs": ["*"], "apiGroups": ["*"], "resources": ["*"]}
    api.note("rules", everything in answer["status"]["resourceRules"])
    tokens = "/apis/authentication.k8s.io/v1/tokenreviews"
    wrong = {"kind": "TokenReview", "spec": {"token": "nonsense"}}
    answer = api.call("wrong token", "POST", tokens, wrong, keep=False)
    api.note("wrong token", [answer["status"]["user"], answer["status"].get("authenticated")])
    api.call("no token", "POST", tokens, {"kind": "TokenReview", "spec": {}})
    accounts = f"/api/v1/namespaces/{ns}/serviceaccounts"
    api.call("account", "POST", accounts, {"metadata": {"name": "robot"}}, keep=False)
    request: dict[str, Any] = {"spec": {"audiences": []}}
    made = api.call("token", "POST", f"{accounts}/robot/token", request, keep=False)
    for label, audiences in {"right": [], "other": ["somebody else"]}.items():
        spec = {"token": made["status"]["token"], "audiences": audiences}
        body = {"kind": "TokenReview", "spec": spec}
        status = api.call(label, "POST", tokens, body, keep=False)["status"]
        found = [status.get("authenticated"), status["user"].get("username")]
        api.note(f"token for the {label} audience", [*found, status["user"].get("groups")])


@scenario
def credentials_are_needed(api: Recorder, ns: str) -> None:
    path = CONFIG_MAPS.format(ns=ns)
    for label, method in (("get", "GET"), ("create", "POST"), ("delete", "DELETE")):
        body = config_map("a") if method == "POST" else None
        api.call(label, method, path, body, token="nonsense")
    api.call("custom", "GET", WIDGETS.format(ns=ns), token="nonsense")
    api.call("version", "GET", "/version", token="nonsense")
