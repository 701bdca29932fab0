"""Posts one notification: over TLS or to loopback, to an allowed address, once, and no further.

No proxy, no redirect, no cookie; of the answer only its status is read. The address is looked at
where it is connected to, so that a name cannot mean another one in between.
"""

import asyncio
import socket
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from ipaddress import ip_address
from typing import Final, Self

import aiohttp
from aiohttp.abc import AbstractResolver, ResolveResult
from aiohttp.resolver import ThreadedResolver
from typing_extensions import override
from yarl import URL

from controller.services.notification_addresses import Network, is_allowed

_TOTAL_SECONDS: Final = 10.0
_CONNECT_SECONDS: Final = 5.0
_AT_ONCE: Final = 16

NOT_ALLOWED: Final = "its address is none that notifications may be sent to"


@dataclass(frozen=True, slots=True)
class Request:
    """What is posted."""

    url: str = field(repr=False)
    """May hold a secret, as some services have it."""
    headers: Mapping[str, str] = field(repr=False)
    body: bytes = field(repr=False)


class _RefusedError(OSError):
    """The name leads to no allowed address."""


class _Guarded(AbstractResolver):
    """Resolves names to allowed addresses only."""

    def __init__(self, allowed: Sequence[Network], *, plain: bool) -> None:
        self._inner = ThreadedResolver()
        self._allowed = allowed
        self._plain = plain

    @override
    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_UNSPEC
    ) -> list[ResolveResult]:
        found = await self._inner.resolve(host, port, family)
        good = [e for e in found if is_allowed(e["host"], self._allowed, plain=self._plain)]
        if not good:
            raise _RefusedError(NOT_ALLOWED)
        return good

    @override
    async def close(self) -> None:
        await self._inner.close()


class Sender:
    """Sends notifications. An asynchronous context manager: it holds connections within."""

    def __init__(self, allowed: Sequence[Network] = ()) -> None:
        self._allowed = tuple(allowed)
        self._sessions: dict[str, aiohttp.ClientSession] = {}

    async def __aenter__(self) -> Self:
        for scheme in ("http", "https"):
            resolver = _Guarded(self._allowed, plain=scheme == "http")
            self._sessions[scheme] = aiohttp.ClientSession(
                connector=aiohttp.TCPConnector(
                    resolver=resolver, use_dns_cache=False, limit=_AT_ONCE, force_close=True
                ),
                timeout=aiohttp.ClientTimeout(_TOTAL_SECONDS, sock_connect=_CONNECT_SECONDS),
                cookie_jar=aiohttp.DummyCookieJar(),
                auto_decompress=False,
                trust_env=False,
            )
        return self

    async def __aexit__(self, *_: object) -> None:
        for session in self._sessions.values():
            await session.close()

    async def post(self, request: Request) -> str:
        """Post it; return why it did not arrive, empty if it did. Names neither URL nor answer."""
        url = URL(request.url)
        if url.scheme not in self._sessions or not url.host:
            return "its URL is neither https:// nor http://"
        if not self._may_be_literal(url):
            return NOT_ALLOWED
        try:
            async with asyncio.timeout(_TOTAL_SECONDS):
                return await self._post(url, request)
        except TimeoutError:
            return "it does not answer in time"
        except aiohttp.ClientError as exc:
            return _trouble(exc)
        except (OSError, ValueError):
            return "it cannot be reached"

    async def _post(self, url: URL, request: Request) -> str:
        session = self._sessions[url.scheme]
        async with session.post(
            url, data=request.body, headers=request.headers, allow_redirects=False
        ) as answer:
            status = answer.status
        return "" if 200 <= status < 300 else f"it answers with status {status}"

    def _may_be_literal(self, url: URL) -> bool:
        """Whether the host is a name, which is looked at when resolved, or an allowed address."""
        host = url.host or ""
        try:
            ip_address(host)
        except ValueError:
            return True
        return is_allowed(host, self._allowed, plain=url.scheme == "http")


def _trouble(exc: aiohttp.ClientError) -> str:
    if isinstance(exc, aiohttp.InvalidURL):
        return NOT_ALLOWED
    if isinstance(exc, aiohttp.ClientSSLError | aiohttp.ClientConnectorCertificateError):
        return "its certificate is not valid, or it does not speak TLS"
    if isinstance(exc, aiohttp.ClientConnectorDNSError):
        refused = isinstance(exc.os_error, _RefusedError) or NOT_ALLOWED in str(exc.os_error)
        return NOT_ALLOWED if refused else "its name cannot be resolved"
    if isinstance(exc, aiohttp.ClientConnectorError):
        return "it cannot be reached"
    return "it does not answer as HTTP"
