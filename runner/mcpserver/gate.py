"""The ASGI application around the SDK's: lets in a pod's own agent, and nothing else.

Strangers do not come so far: ``runner.mcpserver.lobby`` refuses them. But each request of a
connection is looked at, whatever was sent on it before. Whatever is refused is refused with one
sentence, and never with 401: that makes agents begin an OAuth registration.
"""

import asyncio
import contextlib
import json
from typing import Any, Final

import anyio
from mcp_types import INVALID_PARAMS, INVALID_REQUEST
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from runner.mcpserver import hooks
from runner.mcpserver.admission import HOOKS, Refusal, one, refused
from runner.mcpserver.door import Door
from runner.mcpserver.ports import Limits

_DISCARDED_BYTES: Final = 16 * 1024 * 1024
"""So much of a body that is too large is read all the same: its sender then hears why."""

_HEARD_BYTES: Final = 64 * 1024
_PATIENCE_SECONDS: Final = 1.0
"""So much is read, and so long, of a request that is refused by its head."""


class RefusedError(Exception):
    """A request turned out to be one that is not let in."""

    def __init__(self, refusal: Refusal) -> None:
        super().__init__(refusal.message)
        self.refusal = refusal


class Gone(Exception):  # noqa: N818  a state of the world, named like one
    """The agent has closed the connection."""


class Gate:
    """Passes requests of a pod's own agent on to *inner*, whole and bounded.

    Closing the connection cancels the request: without sessions there is no other way to tell.
    """

    def __init__(self, inner: ASGIApp, limits: Limits) -> None:
        self._inner = inner
        self._limits = limits

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        door: Door = scope["state"]["door"]
        refusal = refused(scope, door)
        try:
            if refusal is not None:
                await _let_finish(receive)
                raise RefusedError(refusal)
            await door.pace()  # not for strangers: they would use up what the agent may send
            body = await self._body(scope, receive)
        except RefusedError as exc:
            await _answer(exc.refusal, send)
        except Gone:
            return
        else:
            if scope["path"] == HOOKS:
                door.hooked(hooks.kept(body))
                await hooks.acknowledge(send)
                return
            await self._pass_on(scope, receive, send, body)

    async def _body(self, scope: Scope, receive: Receive) -> bytes:
        declared = one(scope, b"content-length")
        limit = self._limits.body_bytes
        if declared is not None and int(declared) > limit and one(scope, b"expect") is not None:
            raise RefusedError(_too_large(limit))  # it asked before it sent
        try:
            return await _read(receive, self._limits)
        except TimeoutError:
            raise RefusedError(Refusal(408, "The request did not come whole in time.")) from None

    async def _pass_on(self, scope: Scope, receive: Receive, send: Send, body: bytes) -> None:
        answer = _Answer(send)
        gone = asyncio.Event()
        unread: list[Message] = [{"type": "http.request", "body": body, "more_body": False}]

        async def replay() -> Message:
            if unread:
                return unread.pop()
            await gone.wait()
            return {"type": "http.disconnect"}

        async with asyncio.TaskGroup() as tasks:
            with anyio.CancelScope() as serving:

                async def watch() -> None:
                    while (await receive())["type"] != "http.disconnect":
                        pass
                    gone.set()
                    if not answer.complete:
                        serving.cancel()

                watching = tasks.create_task(watch())
                await self._inner(scope, replay, answer)
            watching.cancel()


async def _let_finish(receive: Receive) -> None:
    """Read a little of what is refused: who is cut off while sending may not hear why."""
    size, more = 0, True
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(_PATIENCE_SECONDS):
            while more and size <= _HEARD_BYTES:
                message = await receive()
                if message["type"] == "http.disconnect":
                    raise Gone
                size += len(message.get("body", b""))
                more = message.get("more_body", False)


async def _read(receive: Receive, limits: Limits) -> bytes:
    """Return the body. It must come whole in time, and meanwhile not too slowly."""
    limit = limits.body_bytes
    body, size, began = bytearray(), 0, asyncio.get_running_loop().time()
    async with asyncio.timeout(None) as patience:
        while True:
            seconds = limits.body_pause_seconds + size / limits.body_bytes_per_second
            patience.reschedule(began + min(seconds, limits.body_seconds))
            message = await receive()
            if message["type"] == "http.disconnect":
                raise Gone
            piece: bytes = message.get("body", b"")
            size += len(piece)
            if size <= limit:
                body += piece
            else:
                body.clear()
            more = message.get("more_body", False)
            if size > _DISCARDED_BYTES or (not more and size > limit):
                raise RefusedError(_too_large(limit))
            if not more:
                return bytes(body)


def _too_large(limit: int) -> Refusal:
    return Refusal(413, f"The request is larger than {limit} bytes: send less at once.")


async def _answer(refusal: Refusal, send: Send) -> None:
    body = json.dumps({"error": refusal.message}).encode()
    headers = [(b"content-type", b"application/json"), (b"content-length", str(len(body)).encode())]
    if refusal.allow:
        headers.append((b"allow", refusal.allow.encode()))
    if refusal.status != 405:  # a stranger, or the rest of its body may still be coming
        headers.append((b"connection", b"close"))
    await send({"type": "http.response.start", "status": refusal.status, "headers": headers})
    await send({"type": "http.response.body", "body": body})


class _Answer:
    """Passes an answer on, and knows when it is complete.

    The SDK calls an envelope that is no JSON-RPC request -32602, and says what it found there;
    JSON-RPC 2.0 calls it -32600 (section 5.1).
    """

    def __init__(self, send: Send) -> None:
        self._send = send
        self._held: Message | None = None
        self.complete = False

    async def __call__(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            if message["status"] == 400:
                self._held = message
                return
        elif not message.get("more_body", False):
            self.complete = True
        if self._held is not None:
            body = _corrected(message.get("body", b""))
            size = (b"content-length", str(len(body)).encode())
            kept = [each for each in self._held["headers"] if each[0] != b"content-length"]
            held, self._held = self._held, None
            await self._send({**held, "headers": [*kept, size]})
            message = {**message, "body": body}
        await self._send(message)


def _corrected(body: bytes) -> bytes:
    try:
        said: dict[str, Any] = json.loads(body)
        error = said["error"]
        if said.get("id") is not None or error["code"] != INVALID_PARAMS:
            return body
    except (ValueError, KeyError, TypeError, AttributeError):
        return body
    error["code"] = INVALID_REQUEST
    error["message"] = "Invalid request: the body must be one JSON-RPC request or notification"
    error.pop("data", None)
    return json.dumps({**said, "id": None}, separators=(",", ":")).encode()
