"""Answers: objects, lists, tables and statuses as bytes, and how they go out."""

from __future__ import annotations

import asyncio
import gzip
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterable
from contextlib import aclosing
from dataclasses import dataclass, field
from typing import Any, Final, Protocol

import orjson
import yaml

from apiserver import clock, tables
from apiserver.errors import ApiError, bad_request
from apiserver.kinds import builtin
from apiserver.kinds.resource import Resource
from apiserver.rest.call import Call
from apiserver.rest.media import JSON, YAML, Form, Shape, negotiate
from apiserver.store.records import Entry, Object

GZIP_FROM_BYTES: Final = 128 * 1024
"""Smaller answers are not worth the time."""

Headers = list[tuple[bytes, bytes]]


class Send(Protocol):
    """ASGI's way to send."""

    async def __call__(self, message: Any, /) -> None:
        """Send one ASGI message."""


Receive = Callable[[], Awaitable[Any]]
"""ASGI's way to receive."""


@dataclass(slots=True)
class Reply:
    """A whole answer."""

    body: bytes
    code: int = 200
    content_type: str = JSON
    headers: Headers = field(default_factory=list)

    async def send(self, call: Call, send: Send, _receive: Receive) -> None:
        """Send it, compressed where the client wants that and it pays."""
        body, headers = self.body, _headers(self.content_type, call) + self.headers
        if len(body) > GZIP_FROM_BYTES and "gzip" in call.header(b"accept-encoding"):
            body = await asyncio.to_thread(gzip.compress, body, 1)
            headers += [(b"content-encoding", b"gzip"), (b"vary", b"Accept-Encoding")]
        headers.append((b"content-length", str(len(body)).encode()))
        await send({"type": "http.response.start", "status": self.code, "headers": headers})
        sent = b"" if call.method == "HEAD" else body
        await send({"type": "http.response.body", "body": sent})


@dataclass(slots=True)
class Stream:
    """An answer that comes in pieces, each sent at once."""

    pieces: AsyncGenerator[bytes, None]
    close: Callable[[], None]
    """Makes `pieces` end soon; called when the client is gone."""
    content_type: str = JSON

    async def send(self, call: Call, send: Send, receive: Receive) -> None:
        """Send the pieces until there are no more, or the client is gone."""
        headers = _headers(self.content_type, call)
        async with aclosing(self.pieces), asyncio.TaskGroup() as tasks:
            await send({"type": "http.response.start", "status": 200, "headers": headers})
            listener = tasks.create_task(self._until_gone(receive))
            async for piece in self.pieces:
                await send({"type": "http.response.body", "body": piece, "more_body": True})
            listener.cancel()
        await send({"type": "http.response.body", "body": b""})

    async def _until_gone(self, receive: Receive) -> None:
        while (await receive())["type"] != "http.disconnect":
            pass
        self.close()


def _headers(content_type: str, call: Call) -> Headers:
    headers = [
        (b"content-type", content_type.encode()),
        (b"cache-control", b"no-cache, private"),
    ]
    headers += [(b"warning", _warning(text)) for text in dict.fromkeys(call.warnings)]
    return headers


def _warning(text: str) -> bytes:
    safe = "".join(char if char.isprintable() else " " for char in text)
    quoted = safe.replace("\\", "\\\\").replace('"', '\\"')
    return f'299 - "{quoted}"'.encode()


def failure(error: ApiError) -> Reply:
    """Return *error* as an answer."""
    if error.plain:
        return plain(error.plain, error.code)
    headers: Headers = []
    if error.retry_after_seconds:
        headers.append((b"retry-after", str(error.retry_after_seconds).encode()))
    return Reply(orjson.dumps(error.status()), error.code, JSON, headers)


def plain(text: str, code: int = 200) -> Reply:
    """Return a text as an answer."""
    return Reply(text.encode(), code, "text/plain; charset=utf-8")


def document(call: Call, value: Any, code: int = 200) -> Reply:
    """Return a value that is no stored object, as JSON or YAML."""
    return _encoded(value, negotiate(call.header(b"accept"), shapes=False), code)


def _encoded(value: Any, form: Form, code: int = 200) -> Reply:
    if form.yaml:
        text = yaml.dump(value, Dumper=yaml.CSafeDumper, sort_keys=True, allow_unicode=True)
        return Reply(text.encode(), code, YAML)
    return Reply(orjson.dumps(value), code)


def entry(call: Call, resource: Resource, found: Entry, code: int = 200) -> Reply:
    """Return a stored object as an answer, in the form that the client wants."""
    form = negotiate(call.header(b"accept"))
    if form.shape is Shape.OBJECT and not form.yaml:
        return Reply(resource.encode(found), code)
    return thing(call, resource, resource.load(found), code)


def thing(call: Call, resource: Resource, obj: Object, code: int = 200) -> Reply:
    """Return an object as an answer, in the form that the client wants."""
    form = negotiate(call.header(b"accept"))
    return _encoded(shaped(call, resource, form, obj), form, code)


def shaped(call: Call, resource: Resource, form: Form, obj: Object) -> Object:
    """Return *obj* as the form wants it: whole, a table of one row, or its metadata."""
    if form.shape is Shape.TABLE:
        return table(call, resource, [obj], {"resourceVersion": _version(obj)}, form)
    if form.shape is Shape.OBJECT:
        return obj
    return _partial(obj, form)


def _version(obj: Object) -> str:
    return str(obj.get("metadata", {}).get("resourceVersion", ""))


def _partial(obj: Object, form: Form) -> Object:
    return {
        "kind": "PartialObjectMetadata",
        "apiVersion": f"meta.k8s.io/{form.version}",
        "metadata": obj["metadata"],
    }


def table(
    call: Call, resource: Resource, objects: list[Object], meta: Object, form: Form
) -> Object:
    """Return *objects* as a table with *meta* as the list's metadata."""
    include = call.query.get("includeObject", "") or "Metadata"
    if not resource.custom:
        objects = [builtin.printable(obj) for obj in objects]
    try:
        made = tables.table(resource.columns, objects, clock.now(), include)
    except tables.IncludeError as exc:
        raise bad_request(str(exc)) from exc
    for row in made["rows"]:
        (row.get("object") or {}).pop("_print", None)
    return {
        "kind": "Table",
        "apiVersion": f"meta.k8s.io/{form.version}",
        "metadata": meta,
        "columnDefinitions": made["columnDefinitions"],
        "rows": made["rows"],
    }


def listing(call: Call, resource: Resource, found: Iterable[Entry], meta: Object) -> Reply:
    """Return entries as a list, in the form that the client wants."""
    form = negotiate(call.header(b"accept"))
    if form.shape is Shape.OBJECT and not form.yaml:
        head = {"kind": resource.list_kind, "apiVersion": resource.api_version, "metadata": meta}
        items = b",".join(map(resource.encode, found))
        return Reply(orjson.dumps(head)[:-1] + b',"items":[' + items + b"]}")
    objects = [resource.load(item) for item in found]
    if form.shape is Shape.TABLE:
        return _encoded(table(call, resource, objects, meta, form), form)
    kind, api_version = resource.list_kind, resource.api_version
    if form.shape is not Shape.OBJECT:
        objects = [_partial(obj, form) for obj in objects]
        kind, api_version = "PartialObjectMetadataList", f"meta.k8s.io/{form.version}"
    value = {"kind": kind, "apiVersion": api_version, "metadata": meta, "items": objects}
    return _encoded(value, form)


def success(call: Call, details: Object, message: str = "") -> Reply:
    """Return the `Status` of a success."""
    body: Object = {"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success"}
    if message:
        body["message"] = message
    body["details"] = details
    return document(call, body)
