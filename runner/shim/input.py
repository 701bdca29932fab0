"""What people type, on its way into the terminal: in order, and never lost once accepted."""

import os
from collections import deque

from runner.shim.connection import Connection
from runner.shim.frames import MAX_INPUT, MAX_ONCE, OFFSET, FrameError

_REMEMBERED = 256
"""So many keys of input that is typed once are known; the oldest is forgotten first."""

_MAX_WAITING_BYTES = 4 * MAX_ONCE
"""Input that the terminal has not taken, of all clients, those that left among them."""

_NOW, _BEFORE = OFFSET.pack(1), OFFSET.pack(0)


class Input:
    """Pieces of input that the terminal has not taken yet, oldest first."""

    def __init__(self, terminal: int) -> None:
        self._terminal = terminal
        self._hung_up = False
        self._pieces: deque[tuple[Connection, bytes, memoryview]] = deque()
        self._waiting_bytes = 0
        self._keys: dict[bytes, None] = {}
        self.typed_bytes = 0
        """How much the terminal took so far."""

    @property
    def waiting(self) -> bool:
        """Whether the terminal has to take something."""
        return bool(self._pieces) and not self._hung_up

    @property
    def waiting_bytes(self) -> int:
        """How much the terminal has to take."""
        return 0 if self._hung_up else self._waiting_bytes

    @property
    def last_key(self) -> str:
        """Key of what was typed once, last; empty when nothing was."""
        return next(reversed(self._keys), b"").decode(errors="replace")

    def add(self, connection: Connection, payload: bytes) -> None:
        """Accept one piece: sequence number, then at most ``MAX_INPUT`` bytes.

        Raises:
            FrameError: It is no such piece.
        """
        if not OFFSET.size <= len(payload) <= OFFSET.size + MAX_INPUT:
            raise FrameError(f"input of {len(payload)} bytes")
        self._append(connection, payload[: OFFSET.size], memoryview(payload)[OFFSET.size :])

    def add_once(self, connection: Connection, payload: bytes) -> bool:
        """Accept a whole input: length of its key, key, bytes; nothing of it if the key is known.

        What was taken before is answered behind it. Returns False, and accepts nothing, when too
        much waits already.

        Raises:
            FrameError: It is no such input.
        """
        begin = 1 + payload[0] if payload else 0
        if not 1 < begin <= len(payload) <= begin + MAX_ONCE:
            raise FrameError(f"input of {len(payload)} bytes with a key")
        key, data = payload[1:begin], memoryview(payload)[begin:]
        if key in self._keys:
            self._append(connection, _BEFORE, data[:0])
            return True
        if self._waiting_bytes + len(data) > _MAX_WAITING_BYTES:
            return False
        self._keys[key] = None
        if len(self._keys) > _REMEMBERED:
            del self._keys[next(iter(self._keys))]
        self._append(connection, _NOW, data)
        return True

    def flush(self) -> list[tuple[Connection, bytes]]:
        """Write what the terminal takes; return whom to tell that which piece is in."""
        taken = []
        while self._pieces:
            connection, sequence, data = self._pieces[0]
            written = self._write(data)
            connection.queued_bytes -= written
            self._waiting_bytes -= written
            if written < len(data):
                self._pieces[0] = (connection, sequence, data[written:])
                break
            self._pieces.popleft()
            taken.append((connection, sequence))
        return taken

    def _append(self, connection: Connection, answer: bytes, data: memoryview) -> None:
        connection.queued_bytes += len(data)
        self._waiting_bytes += len(data)
        self._pieces.append((connection, answer, data))

    def _write(self, data: memoryview) -> int:
        if not data:
            return 0
        try:
            written = os.write(self._terminal, data)
        except BlockingIOError:
            return 0
        except OSError:
            self._hung_up = True  # the end of the run answers the client
            return 0
        self.typed_bytes += written
        return written
