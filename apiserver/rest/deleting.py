"""delete and deletecollection, and the deletion that the server itself does."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Final

from apiserver import clock, errors
from apiserver.kinds.resource import Resource
from apiserver.kinds.strategy import Context
from apiserver.rest import admission, reply, selection
from apiserver.rest.call import ANONYMOUS, Call
from apiserver.rest.media import decode, media_type
from apiserver.rest.writing import Desk, is_finished, refuse_everywhere
from apiserver.schema.errors import invalid, not_supported
from apiserver.store.records import Entry, Object
from apiserver.store.store import Ticket

ORPHAN: Final = "orphan"
FOREGROUND: Final = "foregroundDeletion"


class Policy(StrEnum):
    """What becomes of the objects that the deleted one owns."""

    DEFAULT = ""
    BACKGROUND = "Background"
    FOREGROUND = "Foreground"
    ORPHAN = "Orphan"


@dataclass(frozen=True, slots=True)
class Options:
    """`DeleteOptions`, from the body or the query."""

    policy: Policy = Policy.DEFAULT
    uid: str = ""
    version: str = ""
    dry: bool = False


def parse_options(call: Call) -> Options:
    """Return the options of a deletion.

    Raises:
        ApiError: 400 or 422.
    """
    admission.refuse_write_options(call)
    body: Any = {}
    if call.body.strip():
        body = decode(call.body, media_type(call.header(b"content-type"))).value
    if not isinstance(body, dict):
        raise errors.bad_request("the body of a deletion is a DeleteOptions object")
    if body.get("kind", "DeleteOptions") not in {"DeleteOptions", ""}:
        raise errors.bad_request("the body of a deletion is a DeleteOptions object")
    dry = body.get("dryRun") or []
    if dry not in ([], ["All"]):
        found = not_supported("dryRun", dry, ["All"])
        raise errors.invalid("meta.k8s.io", "DeleteOptions", "", [found])
    wanted = body.get("preconditions") or {}
    return Options(
        _policy(call, body),
        wanted.get("uid") or "",
        wanted.get("resourceVersion") or "",
        bool(dry) or admission.is_dry(call),
    )


def _policy(call: Call, body: Object) -> Policy:
    word = body.get("propagationPolicy") or call.query.get("propagationPolicy", "")
    orphan = body.get("orphanDependents")
    if word and orphan is not None:
        text = "orphanDependents and deletionPropagation cannot be both set"
        both = invalid("propagationPolicy", word, text)
        raise errors.invalid("meta.k8s.io", "DeleteOptions", "", [both])
    if not word and orphan is not None:
        word = Policy.ORPHAN if orphan else Policy.BACKGROUND
    if word not in set(Policy):
        allowed = ["Foreground", "Background", "Orphan", "nil"]
        found = not_supported("propagationPolicy", word, allowed)
        raise errors.invalid("meta.k8s.io", "DeleteOptions", "", [found])
    return Policy(word)


async def delete(call: Call, desk: Desk, resource: Resource) -> reply.Reply:
    """Answer a delete of one object."""
    options = parse_options(call)
    key = resource.key(call.target.namespace, call.target.name)
    entry = desk.store.latest(key)
    if entry is None:
        if (ticket := desk.store.ticket(key)) is not None:
            await ticket
        raise errors.not_found(resource.group, resource.plural, call.target.name)
    _check(resource, entry, options)
    result, ticket = remove(desk, resource, entry, options, desk.context(call))
    if ticket is not None:
        await ticket
    if result is not None:
        return reply.thing(call, resource, result)
    details = {"name": key.name, "group": resource.group, "kind": resource.plural}
    details = {name: value for name, value in details.items() if value}
    return reply.success(call, details | {"uid": entry.uid})


def _check(resource: Resource, entry: Entry, options: Options) -> None:
    pairs = (
        ("UID", options.uid, entry.uid, "deleted and then recreated"),
        ("ResourceVersion", options.version, str(entry.rv), "modified"),
    )
    for what, wanted, found, perhaps in pairs:
        if wanted and wanted != found:
            why = (
                f"the {what} in the precondition ({wanted}) does not match the {what} in record"
                f" ({found}). The object might have been {perhaps}"
            )
            raise errors.conflict(resource.group, resource.kind, entry.key.name, why)


def remove(
    desk: Desk, resource: Resource, entry: Entry, options: Options, ctx: Context | None = None
) -> tuple[Object | None, Ticket | None]:
    """Delete *entry*, the newest version of its object, or mark it as being deleted.

    Returns:
        The object where it stays for now, None where it is gone; and what to await before this
        may be acknowledged, None where nothing was written.
    """
    obj = resource.load(entry)
    ctx = ctx or Context(ANONYMOUS, desk.store, desk.escalation, clock.now())
    waiting = resource.strategy.prepare_delete(ctx, obj)
    if waiting is None:
        waiting = _marked(obj, options.policy)
    if is_finished(resource, waiting):
        if options.dry:
            return None, None
        return None, desk.store.remove(entry.key, resource.to_storage(resource.load(entry)))[1]
    if options.dry:
        return waiting, None
    if waiting == resource.load(entry):
        return waiting, desk.store.ticket(entry.key)
    kept, ticket = desk.store.put(entry.key, resource.to_storage(waiting))
    resource.wrote(kept)
    return resource.load(kept), ticket


def _marked(obj: Object, policy: Policy) -> Object:
    meta = obj["metadata"]
    finalizers = list(meta.get("finalizers") or [])
    if policy is not Policy.DEFAULT:
        finalizers = [name for name in finalizers if name not in {ORPHAN, FOREGROUND}]
    if policy is Policy.ORPHAN:
        finalizers.append(ORPHAN)
    elif policy is Policy.FOREGROUND:
        finalizers.append(FOREGROUND)
    if finalizers:
        meta["finalizers"] = finalizers
    else:
        meta.pop("finalizers", None)
    return mark(obj)


def mark(obj: Object) -> Object:
    """Set the time of deletion in *obj*, once."""
    meta = obj["metadata"]
    if "deletionTimestamp" not in meta:
        meta["deletionTimestamp"] = clock.stamp()
        meta["deletionGracePeriodSeconds"] = 0
        if meta.get("generation"):
            meta["generation"] += 1
    return obj


async def delete_collection(call: Call, desk: Desk, resource: Resource) -> reply.Reply:
    """Answer a deletecollection: delete all that is selected, answer with the list of it."""
    options = parse_options(call)
    refuse_everywhere(call, resource)
    chosen = selection.parse(call, resource)
    namespace = call.target.namespace if resource.namespaced else ""
    entries = [
        entry
        for entry in desk.store.entries(resource.storage, namespace)
        if chosen.admits(resource, entry)
    ]
    tickets: list[Ticket] = []
    for entry in entries:
        newest = desk.store.latest(entry.key)
        if newest is None:
            continue
        _, ticket = remove(desk, resource, newest, options, desk.context(call))
        if ticket is not None:
            tickets.append(ticket)
    for ticket in tickets:
        await ticket
    meta: Object = {"resourceVersion": str(desk.store.revision)}
    return reply.listing(call, resource, entries, meta)
