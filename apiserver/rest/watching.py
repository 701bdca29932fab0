"""watch: changes as they happen, one JSON line each."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncGenerator, Iterable
from typing import Final

import orjson

from apiserver import errors
from apiserver.errors import ApiError
from apiserver.kinds.resource import Resource
from apiserver.rest import reply, selection
from apiserver.rest.call import Call
from apiserver.rest.media import Form, Shape, negotiate
from apiserver.rest.reading import check_version, parse_version, refuse_options
from apiserver.rest.selection import Selection
from apiserver.store.history import Subscription
from apiserver.store.records import Change, ChangeType, Entry, ExpiredError, Object
from apiserver.store.store import Store

BOOKMARK_SECONDS: Final = 40.0
"""How long a watch stays silent; kopf gives up after 70 seconds."""

_SHORTEST_SECONDS: Final = 1800.0
"""A watch without `timeoutSeconds` ends after this to twice this."""

_CHUNK: Final = 200
"""Initial events sent as one piece."""


class Watch:
    """One client's watch."""

    def __init__(self, call: Call, store: Store, resource: Resource) -> None:
        self._call = call
        self._store = store
        self._resource = resource
        self._chosen: Selection = selection.parse(call, resource)
        self._form: Form = negotiate(call.header(b"accept"))
        refuse_options(call, watching=True)
        self._rv = parse_version(call.query.get("resourceVersion", "")) or 0
        self._initial = call.flag("sendInitialEvents")
        if self._initial:
            check_version(store, self._rv)
        self._bookmarks = call.flag("allowWatchBookmarks")
        seconds = call.number("timeoutSeconds") or 0
        self._seconds = seconds or _SHORTEST_SECONDS * (1 + random.random())  # noqa: S311 - jitter
        self._subscription: Subscription | None = None
        self._gone = False

    def stream(self) -> reply.Stream:
        """Return the answer."""
        return reply.Stream(self._pieces(), self._close)

    def _close(self) -> None:
        self._gone = True
        if self._subscription is not None:
            self._subscription.end()

    async def _pieces(self) -> AsyncGenerator[bytes, None]:
        resource, target = self._resource, self._call.target
        namespace = target.namespace if resource.namespaced else ""
        subscription = self._store.subscribe(resource.storage, namespace, target.name)
        # Nothing is awaited in between: these are the objects at the subscription's start.
        present = self._store.entries(resource.storage, namespace) if self._wants_state else []
        self._subscription = subscription
        try:
            async for piece in self._begin(subscription, present):
                yield piece
            async for piece in self._follow(subscription):
                yield piece
        except ApiError as error:
            yield _line("ERROR", orjson.dumps(error.status()))
        finally:
            self._store.unsubscribe(resource.storage, subscription)

    @property
    def _wants_state(self) -> bool:
        return self._initial or (not self._rv and "sendInitialEvents" not in self._call.query)

    async def _begin(
        self, subscription: Subscription, present: list[Entry]
    ) -> AsyncGenerator[bytes, None]:
        if self._wants_state:
            wanted = [entry for entry in present if subscription.wants(entry.key)]
            for piece in self._present(wanted):
                yield piece
            if self._initial and self._bookmarks:
                yield self._bookmark(subscription.start, initial_end=True)
            self._rv = 0
        elif self._rv and self._rv < subscription.start:
            for change in await self._missed(subscription):
                if line := self._event(change):
                    yield line

    def _present(self, entries: list[Entry]) -> Iterable[bytes]:
        lines: list[bytes] = []
        for entry in entries:
            if self._admits(entry):
                lines.append(self._encoded("ADDED", entry))
            if len(lines) >= _CHUNK:
                yield b"".join(lines)
                lines.clear()
        yield b"".join(lines)

    async def _missed(self, subscription: Subscription) -> list[Change]:
        resource = self._resource.storage
        try:
            return await self._store.changes_before(resource, subscription, self._rv)
        except ExpiredError as exc:
            text = errors.EXPIRED_TEXT.format(rv=self._rv, oldest=self._store.compacted)
            raise errors.expired(text) from exc

    async def _follow(self, subscription: Subscription) -> AsyncGenerator[bytes, None]:
        clock = asyncio.get_running_loop().time
        deadline, quiet_until = clock() + self._seconds, clock() + BOOKMARK_SECONDS
        while True:
            left = deadline - clock()
            if left <= 0:
                if self._bookmarks:
                    yield self._bookmark(self._store.revision)
                return
            pause = min(left, max(quiet_until - clock(), 0.0)) if self._bookmarks else left
            await subscription.wait(pause)
            changes = subscription.drain()
            if lines := [line for change in changes if (line := self._event(change))]:
                yield b"".join(lines)
            if subscription.ended or self._gone:
                return
            if self._bookmarks and clock() >= quiet_until:
                yield self._bookmark(self._store.revision)
                quiet_until = clock() + BOOKMARK_SECONDS

    def _admits(self, entry: Entry) -> bool:
        return self._chosen.everything or self._chosen.admits(self._resource, entry)

    def _event(self, change: Change) -> bytes:
        if change.rv <= self._rv:
            return b""
        kind: str = change.type
        if not self._chosen.everything:
            before = change.previous is not None and self._admits(change.previous)
            after = change.type is not ChangeType.DELETED and self._admits(change.entry)
            if not before and not after:
                return b""
            kind = "MODIFIED" if before and after else "ADDED" if after else "DELETED"
            if kind == "DELETED" and change.previous is not None:
                return self._left(change.previous, change.rv)
        if kind != change.type or self._form.shape is not Shape.OBJECT:
            return self._encoded(kind, change.entry)
        line = change.lines.get(self._resource.view)
        if line is None:
            line = self._encoded(kind, change.entry)
            change.lines[self._resource.view] = line
        return line

    def _left(self, previous: Entry, rv: int) -> bytes:
        # The object may live on, but for this watcher it is gone, as he last saw it.
        obj = self._resource.load(previous)
        obj["metadata"]["resourceVersion"] = str(rv)
        return self._shaped("DELETED", obj)

    def _encoded(self, kind: str, entry: Entry) -> bytes:
        if self._form.shape is Shape.OBJECT:
            return _line(kind, self._resource.encode(entry))
        return self._shaped(kind, self._resource.load(entry))

    def _shaped(self, kind: str, obj: Object) -> bytes:
        shaped = reply.shaped(self._call, self._resource, self._form, obj)
        return _line(kind, orjson.dumps(shaped))

    def _bookmark(self, rv: int, *, initial_end: bool = False) -> bytes:
        meta: Object = {"resourceVersion": str(rv)}
        if initial_end:
            meta["annotations"] = {"k8s.io/initial-events-end": "true"}
        resource = self._resource
        obj: Object = {
            "kind": resource.kind,
            "apiVersion": resource.api_version,
            "metadata": meta,
        }
        return self._shaped("BOOKMARK", obj)


def _line(kind: str, body: bytes) -> bytes:
    return b'{"type":"%b","object":%b}\n' % (kind.encode(), body)
