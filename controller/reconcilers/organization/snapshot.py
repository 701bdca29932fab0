"""All that an Organization's plan and status are computed from."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from controller.services.notification_health import Failing
from schemas.organization import Organization, OrganizationUsage

QUOTA: Final = "agentsmesh-quota"
"""Name of the ResourceQuota in an organization's namespace."""

ROLES: Final = frozenset({"agentsmesh-admin", "agentsmesh-member", "agentsmesh-viewer"})
"""ClusterRoles that members are bound to; the RoleBindings have the same names."""


Manifest = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Child:
    """An AgentPod of the organization, as far as its deletion is concerned."""

    name: str
    uid: str
    deleting: bool


@dataclass(frozen=True, slots=True)
class OrganizationSnapshot:
    """The organization and what was made for it. None: it does not exist."""

    subject: Organization
    rival: str | None
    """Name of an older Organization with the same namespace."""
    namespace: Manifest | None
    empty: bool
    """Whether nothing of anybody's is in a namespace that is not marked as ours."""
    bindings: tuple[Manifest, ...]
    """RoleBindings in it that are marked as ours, or have one of our names."""
    cluster_role: Manifest | None
    cluster_binding: Manifest | None
    """What gives the members their rights outside of the namespace."""
    bundle: Manifest | None
    bundle_data: Mapping[str, str]
    """What the trust bundle shall say."""
    quota: Manifest | None
    pods: tuple[Child, ...]
    usage: OrganizationUsage
    failing: tuple[Failing, ...] = ()
    """Webhooks that cannot be told anything."""
