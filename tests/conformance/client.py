"""Talks to an API server and writes down its answers; what changes from run to run is masked."""

import base64
import http.client
import itertools
import json
import re
import ssl
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import yaml

Entry = dict[str, Any]

_CUSTOM = ("/apis/apiextensions.k8s.io", "/apis/conformance.example", "/apis/agentsmesh.io")
_MASKED = {"uid", "resourceVersion", "creationTimestamp", "deletionTimestamp"}
_DROPPED = {"managedFields", "selfLink"}
_UUID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}")
_TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z")


class Server:
    """One address that answers HTTPS with a bearer token."""

    def __init__(self, kubeconfig: Path) -> None:
        config = yaml.safe_load(kubeconfig.read_text(encoding="utf-8"))
        cluster = config["clusters"][0]["cluster"]
        self.token = str(config["users"][0]["user"]["token"])
        address = urlsplit(cluster["server"])
        self._host, self._port = str(address.hostname), address.port
        authority = base64.b64decode(cluster["certificate-authority-data"]).decode()
        self._context = ssl.create_default_context(cadata=authority)

    def connect(self) -> http.client.HTTPSConnection:
        return http.client.HTTPSConnection(
            self._host, self._port, context=self._context, timeout=20
        )


class Recorder:
    """Sends requests and keeps a transcript: label, status, normalised body."""

    def __init__(self, core: Server, custom: Server) -> None:
        self._core, self._custom = core, custom
        self.transcript: list[Entry] = []

    def _server(self, path: str) -> Server:
        return self._custom if path.startswith(_CUSTOM) else self._core

    def call(
        self,
        label: str,
        method: str,
        path: str,
        body: Any = None,
        *,
        content: str = "application/json",
        accept: str = "application/json",
        token: str | None = None,
        user: str = "",
        keep: bool = True,
    ) -> Any:
        """Send one request, keep its answer in the transcript, and return the raw answer."""
        server = self._server(path)
        headers = {"Content-Type": content, "Accept": accept}
        if user:
            headers["Impersonate-User"] = user
        if token != "":
            headers["Authorization"] = f"Bearer {token or server.token}"
        connection = server.connect()
        try:
            data = None if body is None else body if isinstance(body, str) else json.dumps(body)
            connection.request(method, path, body=data, headers=headers)
            answer = connection.getresponse()
            raw = answer.read()
            warning = answer.getheader("Warning")
        finally:
            connection.close()
        parsed = json.loads(raw) if raw[:1] in b"{[" and raw else raw.decode(errors="replace")
        if keep:
            entry = {"label": label, "status": answer.status, "body": normalise(parsed)}
            if warning:
                entry["warning"] = warning
            self.transcript.append(entry)
        return parsed

    def note(self, label: str, body: Any, status: int = 0) -> None:
        """Keep *body*, which is what matters of an answer that is not kept whole."""
        self.transcript.append({"label": label, "status": status, "body": normalise(body)})

    def until(self, path: str, holds: Callable[[Any], bool]) -> Any:
        """Read *path* until *holds* is true of the answer; return that answer."""
        deadline = time.monotonic() + 40
        while True:
            answer = self.call("until", "GET", path, keep=False)
            if holds(answer):
                return answer
            assert time.monotonic() < deadline, f"{path} stays {answer}"
            time.sleep(0.05)

    def gone(self, path: str) -> None:
        """Wait until there is nothing at *path*."""
        self.until(path, lambda answer: answer.get("code") == 404)

    def watch(self, label: str, path: str, count: int, *, keep: bool = True) -> list[Any]:
        """Watch *path*, keep the first *count* events; 0: all until the stream ends."""
        server = self._server(path)
        connection = server.connect()
        try:
            connection.request("GET", path, headers={"Authorization": f"Bearer {server.token}"})
            answer = connection.getresponse()
            lines = iter(answer.readline, b"")
            events = [json.loads(line) for line in itertools.islice(lines, count or None)]
        finally:
            connection.close()
        if keep:
            self.note(label, events, answer.status)
        return events


def normalise(value: Any) -> Any:
    """Return *value* with what changes from run to run masked or dropped."""
    if isinstance(value, dict):
        if value.get("kind") == "Status":
            value = _in_order(value)
        return {
            key: "…" if key in _MASKED and isinstance(item, str) and item else normalise(item)
            for key, item in sorted(value.items())
            if key not in _DROPPED
        }
    if isinstance(value, list):
        return [normalise(item) for item in value]
    if isinstance(value, str):
        return _TIME.sub("<time>", _UUID.sub("<uid>", value))
    return value


def _in_order(status: dict[str, Any]) -> dict[str, Any]:
    """Return *status* with its causes sorted, each once.

    A real server gives several in any order, and some of them twice.
    """
    causes = (status.get("details") or {}).get("causes")
    if not causes or len(causes) < 2:
        return status
    unique = {(c.get("field", ""), c.get("message", ""), c.get("reason", "")): c for c in causes}
    found = {
        **status,
        "details": {**status["details"], "causes": [unique[k] for k in sorted(unique)]},
    }
    return found if len(unique) == 1 else {**found, "message": "…"}
