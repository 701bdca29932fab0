"""What is done for an Organization: its namespace and what is in it, and the way out. Pure."""

from collections.abc import Mapping
from typing import Any, Final

from controller.kernel.difference import merge_patch
from controller.kernel.reconciler import Action, Create, Delete, Patch, Plan
from controller.reconcilers.organization import checks, children
from controller.reconcilers.organization.snapshot import OrganizationSnapshot
from schemas.names import (
    AGENT_POD,
    CLUSTER_ROLE,
    CLUSTER_ROLE_BINDING,
    CONFIG_MAP,
    FINALIZER_ORGANIZATION,
    NAMESPACE,
    ORGANIZATION,
    RESOURCE_QUOTA,
    ROLE_BINDING,
    Resource,
)
from schemas.organization import Organization

_DRIFT_SECONDS: Final = 60.0
"""Children are not watched; they are compared this often."""
_SETTLING_SECONDS: Final = 0.1
_REPAIR_SECONDS: Final = 5.0
_TEARDOWN_SECONDS: Final = 1.0


def plan(snapshot: OrganizationSnapshot, now: float) -> Plan:
    """Return what to do; planning again on the result does nothing."""
    del now
    item = snapshot.subject
    ours = FINALIZER_ORGANIZATION in item.metadata.finalizers
    if item.metadata.deleting:
        return _teardown(snapshot) if ours else Plan(publish=False)
    if not ours:
        finalizers = [*item.metadata.finalizers, FINALIZER_ORGANIZATION]
        return Plan((_finalizers(item, finalizers, "so that its pods go first"),), publish=False)
    if checks.first(snapshot) is not None:
        return Plan(recheck_after_seconds=10.0)
    changes = _namespace(snapshot)
    if snapshot.namespace is not None or changes:
        changes += _children(snapshot)
    if not changes:
        return Plan(recheck_after_seconds=_DRIFT_SECONDS)
    # the next look knows whether they have taken effect, and says so
    new = item.status.observed_generation != item.metadata.generation
    recheck = _SETTLING_SECONDS if new else _REPAIR_SECONDS
    return Plan(tuple(changes), publish=not new, recheck_after_seconds=recheck)


def _namespace(snapshot: OrganizationSnapshot) -> list[Action]:
    item = snapshot.subject
    want = children.namespace(item)
    if snapshot.namespace is None:
        return [Create(NAMESPACE, "", want, why="missing")]
    have = snapshot.namespace.get("metadata") or {}
    metadata = want["metadata"]
    patch: dict[str, Any] = {}
    labels = have.get("labels") or {}
    if any(labels.get(key) != value for key, value in metadata["labels"].items()):
        patch["labels"] = metadata["labels"]
    if not patch:
        return []
    patch["resourceVersion"] = have.get("resourceVersion")
    return [Patch(NAMESPACE, "", item.namespace, {"metadata": patch}, why="adopted or drifted")]


def _children(snapshot: OrganizationSnapshot) -> list[Action]:
    item = snapshot.subject
    changes = _one(CONFIG_MAP, snapshot.bundle, children.bundle(item, snapshot.bundle_data), "data")
    wanted = children.quota(item)
    if wanted is not None:
        changes += _one(RESOURCE_QUOTA, snapshot.quota, wanted, "spec")
    elif snapshot.quota is not None:
        changes.append(_delete(RESOURCE_QUOTA, snapshot.quota, "spec.quota names no such limit"))
    have = {_name(binding): binding for binding in snapshot.bindings}
    want = children.bindings(item)
    for name, wanted_binding in want.items():
        changes += _one(ROLE_BINDING, have.get(name), wanted_binding, "subjects")
    for name, binding in have.items():
        if name not in want:
            changes.append(_delete(ROLE_BINDING, binding, "no member has this role"))
    return changes + _beside(snapshot)


def _beside(snapshot: OrganizationSnapshot) -> list[Action]:
    """Return what is to change about the members' rights outside of the namespace."""
    item = snapshot.subject
    changes = _one(CLUSTER_ROLE, snapshot.cluster_role, children.cluster_role(item), "rules")
    binding = children.cluster_binding(item)
    return changes + _one(CLUSTER_ROLE_BINDING, snapshot.cluster_binding, binding, "subjects")


def _one(
    resource: Resource, have: Mapping[str, Any] | None, want: dict[str, Any], field: str
) -> list[Action]:
    """Return the change that makes *field* and our labels of one child as they should be."""
    metadata = want["metadata"]
    namespace, name = metadata.get("namespace", ""), metadata["name"]
    if have is None:
        return [Create(resource, namespace, want, why="missing")]
    if "roleRef" in want and have.get("roleRef") != want["roleRef"]:
        return [_delete(resource, have, "points to another role, and cannot be changed")]
    wanted = {field: want[field]}
    patch = merge_patch({field: have.get(field)}, wanted)
    if marks := _marks(have.get("metadata") or {}, metadata):
        patch["metadata"] = marks
    return [Patch(resource, namespace, name, patch, why="drifted")] if patch else []


def _marks(have: Mapping[str, Any], want: Mapping[str, Any]) -> dict[str, Any]:
    """Return what is to change about a child's labels and about whose it is."""
    patch: dict[str, Any] = {}
    labels = have.get("labels") or {}
    if any(labels.get(key) != value for key, value in want["labels"].items()):
        patch["labels"] = want["labels"]
    owners = {owner.get("uid") for owner in have.get("ownerReferences") or []}
    wanted = want.get("ownerReferences") or []
    if any(owner["uid"] not in owners for owner in wanted):
        patch["ownerReferences"] = wanted
    return patch


def _teardown(snapshot: OrganizationSnapshot) -> Plan:
    """Pods first, then the namespace, then the finalizer."""
    item = snapshot.subject
    if not checks.marked(snapshot):  # there is nothing of ours to clear away
        return _finish(snapshot, "it has no namespace")
    doomed = [pod for pod in snapshot.pods if not pod.deleting]
    if snapshot.pods:
        changes = tuple(
            Delete(AGENT_POD, item.namespace, pod.name, pod.uid, "its organization is deleted")
            for pod in doomed
        )
        return Plan(changes, recheck_after_seconds=_TEARDOWN_SECONDS)
    namespace = (snapshot.namespace or {}).get("metadata") or {}
    if not checks.made(snapshot):
        return _finish(snapshot, "its pods are gone", _leave(snapshot))
    if namespace.get("deletionTimestamp"):
        return Plan(recheck_after_seconds=_TEARDOWN_SECONDS)
    gone = _delete(NAMESPACE, snapshot.namespace or {}, "its organization is deleted")
    return Plan((gone,), recheck_after_seconds=_TEARDOWN_SECONDS)


def _leave(snapshot: OrganizationSnapshot) -> list[Action]:
    """Take what is ours out of a namespace that stays."""
    changes: list[Action] = [
        _delete(ROLE_BINDING, binding, "its organization is deleted")
        for binding in snapshot.bindings
    ]
    for resource, child in ((CONFIG_MAP, snapshot.bundle), (RESOURCE_QUOTA, snapshot.quota)):
        if child is not None:
            changes.append(_delete(resource, child, "its organization is deleted"))
    labels = dict.fromkeys(children.labels(snapshot.subject))
    name = snapshot.subject.namespace
    changes.append(Patch(NAMESPACE, "", name, {"metadata": {"labels": labels}}, "given back"))
    return changes


def _finish(snapshot: OrganizationSnapshot, why: str, before: list[Action] | None = None) -> Plan:
    item = snapshot.subject
    beside = (
        (CLUSTER_ROLE_BINDING, snapshot.cluster_binding),
        (CLUSTER_ROLE, snapshot.cluster_role),
    )
    # they would go with the Organization, but not where it is deleted with --cascade=orphan
    changes = [
        _delete(kind, child, "its organization is deleted") for kind, child in beside if child
    ]
    return Plan((*(before or []), *changes, _finalizers(item, _rest(item), why)), publish=False)


def _rest(item: Organization) -> list[str]:
    return [name for name in item.metadata.finalizers if name != FINALIZER_ORGANIZATION]


def _finalizers(item: Organization, finalizers: list[str], why: str) -> Patch:
    metadata = {
        "uid": item.metadata.uid,
        "resourceVersion": item.metadata.resource_version,
        "finalizers": finalizers or None,
    }
    return Patch(ORGANIZATION, "", item.metadata.name, {"metadata": metadata}, why)


def _delete(resource: Resource, manifest: Mapping[str, Any], why: str) -> Delete:
    metadata = manifest.get("metadata") or {}
    return Delete(
        resource, metadata.get("namespace") or "", _name(manifest), str(metadata.get("uid")), why
    )


def _name(manifest: Mapping[str, Any]) -> str:
    return str((manifest.get("metadata") or {}).get("name"))
