"""Frames between a shim and those who speak to it: one byte kind, four bytes length, payload.

Numbers are big-endian. Text is JSON. ``PROTOCOL`` grows when a daemon must know the difference,
since shims live on over an upgrade of the daemon.
"""

import struct
from collections.abc import Iterator
from enum import IntEnum

PROTOCOL = 3
"""1: the first. 2: MCP and INPUT_ONCE. 3: FREEZE, THAW, and a cause behind STOP."""

HEADER = struct.Struct(">BI")
OFFSET = struct.Struct(">Q")
SIZE = struct.Struct(">HH")
MILLISECONDS = struct.Struct(">I")
SIGNUM = struct.Struct(">B")

MAX_REQUEST = 64 * 1024
"""Longest payload on the shim's socket, but for INPUT_ONCE."""

MAX_INPUT = 16 * 1024
"""Longest piece of input in one frame: pieces of several writers alternate at this size."""

MAX_ONCE = 256 * 1024
"""Longest input that is typed once: it comes in one frame, so the shim has all of it or nothing."""

MAX_KEY = 255
"""Longest key of such an input."""

MAX_TRUSTED = 1 + MAX_KEY + MAX_ONCE
"""Longest payload of who has shown the run's key."""

MAX_LAUNCH = 8 * 1024 * 1024
"""Longest launch: more than Linux takes as arguments and environment."""


class Kind(IntEnum):
    """What a frame says."""

    STATE = 1
    """Empty. Answered by STATE_IS."""
    SUBSCRIBE = 2
    """Offset. Answered once, by HEAD when the head is beyond it; by EXITED at the end."""
    INPUT = 3
    """Sequence number, bytes. Answered by TAKEN when the terminal has them."""
    RESIZE = 4
    """Columns, rows. Answered by DONE."""
    STOP = 5
    """Grace in milliseconds, then nothing or the cause as JSON. Answered by DONE at once."""
    SIGNAL = 6
    """Signal number, for the program. Answered by DONE."""
    HELLO = 7
    """The run's key, before anything else. Not answered: who does not know it is cut off."""
    MCP = 8
    """Empty. Answered by MCP_IS, or REFUSED by a run without."""
    INPUT_ONCE = 9
    """Length of the key (one byte), key, bytes: typed in one go unless that key was taken before.
    Answered when the terminal has all: by TAKEN and 1 if typed now, 0 if before. Or REFUSED: too
    much waits for a program that does not read."""
    FREEZE = 10
    """Empty. Answered by DONE when no process of the run runs any more, or by REFUSED."""
    THAW = 11
    """Empty. Answered by DONE."""

    STATE_IS = 65
    HEAD = 66
    TAKEN = 67
    DONE = 68
    EXITED = 69
    REFUSED = 70
    MCP_IS = 71
    """JSON, and beside it the listening socket."""

    LAUNCH = 129
    """To a fresh shim on its launch socket: JSON, descriptors beside it."""
    LOCKED = 130
    """The shim has lock, identity and socket, and waits."""
    GO = 131
    """The daemon lives and means it: start the program."""
    STARTED = 132
    FAILED = 133


class FrameError(ValueError):
    """What arrived is no frame."""


def encode(kind: Kind, payload: bytes = b"") -> bytes:
    """Return the frame."""
    return HEADER.pack(kind, len(payload)) + payload


class Decoder:
    """Cuts a byte stream into frames; holds one unfinished frame at most, besides what is fed."""

    def __init__(self, max_payload: int = MAX_REQUEST) -> None:
        self._max = max_payload
        self._buffer = bytearray()

    def allow(self, max_payload: int) -> None:
        """Take longer payloads from now on."""
        self._max = max_payload

    def feed(self, data: bytes) -> None:
        """Take bytes as they came."""
        self._buffer += data

    def next(self) -> tuple[Kind, bytes] | None:
        """Return the next whole frame, None when more bytes are needed.

        Raises:
            FrameError: An unknown kind or a length beyond the limit; the stream is useless.
        """
        if len(self._buffer) < HEADER.size:
            return None
        number, length = HEADER.unpack_from(self._buffer)
        if length > self._max:
            raise FrameError(f"frame of {length} bytes")
        try:
            kind = Kind(number)
        except ValueError as exc:
            raise FrameError(f"frame of unknown kind {number}") from exc
        end = HEADER.size + length
        if len(self._buffer) < end:
            return None
        payload = bytes(memoryview(self._buffer)[HEADER.size : end])
        del self._buffer[:end]
        return kind, payload

    def frames(self) -> Iterator[tuple[Kind, bytes]]:
        """Give the whole frames that are there.

        Raises:
            FrameError: As ``next``.
        """
        while (frame := self.next()) is not None:
            yield frame
