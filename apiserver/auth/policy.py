"""The roles that exist from the start, as in any cluster; brought up to date at each start."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from apiserver.auth.rbac import CLUSTER_ROLE_BINDINGS, CLUSTER_ROLES, GROUP
from apiserver.store.records import Key, Object

_READ: Final = ("get", "list", "watch")
_WRITE: Final = ("create", "delete", "deletecollection", "patch", "update")
_ALL: Final = (*_WRITE, *_READ)
_API: Final = f"{GROUP}/v1"
AUTOUPDATE: Final = "rbac.authorization.kubernetes.io/autoupdate"
AGGREGATE: Final = "rbac.authorization.k8s.io/aggregate-to-"


def _rule(verbs: Iterable[str], groups: Iterable[str], resources: Iterable[str]) -> Object:
    return {"verbs": list(verbs), "apiGroups": list(groups), "resources": list(resources)}


def _paths(*paths: str) -> Object:
    return {"verbs": ["get"], "nonResourceURLs": list(paths)}


def _meta(name: str, labels: dict[str, str] | None = None) -> Object:
    return {
        "name": name,
        "labels": {"kubernetes.io/bootstrapping": "rbac-defaults"} | (labels or {}),
        "annotations": {AUTOUPDATE: "true"},
    }


def _role(name: str, rules: list[Object], labels: dict[str, str] | None = None) -> Object:
    return {
        "kind": "ClusterRole",
        "apiVersion": _API,
        "metadata": _meta(name, labels),
        "rules": rules,
    }


def _aggregated(name: str, labels: dict[str, str] | None = None) -> Object:
    selector = {"matchLabels": {f"{AGGREGATE}{name}": "true"}}
    return _role(name, [], labels) | {"aggregationRule": {"clusterRoleSelectors": [selector]}}


def _binding(name: str, groups: Iterable[str]) -> Object:
    subjects = [{"kind": "Group", "apiGroup": GROUP, "name": group} for group in groups]
    return {
        "kind": "ClusterRoleBinding",
        "apiVersion": _API,
        "metadata": _meta(name),
        "subjects": subjects,
        "roleRef": {"apiGroup": GROUP, "kind": "ClusterRole", "name": name},
    }


def _roles() -> list[Object]:
    discovery = ("/api", "/api/*", "/apis", "/apis/*", "/healthz", "/livez", "/openapi")
    public = ("/healthz", "/livez", "/readyz", "/version", "/version/")
    return [
        _role(
            "cluster-admin",
            [_rule("*", "*", "*"), {"verbs": ["*"], "nonResourceURLs": ["*"]}],
        ),
        _role("system:discovery", [_paths(*discovery, "/openapi/*", *public[2:])]),
        _role("system:public-info-viewer", [_paths(*public)]),
        _role(
            "system:basic-user",
            [
                _rule(
                    ["create"],
                    ["authorization.k8s.io"],
                    ["selfsubjectaccessreviews", "selfsubjectrulesreviews"],
                ),
                _rule(["create"], ["authentication.k8s.io"], ["selfsubjectreviews"]),
            ],
        ),
        _role(
            "system:auth-delegator",
            [
                _rule(["create"], ["authentication.k8s.io"], ["tokenreviews"]),
                _rule(["create"], ["authorization.k8s.io"], ["subjectaccessreviews"]),
            ],
        ),
        _aggregated("admin"),
        _aggregated("edit", {f"{AGGREGATE}admin": "true"}),
        _aggregated("view", {f"{AGGREGATE}edit": "true"}),
        *_parts(),
    ]


def _parts() -> list[Object]:
    return [
        _role(
            "system:aggregate-to-admin",
            [
                _rule(["create"], ["authorization.k8s.io"], ["localsubjectaccessreviews"]),
                _rule(_ALL, [GROUP], ["rolebindings", "roles"]),
            ],
            {f"{AGGREGATE}admin": "true"},
        ),
        _role(
            "system:aggregate-to-edit",
            [
                _rule([*_READ, *_WRITE], [""], ["secrets"]),
                _rule(["impersonate"], [""], ["serviceaccounts"]),
                _rule(_WRITE, [""], ["configmaps", "events", "serviceaccounts"]),
                _rule(["create"], [""], ["serviceaccounts/token"]),
                _rule(_ALL, ["coordination.k8s.io"], ["leases"]),
            ],
            {f"{AGGREGATE}edit": "true"},
        ),
        _role(
            "system:aggregate-to-view",
            [
                _rule(_READ, [""], ["configmaps", "serviceaccounts", "events", "namespaces"]),
                _rule(_READ, [""], ["resourcequotas", "resourcequotas/status"]),
            ],
            {f"{AGGREGATE}view": "true"},
        ),
    ]


def _bindings() -> list[Object]:
    authenticated, anyone = "system:authenticated", "system:unauthenticated"
    return [
        _binding("cluster-admin", ["system:masters"]),
        _binding("system:discovery", [authenticated]),
        _binding("system:basic-user", [authenticated]),
        _binding("system:public-info-viewer", [authenticated, anyone]),
    ]


def objects() -> list[tuple[Key, Object]]:
    """Return the roles and bindings that every server has, each with where it is stored."""
    roles = [(Key(CLUSTER_ROLES, "", role["metadata"]["name"]), role) for role in _roles()]
    bindings = [
        (Key(CLUSTER_ROLE_BINDINGS, "", item["metadata"]["name"]), item) for item in _bindings()
    ]
    return roles + bindings
