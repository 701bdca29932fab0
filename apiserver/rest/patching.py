"""The three kinds of patches, by media type."""

from __future__ import annotations

from typing import Final

from apiserver import errors, patches
from apiserver.errors import ApiError
from apiserver.kinds.resource import Resource
from apiserver.patches.errors import PatchError
from apiserver.rest.call import Call
from apiserver.rest.media import Body, decode_json, media_type, refuse_deep
from apiserver.store.records import Object

JSON_PATCH: Final = "application/json-patch+json"
MERGE_PATCH: Final = "application/merge-patch+json"
STRATEGIC_PATCH: Final = "application/strategic-merge-patch+json"
APPLY_PATCH: Final = "application/apply-patch+yaml"


def refuse_media_type(call: Call, resource: Resource) -> None:
    """Refuse a patch in a format that is not taken here, whatever it is about.

    Raises:
        ApiError: 415.
    """
    kind = media_type(call.header(b"content-type"))
    if kind == APPLY_PATCH:
        raise errors.unsupported_media_type(
            "server-side apply is not served here; use client-side apply or a merge patch"
        )
    accepted = [JSON_PATCH, MERGE_PATCH]  # and, later, APPLY_PATCH
    if not resource.custom:
        accepted.append(STRATEGIC_PATCH)
    if kind not in accepted:
        raise errors.unsupported_media_type(
            "the body of the request was in an unknown format - accepted media types include:"
            f" {', '.join(accepted)}"
        )


def is_json_patch(call: Call) -> bool:
    """Tell whether the body is a JSON patch."""
    return media_type(call.header(b"content-type")) == JSON_PATCH


def apply(call: Call, resource: Resource, target: Object) -> tuple[Body, Object]:
    """Return the patch of *call* and what it makes of *target*, which may be changed.

    The media type was checked by `refuse_media_type`.

    Raises:
        ApiError: 400, 413 or 422.
    """
    kind = media_type(call.header(b"content-type"))
    try:
        body = decode_json(call.body)
    except ApiError as error:
        raise errors.bad_request(f"error decoding patch: {error.message}") from error
    try:
        patched = _patched(kind, resource, target, body)
    except PatchError as exc:
        raise ApiError(exc.status, exc.reason, exc.message, {}) from exc
    if not isinstance(patched, dict):
        raise errors.bad_request("the patch does not leave an object")
    if kind == JSON_PATCH:
        refuse_deep(patched)  # its paths can put one deep value into another
    return body, patched


def _patched(kind: str, resource: Resource, target: Object, body: Body) -> object:
    if kind == JSON_PATCH:
        return patches.json_patch(target, body.value)
    if not isinstance(body.value, dict):
        raise errors.bad_request("error decoding patch: it is no object")
    if kind == MERGE_PATCH:
        return patches.merge_patch(target, body.value)
    return patches.strategic_merge(resource.kind, target, body.value)
