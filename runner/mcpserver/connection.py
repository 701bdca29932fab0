"""One connection of an agent: uvicorn's protocol, from the first head that showed the token on."""

import asyncio
from typing import Protocol

from typing_extensions import override
from uvicorn import Config
from uvicorn.protocols.http.h11_impl import H11Protocol, RequestResponseCycle
from uvicorn.server import ServerState


class Owner(Protocol):
    """Where a connection belongs: ``runner.mcpserver.door.Door``."""

    def opened(self, connection: "Connection") -> None:
        """Count it."""
        ...

    def rested(self, connection: "Connection") -> None:
        """Know that it has answered a request."""
        ...

    def closed(self, connection: "Connection") -> None:
        """Forget it."""
        ...


class Connection(H11Protocol):
    """A connection that must send a whole head in time and is closed when it stays unused.

    h11 bounds the size of a head, the application that of a body.
    """

    def __init__(
        self,
        config: Config,
        state: ServerState,
        owner: Owner,
        received: bytes,
        head_seconds: float,
    ) -> None:
        """Begin with what was *received* before it was known whose connection it is."""
        super().__init__(config, state, {"door": owner})
        self._received = received
        self._owner = owner
        self._head_seconds = head_seconds
        self._deadline: asyncio.TimerHandle | None = None

    @property
    def rests(self) -> bool:
        """Whether it has answered a request, all of it, and no other has begun."""
        return (
            self._request is not None
            and self._is_idle()
            and self._deadline is None
            and not self.transport.get_write_buffer_size()
        )

    @property
    def _request(self) -> RequestResponseCycle | None:
        return self.cycle  # None before the first, whatever its type says

    def _is_idle(self) -> bool:
        return self._request is None or self._request.response_complete

    def end(self) -> None:
        """Close it while it is not used."""
        if self.transport.get_write_buffer_size():
            self.abort()  # it does not read its answer
        else:
            self.transport.close()

    def abort(self) -> None:
        """End it at once, whether or not its peer reads."""
        self.transport.abort()

    @override
    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as above it
        super().connection_made(transport)
        self._owner.opened(self)
        received, self._received = self._received, b""
        self.data_received(received)

    @override
    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        if not self._is_idle():
            self._disarm()
        elif self._deadline is None:
            self._arm()

    @override
    def on_response_complete(self) -> None:
        super().on_response_complete()
        self._owner.rested(self)

    @override
    def timeout_keep_alive_handler(self) -> None:
        self.end()

    @override
    def connection_lost(self, exc: Exception | None) -> None:
        super().connection_lost(exc)
        self._unset_keepalive_if_required()
        self._disarm()
        self._owner.closed(self)

    def _arm(self) -> None:
        self._deadline = self.loop.call_later(self._head_seconds, self.abort)

    def _disarm(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None
