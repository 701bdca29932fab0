"""What must be on the API before anything is watched: namespace, CRDs, ClusterRoles, classes.

Every step may be repeated, and changes nothing where nothing has to be changed.
"""

import asyncio
import logging
from typing import Any, Final

from controller.builtin.install import install
from controller.kube.client import Kube
from controller.kube.errors import AlreadyExists, Unavailable
from schemas.crdgen import crds
from schemas.names import (
    CLUSTER_ROLE,
    CONTROLLER_NAMESPACE,
    CRD,
    FIELD_MANAGER,
    GROUP,
    LABEL_MANAGED_BY,
    NAMESPACE,
    OURS,
    TRUST_BUNDLE,
    Resource,
)

logger = logging.getLogger(__name__)

_ESTABLISHED_SECONDS: Final = 60.0
_LOOK_SECONDS: Final = 0.05
_READ: Final = ["get", "list", "watch"]
_WRITE: Final = ["create", "update", "patch", "delete", "deletecollection"]
_LABELS: Final = {LABEL_MANAGED_BY: FIELD_MANAGER}


def _rule(groups: str, resources: list[str], verbs: list[str]) -> dict[str, Any]:
    return {"apiGroups": [groups], "resources": resources, "verbs": verbs}


_NAMESPACED: Final = [resource.plural for resource in OURS if resource.namespaced]
"""Named one by one: ``*`` would hold status as well, and with it who runs what where."""

_VIEWER: Final = [
    _rule(GROUP, _NAMESPACED, _READ),
    _rule(GROUP, ["agentpods/log", "channels/messages"], ["get"]),
    _rule("", ["events", "resourcequotas"], _READ),
    {**_rule("", ["configmaps"], ["get"]), "resourceNames": [TRUST_BUNDLE]},
    _rule("coordination.k8s.io", ["leases"], _READ),
]
_MEMBER: Final = [
    *_VIEWER,
    _rule(GROUP, ["agentpods", "podbindings", "channels", "tickets"], _WRITE),
    _rule(GROUP, ["agentpods/saved"], ["get"]),
    _rule(
        GROUP,
        ["agentpods/attach", "agentpods/prompt", "agentpods/portforward", "channels/messages"],
        ["create"],
    ),
]
_ADMIN: Final = [
    *_MEMBER,
    _rule(GROUP, _NAMESPACED, _WRITE),
    _rule("", ["secrets", "configmaps"], [*_READ, *_WRITE]),
]

ROLES: Final = {
    "agentsmesh-viewer": _VIEWER,
    "agentsmesh-member": _MEMBER,
    "agentsmesh-admin": _ADMIN,
}
"""Rules of the ClusterRoles that members of organizations are bound to, by name."""


async def prepare(kube: Kube) -> None:
    """Make everything that must be there.

    Raises:
        KubeError: Something could not be made.
    """
    await _ensure(kube, NAMESPACE, _named(NAMESPACE, CONTROLLER_NAMESPACE))
    for manifest in crds():
        await _ensure(kube, CRD, manifest)
    for manifest in crds():
        await _established(kube, str(manifest["metadata"]["name"]))
    for name, rules in ROLES.items():
        await _ensure(kube, CLUSTER_ROLE, _named(CLUSTER_ROLE, name) | {"rules": rules})
    await install(kube)


def _named(resource: Resource, name: str) -> dict[str, Any]:
    metadata = {"name": name, "labels": dict(_LABELS)}
    return {"apiVersion": resource.api_version, "kind": resource.kind, "metadata": metadata}


async def _ensure(kube: Kube, resource: Resource, manifest: dict[str, Any]) -> None:
    """Create the object, or make it what it should be; the API writes only what differs."""
    try:
        await kube.create(resource, "", manifest)
    except AlreadyExists:
        patch = {key: value for key, value in manifest.items() if key in {"spec", "rules"}}
        if patch:
            await kube.patch(resource, "", str(manifest["metadata"]["name"]), patch)


async def _established(kube: Kube, name: str) -> None:
    """Wait until the API server serves the kind."""
    try:
        async with asyncio.timeout(_ESTABLISHED_SECONDS):
            while not _serves(await kube.get(CRD, "", name)):  # noqa: ASYNC110 - not our process
                await asyncio.sleep(_LOOK_SECONDS)
    except TimeoutError:
        message = f"the API server does not establish {name} in {_ESTABLISHED_SECONDS:g} s"
        raise Unavailable(message) from None


def _serves(definition: dict[str, Any]) -> bool:
    conditions = (definition.get("status") or {}).get("conditions") or []
    return any(c.get("type") == "Established" and c.get("status") == "True" for c in conditions)
