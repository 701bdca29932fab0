"""The one application that answers for all pods: the SDK behind the gate, as uvicorn runs it.

Importing this module takes half a second and 30 MB: it is done when the first pod needs it.
"""

import asyncio
import json
import logging
from typing import Any, Final

from mcp.server.lowlevel.server import Server
from mcp.server.streamable_http_manager import StreamableHTTPSessionManager
from starlette.types import Receive, Scope, Send
from typing_extensions import override
from uvicorn import Config

from runner.mcpserver import tools
from runner.mcpserver.gate import Gate
from runner.mcpserver.ports import Calls, Limits

logger = logging.getLogger(__name__)

_AGAIN_SECONDS: Final = 1.0
_HEAD_BYTES: Final = 64 * 1024
_LIBRARIES: Final = ("mcp", "uvicorn", "sse_starlette")


class Application:
    """Answers requests of all pods. ``run`` must be running; the SDK has its tasks there."""

    def __init__(self, calls: Calls, version: str, limits: Limits) -> None:
        _quieten()
        self._server: Server[Any] = tools.serving(calls, version)
        self._limits = limits
        self._manager: StreamableHTTPSessionManager | None = None
        self.config = Config(
            Gate(self._pass_on, limits),
            http="h11",  # it bounds heads, which httptools does not
            ws="none",
            lifespan="off",
            log_config=None,
            access_log=False,
            proxy_headers=False,
            server_header=False,
            date_header=False,
            timeout_keep_alive=int(limits.idle_seconds),
            h11_max_incomplete_event_size=_HEAD_BYTES,
        )
        self.config.load()

    async def run(self) -> None:
        """Serve for ever; should the SDK fail, begin it anew."""
        while True:
            manager = StreamableHTTPSessionManager(
                self._server,
                json_response=True,  # nothing is told in between: half the time of a stream
                stateless=True,
                max_request_body_size=self._limits.body_bytes,
            )
            try:
                async with manager.run():
                    self._manager = manager
                    await asyncio.get_running_loop().create_future()
            except Exception:
                logger.exception("the MCP server failed and is begun anew")
            finally:
                self._manager = None
            await asyncio.sleep(_AGAIN_SECONDS)

    async def _pass_on(self, scope: Scope, receive: Receive, send: Send) -> None:
        if self._manager is not None:
            await self._manager.handle_request(scope, receive, send)
            return
        body = json.dumps({"error": "The server is not ready: try again in a moment."}).encode()
        size = (b"content-length", str(len(body)).encode())
        headers = [(b"content-type", b"application/json"), (b"retry-after", b"1"), size]
        await send({"type": "http.response.start", "status": 503, "headers": headers})
        await send({"type": "http.response.body", "body": body})


class _Discreet(logging.Handler):
    """Says that a library reported something, and where; its words may hold what an agent sent."""

    @override
    def emit(self, record: logging.LogRecord) -> None:
        kind = record.exc_info[0] if record.exc_info else None
        where = f"{record.module}:{record.lineno}" + (f" {kind.__name__}" if kind else "")
        logger.warning("the MCP server's library reports trouble", extra={"reason": where})


def _quieten() -> None:
    for name in _LIBRARIES:
        library = logging.getLogger(name)
        library.setLevel(logging.ERROR)  # warnings are about what agents send
        library.propagate = False
        library.handlers = [_Discreet()]
    logging.getLogger("uvicorn.access").setLevel(logging.CRITICAL)
