"""`/scale` of custom resources: `autoscaling/v1` Scale, mapped by the CRD's three paths."""

from __future__ import annotations

from typing import Any

from apiserver import errors
from apiserver.kinds.resource import Resource
from apiserver.rest import admission, patching, reply
from apiserver.rest.call import Call
from apiserver.rest.media import decode, media_type
from apiserver.rest.reading import find
from apiserver.rest.writing import Desk, change, newest
from apiserver.schema.errors import invalid
from apiserver.store.records import Object


async def answer(call: Call, desk: Desk, resource: Resource) -> reply.Reply:
    """Answer a get, an update or a patch of an object's scale."""
    paths = resource.scale or {}
    if call.method == "GET":
        entry = find(desk.store, resource, call.target.namespace, call.target.name)
        return reply.document(call, _scale(resource.load(entry), paths))
    admission.refuse_write_options(call)
    if call.method == "PATCH":
        patching.refuse_media_type(call, resource)
    old = await newest(desk.store, resource, call)
    obj = resource.load(old)
    if call.method == "PATCH":
        wanted: Any = patching.apply(call, resource, _scale(obj, paths))[1]
    else:
        wanted = decode(call.body, media_type(call.header(b"content-type"))).value
    meta = wanted.get("metadata") if isinstance(wanted, dict) else None
    spec = wanted.get("spec") if isinstance(wanted, dict) else None
    if not isinstance(meta, dict) or not isinstance(spec or {}, dict):
        raise errors.bad_request("the body is no Scale")
    replicas = (spec or {}).get("replicas", 0)
    if not isinstance(replicas, int) or isinstance(replicas, bool):
        text = "should be a non-negative integer"  # a negative one is refused as the object's
        found = invalid("spec.replicas", replicas, text)
        raise errors.invalid("autoscaling", "Scale", call.target.name, [found])
    if version := meta.get("resourceVersion"):
        obj["metadata"]["resourceVersion"] = version
    _set(obj, paths["specReplicasPath"], replicas)
    answered = await change(call, desk, resource, old, obj)
    if answered.code >= 400:
        return answered
    entry = find(desk.store, resource, call.target.namespace, call.target.name)
    return reply.document(call, _scale(resource.load(entry), paths))


def _steps(path: str) -> list[str]:
    return path.removeprefix(".").split(".")


def _get(obj: Object, path: str) -> Any:
    value: Any = obj
    for step in _steps(path):
        value = value.get(step) if isinstance(value, dict) else None
    return value


def _set(obj: Object, path: str, value: int) -> None:
    *steps, last = _steps(path)
    for step in steps:
        obj = obj.setdefault(step, {})
    obj[last] = value


def _scale(obj: Object, paths: Object) -> Object:
    meta = obj["metadata"]
    kept = ("name", "namespace", "uid", "resourceVersion", "creationTimestamp")
    status: Object = {"replicas": _get(obj, paths["statusReplicasPath"]) or 0}
    if selector := paths.get("labelSelectorPath"):
        status["selector"] = _get(obj, selector) or ""
    return {
        "kind": "Scale",
        "apiVersion": "autoscaling/v1",
        "metadata": {name: meta[name] for name in kept if name in meta},
        "spec": {"replicas": _get(obj, paths["specReplicasPath"]) or 0},
        "status": status,
    }
