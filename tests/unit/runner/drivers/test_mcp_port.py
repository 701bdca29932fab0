"""Ports of MCP servers: the first that is free, found by taking it."""

import socket
import threading

import pytest

from runner.drivers.mcp_port import listen
from runner.drivers.terminal_values import Listener


@pytest.fixture
def first() -> int:
    """A port that is free, and so are most behind it: below those that the kernel gives out."""
    for port in range(21000, 32000, 50):
        with socket.socket() as sock:
            try:
                sock.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port
    raise AssertionError("no port is free")


def test_the_next_free_port_is_taken(first: int) -> None:
    listeners = [listen(first) for _ in range(5)]
    ports = [each.port for each in listeners]
    assert ports == sorted(set(ports))
    assert ports[0] == first
    listeners[2].close()
    again = listen(first)
    assert again.port == ports[2]
    for each in (*listeners, again):
        each.close()


def test_a_port_is_kept_where_it_is_free(first: int) -> None:
    kept = listen(first, first + 7)
    assert kept.port == first + 7
    other = listen(first, first + 7)
    assert other.port == first
    kept.close()
    other.close()


def test_any_port_will_do_where_none_was_named() -> None:
    one, two = listen(0), listen(0)
    assert 0 < one.port != two.port > 0
    one.close()
    two.close()


def test_two_runners_that_start_pods_at_once_get_ports_of_their_own(first: int) -> None:
    found: list[Listener] = []

    def take() -> None:
        found.extend([listen(first) for _ in range(25)])

    threads = [threading.Thread(target=take) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len({each.port for each in found}) == 100
    for each in found:
        with socket.create_connection((each.address, each.port)):
            each.close()


def test_only_the_loopback_is_listened_on(first: int) -> None:
    listener = listen(first)
    assert listener.address == "127.0.0.1"
    listener.close()


def test_a_port_is_free_again_when_the_listener_is_dropped(first: int) -> None:
    listener = listen(first)
    port = listener.port
    with socket.create_connection(("127.0.0.1", port)):
        del listener
    again = listen(first)
    assert again.port == port  # though a connection to it has just ended
    again.close()
    again.close()
