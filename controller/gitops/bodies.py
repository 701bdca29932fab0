"""What is sent to the API for one resource of a source. Pure."""

from collections.abc import Collection, Mapping
from typing import Any

from controller.gitops.apply import Applied, Live, spec_of
from controller.gitops.growing import without_grown
from controller.gitops.values import Declared, Identity
from controller.kernel.difference import merge_patch
from schemas.gitsource import SourcedKind
from schemas.names import ANNOTATION_SOURCE_PATH, LABEL_SOURCE, TICKET, Resource


def manifest(declared: Declared, resource: Resource, namespace: str, source: str) -> dict[str, Any]:
    """Return the resource as it is created."""
    return {
        "apiVersion": resource.api_version,
        "kind": resource.kind,
        "metadata": {
            "name": declared.identity.name,
            "namespace": namespace,
            "labels": {**declared.labels, LABEL_SOURCE: source},
            "annotations": {**declared.annotations, ANNOTATION_SOURCE_PATH: declared.path},
        },
        "spec": dict(declared.spec),
    }


def patch(declared: Declared, live: Live, before: Applied | None, source: str) -> dict[str, Any]:
    """Return the merge patch that makes the resource what its file says; empty: it is.

    It names the uid: a resource of that name that was made meanwhile is not patched.
    """
    metadata = live.item.metadata
    changes: dict[str, Any] = {}
    for key, has, wants, old in (
        (
            "labels",
            metadata.labels,
            {**declared.labels, LABEL_SOURCE: source},
            before.labels if before else (),
        ),
        (
            "annotations",
            metadata.annotations,
            {**declared.annotations, ANNOTATION_SOURCE_PATH: declared.path},
            before.annotations if before else (),
        ),
    ):
        if part := _keys(has, wants, old):
            changes[key] = part
    body: dict[str, Any] = {}
    spec = merge_patch(spec_of(live.item), declared.spec)
    if changes:  # for scopes alone it is refused, and that is told
        spec = without_grown(live.item, spec)
    if spec:
        body["spec"] = spec
    if changes or body:
        body["metadata"] = {**changes, "uid": live.uid}
    return body


def release(identity: Identity, uid: str, kinds: Collection[SourcedKind]) -> dict[str, Any]:
    """Return the merge patch that makes the resource of that uid nobody's.

    *kinds*: what its source may make. A ticket of one that makes no pods starts none afterwards,
    either.
    """
    body: dict[str, Any] = {
        "metadata": {
            "uid": uid,
            "labels": {LABEL_SOURCE: None},
            "annotations": {ANNOTATION_SOURCE_PATH: None},
        }
    }
    if identity.kind == TICKET.kind and SourcedKind.AGENT_POD not in kinds:
        body["spec"] = {"autoRun": None}
    return body


def _keys(
    has: Mapping[str, str], wants: Mapping[str, str], before: tuple[str, ...]
) -> dict[str, str | None]:
    part: dict[str, str | None] = {
        key: value for key, value in wants.items() if has.get(key) != value
    }
    return part | {key: None for key in before if key in has and key not in wants}
