"""Input on its way into a terminal: in order, once per key, and bounded."""

import os
import socket
from collections.abc import Iterator

import pytest

from runner.shim.connection import Connection
from runner.shim.frames import MAX_ONCE, OFFSET, FrameError
from runner.shim.input import Input

NOW, BEFORE = OFFSET.pack(1), OFFSET.pack(0)


class Terminal:
    """A pipe in place of a terminal: it takes what fits, and is read when the test says so."""

    def __init__(self) -> None:
        self.reads, self.writes = os.pipe2(os.O_NONBLOCK)
        self.sockets = socket.socketpair()
        self.client = Connection(self.sockets[0])
        self.input = Input(self.writes)

    def read(self) -> bytes:
        try:
            return os.read(self.reads, 2 * MAX_ONCE)
        except BlockingIOError:
            return b""

    def taken(self) -> list[bytes]:
        return [answer for _, answer in self.input.flush()]

    def close(self) -> None:
        for fd in (self.reads, self.writes):
            os.close(fd)
        for sock in self.sockets:
            sock.close()


@pytest.fixture
def terminal() -> Iterator[Terminal]:
    terminal = Terminal()
    yield terminal
    terminal.close()


def once(key: bytes, data: bytes) -> bytes:
    return bytes((len(key),)) + key + data


def test_a_known_key_types_nothing_and_is_answered_behind_the_first(terminal: Terminal) -> None:
    large = b"x" * MAX_ONCE
    assert terminal.input.add_once(terminal.client, once(b"one", large))
    assert terminal.input.add_once(terminal.client, once(b"one", large))
    assert terminal.taken() == []  # the pipe is full before the end
    typed = b""
    while not (answers := terminal.taken()):
        typed += terminal.read()
    assert answers == [NOW, BEFORE]
    assert typed + terminal.read() == large
    assert terminal.client.queued_bytes == 0
    assert not terminal.input.waiting


def test_nothing_may_be_typed_once(terminal: Terminal) -> None:
    assert terminal.input.add_once(terminal.client, once(b"one", b""))
    assert terminal.taken() == [NOW]
    assert terminal.read() == b""


@pytest.mark.parametrize(
    "payload",
    [
        pytest.param(b"", id="nothing"),
        pytest.param(b"\0data", id="an empty key"),
        pytest.param(b"\x05key", id="less than the key"),
        pytest.param(once(b"key", b"x" * (MAX_ONCE + 1)), id="too much"),
    ],
)
def test_what_is_no_input_with_a_key_is_refused(terminal: Terminal, payload: bytes) -> None:
    with pytest.raises(FrameError):
        terminal.input.add_once(terminal.client, payload)
    assert terminal.taken() == []


def test_refused_input_leaves_its_key_unknown(terminal: Terminal) -> None:
    numbers = iter(range(100))
    while terminal.input.add_once(terminal.client, once(b"%d" % next(numbers), b"x" * MAX_ONCE)):
        continue
    refused = b"%d" % (next(numbers) - 1)
    while terminal.input.waiting:
        terminal.taken()
        terminal.read()
    assert terminal.input.add_once(terminal.client, once(refused, b"late"))
    assert terminal.taken() == [NOW]
    assert terminal.read() == b"late"
