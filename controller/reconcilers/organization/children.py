"""The objects that an Organization has, in its namespace and beside it, as they should be. Pure."""

from collections.abc import Mapping
from typing import Any, Final

from controller.reconcilers.organization.checks import SHARED
from controller.reconcilers.organization.snapshot import QUOTA
from schemas.names import (
    AGENT_CLASS,
    AGENT_POD,
    CLUSTER_ROLE,
    CLUSTER_ROLE_BINDING,
    CONFIG_MAP,
    FIELD_MANAGER,
    GROUP,
    LABEL_MANAGED_BY,
    LABEL_ORGANIZATION,
    NAMESPACE,
    ORGANIZATION,
    RESOURCE_QUOTA,
    ROLE_BINDING,
    TRUST_BUNDLE,
    Resource,
)
from schemas.organization import Member, Organization, Role

_CLUSTER_ROLES: Final = {
    Role.OWNER: "agentsmesh-admin",
    Role.ADMIN: "agentsmesh-admin",
    Role.MEMBER: "agentsmesh-member",
    Role.VIEWER: "agentsmesh-viewer",
}


def labels(item: Organization) -> dict[str, str]:
    """Return the labels by which we know what is ours."""
    return {LABEL_ORGANIZATION: item.metadata.name, LABEL_MANAGED_BY: FIELD_MANAGER}


def owner(item: Organization) -> dict[str, Any]:
    """Return the reference by which a child goes with the organization."""
    return {
        "apiVersion": ORGANIZATION.api_version,
        "kind": ORGANIZATION.kind,
        "name": item.metadata.name,
        "uid": item.metadata.uid,
        "controller": True,
        "blockOwnerDeletion": True,
    }


def namespace(item: Organization) -> dict[str, Any]:
    """Return the organization's namespace."""
    metadata: dict[str, Any] = {"name": item.namespace, "labels": labels(item)}
    if item.namespace != SHARED:
        metadata["ownerReferences"] = [owner(item)]
    return {"apiVersion": "v1", "kind": NAMESPACE.kind, "metadata": metadata}


def bundle(item: Organization, data: Mapping[str, str]) -> dict[str, Any]:
    """Return the ConfigMap from which people's programs learn whom to trust and where we are."""
    return _child(item, CONFIG_MAP, TRUST_BUNDLE) | {"data": dict(data)}


def quota(item: Organization) -> dict[str, Any] | None:
    """Return the ResourceQuota that the API server enforces, None if there is nothing to."""
    limits = item.spec.quota
    if limits is None:
        return None
    hard = {
        f"count/{AGENT_POD.plural}.{GROUP}": limits.agent_pods,
        f"count/runners.{GROUP}": limits.runners,
    }
    given = {key: _quantity(value) for key, value in hard.items() if value is not None}
    return _child(item, RESOURCE_QUOTA, QUOTA) | {"spec": {"hard": given}} if given else None


def _quantity(count: int) -> str:
    """Return the count as the API server gives it back, where 1000 is 1k: else it seems changed."""
    for unit in ("", "k", "M", "G", "T", "P"):
        if not count or count % 1000:
            return f"{count}{unit}"
        count //= 1000
    return f"{count}E"


def bindings(item: Organization) -> dict[str, dict[str, Any]]:
    """Return the RoleBindings of the members, by name: one per ClusterRole."""
    found: dict[str, list[dict[str, str]]] = {}
    for member in item.spec.members:
        subjects = found.setdefault(_CLUSTER_ROLES[member.role], [])
        if (subject := _subject(member, item.namespace)) not in subjects:
            subjects.append(subject)
    return {role: _binding(item, role, subjects) for role, subjects in sorted(found.items())}


def cluster_name(item: Organization) -> str:
    """Return the name of its ClusterRole and ClusterRoleBinding.

    Organizations are cluster-scoped and their names have no colon: no two have the same.
    """
    return f"agentsmesh:organization:{item.metadata.name}"


def cluster_role(item: Organization) -> dict[str, Any]:
    """Return what members may read outside of the namespace.

    Nothing more: an owner who could change the Organization could change its quota, and whoever
    makes an AgentClass says which program runs on everybody's runners.
    """
    classes = {"apiGroups": [GROUP], "resources": [AGENT_CLASS.plural]}
    itself = {"apiGroups": [GROUP], "resources": [ORGANIZATION.plural]}
    rules = [
        classes | {"verbs": ["get", "list", "watch"]},
        itself | {"resourceNames": [item.metadata.name], "verbs": ["get"]},
    ]
    return _beside(item, CLUSTER_ROLE) | {"rules": rules}


def cluster_binding(item: Organization) -> dict[str, Any]:
    """Return what gives every member the ClusterRole."""
    subjects: list[dict[str, str]] = []
    for member in item.spec.members:
        if (subject := _subject(member, item.namespace)) not in subjects:
            subjects.append(subject)
    child = _beside(item, CLUSTER_ROLE_BINDING)
    return _bound(child, CLUSTER_ROLE_BINDING, cluster_name(item), subjects)


def _binding(item: Organization, role: str, subjects: list[dict[str, str]]) -> dict[str, Any]:
    return _bound(_child(item, ROLE_BINDING, role), ROLE_BINDING, role, subjects)


def _bound(
    child: dict[str, Any], resource: Resource, role: str, subjects: list[dict[str, str]]
) -> dict[str, Any]:
    reference = {"apiGroup": resource.group, "kind": CLUSTER_ROLE.kind, "name": role}
    return child | {"roleRef": reference, "subjects": subjects}


def _subject(member: Member, home: str) -> dict[str, str]:
    subject = member.subject
    if subject.kind == "ServiceAccount":
        where = subject.namespace or home
        return {"kind": str(subject.kind), "name": subject.name, "namespace": where}
    return {"kind": str(subject.kind), "name": subject.name, "apiGroup": ROLE_BINDING.group}


def _child(item: Organization, resource: Resource, name: str) -> dict[str, Any]:
    return {
        "apiVersion": resource.api_version,
        "kind": resource.kind,
        "metadata": {"name": name, "namespace": item.namespace, "labels": labels(item)},
    }


def _beside(item: Organization, resource: Resource) -> dict[str, Any]:
    metadata = {
        "name": cluster_name(item),
        "labels": labels(item),
        "ownerReferences": [owner(item)],
    }
    return {"apiVersion": resource.api_version, "kind": resource.kind, "metadata": metadata}
