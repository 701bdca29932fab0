"""What a watch is told, at once: for tests that must act at a moment of a pod's life."""

import base64
import contextlib
import http.client
import json
import ssl
import threading
import time
import urllib.parse
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import yaml

AGENT_PODS = "/apis/agentsmesh.io/v1alpha1/namespaces/default/agentpods"
EVENTS = "/api/v1/namespaces/default/events"


class Server:
    """The API server of a kubeconfig with a token."""

    def __init__(self, kubeconfig: Path) -> None:
        config = yaml.safe_load(kubeconfig.read_text(encoding="utf-8"))
        cluster = config["clusters"][0]["cluster"]
        self._at = urllib.parse.urlsplit(cluster["server"])
        authority = base64.b64decode(cluster["certificate-authority-data"]).decode()
        self._tls = ssl.create_default_context(cadata=authority)
        self._headers = {"Authorization": f"Bearer {config['users'][0]['user']['token']}"}

    @contextlib.contextmanager
    def get(self, path: str, timeout: float = 30) -> Iterator[http.client.HTTPResponse]:
        """Ask for *path* and give the answer, to be read."""
        assert self._at.hostname is not None
        connection = http.client.HTTPSConnection(
            self._at.hostname, self._at.port, context=self._tls, timeout=timeout
        )
        with contextlib.closing(connection):
            connection.request("GET", path, headers=self._headers)
            with connection.getresponse() as answer:
                yield answer

    def read(self, path: str) -> dict[str, Any]:
        """Return the object at *path*."""
        with self.get(path) as answer:
            assert answer.status == 200, answer.read()
            return dict(json.load(answer))


class Watch:
    """All that happens to the objects at a path, from now on, over restarts of the server."""

    def __init__(self, kubeconfig: Path, path: str) -> None:
        self._server = Server(kubeconfig)
        self._path = path
        self._ended = False
        self._changed = threading.Condition()
        self.seen: list[dict[str, Any]] = []
        """Watch events, in order."""
        self._version = str(self._server.read(path)["metadata"]["resourceVersion"])
        self._thread = threading.Thread(target=self._run, daemon=True)

    def __enter__(self) -> "Watch":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended = True
        self._thread.join(10)

    def wait(self, claim: Callable[[dict[str, Any]], Any], *, what: str, seconds: float) -> Any:
        """Return the first object for which *claim* is true, as soon as it is told."""
        event = self.wait_event(lambda e: claim(e["object"]), what=what, seconds=seconds)
        return event["object"]

    def wait_event(
        self, claim: Callable[[dict[str, Any]], Any], *, what: str = "", seconds: float = 30
    ) -> dict[str, Any]:
        """Return the first event for which *claim* is true, as soon as it is told."""
        deadline = time.monotonic() + seconds
        looked = 0
        with self._changed:
            while True:
                for event in self.seen[looked:]:
                    if claim(event):
                        return event
                looked = len(self.seen)
                left = deadline - time.monotonic()
                assert left > 0, f"not within {seconds} s: {what}"
                self._changed.wait(left)

    def _run(self) -> None:
        while not self._ended:
            try:
                for event in self._events():
                    self._take(event)
            except (OSError, http.client.HTTPException, ValueError):
                time.sleep(0.02)  # the server is away

    def _events(self) -> Iterator[dict[str, Any]]:
        query = f"?watch=1&allowWatchBookmarks=true&resourceVersion={self._version}"
        with self._server.get(self._path + query, timeout=1) as answer:
            while line := answer.readline():
                yield json.loads(line)

    def _take(self, event: dict[str, Any]) -> None:
        if event["type"] == "ERROR":
            raise OSError(event["object"])
        self._version = event["object"]["metadata"]["resourceVersion"]
        if event["type"] == "BOOKMARK":
            return
        with self._changed:
            self.seen.append(event)
            self._changed.notify_all()
