"""From a request's body to an object of the resource: decoded, checked, pruned, defaulted."""

from __future__ import annotations

import json
from typing import Final

from orjson import dumps

from apiserver import errors
from apiserver.errors import ApiError
from apiserver.kinds import objectmeta
from apiserver.kinds.resource import Resource
from apiserver.rest.call import Call
from apiserver.rest.media import Body, decode, media_type
from apiserver.schema.errors import FieldError, invalid, not_supported
from apiserver.store.records import Object

_OPTION_KINDS: Final = {
    "create": "CreateOptions",
    "update": "UpdateOptions",
    "delete": "DeleteOptions",
    "deletecollection": "DeleteOptions",
}


def refuse_write_options(call: Call) -> None:
    """Refuse unknown values of `dryRun` and `fieldValidation`.

    Raises:
        ApiError: 422.
    """
    found: list[FieldError] = []
    dry_run = call.query.get("dryRun", "")
    if dry_run not in {"", "All"}:
        found.append(not_supported("dryRun", [dry_run], ["All"]))
    mode = call.query.get("fieldValidation", "")
    if mode not in {"", "Ignore", "Strict", "Warn"}:
        allowed = ["", "Ignore", "Strict", "Warn"]
        found.append(not_supported("fieldValidation", mode, allowed))
    if found:
        kind = _OPTION_KINDS.get(call.target.verb, "PatchOptions")
        raise errors.invalid("meta.k8s.io", kind, "", found)


def is_dry(call: Call) -> bool:
    """Tell whether nothing may be kept of this request."""
    return call.query.get("dryRun", "") == "All"


def read(call: Call, resource: Resource) -> Object:
    """Return the object in the body of a create or an update.

    Raises:
        ApiError: 400 or 415, the body is no object of *resource*.
    """
    try:
        decoded = decode(call.body, media_type(call.header(b"content-type")))
    except ApiError as error:
        if error.code != 400:
            raise
        raise _unrecognized(resource, f"couldn't get version/kind; {error.message}") from error
    obj = decoded.value
    if not isinstance(obj, dict):
        text = f"json: cannot unmarshal {objectmeta.go_type(obj)} into an object"
        raise _unrecognized(resource, f"couldn't get version/kind; json parse error: {text}")
    _require_type(obj, resource)
    strays = [f'duplicate field "{name}"' for name in decoded.duplicates]
    strays += [f'unknown field "{path}"' for path in settle(resource, obj)]
    if strays:
        _report(call, resource, strays)
    return obj


def _unrecognized(resource: Resource, why: str) -> ApiError:
    return errors.bad_request(
        f"the object provided is unrecognized (must be of type {resource.kind}): {why}"
    )


def wrong_kind(resource: Resource, obj: Object) -> ApiError:
    """Return the refusal of an object whose kind is not the resource's."""
    meta, kind = obj.get("metadata"), str(obj.get("kind") or "")
    name = meta.get("name") if isinstance(meta, dict) else ""
    found = invalid("kind", kind, f"must be {resource.kind}")
    return errors.invalid(resource.group, kind, str(name or ""), [found])


def _require_type(obj: Object, resource: Resource) -> None:
    kind, api_version = obj.get("kind"), obj.get("apiVersion")
    for name, value in (("Kind", kind), ("apiVersion", api_version)):
        if not isinstance(value, str) or not value:
            if not resource.custom:  # typed clients leave them out
                continue
            shown = json.dumps(obj, ensure_ascii=False)[:500]
            raise _unrecognized(resource, f"Object '{name}' is missing in '{shown}'")
    if api_version and api_version != resource.api_version:
        raise errors.bad_request(
            f"the API version in the data ({api_version}) does not match the expected API version"
            f" ({resource.api_version})"
        )
    if kind and kind != resource.kind:
        raise wrong_kind(resource, obj)
    obj.setdefault("apiVersion", resource.api_version)
    obj.setdefault("kind", resource.kind)


def settle(resource: Resource, obj: Object) -> list[str]:
    """Bring *obj* into the resource's shape, in place; return the paths of unknown fields.

    Raises:
        ApiError: 400, `metadata` has a field of the wrong type.
    """
    unknown = objectmeta.clean(resource.kind, resource.version, obj)
    if resource.schema is not None:
        unknown += resource.schema.prune(obj)
        resource.schema.default(obj)
    resource.strategy.default(obj)
    return unknown


def _report(call: Call, resource: Resource, strays: list[str]) -> None:
    mode = call.query.get("fieldValidation", "")
    if mode == "Strict":
        raise errors.bad_request(
            f'{resource.kind} in version "{resource.version}" cannot be handled as a'
            f" {resource.kind}: strict decoding error: {', '.join(strays)}"
        )
    if mode != "Ignore":
        call.warnings += strays


def settle_patched(call: Call, resource: Resource, patched: Object, body: Body) -> None:
    """Bring a patch's result into shape; complain about unknown fields as the client wants.

    Raises:
        ApiError: 422, the client asked for strictness; 400, a field has the wrong type.
    """
    mode = call.query.get("fieldValidation", "")
    whole = dumps(patched) if mode == "Strict" or not resource.custom else b""
    strays = [f'duplicate field "{name}"' for name in body.duplicates]
    try:
        strays += [f'unknown field "{path}"' for path in settle(resource, patched)]
    except ApiError as error:
        if resource.custom or error.code != 400:
            raise
        found = invalid("patch", _quoted(resource, whole), error.message)
        raise errors.invalid("", "", "", [found]) from error
    if not strays or mode == "Ignore":
        return
    if mode == "Strict":
        text = f"strict decoding error: {', '.join(strays)}"
        raise errors.invalid("", "", "", [invalid("patch", _quoted(resource, whole), text)])
    call.warnings += strays


def _quoted(resource: Resource, whole: bytes) -> str:
    # Kubernetes quotes the whole object; a secret must not end up in somebody's log.
    return "<secret contents redacted>" if resource.kind == "Secret" else whole.decode()
