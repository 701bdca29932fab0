"""create, update and patch."""

from __future__ import annotations

import secrets
import uuid
from dataclasses import dataclass
from typing import Final

import orjson

from apiserver import clock, errors
from apiserver.kinds import objectmeta
from apiserver.kinds.registry import Registry
from apiserver.kinds.resource import Resource
from apiserver.kinds.strategy import Context, Escalation
from apiserver.rest import admission, patching, quotas, reply
from apiserver.rest.call import Call
from apiserver.schema.errors import FieldError, invalid
from apiserver.schema.metadata import finalizer_warnings, validate_metadata
from apiserver.store.records import Entry, Key, Object
from apiserver.store.store import Store

_ALPHABET: Final = "bcdfghjklmnpqrstvwxz2456789"
_SUFFIX: Final = 5
_MOST_STORED_BYTES: Final = 3 << 19
"""Bytes of one object: as many as etcd takes."""

_LONGEST_PREFIX: Final = 63 - _SUFFIX

MODIFIED: Final = (
    "the object has been modified; please apply your changes to the latest version and try again"
)


@dataclass(frozen=True, slots=True)
class Desk:
    """What the writing verbs work with."""

    store: Store
    registry: Registry
    escalation: Escalation

    def context(self, call: Call) -> Context:
        """Return what a strategy may look at while it handles *call*."""
        subresource = call.target.subresource
        return Context(call.user, self.store, self.escalation, clock.now(), subresource)


def generated_name(prefix: str) -> str:
    """Return *prefix* with five random characters, cut so that it stays a DNS label."""
    return prefix[:_LONGEST_PREFIX] + "".join(secrets.choice(_ALPHABET) for _ in range(_SUFFIX))


async def create(call: Call, desk: Desk, resource: Resource) -> reply.Reply:
    """Answer a create."""
    admission.refuse_write_options(call)
    refuse_everywhere(call, resource)
    obj = admission.read(call, resource)
    meta = obj["metadata"]
    _place(call, resource, meta)
    if resource.terminating:
        why = "create not allowed while custom resource definition is terminating"
        raise errors.forbidden(resource.group, resource.plural, meta.get("name", ""), why)
    if resource.namespaced:
        require_live_namespace(desk.store, resource, meta)
    if meta.get("resourceVersion"):
        raise errors.bad_request("resourceVersion should not be set on objects to be created")
    key = _stamp(desk, resource, meta)
    ctx = desk.context(call)
    resource.strategy.prepare_create(ctx, obj)
    _refuse_invalid(resource, obj, _errors_of_new(ctx, resource, obj))
    if resource.custom:
        call.warnings += finalizer_warnings(meta.get("finalizers") or ())
    if (full := quotas.beyond(desk.store, resource, key)) is not None:
        await quotas.settled(desk.store, resource, key.namespace)
        raise full
    if desk.store.latest(key) is not None:
        if (ticket := desk.store.ticket(key)) is not None:
            await ticket
        raise errors.already_exists(resource.group, resource.plural, key.name)
    if admission.is_dry(call):
        return reply.thing(call, resource, obj, 201)
    return await _keep(call, desk, resource, key, resource.to_storage(obj), 201)


def refuse_everywhere(call: Call, resource: Resource) -> None:
    """Refuse to write in all namespaces at once.

    Raises:
        ApiError: 404 for custom resources, else 405, as Kubernetes.
    """
    if resource.namespaced and not call.target.namespace:
        raise errors.no_such_resource() if resource.custom else errors.method_not_allowed()


def _place(call: Call, resource: Resource, meta: Object) -> None:
    if not resource.namespaced:
        meta.pop("namespace", None)
        return
    if meta.setdefault("namespace", call.target.namespace) != call.target.namespace:
        raise errors.bad_request(
            "the namespace of the provided object does not match the namespace sent on the request"
        )


def require_live_namespace(store: Store, resource: Resource, meta: Object) -> None:
    """Refuse new objects where there is no namespace, or one that is going away.

    Raises:
        ApiError: 404 or 403.
    """
    namespace = meta["namespace"]
    found = store.latest(Key("namespaces", "", namespace))
    if found is None:
        raise errors.not_found("", "namespaces", namespace)
    if not found.deleting:
        return
    why = f"unable to create new content in namespace {namespace} because it is being terminated"
    error = errors.forbidden(resource.group, resource.plural, meta.get("name", ""), why)
    assert error.details is not None  # noqa: S101 - forbidden() always sets them
    error.details["causes"] = [
        {
            "reason": "NamespaceTerminating",
            "message": f"namespace {namespace} is being terminated",
            "field": "metadata.namespace",
        }
    ]
    raise error


def _stamp(desk: Desk, resource: Resource, meta: Object) -> Key:
    for name in ("deletionTimestamp", "deletionGracePeriodSeconds", "selfLink", "generation"):
        meta.pop(name, None)
    if not meta.get("name") and (prefix := meta.get("generateName")):
        meta["name"] = generated_name(prefix)
        for _ in range(8):
            if desk.store.latest(resource.key(meta.get("namespace", ""), meta["name"])) is None:
                break
            meta["name"] = generated_name(prefix)
    meta["uid"] = str(uuid.uuid4())
    meta["creationTimestamp"] = clock.stamp()
    if resource.strategy.generation:
        meta["generation"] = 1
    return resource.key(meta.get("namespace", ""), meta.get("name", ""))


def _errors_of_new(ctx: Context, resource: Resource, obj: Object) -> list[FieldError]:
    found = validate_metadata(obj, resource.namespaced, name_rule=resource.strategy.name_errors)
    if resource.schema is not None:
        found += resource.schema.validate(obj, earlier=found)
    return found + resource.strategy.validate(ctx, obj, None)


def _refuse_invalid(resource: Resource, obj: Object, found: list[FieldError]) -> None:
    if found:
        name = obj["metadata"].get("name", "")
        raise errors.invalid(resource.group, resource.kind, name, found)


async def _keep(
    call: Call, desk: Desk, resource: Resource, key: Key, stored: Object, code: int = 200
) -> reply.Reply:
    before = desk.store.latest(key)
    _refuse_huge(call, stored, len(before.body) if before else 0)
    entry, ticket = desk.store.put(key, stored)
    resource.wrote(entry)
    await ticket
    return reply.entry(call, resource, entry, code)


def _refuse_huge(call: Call, stored: Object, bytes_before: int) -> None:
    # A JSON patch can copy: what it makes may be larger than what is sent and was there.
    if len(call.body) + bytes_before <= _MOST_STORED_BYTES and not patching.is_json_patch(call):
        return
    if len(orjson.dumps(stored)) > _MOST_STORED_BYTES:
        raise errors.too_large(f"limit is {_MOST_STORED_BYTES}")


async def update(call: Call, desk: Desk, resource: Resource) -> reply.Reply:
    """Answer a PUT, on the object or on its status."""
    admission.refuse_write_options(call)
    obj = admission.read(call, resource)
    meta, name = obj["metadata"], call.target.name
    _require_same_name(meta, name)
    _place(call, resource, meta)
    old_entry = await newest(desk.store, resource, call)
    _check_uid(resource, old_entry, meta)
    if not meta.get("resourceVersion") and not resource.strategy.unconditional_update:
        error = invalid("metadata.resourceVersion", 0, "must be specified for an update")
        raise errors.invalid(resource.group, resource.plural, name, [error])
    return await change(call, desk, resource, old_entry, obj)


async def newest(store: Store, resource: Resource, call: Call) -> Entry:
    """Return the newest entry of the object that *call* is about, durable or not.

    Raises:
        ApiError: 404.
    """
    key = resource.key(call.target.namespace, call.target.name)
    found = store.latest(key)
    if found is None:
        if (ticket := store.ticket(key)) is not None:
            await ticket
        raise errors.not_found(resource.group, resource.plural, call.target.name)
    return found


async def patch(call: Call, desk: Desk, resource: Resource) -> reply.Reply:
    """Answer a PATCH, on the object or on its status."""
    admission.refuse_write_options(call)
    patching.refuse_media_type(call, resource)
    old_entry = await newest(desk.store, resource, call)
    old = resource.load(old_entry)
    body, patched = patching.apply(call, resource, resource.load(old_entry))
    if patched.get("apiVersion") != old["apiVersion"]:
        text = f"must be {resource.api_version}"
        found = invalid("apiVersion", str(patched.get("apiVersion") or ""), text)
        raise errors.invalid(resource.group, resource.kind, call.target.name, [found])
    if patched.get("kind") != old["kind"]:
        raise admission.wrong_kind(resource, patched)
    admission.settle_patched(call, resource, patched, body)
    meta = patched["metadata"]
    _require_same_name(meta, call.target.name)
    _place(call, resource, meta)
    if meta.get("uid", old_entry.uid) != old_entry.uid:
        error = invalid("metadata.uid", meta["uid"], "field is immutable")
        raise errors.invalid(resource.group, resource.kind, call.target.name, [error])
    return await change(call, desk, resource, old_entry, patched)


def _require_same_name(meta: Object, name: str) -> None:
    if meta.setdefault("name", name) != name:
        raise errors.bad_request(
            f"the name of the object ({meta['name']}) does not match the name on the URL ({name})"
        )


async def change(
    call: Call, desk: Desk, resource: Resource, old_entry: Entry, obj: Object
) -> reply.Reply:
    """Turn the object of *old_entry* into *obj*, if that is allowed; answer with the result.

    *old_entry* is the newest one: nothing was awaited since it was looked up.
    """
    key, old = old_entry.key, resource.load(old_entry)
    _check_version(resource, old_entry, obj["metadata"])
    ctx = desk.context(call)
    objectmeta.carry_over(obj["metadata"], old["metadata"])
    resource.strategy.prepare_update(ctx, obj, old)
    _count_generation(resource, ctx, obj, old)
    obj["metadata"]["resourceVersion"] = str(old_entry.rv)
    _refuse_invalid(resource, obj, _errors_of_change(ctx, resource, obj, old))
    dry = admission.is_dry(call)
    if is_finished(resource, obj):
        if not dry:
            await desk.store.remove(key, resource.to_storage(old))[1]
        return reply.thing(call, resource, obj)
    if dry:
        return reply.thing(call, resource, obj)
    stored = resource.to_storage(obj)
    if same(stored, old_entry.load()):
        if (ticket := desk.store.ticket(key)) is not None:
            await ticket
        return reply.entry(call, resource, old_entry)
    return await _keep(call, desk, resource, key, stored)


def _check_uid(resource: Resource, old: Entry, meta: Object) -> None:
    uid = meta.get("uid", "")
    if uid and uid != old.uid:
        why = f"Precondition failed: UID in precondition: {uid}, UID in object meta: {old.uid}"
        raise errors.conflict(resource.group, resource.plural, old.key.name, why)


def _check_version(resource: Resource, old: Entry, meta: Object) -> None:
    name, version = old.key.name, meta.get("resourceVersion", "")
    if not version or version == "0":
        return
    if not version.isascii() or not version.isdigit():
        found = invalid("metadata.resourceVersion", version, "must be a decimal number")
        raise errors.invalid(resource.group, resource.kind, name, [found])
    if int(version) != old.rv:
        raise errors.conflict(resource.group, resource.plural, name, MODIFIED)


def _errors_of_change(
    ctx: Context, resource: Resource, obj: Object, old: Object
) -> list[FieldError]:
    found = objectmeta.validate_change(obj["metadata"], old["metadata"])
    if resource.schema is not None:
        status_only = ctx.subresource == "status"
        found += resource.schema.validate(obj, old, status_only=status_only, earlier=found)
    return found + resource.strategy.validate(ctx, obj, old)


def _count_generation(resource: Resource, ctx: Context, obj: Object, old: Object) -> None:
    if not resource.strategy.generation or ctx.subresource == "status":
        return
    if not same(_content(obj), _content(old)):
        obj["metadata"]["generation"] = old["metadata"].get("generation", 0) + 1


def _content(obj: Object) -> Object:
    return {name: value for name, value in obj.items() if name != "metadata"}


def same(one: Object, other: Object) -> bool:
    """Tell whether two objects are the same JSON; the order of keys does not matter."""
    order = orjson.OPT_SORT_KEYS
    return orjson.dumps(one, option=order) == orjson.dumps(other, option=order)


def is_finished(resource: Resource, obj: Object) -> bool:
    """Tell whether *obj* is being deleted and nothing holds it any more."""
    meta = obj["metadata"]
    if "deletionTimestamp" not in meta or meta.get("finalizers"):
        return False
    return not resource.strategy.holds(obj)
