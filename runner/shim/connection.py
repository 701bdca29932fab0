"""One client of a shim: what it sent, what it still wants, what it may cost."""

import os
import select
import socket
import struct
from collections.abc import Iterator

from runner.shim.frames import MAX_TRUSTED, Decoder, FrameError, Kind, encode

_RECEIVE_BYTES = 64 * 1024
_MAX_UNREAD_BYTES = 64 * 1024
"""Answers that a client left unread; beyond it is cut off: it never reads."""

_MAX_QUEUED_BYTES = 64 * 1024
"""Input of one client that the terminal has not taken; beyond it the client is not read."""

_CREDENTIALS = struct.Struct("3i")


class Connection:
    """A client. Nothing here blocks and nothing grows beyond the bounds above."""

    def __init__(self, sock: socket.socket) -> None:
        sock.setblocking(False)
        self.sock = sock
        self.fd = sock.fileno()
        self.wanted_beyond: int | None = None
        """Offset of the standing request for the head; None when there is none."""
        self.subscribed = False
        """Whether it ever asked for the head, and so is told the end."""
        self.trusted = False
        """Whether it has shown the run's key."""
        self.queued_bytes = 0
        self.events: int = select.EPOLLIN
        """What epoll watches it for."""
        self._decoder = Decoder()
        self._unsent = bytearray()

    def trust(self) -> None:
        """Take from it what strangers may not ask for."""
        self.trusted = True
        self._decoder.allow(MAX_TRUSTED)

    def is_ours(self) -> bool:
        """Whether the peer runs as the same user as the shim."""
        raw = self.sock.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _CREDENTIALS.size)
        _, uid, _ = _CREDENTIALS.unpack(raw)
        return bool(uid == os.geteuid())

    def receive(self) -> bool:
        """Read what is there; False at the end of the stream."""
        try:
            data = self.sock.recv(_RECEIVE_BYTES)
        except BlockingIOError:
            return True
        self._decoder.feed(data)
        return bool(data)

    def requests(self) -> Iterator[tuple[Kind, bytes]]:
        """Give the whole requests received, as long as the client may send.

        Raises:
            FrameError: The client talks nonsense.
        """
        while not self.full and (frame := self._decoder.next()) is not None:
            yield frame

    @property
    def full(self) -> bool:
        """Whether its input waits for the terminal, so that more must wait with the client."""
        return self.queued_bytes >= _MAX_QUEUED_BYTES

    @property
    def sending(self) -> bool:
        """Whether answers wait for the client."""
        return bool(self._unsent)

    def answer(self, kind: Kind, payload: bytes = b"") -> None:
        """Send as much as goes at once and keep the rest.

        Raises:
            OSError: The client is gone.
            FrameError: It does not read its answers.
        """
        self._unsent += encode(kind, payload)
        self.flush()
        if len(self._unsent) > _MAX_UNREAD_BYTES:
            raise FrameError("the client does not read its answers")

    def hand_over(self, kind: Kind, payload: bytes, fd: int) -> None:
        """Send an answer with a descriptor beside it.

        Raises:
            OSError: The client is gone.
            FrameError: It does not read its answers.
        """
        if self._unsent:
            raise FrameError("the client does not read its answers")
        frame = encode(kind, payload)
        try:
            sent = socket.send_fds(self.sock, [frame], [fd])
        except BlockingIOError as exc:
            raise FrameError("the client does not read its answers") from exc
        self._unsent += frame[sent:]

    def flush(self) -> None:
        """Send what goes.

        Raises:
            OSError: The client is gone.
        """
        try:
            sent = self.sock.send(self._unsent)
        except BlockingIOError:
            return
        del self._unsent[:sent]
