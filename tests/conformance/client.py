"""Talks to an API server and writes down its answers; what changes from run to run is masked."""

import base64
import http.client
import json
import re
import ssl
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
        keep: bool = True,
    ) -> Any:
        """Send one request, keep its answer in the transcript, and return the raw answer."""
        server = self._server(path)
        headers = {"Content-Type": content, "Accept": accept}
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

    def watch(self, label: str, path: str, count: int) -> list[Any]:
        """Watch *path*, keep the first *count* events."""
        server = self._server(path)
        connection = server.connect()
        try:
            connection.request("GET", path, headers={"Authorization": f"Bearer {server.token}"})
            answer = connection.getresponse()
            events = [json.loads(answer.readline()) for _ in range(count)]
        finally:
            connection.close()
        entry = {"label": label, "status": answer.status, "body": normalise(events)}
        self.transcript.append(entry)
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
    """Return *status* with its causes sorted: a real server gives several in any order."""
    causes = (status.get("details") or {}).get("causes")
    if not causes or len(causes) < 2:
        return status
    ordered = sorted(causes, key=lambda cause: (cause.get("field", ""), cause.get("message", "")))
    return {**status, "message": "…", "details": {**status["details"], "causes": ordered}}
