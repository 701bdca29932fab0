"""TokenRequest: short-lived tokens for ServiceAccounts."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Final

from apiserver import clock, errors
from apiserver.auth.jwts import AUDIENCE, ServiceAccountTokens
from apiserver.rest import admission, reply
from apiserver.rest.call import Call
from apiserver.rest.media import decode, media_type
from apiserver.schema.errors import FieldError, invalid, not_supported
from apiserver.store.records import Key, Object
from apiserver.store.store import Store

_SHORTEST_SECONDS: Final = 600
_LONGEST_SECONDS: Final = 1 << 32
_DEFAULT_SECONDS: Final = 3600


def answer(call: Call, store: Store, tokens: ServiceAccountTokens) -> reply.Reply:
    """Answer a create of `serviceaccounts/<name>/token`."""
    admission.refuse_write_options(call)
    namespace, name = call.target.namespace, call.target.name
    entry = store.get(Key("serviceaccounts", namespace, name))
    if entry is None:
        raise errors.not_found("", "serviceaccounts", name)
    obj = decode(call.body, media_type(call.header(b"content-type"))).value
    spec = obj.get("spec") if isinstance(obj, dict) else None
    if not isinstance(obj, dict) or not isinstance(spec or {}, dict):
        raise errors.bad_request("the body is no TokenRequest")
    spec = dict(spec or {})
    spec["expirationSeconds"] = spec.get("expirationSeconds") or _DEFAULT_SECONDS
    spec["audiences"] = spec.get("audiences") or [AUDIENCE]
    if found := _errors(spec):
        raise errors.invalid("authentication.k8s.io", "TokenRequest", "", found)
    bound = _bound(store, namespace, spec.get("boundObjectRef") or {})
    if admission.is_dry(call):
        return reply.document(call, _result(name, namespace, spec, "", 0), 201)
    seconds = spec["expirationSeconds"]
    token, expires = tokens.sign(namespace, name, entry.uid, spec["audiences"], seconds, bound)
    return reply.document(call, _result(name, namespace, spec, token, expires), 201)


def _errors(spec: Object) -> list[FieldError]:
    found: list[FieldError] = []
    seconds, audiences = spec["expirationSeconds"], spec["audiences"]
    if not isinstance(seconds, int) or isinstance(seconds, bool):
        found.append(invalid("spec.expirationSeconds", seconds, "must be an integer"))
    elif seconds < _SHORTEST_SECONDS:
        text = "may not specify a duration less than 10 minutes"
        found.append(invalid("spec.expirationSeconds", seconds, text))
    elif seconds > _LONGEST_SECONDS:
        text = "may not specify a duration larger than 2^32 seconds"
        found.append(invalid("spec.expirationSeconds", seconds, text))
    if not isinstance(audiences, list) or not all(isinstance(item, str) for item in audiences):
        found.append(invalid("spec.audiences", audiences, "must be a list of texts"))
    return found


def _bound(store: Store, namespace: str, ref: Object) -> dict[str, dict[str, str]]:
    if not ref:
        return {}
    kind, name = ref.get("kind", ""), ref.get("name", "")
    if kind != "Secret":
        found = not_supported("spec.boundObjectRef.kind", kind, ["Secret"])
        raise errors.invalid("authentication.k8s.io", "TokenRequest", "", [found])
    entry = store.get(Key("secrets", namespace, name))
    if entry is None:
        raise errors.not_found("", "secrets", name)
    if ref.get("uid") and ref["uid"] != entry.uid:
        why = f"the UID in the bound object reference ({ref['uid']}) does not match the UID in"
        raise errors.conflict("", "secrets", name, f"{why} record ({entry.uid})")
    return {"secret": {"name": name, "uid": entry.uid}}


def _result(name: str, namespace: str, spec: Object, token: str, expires: int) -> Object:
    moment = datetime.fromtimestamp(expires, UTC)
    return {
        "kind": "TokenRequest",
        "apiVersion": "authentication.k8s.io/v1",
        "metadata": {
            "name": name,
            "namespace": namespace,
            "creationTimestamp": clock.stamp(),
        },
        "spec": spec,
        "status": {"token": token, "expirationTimestamp": clock.stamp(moment)},
    }
