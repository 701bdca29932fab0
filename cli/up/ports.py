"""Which ports a mesh on this machine listens on: the same ones again after every restart."""

import errno
import json
import socket
from dataclasses import asdict, dataclass, fields
from typing import Final, Self

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
    mcp: int = 19000
    """The first of the ports on which pods find their tools: each pod has one of its own."""
    webhooks: int = 7445
    """Where git hosts and hooks on this machine tell of pushes to GitSources."""


class Reservation:
    """Ports that nobody else gets for as long as this is open, also while a server is restarted.

    Each is bound, not listened on, by us. A server that sets SO_REUSEADDR, as servers do, binds it
    all the same; the kernel gives it to nobody as a free port. Source: socket(7), ip(7).
    """

    def __init__(self, directory: DataDir) -> None:
        self._directory = directory
        self._held: dict[int, socket.socket] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        for held in self._held.values():
            held.close()

    def choose(self, asked: int | None, *, embedded: bool) -> Ports:
        """Return free ports: those of last time where they are free, and keep them for next time.

        *asked* is the API server's port, 0 for any free ports, None for the usual ones.

        Raises:
            CommandError: The port that was asked for is taken.
        """
        before = _before(self._directory)
        usual = Ports() if asked != 0 else Ports(0, 0, 0, 0, 0)
        if embedded and asked:
            if not self._hold(asked, ours=True):
                raise CommandError(
                    f"port {asked} of {LOOPBACK}, asked for with --port for the API server, is "
                    "taken: give --port another one, or 0 for any free ports"
                )
            api = asked
        else:
            api = self._pick(before.api, usual.api)
        runners = self._pick(before.runners, usual.runners)
        enrolment = self._pick(before.enrolment, usual.enrolment)
        webhooks = self._pick(before.webhooks, usual.webhooks)
        chosen = Ports(api, runners, enrolment, self._pick(before.mcp, usual.mcp), webhooks)
        write_private(self._directory.ports, json.dumps(asdict(chosen)).encode())
        return chosen

    def _pick(self, before: int, usual: int) -> int:
        if before and self._hold(before, ours=True):
            return before
        for port in range(usual, usual + _TRIES) if usual else ():
            if self._hold(port, ours=False):
                return port
        while not (port := self._hold(0, ours=False)):
            continue
        return port

    def _hold(self, port: int, *, ours: bool) -> int:
        """Hold *port* (0: any) and return it; 0 if it is taken.

        One that is *ours* may have connections of last time that are still timing out.
        """
        if port in self._held:
            return 0
        probe = socket.socket()
        try:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, int(ours))
            probe.bind((LOOPBACK, port))
        except OSError as exc:
            probe.close()
            if exc.errno in {errno.EADDRINUSE, errno.EACCES}:
                return 0
            raise
        # From here on a server may bind it beside us.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        number: int = probe.getsockname()[1]
        self._held[number] = probe
        return number


def _before(directory: DataDir) -> Ports:
    """Return the ports of last time; 0 where there is none."""
    kept = read_json(directory.ports)
    return Ports(*(_port(kept.get(field.name)) for field in fields(Ports)))


def _port(kept: object) -> int:
    return kept if isinstance(kept, int) and 0 < kept < 65536 else 0
