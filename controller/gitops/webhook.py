"""The door at which git hosts say that something was pushed: it pokes a source, nothing more.

``POST /webhooks/git/<namespace>/<name>``, signed with the secret that the source's ``spec.webhook``
names: HMAC-SHA256 of the body (``X-Hub-Signature-256``, ``X-Gitea-Signature``), or the secret
itself (``X-Gitlab-Token``). What a call says is never looked at, so it can ask for no more than a
look at the repository; and that once in a second for each source, whoever calls how often. So a
call that is overheard and sent again harms nobody. One that says of itself that it was delivered
before asks for nothing more.

Strangers learn nothing: a source that does not exist, has no webhook, or whose secret cannot be
read, answers as one whose signature is wrong, after the same time. They cost little: a body passes
by in pieces, connections are few, short and closed after one call.
"""

import asyncio
import hashlib
import hmac
import logging
import re
import time
from collections.abc import Awaitable, Callable
from typing import Final, Protocol

from aiohttp import web
from aiohttp.web_protocol import RequestHandler
from typing_extensions import override

from controller.gitops.webhook_deliveries import Deliveries, Pace
from controller.gitops.webhook_secrets import Objects, WebhookSecrets
from controller.kernel.store import Store

logger = logging.getLogger(__name__)

MAX_BODY_BYTES: Final = 1024 * 1024
MAX_CONNECTIONS: Final = 256
"""Further ones are closed at once: the interval finds what they would have told."""
BODY_SECONDS: Final = 10.0
"""A body that takes longer is not waited for."""
CALL_SECONDS: Final = 15.0
"""The whole of a call, from the connection's first byte to its last."""
REFUSAL_SECONDS: Final = 0.25
"""A refusal takes as long, whatever it needed to be found out."""

_PATH: Final = re.compile(r"/webhooks/git/([a-z0-9][-a-z0-9.]{0,252})/([a-z0-9][-a-z0-9.]{0,252})")
_PIECE_BYTES: Final = 64 * 1024
_SIGNATURES: Final = ("X-Hub-Signature-256", "X-Gitea-Signature", "X-Forgejo-Signature")
_TOKEN: Final = "X-Gitlab-Token"  # noqa: S105 - the name of a header
_DELIVERIES: Final = ("X-GitHub-Delivery", "X-Gitea-Delivery", "X-Gitlab-Event-UUID")
_LONGEST_MARK: Final = 128
_STRANGER: Final = b"\x00" * 32
"""Stands in for a secret that is not there, so that as much is computed."""


class ListenError(Exception):
    """The port cannot be listened on; the text is the sentence for the operator."""


class Pokes(Protocol):
    """What is needed of the sources."""

    def poke(self, namespace: str, name: str) -> object:
        """Have a look at the source's repository soon; one that is not there is passed over."""
        ...

    def retell(self, namespace: str, name: str) -> object:
        """Have the source's status say anew what it is like."""
        ...


class Webhooks:
    """The listener."""

    def __init__(  # noqa: PLR0913 - the last three are for tests, by name
        self,
        store: Store,
        objects: Objects,
        sources: Pokes,
        *,
        clock: Callable[[], float] = time.monotonic,
        body_seconds: float = BODY_SECONDS,
        refusal_seconds: float = REFUSAL_SECONDS,
    ) -> None:
        self._sources = sources
        self._refusal_seconds = refusal_seconds
        self._body_seconds = body_seconds
        self._clock = clock
        self._secrets = WebhookSecrets(store, objects, clock, sources.retell)
        self._deliveries = Deliveries()
        self._pace = Pace()
        self._door: _Door | None = None
        self._server: asyncio.Server | None = None
        self._due: set[asyncio.TimerHandle] = set()

    async def start(self, listen: str) -> int:
        """Listen on ``host:port`` (port 0: any) and return the port.

        Raises:
            ListenError: The port is taken, or the address is not ours.
        """
        host, _, port = listen.rpartition(":")
        door = _Door(self._answer)
        try:
            self._server = await asyncio.get_running_loop().create_server(
                door, host.strip("[]"), int(port)
            )
        except OSError as exc:
            raise ListenError(
                f"cannot listen on {listen}: the port is taken or the address is not ours; choose "
                "another with --webhook-listen"
            ) from exc
        self._door = door
        return int(self._server.sockets[0].getsockname()[1])

    async def stop(self) -> None:
        """Close the port and every connection."""
        for handle in self._due:
            handle.cancel()
        self._due.clear()
        if self._server is not None and self._door is not None:
            self._server.close()
            await self._door.shutdown(1.0)
            await self._server.wait_closed()
            self._server = self._door = None

    async def _answer(self, request: web.BaseRequest) -> web.StreamResponse:
        began = self._clock()
        status = await self._status(request)
        if status >= web.HTTPBadRequest.status_code:
            await asyncio.sleep(max(0.0, self._refusal_seconds - (self._clock() - began)))
        response = web.Response(status=status, text=_SAYS[status] + "\n")
        if status == web.HTTPMethodNotAllowed.status_code:
            response.headers["Allow"] = "POST"
        response.headers["Server"] = "agentsmesh"
        response.force_close()
        return response

    async def _status(self, request: web.BaseRequest) -> int:
        match = _PATH.fullmatch(request.path)
        if match is None:
            return web.HTTPNotFound.status_code
        if request.method != "POST":
            return web.HTTPMethodNotAllowed.status_code
        source = (match[1], match[2])
        secret = await self._secrets.get(*source)
        try:
            async with asyncio.timeout(self._body_seconds):
                body = await _digest(request, secret or _STRANGER)
        except TimeoutError:
            return web.HTTPRequestTimeout.status_code
        if body is None:
            return web.HTTPRequestEntityTooLarge.status_code
        digest, signature = body
        signed = _is_signed(request, signature, secret or _STRANGER)
        if not secret or not signed:
            return web.HTTPUnauthorized.status_code
        if not self._deliveries.take(source, _marks(request, digest), self._clock()):
            return web.HTTPOk.status_code
        self._poke(source)
        return web.HTTPAccepted.status_code

    def _poke(self, source: tuple[str, str]) -> None:
        delay = self._pace.ask(source, self._clock())
        if delay is None:
            return
        logger.info("webhook", extra={"key": f"GitSource/{source[0]}/{source[1]}"})
        if delay <= 0:
            self._sources.poke(*source)
            return

        def late() -> None:
            self._due.discard(handle)
            self._sources.poke(*source)

        handle = asyncio.get_running_loop().call_later(delay, late)
        self._due.add(handle)


_SAYS: Final = {
    200: "taken before: the source has looked at its repository since",
    202: "taken: the source looks at its repository",
    401: "refused: no such source, or it was not signed with the secret of its webhook",
    404: "there is only /webhooks/git/<namespace>/<name> here",
    405: "POST is understood here",
    408: "the body did not come in time",
    413: f"at most {MAX_BODY_BYTES} bytes",
}


async def _digest(request: web.BaseRequest, secret: bytes) -> tuple[str, str] | None:
    """Return SHA-256 and HMAC-SHA256 of the body, hexadecimal; None where it is too long."""
    if (request.content_length or 0) > MAX_BODY_BYTES:
        return None
    plain, keyed = hashlib.sha256(), hmac.new(secret, digestmod=hashlib.sha256)
    total = 0
    async for piece in request.content.iter_chunked(_PIECE_BYTES):
        total += len(piece)
        if total > MAX_BODY_BYTES:
            return None
        plain.update(piece)
        keyed.update(piece)
    return plain.hexdigest(), keyed.hexdigest()


def _is_signed(request: web.BaseRequest, signature: str, secret: bytes) -> bool:
    """Whether one of the headers proves that the caller has the secret. In constant time."""
    proofs = [
        (request.headers.get(name, "").removeprefix("sha256="), signature.encode())
        for name in _SIGNATURES
    ]
    proofs.append((request.headers.get(_TOKEN, ""), secret))
    # all are compared, and digests of them: neither which one nor how long it is shows
    return True in [_same(given, wanted) for given, wanted in proofs]


def _same(given: str, wanted: bytes) -> bool:
    said = hashlib.sha256(given.encode("utf-8", "surrogateescape")).digest()
    return hmac.compare_digest(said, hashlib.sha256(wanted).digest())


def _marks(request: web.BaseRequest, digest: str) -> list[str]:
    """Return what tells the delivery from others: the host's id, with what was signed.

    Nothing, where the host gives none: the same words twice are two calls then.
    """
    ids = (request.headers.get(name, "")[:_LONGEST_MARK] for name in _DELIVERIES)
    return [f"{each} {digest}" for each in ids if each]


class _Door(web.Server):
    """Connections: so many, so long, one call each, and no word about them in any log."""

    def __init__(self, answer: Callable[[web.BaseRequest], Awaitable[web.StreamResponse]]) -> None:
        super().__init__(
            answer,
            handler_cancellation=True,
            access_log=None,
            auto_decompress=False,  # what is signed is what was sent
            keepalive_timeout=CALL_SECONDS,
            lingering_time=2.0,
        )
        self._ends: dict[RequestHandler, asyncio.TimerHandle] = {}

    @override
    def connection_made(self, handler: RequestHandler, transport: asyncio.Transport) -> None:
        """Count the connection, and end it in time, whatever it does."""
        super().connection_made(handler, transport)
        loop = asyncio.get_running_loop()
        if len(self._ends) >= MAX_CONNECTIONS:
            transport.abort()
        else:
            self._ends[handler] = loop.call_later(CALL_SECONDS, transport.abort)

    @override
    def connection_lost(self, handler: RequestHandler, exc: BaseException | None = None) -> None:
        """Forget it."""
        super().connection_lost(handler, exc)
        if (end := self._ends.pop(handler, None)) is not None:
            end.cancel()
