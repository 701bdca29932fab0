"""`/openapi/v3`: the index and one document for each group-version, kept until they change."""

from __future__ import annotations

import hashlib

import orjson

from apiserver import errors
from apiserver.kinds.registry import Registry
from apiserver.openapi import legacy
from apiserver.openapi.documents import build
from apiserver.rest.call import Call
from apiserver.rest.reply import Reply


class Documents:
    """Answers below `/openapi/v3`."""

    def __init__(self, registry: Registry) -> None:
        self._registry = registry
        self._generation = -1
        self._documents: dict[str, bytes] = {}

    def answer(self, call: Call, path: str) -> Reply:
        """Answer for one document, or for the index where *path* is empty."""
        self._refresh()
        if not path:
            return self._index()
        body = self._documents.get(path)
        if body is None:
            raise errors.no_such_resource()
        tag = _tag(body)
        headers = [(b"etag", f'"{tag}"'.encode())]
        if call.header(b"if-none-match").strip('"') == tag:
            return Reply(b"", 304, headers=headers)
        return Reply(body, headers=headers)

    def answer_legacy(self, call: Call) -> Reply:
        """Answer for `/openapi/v2`."""
        if legacy.ASKED_PROTOBUF in call.header(b"accept"):
            return Reply(legacy.as_protobuf(), content_type=legacy.PROTOBUF)
        return Reply(legacy.as_json())

    def _index(self) -> Reply:
        paths = {
            path: {"serverRelativeURL": f"/openapi/v3/{path}?hash={_tag(body)}"}
            for path, body in self._documents.items()
        }
        return Reply(orjson.dumps({"paths": paths}))

    def _refresh(self) -> None:
        if self._generation == self._registry.generation:
            return
        self._generation = self._registry.generation
        built = build(self._registry.all())
        self._documents = {path: orjson.dumps(found) for path, found in built.items()}


def _tag(body: bytes) -> str:
    return hashlib.sha256(body).hexdigest().upper()
