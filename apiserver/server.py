"""The process: data directory, store, controllers and HTTPS, from start to a clean end."""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import logging
import os
import signal
import socket
import sqlite3
import ssl
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import uvicorn
from typing_extensions import override

from apiserver import collection, kubeconfig
from apiserver.controlplane import ControlPlane
from apiserver.tls import ServingCertificate

logger = logging.getLogger(__name__)

_RENEWAL_CHECK_SECONDS: Final = 6 * 3600.0
_GRACE_SECONDS: Final = 5
_FAREWELL_SECONDS: Final = 0.2
_KEEP_ALIVE_SECONDS: Final = 3600
"""Clients pool connections; closing them early only makes their next request fail."""


class StartError(Exception):
    """The server cannot start; the text says why and what to do, in one sentence."""


@dataclass(frozen=True, slots=True)
class Settings:
    """What the command line says."""

    data_dir: Path
    port: int
    """0 for any free port."""
    kubeconfig: Path


@contextlib.contextmanager
def data_directory(path: Path) -> Iterator[None]:
    """Hold *path* for this process alone, making it (mode 0700) where it is missing.

    Raises:
        StartError: It cannot be used, or another server has it.
    """
    try:
        path.mkdir(mode=0o700, parents=True, exist_ok=True)
        path.chmod(0o700)
        descriptor = os.open(path / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as exc:
        raise StartError(f"The data directory {path} cannot be used: {exc.strerror}.") from exc
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as exc:
            raise StartError(f"Another API server uses the data directory {path}.") from exc
        yield
    finally:
        os.close(descriptor)


def bind(port: int) -> socket.socket:
    """Return a socket on loopback, not yet listening.

    Raises:
        StartError: The port is taken or not allowed.
    """
    sock = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        sock.bind(("127.0.0.1", port))
    except OSError as exc:
        sock.close()
        hint = "choose another with --port, or 0 for any free one"
        raise StartError(
            f"Port {port} on 127.0.0.1 cannot be used: {exc.strerror}; {hint}."
        ) from exc
    return sock


class _Https(uvicorn.Server):
    """uvicorn, told from outside when to stop, telling when it is ready and when it ends."""

    def __init__(
        self, config: uvicorn.Config, ready: Callable[[], None], ending: Callable[[], None]
    ) -> None:
        super().__init__(config)
        self._ready = ready
        self._ending = ending

    @override
    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Leave the signals to the owner of the loop."""
        yield

    @override
    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Listen, then say so."""
        await super().startup(sockets)
        self._ready()

    @override
    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """End the watches, which would never end by themselves, then the rest."""
        self._ending()
        async with asyncio.TaskGroup() as tasks:
            cutter = tasks.create_task(self._cut())
            await super().shutdown(sockets)
            cutter.cancel()

    async def _cut(self) -> None:
        # A client that keeps an idle connection need not take part in closing it.
        while True:
            await asyncio.sleep(_FAREWELL_SECONDS)
            for connection in list(self.server_state.connections):
                transport = getattr(connection, "transport", None)
                if transport is not None and transport.is_closing():
                    transport.abort()


class Server:
    """The whole API server of one data directory."""

    def __init__(self, settings: Settings, sock: socket.socket) -> None:
        """Open everything; needs the data directory to be held.

        Raises:
            StartError: Some file cannot be used.
        """
        self._settings = settings
        self._sock = sock
        self.url = f"https://127.0.0.1:{sock.getsockname()[1]}"
        directory = settings.data_dir
        try:
            self._certificate = ServingCertificate(directory / "tls")
            self._certificate.ensure()
            self._plane = ControlPlane(directory)
        except (OSError, sqlite3.Error, ValueError) as exc:
            raise StartError(f"The data directory {directory} cannot be used: {exc}.") from exc

    async def serve(self, announce: Callable[[str], None]) -> None:
        """Serve until SIGTERM or SIGINT; *announce* hears the URL when requests are answered."""
        await self._plane.start()
        collection.calm()
        context = self._certificate.context()
        https = self._https(context, announce)
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._stop, https)
        try:
            async with asyncio.TaskGroup() as tasks:
                background = [
                    tasks.create_task(self._plane.run()),
                    tasks.create_task(self._renew(context)),
                    tasks.create_task(collection.run()),
                ]
                await https.serve([self._sock])
                for task in background:
                    task.cancel()
        finally:
            await self._plane.stop()

    @staticmethod
    def _stop(https: uvicorn.Server) -> None:
        https.should_exit = True

    def _https(self, context: ssl.SSLContext, announce: Callable[[str], None]) -> _Https:
        app: Any = self._plane.app
        config = uvicorn.Config(
            app,
            http="httptools",
            ws="none",
            lifespan="off",
            log_config=None,
            access_log=False,
            server_header=False,
            timeout_keep_alive=_KEEP_ALIVE_SECONDS,
            timeout_graceful_shutdown=_GRACE_SECONDS,
            ssl_context_factory=lambda _config, _default: context,
        )

        def ready() -> None:
            content = kubeconfig.render(self.url, self._certificate.ca_pem, self._plane.admin_token)
            kubeconfig.write(self._settings.kubeconfig, content)
            announce(self.url)

        return _Https(config, ready, self._plane.store.end_watches)

    async def _renew(self, context: ssl.SSLContext) -> None:
        while True:
            await asyncio.sleep(_RENEWAL_CHECK_SECONDS)
            if await asyncio.to_thread(self._certificate.ensure):
                self._certificate.load_into(context)
                logger.info("the serving certificate was renewed")
