"""A small HTTP client of the Kubernetes API for measuring: one connection, no model objects.

Reads a kubeconfig with a token or a client certificate.
"""

import base64
import contextlib
import http.client
import json
import socket
import ssl
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import yaml


class Api:
    """One connection to an API server."""

    def __init__(self, kubeconfig: Path) -> None:
        config = yaml.safe_load(kubeconfig.read_text(encoding="utf-8"))
        cluster, user = config["clusters"][0]["cluster"], config["users"][0]["user"]
        address = urlsplit(cluster["server"])
        context = ssl.create_default_context(
            cadata=base64.b64decode(cluster["certificate-authority-data"]).decode()
        )
        if "client-certificate-data" in user:
            with tempfile.NamedTemporaryFile() as file:
                for part in ("client-certificate-data", "client-key-data"):
                    file.write(base64.b64decode(user[part]))
                file.flush()
                context.load_cert_chain(file.name)
        self._host, self._port = str(address.hostname), address.port
        self._context = context
        self._headers = {"Content-Type": "application/json"}
        if "token" in user:
            self._headers["Authorization"] = f"Bearer {user['token']}"
        self._connection = self._connect()

    def _connect(self) -> http.client.HTTPSConnection:
        return http.client.HTTPSConnection(
            self._host, self._port, context=self._context, timeout=60
        )

    def call(
        self, method: str, path: str, body: Any = None, content: str = "application/json"
    ) -> dict[str, Any]:
        """Send one request; return the answer's JSON."""
        data = None if body is None else json.dumps(body)
        self._connection.request(
            method, path, body=data, headers=self._headers | {"Content-Type": content}
        )
        answer = self._connection.getresponse()
        text = answer.read()
        if answer.status >= 400:
            raise RuntimeError(f"{method} {path}: {answer.status} {text[:300]!r}")
        return dict(json.loads(text))

    def timed(self, method: str, path: str, body: Any = None, content: str = "") -> float:
        """Send one request; return the milliseconds until its answer was read."""
        start = time.perf_counter()
        self.call(method, path, body, content or "application/json")
        return (time.perf_counter() - start) * 1000

    @contextlib.contextmanager
    def watch(self, path: str) -> Iterator[Iterator[tuple[float, dict[str, Any]]]]:
        """Watch *path*: yields (moment of arrival, event) from a connection of its own."""
        connection = self._connect()
        connection.request("GET", path, headers=self._headers)
        answer = connection.getresponse()
        if answer.status != 200:
            raise RuntimeError(f"watch {path}: {answer.status}")

        def events() -> Iterator[tuple[float, dict[str, Any]]]:
            while line := answer.readline():
                yield time.perf_counter(), json.loads(line)

        try:
            yield events()
        finally:
            if connection.sock is not None:  # ends a read in another thread
                with contextlib.suppress(OSError):
                    connection.sock.shutdown(socket.SHUT_RDWR)
            connection.close()
