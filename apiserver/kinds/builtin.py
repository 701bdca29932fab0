"""The built-in resources."""

from __future__ import annotations

from typing import Any, Final

from apiserver.kinds.core import (
    ConfigMapStrategy,
    NamespaceStrategy,
    SecretStrategy,
)
from apiserver.kinds.crds import CrdStrategy
from apiserver.kinds.events import EventConversion, EventStrategy, NewEventStrategy
from apiserver.kinds.leases import LeaseStrategy
from apiserver.kinds.quotas import QuotaStrategy
from apiserver.kinds.rbac import BindingStrategy, RoleStrategy
from apiserver.kinds.resource import AS_STORED, Resource
from apiserver.kinds.shapes import Shape
from apiserver.selectors import EVENT_FIELDS
from apiserver.store.records import Object

_RBAC: Final = "rbac.authorization.k8s.io"
_CREATE: Final = ("create",)

_NEW_EVENT_FIELDS: Final = ("reason", "reportingController", "type", "regarding.kind")


def _column(name: str, path: str, cell: str = "string", priority: int = 0) -> Object:
    # Kubernetes calls the columns of built-in kinds texts, whatever stands in their cells.
    return {"name": name, "type": "string", "cell": cell, "jsonPath": path, "priority": priority}


_NAME: Final = _column("Name", ".metadata.name")
_AGE: Final = _column("Age", ".metadata.creationTimestamp", "date")
_CREATED: Final = _column("Created At", ".metadata.creationTimestamp") | {"type": "date"}


def _core() -> list[Resource]:
    common: dict[str, Any] = {"group": "", "version": "v1", "view": AS_STORED}
    return [
        Resource(
            **common,
            plural="namespaces",
            kind="Namespace",
            namespaced=False,
            short_names=("ns",),
            verbs=("create", "delete", "get", "list", "patch", "update", "watch"),
            subresources=frozenset({"status", "finalize"}),
            strategy=NamespaceStrategy(),
            selectable=("status.phase",),
            columns=(_column("Status", ".status.phase"), _AGE),
        ),
        Resource(
            **common,
            plural="secrets",
            kind="Secret",
            namespaced=True,
            strategy=SecretStrategy(),
            selectable=("type",),
            columns=(_column("Type", ".type"), _column("Data", "._print.data", "integer"), _AGE),
        ),
        Resource(
            **common,
            plural="configmaps",
            kind="ConfigMap",
            namespaced=True,
            short_names=("cm",),
            strategy=ConfigMapStrategy(),
            columns=(_column("Data", "._print.data", "integer"), _AGE),
        ),
        Resource(
            **common,
            plural="events",
            kind="Event",
            namespaced=True,
            short_names=("ev",),
            strategy=EventStrategy(),
            selectable=EVENT_FIELDS,
            columns=_EVENT_COLUMNS,
        ),
        Resource(
            **common,
            plural="serviceaccounts",
            kind="ServiceAccount",
            namespaced=True,
            short_names=("sa",),
            subresources=frozenset({"token"}),
            columns=(_column("Secrets", "._print.secrets", "integer"), _AGE),
        ),
        Resource(
            **common,
            plural="resourcequotas",
            kind="ResourceQuota",
            namespaced=True,
            short_names=("quota",),
            subresources=frozenset({"status"}),
            strategy=QuotaStrategy(),
            columns=(
                _AGE,
                _column("Request", "._print.request"),
                _column("Limit", "._print.limit"),
            ),
        ),
    ]


_EVENT_COLUMNS: Final = (
    _column("Last Seen", "._print.lastSeen", "date"),
    _column("Type", ".type"),
    _column("Reason", ".reason"),
    _column("Object", "._print.object"),
    _column("Message", "._print.message"),
    _column("Name", ".metadata.name", priority=1),
)


_SUBJECTS: Final = (
    _column("Users", "._print.users", priority=1),
    _column("Groups", "._print.groups", priority=1),
    _column("ServiceAccounts", "._print.accounts", priority=1),
)


def _rbac(plural: str, kind: str, *, namespaced: bool) -> Resource:
    binding = kind.endswith("Binding")
    role = _column("Role", "._print.role")
    return Resource(
        group=_RBAC,
        version="v1",
        view=AS_STORED,
        plural=plural,
        kind=kind,
        namespaced=namespaced,
        strategy=BindingStrategy(plural) if binding else RoleStrategy(plural),
        columns=(role, _AGE, *_SUBJECTS) if binding else (_CREATED,),
    )


def _review(group: str, plural: str, kind: str, *, namespaced: bool = False) -> Resource:
    return Resource(
        group=group,
        version="v1",
        view=AS_STORED,
        plural=plural,
        kind=kind,
        namespaced=namespaced,
        verbs=_CREATE,
    )


def resources() -> list[Resource]:
    """Return the built-in resources, in the order of discovery."""
    found = _all()
    for resource in found:
        resource.schema = Shape.of(resource.group, resource.version, resource.kind)
    return found


def _all() -> list[Resource]:
    authorization, authentication = "authorization.k8s.io", "authentication.k8s.io"
    return [
        *_core(),
        Resource(
            group="events.k8s.io",
            version="v1",
            plural="events",
            kind="Event",
            namespaced=True,
            short_names=("ev",),
            strategy=NewEventStrategy(),
            conversion=EventConversion(),
            selectable=_NEW_EVENT_FIELDS,
            columns=_EVENT_COLUMNS,
            stored_elsewhere="events",
        ),
        _review(authentication, "tokenreviews", "TokenReview"),
        _review(authentication, "selfsubjectreviews", "SelfSubjectReview"),
        _review(
            authorization, "localsubjectaccessreviews", "LocalSubjectAccessReview", namespaced=True
        ),
        _review(authorization, "selfsubjectaccessreviews", "SelfSubjectAccessReview"),
        _review(authorization, "selfsubjectrulesreviews", "SelfSubjectRulesReview"),
        _review(authorization, "subjectaccessreviews", "SubjectAccessReview"),
        _rbac("clusterrolebindings", "ClusterRoleBinding", namespaced=False),
        _rbac("clusterroles", "ClusterRole", namespaced=False),
        _rbac("rolebindings", "RoleBinding", namespaced=True),
        _rbac("roles", "Role", namespaced=True),
        Resource(
            group="apiextensions.k8s.io",
            version="v1",
            view=AS_STORED,
            plural="customresourcedefinitions",
            kind="CustomResourceDefinition",
            namespaced=False,
            short_names=("crd", "crds"),
            categories=("api-extensions",),
            subresources=frozenset({"status"}),
            strategy=CrdStrategy(),
            columns=(_CREATED,),
        ),
        Resource(
            group="coordination.k8s.io",
            version="v1",
            view=AS_STORED,
            plural="leases",
            kind="Lease",
            namespaced=True,
            strategy=LeaseStrategy(),
            columns=(_column("Holder", ".spec.holderIdentity"), _AGE),
        ),
    ]


def printable(obj: Object) -> Object:
    """Return *obj* with what its table shows and no JSONPath can say, below `_print`."""
    extra: Object = {}
    match obj.get("kind"):
        case "Secret":
            extra["data"] = len(obj.get("data") or {})
        case "ConfigMap":
            extra["data"] = len(obj.get("data") or {}) + len(obj.get("binaryData") or {})
        case "ServiceAccount":
            extra["secrets"] = len(obj.get("secrets") or ())
        case "RoleBinding" | "ClusterRoleBinding":
            ref = obj.get("roleRef") or {}
            extra["role"] = f"{ref.get('kind', '')}/{ref.get('name', '')}"
            extra |= _subjects(obj)
        case "ResourceQuota":
            extra |= _quota(obj)
        case "Event":
            extra |= _event(obj)
        case _:
            pass
    return obj | {"_print": extra}


def _subjects(obj: Object) -> Object:
    found: dict[str, list[str]] = {"User": [], "Group": [], "ServiceAccount": []}
    for subject in obj.get("subjects") or ():
        name = subject.get("name", "")
        if subject.get("kind") == "ServiceAccount":
            name = f"{subject.get('namespace', '')}/{name}"
        found.setdefault(subject.get("kind", ""), []).append(name)
    names = {"users": "User", "groups": "Group", "accounts": "ServiceAccount"}
    return {name: ", ".join(found[kind]) for name, kind in names.items()}


def _quota(obj: Object) -> Object:
    status = obj.get("status") or {}
    used = status.get("used") or {}
    found: dict[str, list[str]] = {"request": [], "limit": []}
    for name, hard in sorted((status.get("hard") or {}).items()):
        side = "limit" if name.startswith("limits.") else "request"
        found[side].append(f"{name}: {used.get(name, '0')}/{hard}")
    return {side: ", ".join(texts) for side, texts in found.items()}


def _event(obj: Object) -> Object:
    about = obj.get("involvedObject") or obj.get("regarding") or {}
    series = obj.get("series") or {}
    seen = (
        series.get("lastObservedTime")
        or obj.get("lastTimestamp")
        or obj.get("deprecatedLastTimestamp")
        or obj.get("eventTime")
        or obj["metadata"].get("creationTimestamp")
    )
    return {
        "lastSeen": seen,
        "object": f"{about.get('kind', '').lower()}/{about.get('name', '')}",
        "message": str(obj.get("message") or obj.get("note") or "").strip(),
    }
