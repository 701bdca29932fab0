"""get and list."""

from __future__ import annotations

import base64
import binascii
from dataclasses import dataclass
from typing import Final

import orjson

from apiserver import errors
from apiserver.kinds.resource import Resource
from apiserver.rest import reply, selection
from apiserver.rest.call import Call
from apiserver.rest.media import Shape, negotiate
from apiserver.rest.selection import Selection
from apiserver.schema.errors import FieldError, forbidden, not_supported
from apiserver.store.records import Entry, ExpiredError, Object
from apiserver.store.store import Store

_TOKEN_VERSION: Final = "meta.k8s.io/v1"  # noqa: S105 - the version of a format, no secret

_INCONSISTENT: Final = (
    "The provided continue parameter is too old to display a consistent list result. You can start"
    " a new list without the continue parameter, or use the continue token in this response to"
    " retrieve the remainder of the results. Continuing with the provided token results in an"
    " inconsistent list - objects that were created, modified, or deleted between the time the"
    " first chunk was returned and now may show up in the list."
)


def check_version(store: Store, asked: int) -> None:
    """Refuse a resource version that does not exist yet.

    Raises:
        ApiError: 504.
    """
    if asked > store.revision:
        raise errors.future_version(asked, store.revision)


def parse_version(text: str) -> int | None:
    """Return a resourceVersion parameter as a number; None where it is unset.

    Raises:
        ApiError: 400, it is none.
    """
    if not text:
        return None
    if not text.isascii() or not text.isdigit():
        raise errors.bad_request(
            f'invalid resource version: resourceVersion: Invalid value: "{text}":'
            f' strconv.ParseUint: parsing "{text}": invalid syntax'
        )
    return int(text)


def find(store: Store, resource: Resource, namespace: str, name: str) -> Entry:
    """Return the current entry of an object.

    Raises:
        ApiError: 404.
    """
    found = store.get(resource.key(namespace, name))
    if found is None:
        raise errors.not_found(resource.group, resource.plural, name)
    return found


def get(call: Call, store: Store, resource: Resource) -> reply.Reply:
    """Answer a get."""
    check_version(store, parse_version(call.query.get("resourceVersion", "")) or 0)
    found = find(store, resource, call.target.namespace, call.target.name)
    return reply.entry(call, resource, found)


@dataclass(frozen=True, slots=True)
class Page:
    """What part of which version a list shows."""

    limit: int
    at: int | None
    """Version to be shown; None for the newest."""
    after: str
    """`namespace/name` that the page begins behind; empty for the start."""


def list_options_errors(call: Call, *, watching: bool) -> list[FieldError]:
    """Return what is wrong with the parameters of a list or a watch."""
    version = call.query.get("resourceVersion", "")
    match = call.query.get("resourceVersionMatch", "")
    found: list[FieldError] = []
    if match:
        at = "resourceVersionMatch"
        if watching and "sendInitialEvents" not in call.query:
            text = (
                "resourceVersionMatch is forbidden for watch unless sendInitialEvents is provided"
            )
            found.append(forbidden(at, text))
        elif not watching and not version:
            text = "resourceVersionMatch is forbidden unless resourceVersion is provided"
            found.append(forbidden(at, text))
        if call.query.get("continue"):
            text = "resourceVersionMatch is forbidden when continue is provided"
            found.append(forbidden(at, text))
        if match not in {"Exact", "NotOlderThan"}:
            found.append(not_supported(at, match, ["Exact", "NotOlderThan", ""]))
        if match == "Exact" and version == "0":
            text = 'resourceVersionMatch "exact" is forbidden for resourceVersion "0"'
            found.append(forbidden(at, text))
    return found + _initial_events_errors(call, match, watching=watching)


def _initial_events_errors(call: Call, match: str, *, watching: bool) -> list[FieldError]:
    if "sendInitialEvents" not in call.query:
        return []
    at = "sendInitialEvents"
    if not watching:
        return [forbidden(at, "sendInitialEvents is forbidden for list")]
    if match != "NotOlderThan":
        text = "sendInitialEvents requires setting resourceVersionMatch to NotOlderThan"
        return [forbidden("resourceVersionMatch", text)]
    return []


def refuse_options(call: Call, *, watching: bool) -> None:
    """Refuse parameters that do not go together.

    Raises:
        ApiError: 422.
    """
    if found := list_options_errors(call, watching=watching):
        raise errors.invalid("meta.k8s.io", "ListOptions", "", found)


def _page(call: Call, store: Store) -> Page:
    limit = call.number("limit") or 0
    if token := call.query.get("continue", ""):
        return _continued(call, token, limit)
    version = parse_version(call.query.get("resourceVersion", ""))
    check_version(store, version or 0)
    match = call.query.get("resourceVersionMatch", "")
    exact = match == "Exact" or (not match and bool(version) and limit > 0)
    if version == 0 and not match:
        limit = 0  # as the watch cache of Kubernetes does
    return Page(limit, version if exact else None, "")


def _continued(call: Call, token: str, limit: int) -> Page:
    if call.query.get("resourceVersion", "") not in ("", "0"):
        raise errors.bad_request("specifying resource version is not allowed when using continue")
    try:
        raw = base64.urlsafe_b64decode(token + "=" * (-len(token) % 4))
        found = orjson.loads(raw)
        version, after = int(found["rv"]), str(found["start"])
    except (binascii.Error, ValueError, KeyError, TypeError) as exc:
        raise errors.bad_request("invalid continue token: continue key is not valid") from exc
    if found.get("v") != _TOKEN_VERSION or version == 0 or "/" not in after:
        raise errors.bad_request("invalid continue token: continue key is not valid")
    return Page(limit, version if version > 0 else None, after)


def _token(rv: int, after: str) -> str:
    raw = orjson.dumps({"v": _TOKEN_VERSION, "rv": rv, "start": after})
    return base64.urlsafe_b64encode(raw).decode().rstrip("=")


async def list_objects(call: Call, store: Store, resource: Resource) -> reply.Reply:
    """Answer a list."""
    refuse_options(call, watching=False)
    chosen = selection.parse(call, resource)
    page = _page(call, store)
    rv = page.at or store.revision
    entries = await _entries(call, store, resource, page)
    meta: Object = {"resourceVersion": str(rv)}
    if resource.custom and negotiate(call.header(b"accept")).shape is Shape.OBJECT:
        meta["continue"] = ""  # as Kubernetes' lists without a type have it
    if page.after:
        position = tuple(page.after.split("/", 1))
        entries = [item for item in entries if (item.key.namespace, item.key.name) > position]
    found = _cut(resource, chosen, entries, page, meta, rv)
    return reply.listing(call, resource, found, meta)


async def _entries(call: Call, store: Store, resource: Resource, page: Page) -> list[Entry]:
    namespace = call.target.namespace if resource.namespaced else ""
    if page.at is None or page.at == store.revision:
        return store.entries(resource.storage, namespace)
    try:
        return await store.list_at(resource.storage, namespace, page.at)
    except ExpiredError as exc:
        if not page.after:
            text = errors.EXPIRED_TEXT.format(rv=page.at, oldest=store.compacted)
            raise errors.expired(text) from exc
        error = errors.expired(_INCONSISTENT)
        error.continue_token = _token(-1, page.after)
        raise error from exc


def _cut(
    resource: Resource, chosen: Selection, entries: list[Entry], page: Page, meta: Object, rv: int
) -> list[Entry]:
    if not page.limit or len(entries) <= page.limit:
        return entries if chosen.everything else _filtered(resource, chosen, entries)
    found: list[Entry] = []
    for index, item in enumerate(entries):
        if chosen.everything or chosen.admits(resource, item):
            found.append(item)
        if len(found) == page.limit and index + 1 < len(entries):
            meta["continue"] = _token(rv, f"{item.key.namespace}/{item.key.name}")
            if chosen.everything:
                meta["remainingItemCount"] = len(entries) - index - 1
            break
    return found


def _filtered(resource: Resource, chosen: Selection, entries: list[Entry]) -> list[Entry]:
    return [item for item in entries if chosen.admits(resource, item)]
