"""What people type, on its way into the terminal: in order, and never lost once accepted."""

import os
from collections import deque

from runner.shim.connection import Connection
from runner.shim.frames import MAX_INPUT, OFFSET, FrameError


class Input:
    """Pieces of input that the terminal has not taken yet, oldest first."""

    def __init__(self, terminal: int) -> None:
        self._terminal = terminal
        self._hung_up = False
        self._pieces: deque[tuple[Connection, bytes, memoryview]] = deque()

    @property
    def waiting(self) -> bool:
        """Whether the terminal has to take something."""
        return bool(self._pieces) and not self._hung_up

    def add(self, connection: Connection, payload: bytes) -> None:
        """Accept one piece: sequence number, then at most ``MAX_INPUT`` bytes.

        Raises:
            FrameError: It is no such piece.
        """
        if not OFFSET.size <= len(payload) <= OFFSET.size + MAX_INPUT:
            raise FrameError(f"input of {len(payload)} bytes")
        data = memoryview(payload)[OFFSET.size :]
        connection.queued_bytes += len(data)
        self._pieces.append((connection, payload[: OFFSET.size], data))

    def flush(self) -> list[tuple[Connection, bytes]]:
        """Write what the terminal takes; return whom to tell that which piece is in."""
        taken = []
        while self._pieces:
            connection, sequence, data = self._pieces[0]
            written = self._write(data)
            connection.queued_bytes -= written
            if written < len(data):
                self._pieces[0] = (connection, sequence, data[written:])
                break
            self._pieces.popleft()
            taken.append((connection, sequence))
        return taken

    def _write(self, data: memoryview) -> int:
        try:
            return os.write(self._terminal, data)
        except BlockingIOError:
            return 0
        except OSError:
            self._hung_up = True  # the end of the run answers the client
            return 0
