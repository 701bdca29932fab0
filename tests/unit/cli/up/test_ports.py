"""Ports stay the same from one start to the next, and step aside for others."""

import socket
from collections.abc import Iterator
from dataclasses import astuple
from pathlib import Path

import pytest

from cli.datadir import DataDir
from cli.errors import CommandError
from cli.up.ports import LOOPBACK, Ports, Reservation


def choose(directory: DataDir, asked: int | None, *, embedded: bool) -> Ports:
    with Reservation(directory) as reservation:
        return reservation.choose(asked, embedded=embedded)


@pytest.fixture
def directory(tmp_path: Path) -> DataDir:
    return DataDir(tmp_path)


@pytest.fixture
def listener() -> Iterator[socket.socket]:
    with socket.create_server((LOOPBACK, 0)) as server:
        yield server


def test_zero_takes_any_free_ports_and_keeps_them(directory: DataDir):
    first = choose(directory, 0, embedded=True)
    assert len({first.api, first.runners, first.enrolment}) == 3
    assert choose(directory, 0, embedded=True) == first
    assert choose(directory, None, embedded=True) == first


def test_a_kept_port_that_is_taken_meanwhile_is_given_up_and_the_others_stay(directory: DataDir):
    first = choose(directory, 0, embedded=True)
    with socket.create_server((LOOPBACK, first.runners)):
        second = choose(directory, 0, embedded=True)
    assert second.runners != first.runners
    assert (second.api, second.enrolment) == (first.api, first.enrolment)


def test_a_port_that_was_asked_for_is_taken_or_refused(directory: DataDir, listener: socket.socket):
    taken = listener.getsockname()[1]
    with pytest.raises(CommandError, match=f"port {taken} .* --port"):
        choose(directory, taken, embedded=True)
    listener.close()
    assert choose(directory, taken, embedded=True).api == taken


def test_the_usual_port_steps_aside_when_it_is_taken(
    directory: DataDir, listener: socket.socket, monkeypatch: pytest.MonkeyPatch
):
    taken = listener.getsockname()[1]
    monkeypatch.setattr(Ports.__init__, "__defaults__", (taken,) * 5)
    chosen = choose(directory, None, embedded=True)
    assert len({taken, *astuple(chosen)}) == 6


@pytest.mark.parametrize("content", ["", "[]", '{"api": "x"}', '{"api": 99999999}', "\x00"])
def test_a_damaged_file_of_ports_is_passed_over(directory: DataDir, content: str):
    directory.ports.write_text(content, encoding="utf-8")
    assert choose(directory, 0, embedded=True).api > 0


def test_a_reserved_port_is_for_its_server_and_for_nobody_who_looks_for_a_free_one(
    directory: DataDir, tmp_path: Path
):
    other = DataDir(tmp_path / "other")
    other.root.mkdir()
    with Reservation(directory) as reservation:
        ours = reservation.choose(0, embedded=True)
        with Reservation(other) as second:
            theirs = second.choose(0, embedded=True)
        assert not {theirs.api, theirs.runners} & {ours.api, ours.runners, ours.enrolment}
        with socket.socket() as stranger, pytest.raises(OSError, match="in use"):
            stranger.bind((LOOPBACK, ours.api))
        for _ in range(2):  # the server may come and go
            with socket.create_server((LOOPBACK, ours.api)) as server:
                socket.create_connection((LOOPBACK, ours.api)).close()
                server.accept()[0].close()


def test_a_port_with_old_connections_is_ours_again(directory: DataDir):
    with Reservation(directory) as reservation:
        ours = reservation.choose(0, embedded=True)
        with socket.create_server((LOOPBACK, ours.api)) as server:
            client = socket.create_connection((LOOPBACK, ours.api))
            server.accept()[0].close()  # this end waits in TIME_WAIT
            client.close()
    assert choose(directory, 0, embedded=True) == ours
