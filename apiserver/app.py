"""The ASGI application: takes a request apart, finds out who asks, lets the right verb answer."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from typing import Any, Final

from apiserver import errors, status_pages
from apiserver.auth import tokenrequest
from apiserver.auth.authenticator import Authenticator
from apiserver.auth.impersonation import impersonated
from apiserver.auth.jwts import ServiceAccountTokens
from apiserver.auth.rbac import Authorizer, denial
from apiserver.auth.reviews import Reviews
from apiserver.auth.rules import Attributes
from apiserver.errors import ApiError
from apiserver.kinds.resource import Resource
from apiserver.rest import deleting, reading, reply, scaling, writing
from apiserver.rest.call import Call, Target, parse_query, parse_target
from apiserver.rest.discovery import Discovery
from apiserver.rest.reply import Receive, Reply, Send, Stream
from apiserver.rest.watching import Watch
from apiserver.rest.writing import Desk
from apiserver.schema_documents import Documents
from apiserver.store.records import StoreError

logger = logging.getLogger(__name__)

MOST_BODY_BYTES: Final = 3 << 20

_PUBLIC: Final = frozenset({"/healthz", "/livez", "/readyz", "/version"})
_WITH_BODY: Final = frozenset({"POST", "PUT", "PATCH", "DELETE"})


@dataclass(frozen=True, slots=True)
class Parts:
    """What the application is put together from."""

    desk: Desk
    authenticator: Authenticator
    authorizer: Authorizer
    tokens: ServiceAccountTokens
    discovery: Discovery
    reviews: Reviews
    documents: Documents


class Application:
    """Serves the API."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts

    async def __call__(self, scope: dict[str, Any], receive: Receive, send: Send) -> None:
        """Answer one request; ASGI calls this."""
        if scope["type"] != "http":
            return
        query = parse_query(scope["query_string"])
        target = parse_target(scope["method"], scope["raw_path"], query)
        call = Call(scope["method"], target, query, dict(scope["headers"]))
        answer = await self._safely(call, scope, receive)
        await answer.send(call, send, receive)

    async def _safely(self, call: Call, scope: dict[str, Any], receive: Receive) -> Reply | Stream:
        try:
            self._admit(call, scope["headers"])
            if call.method in _WITH_BODY:
                call.body = await _read_body(call, receive)
            if call.target.is_resource:
                return await self._resource(call)
            return self._page(call)
        except ApiError as error:
            return reply.failure(error)
        except StoreError as error:
            return reply.failure(errors.internal(str(error)))
        except RecursionError:
            return reply.failure(errors.bad_request("the object is nested too deeply"))
        except Exception:  # the one place where a defect becomes an answer
            logger.exception("a request failed", extra={"key": call.target.path})
            return reply.failure(errors.internal("the API server has a defect; see its log"))

    def _admit(self, call: Call, headers: list[tuple[bytes, bytes]]) -> None:
        target = call.target
        user = self._parts.authenticator.user(call.header(b"authorization"))
        if user is None:
            if target.path.rstrip("/") in _PUBLIC and call.method in {"GET", "HEAD"}:
                return
            raise errors.unauthorized()
        user = call.user = impersonated(user, headers, self._parts.authorizer)
        if user.is_master:
            return
        wanted = _attributes(target, call.method)
        if self._parts.authorizer.allows(user, wanted):
            return
        why = denial(user, wanted)
        if not target.is_resource:
            raise errors.forbidden_path(why)
        raise errors.forbidden(target.group, target.plural, target.name, why)

    async def _resource(self, call: Call) -> Reply | Stream:
        target, parts = call.target, self._parts
        resource = parts.desk.registry.find(target.group, target.version, target.plural)
        if resource is None or (target.namespace and not _fits(resource, target)):
            raise errors.no_such_resource(plain=not parts.desk.registry.is_builtin(target.group))
        if resource.deprecated:
            call.warnings.append(resource.deprecated)
        if parts.reviews.answers(resource) and call.method == "POST" and not target.name:
            return parts.reviews.review(call, resource)
        if target.subresource:
            return await self._subresource(call, resource)
        if call.method in {"PUT", "PATCH"} and not target.name:
            raise errors.bad_request("name must be provided")
        if target.verb not in resource.verbs:
            raise errors.method_not_allowed()
        return await self._verb(call, resource)

    async def _subresource(self, call: Call, resource: Resource) -> Reply | Stream:
        name, desk = call.target.subresource, self._parts.desk
        if name not in resource.subresources:
            raise errors.not_found(resource.group, resource.plural, call.target.name)
        match name, call.method:
            case "token", "POST":
                return tokenrequest.answer(call, desk.store, self._parts.tokens)
            case "scale", "GET" | "PUT" | "PATCH":
                return await scaling.answer(call, desk, resource)
            case "status", "GET" | "HEAD":
                return reading.get(call, desk.store, resource)
            case "status", "PATCH":
                return await writing.patch(call, desk, resource)
            case "status" | "finalize", "PUT":
                return await writing.update(call, desk, resource)
            case _:
                raise errors.method_not_allowed()

    async def _verb(self, call: Call, resource: Resource) -> Reply | Stream:
        desk = self._parts.desk
        match call.target.verb:
            case "get":
                return reading.get(call, desk.store, resource)
            case "list":
                return await reading.list_objects(call, desk.store, resource)
            case "watch":
                return Watch(call, desk.store, resource).stream()
            case "create" if not call.target.name:
                return await writing.create(call, desk, resource)
            case "update" if call.target.name:
                return await writing.update(call, desk, resource)
            case "patch" if call.target.name:
                return await writing.patch(call, desk, resource)
            case "delete":
                return await deleting.delete(call, desk, resource)
            case "deletecollection":
                return await deleting.delete_collection(call, desk, resource)
            case _:
                raise errors.method_not_allowed()

    def _page(self, call: Call) -> Reply:
        if call.method not in {"GET", "HEAD"}:
            raise errors.method_not_allowed()
        parts = [part for part in call.target.path.split("/") if part]
        discovery = self._parts.discovery
        match parts:
            case ["api"] | ["apis"]:
                return discovery.root(call, f"/{parts[0]}")
            case ["api", version]:
                return discovery.group_version(call, "", version)
            case ["apis", group]:
                return discovery.group(call, group)
            case ["apis", group, version]:
                return discovery.group_version(call, group, version)
            case ["openapi", "v2"]:
                return self._parts.documents.answer_legacy(call)
            case ["openapi", "v3", *rest]:
                return self._parts.documents.answer(call, "/".join(rest))
            case _:
                return status_pages.answer(call, parts, self._parts.desk.registry)


def _fits(resource: Resource, target: Target) -> bool:
    return resource.namespaced or target.plural == "namespaces"


def _attributes(target: Target, method: str) -> Attributes:
    if not target.is_resource:
        return Attributes(method.lower(), path=target.path)
    return Attributes(
        target.verb,
        target.group,
        target.plural,
        target.subresource,
        target.name,
        target.namespace,
    )


async def _read_body(call: Call, receive: Receive) -> bytes:
    length = call.header(b"content-length")
    if length.isdigit() and int(length) > MOST_BODY_BYTES:
        raise errors.too_large(f"limit is {MOST_BODY_BYTES}")
    pieces: list[bytes] = []
    size = 0
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise errors.bad_request("the client went away")
        piece = message.get("body", b"")
        size += len(piece)
        if size > MOST_BODY_BYTES:
            raise errors.too_large(f"limit is {MOST_BODY_BYTES}")
        pieces.append(piece)
        if not message.get("more_body", False):
            return b"".join(pieces)
