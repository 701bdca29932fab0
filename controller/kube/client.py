"""The wrapper of ``kubernetes.aio``: plain dicts, one pool, bounded in rate and time.

The package brings TLS, credentials and connections. Its model objects are not used: they cost more
than the requests. Errors: ``controller.kube.errors``.
"""

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final
from urllib.parse import quote, urlencode

import aiohttp
import orjson
from kubernetes.aio.client.rest import RESTClientObject

from controller.kube.access import Access
from controller.kube.errors import Conflict, NotFound, Unavailable, from_status
from controller.kube.throttle import Bucket
from schemas.names import FIELD_MANAGER, Resource

logger = logging.getLogger(__name__)

Manifest = dict[str, Any]
"""An object as the API server speaks of it."""

_RATE_PER_SECOND: Final = 200.0
_BURST: Final = 400.0
# 100 pods at once are 100 x (finalizer, placement, running) = 300 writes: they pass without
# waiting; a writer gone mad is held to 200 requests a second, which a small API server bears.

_MERGE_PATCH: Final = "application/merge-patch+json"
_JSON: Final = "application/json"
_ATTEMPTS: Final = 4
_PATIENCE_SECONDS: Final = 30.0
"""The longest Retry-After that is waited for; a longer one is the caller's to bear."""


@dataclass(frozen=True, slots=True)
class User:
    """Who a token belongs to, as the API server says."""

    name: str
    uid: str
    groups: tuple[str, ...]
    extra: Mapping[str, Sequence[str]]


class Kube:
    """A client of one API server. Namespace ``""`` stands for cluster-scoped objects."""

    def __init__(
        self,
        access: Access,
        *,
        field_manager: str = FIELD_MANAGER,
        timeout_seconds: float = 30.0,
        bucket: Bucket | None = None,
    ) -> None:
        self._access = access
        self._field_manager = field_manager
        self._timeout = aiohttp.ClientTimeout(total=timeout_seconds, sock_connect=5)
        self._bucket = bucket or Bucket(_RATE_PER_SECOND, _BURST)
        self._rest: Any = RESTClientObject(access.configuration)  # Any: its methods are untyped
        self._retired: list[Any] = []

    @classmethod
    @contextlib.asynccontextmanager
    async def open(
        cls, kubeconfig: Path | None, *, field_manager: str = FIELD_MANAGER
    ) -> AsyncIterator["Kube"]:
        """Give a client for *kubeconfig* (None: from inside a cluster) and close it afterwards.

        Raises:
            Misconfigured: The kubeconfig cannot be used. Nothing is sent yet.
        """
        access = Access(kubeconfig)
        await access.load()
        kube = cls(access, field_manager=field_manager)
        try:
            yield kube
        finally:
            await kube.close()

    @property
    def access(self) -> Access:
        """Where the API server is and how we prove who we are."""
        return self._access

    async def close(self) -> None:
        """Close every connection."""
        for rest in (self._rest, *self._retired):
            await rest.close()

    async def get(self, resource: Resource, namespace: str, name: str) -> Manifest:
        """Return the object.

        Raises:
            NotFound: There is none.
        """
        return await self._call("GET", _path(resource, namespace, name))

    async def create(self, resource: Resource, namespace: str, manifest: Manifest) -> Manifest:
        """Create the object and return it as it is stored.

        Raises:
            AlreadyExists: One of that name is there.
        """
        return await self._call("POST", _path(resource, namespace), body=manifest, managed=True)

    async def patch(  # noqa: PLR0913 - the address of what is patched
        self,
        resource: Resource,
        namespace: str,
        name: str,
        patch: Manifest,
        *,
        subresource: str = "",
    ) -> Manifest:
        """Merge *patch* into the object (RFC 7386) and return the result.

        ``metadata.resourceVersion`` in the patch makes it a compare-and-swap.

        Raises:
            NotFound: There is no such object.
            Conflict: It changed since that resourceVersion.
        """
        path = _path(resource, namespace, name, subresource)
        return await self._call("PATCH", path, body=patch, content=_MERGE_PATCH, managed=True)

    async def delete(self, resource: Resource, namespace: str, name: str, *, uid: str = "") -> None:
        """Delete the object; its dependents follow in the background.

        With *uid* only the object of that uid: another one of its name stays. One that is not
        there (any more) is fine.
        """
        options: Manifest = {"propagationPolicy": "Background"}
        if uid:
            options["preconditions"] = {"uid": uid}
        try:
            await self._call("DELETE", _path(resource, namespace, name), body=options)
        except NotFound:
            return
        except Conflict:
            if not uid:
                raise

    async def pages(
        self, resource: Resource, namespace: str = "", *, limit: int = 500, labels: str = ""
    ) -> AsyncIterator[list[Manifest]]:
        """Give all objects page by page: of one namespace, or with ``""`` of all.

        *labels* is a label selector. All pages are of one moment.
        """
        query: dict[str, str] = {"limit": str(limit)}
        if labels:
            query["labelSelector"] = labels
        while True:
            answer = await self._call("GET", _path(resource, namespace), query=query)
            for item in answer.get("items") or ():
                item.setdefault("apiVersion", resource.api_version)
                item.setdefault("kind", resource.kind)
            yield answer.get("items") or []
            token = (answer.get("metadata") or {}).get("continue")
            if not token:
                return
            query["continue"] = token

    async def review_token(self, token: str, audiences: Sequence[str] = ()) -> User | None:
        """Return whose *token* it is, or None if the API server does not accept it."""
        spec: Manifest = {"token": token}
        if audiences:
            spec["audiences"] = list(audiences)
        answer = await self._review("authentication.k8s.io/v1", "TokenReview", spec)
        if not answer.get("authenticated"):
            return None
        if audiences and not set(audiences) & set(answer.get("audiences") or ()):
            return None
        user = answer.get("user") or {}
        return User(
            name=str(user.get("username") or ""),
            uid=str(user.get("uid") or ""),
            groups=tuple(user.get("groups") or ()),
            extra=user.get("extra") or {},
        )

    async def may(  # noqa: PLR0913 - the attributes of a question about access, by name
        self,
        user: User,
        *,
        verb: str,
        group: str,
        resource: str,
        subresource: str,
        namespace: str,
        name: str,
    ) -> tuple[bool, str]:
        """Return whether *user* may do it, and the API server's reason."""
        attributes = {
            "verb": verb,
            "group": group,
            "resource": resource,
            "subresource": subresource,
            "namespace": namespace,
            "name": name,
        }
        spec: Manifest = {
            "user": user.name,
            "uid": user.uid,
            "groups": list(user.groups),
            "extra": {key: list(values) for key, values in user.extra.items()},
            "resourceAttributes": {key: value for key, value in attributes.items() if value},
        }
        answer = await self._review("authorization.k8s.io/v1", "SubjectAccessReview", spec)
        allowed = bool(answer.get("allowed")) and not answer.get("denied")
        return allowed, str(answer.get("reason") or "")

    async def version(self) -> str:
        """Return the API server's version: the cheapest proof that it answers us."""
        return str((await self._call("GET", "/version")).get("gitVersion") or "")

    async def _review(self, api_version: str, kind: str, spec: Manifest) -> Manifest:
        body = {"apiVersion": api_version, "kind": kind, "spec": spec}
        answer = await self._call("POST", f"/apis/{api_version}/{kind.lower()}s", body=body)
        status: Manifest = answer.get("status") or {}
        return status

    async def _call(  # noqa: PLR0913 - one request, by name
        self,
        method: str,
        path: str,
        *,
        query: Mapping[str, str] | None = None,
        body: Manifest | None = None,
        content: str = _JSON,
        managed: bool = False,
    ) -> Manifest:
        """Send one request; wait and repeat where the server asks for it."""
        parameters = dict(query or {})
        if managed:
            parameters["fieldManager"] = self._field_manager
        tail = f"?{urlencode(parameters)}" if parameters else ""
        renewed = False
        attempts = 0
        while True:
            status, headers, data = await self._send(method, path + tail, body, content)
            if status < 300:
                return _decoded(data)
            attempts += 1
            pause = _pause(status, headers)
            if status == 401 and not renewed:
                renewed = True
                await self._renew()
            elif pause is not None and attempts < _ATTEMPTS:
                await asyncio.sleep(pause)
            else:
                raise from_status(status, _loads(data))

    async def _send(
        self, method: str, path: str, body: Manifest | None, content: str
    ) -> tuple[int, Mapping[str, str], bytes]:
        await self._bucket.take()
        headers = {"Accept": _JSON, "Content-Type": content, "User-Agent": self._field_manager}
        if authorization := await self._access.authorization():
            headers["Authorization"] = authorization
        url = str(self._access.configuration.host) + path
        try:
            response = await self._rest.request(
                method, url, headers=headers, body=body, _request_timeout=self._timeout
            )
            return response.status, response.headers, await response.read()
        except (aiohttp.ClientError, TimeoutError, OSError) as exc:
            what = str(exc) or type(exc).__name__
            message = f"the API server at {self._access.configuration.host} does not answer: {what}"
            raise Unavailable(message) from exc

    async def _renew(self) -> None:
        """Read the credential again: it may have been replaced on disk."""
        await self._access.load()
        self._retired.append(self._rest)  # requests may be under way on it
        self._rest = RESTClientObject(self._access.configuration)
        while len(self._retired) > 2:
            await self._retired.pop(0).close()
        logger.info("credential read again", extra={"reason": "Unauthorized"})


def _path(resource: Resource, namespace: str, name: str = "", subresource: str = "") -> str:
    root = f"/apis/{resource.group}" if resource.group else "/api"
    parts = [root, resource.version]
    if namespace and resource.namespaced:
        parts += ["namespaces", quote(namespace, safe="")]
    parts.append(resource.plural)
    parts += [quote(part, safe="") for part in (name, subresource) if part]
    return "/".join(parts)


def _pause(status: int, headers: Mapping[str, str]) -> float | None:
    """Return how long the server wants us to wait before we repeat, None if not at all.

    Only 429, and 503 with a Retry-After, promise that the request was not carried out.
    """
    told = headers.get("Retry-After", "")
    if status not in {429, 503} or (status == 503 and not told):
        return None
    seconds = float(told) if told.isdigit() else 1.0
    return seconds if seconds <= _PATIENCE_SECONDS else None


def _loads(data: bytes) -> Any:
    try:
        return orjson.loads(data)
    except orjson.JSONDecodeError:
        return None


def _decoded(data: bytes) -> Manifest:
    answer = _loads(data)
    if not isinstance(answer, dict):
        raise Unavailable("the API server answered with something that is not JSON")
    return answer
