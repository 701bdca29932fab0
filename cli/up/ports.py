"""Which ports a mesh on this machine listens on: the same ones again after every restart."""

import errno
import json
import socket
from dataclasses import asdict, dataclass, fields
from typing import Final

from cli.datadir import DataDir, read_json, write_private
from cli.errors import CommandError

LOOPBACK: Final = "127.0.0.1"
_TRIES: Final = 200
"""So many ports above a taken one are looked at before any free one is taken."""


@dataclass(frozen=True, slots=True)
class Ports:
    """One port for each listener."""

    api: int = 6443
    """The embedded API server."""
    runners: int = 7443
    """Where runners connect, with mutual TLS."""
    enrolment: int = 7444
    """Where runners enrol and people attach, with the server's certificate only."""


def choose(directory: DataDir, asked: int | None, *, embedded: bool) -> Ports:
    """Return free ports: those of last time where they are free, and keep them for the next time.

    *asked* is the API server's port, 0 for any free ports, None for the usual ones.

    Raises:
        CommandError: The port that was asked for is taken.
    """
    before = _before(directory)
    fallback = Ports() if asked != 0 else Ports(0, 0, 0)
    taken: set[int] = set()
    if embedded and asked:
        if not _free(asked):
            raise CommandError(
                f"port {asked} of {LOOPBACK}, asked for with --port for the API server, is taken: "
                "give --port another one, or 0 for any free ports"
            )
        api = asked
        taken.add(api)
    else:
        api = _pick(before.api, fallback.api, taken)
    runners = _pick(before.runners, fallback.runners, taken)
    enrolment = _pick(before.enrolment, fallback.enrolment, taken)
    chosen = Ports(api, runners, enrolment)
    write_private(directory.ports, json.dumps(asdict(chosen)).encode())
    return chosen


def _before(directory: DataDir) -> Ports:
    """Return the ports of last time; 0 where there is none."""
    kept = read_json(directory.ports)
    return Ports(*(_port(kept.get(field.name)) for field in fields(Ports)))


def _port(kept: object) -> int:
    return kept if isinstance(kept, int) and 0 < kept < 65536 else 0


def _pick(before: int, usual: int, taken: set[int]) -> int:
    candidates = [before] if before else []
    if usual:
        candidates += range(usual, usual + _TRIES)
    for port in candidates:
        if port not in taken and _free(port):
            break
    else:
        port = _any(taken)
    taken.add(port)
    return port


def _free(port: int) -> bool:
    with socket.socket() as probe:
        # As servers do: a port whose last connections are still timing out is free.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((LOOPBACK, port))
        except OSError as exc:
            if exc.errno in {errno.EADDRINUSE, errno.EACCES}:
                return False
            raise
    return True


def _any(taken: set[int]) -> int:
    while True:
        with socket.socket() as probe:
            probe.bind((LOOPBACK, 0))
            port: int = probe.getsockname()[1]
        if port not in taken:
            return port
