"""Why an Organization cannot have its namespace. Pure."""

from typing import Final

from controller.kernel.reconciler import Finding
from controller.reconcilers.organization.snapshot import OrganizationSnapshot
from schemas.names import CONTROLLER_NAMESPACE, LABEL_ORGANIZATION

SHARED: Final = "default"
"""Exists in every cluster: it may be used by an organization, but is never owned or deleted."""


def first(snapshot: OrganizationSnapshot) -> Finding | None:
    """Return the first thing in the way, None if nothing is."""
    item, name = snapshot.subject, snapshot.subject.namespace
    if name.startswith("kube-") or name == CONTROLLER_NAMESPACE:
        message = f"namespace {name} is reserved: choose another spec.namespaceName or name"
        return Finding("NamespaceReserved", message, stalled=True)
    if snapshot.rival is not None:
        message = f"namespace {name} belongs to Organization {snapshot.rival}, which is older"
        return Finding("NamespaceTaken", message, stalled=True)
    if snapshot.namespace is None:
        return None
    metadata = snapshot.namespace.get("metadata") or {}
    owner = (metadata.get("labels") or {}).get(LABEL_ORGANIZATION)
    if owner is not None and owner != item.metadata.name:
        message = f"namespace {name} is marked as organization {owner}'s ({LABEL_ORGANIZATION})"
        return Finding("NamespaceTaken", message, stalled=True)
    if owner is None and not snapshot.empty:
        return Finding(
            "NamespaceNotEmpty",
            f"namespace {name} exists and is not empty: to have it adopted label it "
            f"{LABEL_ORGANIZATION}={item.metadata.name}, or choose another spec.namespaceName",
        )
    if metadata.get("deletionTimestamp"):
        message = f"namespace {name} is being deleted; it is made anew after that"
        return Finding("NamespaceTerminating", message)
    return None


def marked(snapshot: OrganizationSnapshot) -> bool:
    """Whether the namespace exists and is marked as this organization's."""
    metadata = (snapshot.namespace or {}).get("metadata") or {}
    labels = metadata.get("labels") or {}
    return labels.get(LABEL_ORGANIZATION) == snapshot.subject.metadata.name


def made(snapshot: OrganizationSnapshot) -> bool:
    """Whether the organization made the namespace, so that it may delete it.

    It is owned from its creation on or never: one that was adopted holds things of others.
    """
    metadata = (snapshot.namespace or {}).get("metadata") or {}
    owners = metadata.get("ownerReferences") or []
    return any(owner.get("uid") == snapshot.subject.metadata.uid for owner in owners)
