"""Puts the built-in AgentClasses onto the API, and keeps away from what somebody changed.

What we applied is known by its digest, in an annotation of the class. A class whose spec has that
digest is ours as we left it, and becomes the one of this release. Any other is somebody's: it was
edited, replaced, or written before we came. A ConfigMap remembers which classes were ever made, so
that one that was deleted stays deleted.
"""

import logging
from collections.abc import Iterable, Mapping
from enum import StrEnum
from typing import Any, Final, Protocol

from controller.builtin.catalog import Builtin, builtins, digest
from controller.kernel.difference import merge_patch
from controller.kube.errors import AlreadyExists, Conflict, NotFound
from schemas.names import (
    AGENT_CLASS,
    ANNOTATION_BUILTIN,
    ANNOTATION_RECONCILE,
    BUILTIN_CLASSES,
    CONFIG_MAP,
    CONTROLLER_NAMESPACE,
    FIELD_MANAGER,
    LABEL_MANAGED_BY,
    Resource,
)

logger = logging.getLogger(__name__)

_ATTEMPTS: Final = 3
"""Somebody may write a class at the same moment: then it is looked at again."""


class Objects(Protocol):
    """What is needed of ``controller.kube.client.Kube``."""

    async def get(self, resource: Resource, namespace: str, name: str) -> dict[str, Any]:
        """Return the object."""
        ...

    async def create(
        self, resource: Resource, namespace: str, manifest: dict[str, Any]
    ) -> dict[str, Any]:
        """Create the object."""
        ...

    async def patch(
        self, resource: Resource, namespace: str, name: str, patch: dict[str, Any]
    ) -> dict[str, Any]:
        """Merge *patch* into the object."""
        ...


class Step(StrEnum):
    """What is done about a built-in class."""

    CREATE = "create"
    UPDATE = "update"
    CURRENT = "current"
    """It is the one of this release already."""
    DELETED = "deleted"
    """Somebody deleted it: left alone."""
    DISABLED = "disabled"
    """``agentsmesh.io/reconcile: disabled``: left alone."""
    CHANGED = "changed"
    """Its spec is somebody else's: left alone."""


def step(found: Mapping[str, Any] | None, wanted: Builtin, *, made_before: bool) -> Step:
    """Return what is to be done about a class: *found* is what is on the API, None without one."""
    if found is None:
        return Step.DELETED if made_before else Step.CREATE
    metadata = found["metadata"]
    annotations = metadata.get("annotations") or {}
    if metadata.get("deletionTimestamp"):
        return Step.DELETED
    if annotations.get(ANNOTATION_RECONCILE) == "disabled":
        return Step.DISABLED
    applied = annotations.get(ANNOTATION_BUILTIN)
    if applied is None or applied != _digest(found.get("spec") or {}):
        return Step.CHANGED
    return Step.CURRENT if applied == wanted.digest else Step.UPDATE


async def install(kube: Objects, wanted: Iterable[Builtin] | None = None) -> dict[str, Step]:
    """Make every built-in class what it should be; return what was done, by name.

    May be repeated, and by several controllers at once.

    Raises:
        KubeError: The API server could not be asked.
    """
    made = await _made(kube)
    done = {}
    for each in builtins() if wanted is None else wanted:
        done[each.name] = await _install(kube, each, made_before=each.name in made)
        if done[each.name] in {Step.CREATE, Step.UPDATE, Step.CURRENT} and each.name not in made:
            await _remember(kube, each)
    changed = {name: str(said) for name, said in done.items() if said is not Step.CURRENT}
    logger.info("built-in agent classes", extra={"changed": changed})
    return done


async def _install(kube: Objects, wanted: Builtin, *, made_before: bool) -> Step:
    for _ in range(_ATTEMPTS):
        found = await _found(kube, AGENT_CLASS, "", wanted.name)
        todo = step(found, wanted, made_before=made_before)
        try:
            if todo is Step.CREATE:
                await kube.create(AGENT_CLASS, "", wanted.manifest)
            elif todo is Step.UPDATE and found is not None:
                await kube.patch(AGENT_CLASS, "", wanted.name, _change(found, wanted))
        except (AlreadyExists, Conflict, NotFound):
            continue
        return todo
    return Step.CHANGED  # somebody keeps writing it: looked at again at the next start


def _change(found: Mapping[str, Any], wanted: Builtin) -> dict[str, Any]:
    metadata = {
        "annotations": {ANNOTATION_BUILTIN: wanted.digest},
        "resourceVersion": found["metadata"]["resourceVersion"],
    }
    return {"metadata": metadata, "spec": merge_patch(found["spec"], wanted.spec)}


async def _made(kube: Objects) -> frozenset[str]:
    found = await _found(kube, CONFIG_MAP, CONTROLLER_NAMESPACE, BUILTIN_CLASSES)
    return frozenset((found or {}).get("data") or ())


async def _remember(kube: Objects, made: Builtin) -> None:
    data = {made.name: made.digest}
    try:
        await kube.patch(CONFIG_MAP, CONTROLLER_NAMESPACE, BUILTIN_CLASSES, {"data": data})
    except NotFound:
        manifest = {
            "apiVersion": CONFIG_MAP.api_version,
            "kind": CONFIG_MAP.kind,
            "metadata": {"name": BUILTIN_CLASSES, "labels": {LABEL_MANAGED_BY: FIELD_MANAGER}},
            "data": data,
        }
        try:
            await kube.create(CONFIG_MAP, CONTROLLER_NAMESPACE, manifest)
        except AlreadyExists:
            await kube.patch(CONFIG_MAP, CONTROLLER_NAMESPACE, BUILTIN_CLASSES, {"data": data})


async def _found(
    kube: Objects, resource: Resource, namespace: str, name: str
) -> dict[str, Any] | None:
    try:
        return await kube.get(resource, namespace, name)
    except NotFound:
        return None


def _digest(spec: dict[str, Any]) -> str:
    """Return the digest of what is on the API; empty if no release of ours wrote it."""
    try:
        return digest(spec)
    except ValueError:
        return ""
