"""A small client of the Kubernetes API for short commands and for `up`.

The controller's client (controller/kube) needs half a second and 50 MiB to import; a command that
asks one question should not. Blocking: call it in a thread where there is an event loop.
"""

import contextlib
import http.client
import json
import ssl
import tempfile
from pathlib import Path
from typing import Any, Final
from urllib.parse import quote, urlsplit

from cli.errors import CommandError, NotAllowed, NotFound, Unreachable
from cli.kubeconfig import Target
from schemas.names import Resource

_TIMEOUT_SECONDS: Final = 10.0


class Conflict(CommandError):  # noqa: N818 - the API's own word
    """The object exists already, or changed since it was read."""


class Api:
    """One API server, as one user. Every call is a connection of its own."""

    def __init__(self, target: Target, *, timeout_seconds: float = _TIMEOUT_SECONDS) -> None:
        self.target = target
        self._timeout = timeout_seconds
        self._tls = _tls(target)

    def get(self, resource: Resource, namespace: str, name: str) -> dict[str, Any]:
        """Return the object. Raises NotFound."""
        return self._ask("GET", path(resource, namespace, name))

    def list(self, resource: Resource, namespace: str, *, labels: str = "") -> list[dict[str, Any]]:
        """Return all objects of a kind in a namespace."""
        query = f"?labelSelector={labels}" if labels else ""
        items = self._ask("GET", path(resource, namespace) + query).get("items") or []
        return [item for item in items if isinstance(item, dict)]

    def create(
        self, resource: Resource, namespace: str, manifest: dict[str, Any]
    ) -> dict[str, Any]:
        """Create the object and return it. Raises Conflict if it exists."""
        return self._ask("POST", path(resource, namespace), manifest)

    def patch(
        self, resource: Resource, namespace: str, name: str, change: dict[str, Any]
    ) -> dict[str, Any]:
        """Merge *change* into the object and return it. Source: RFC 7386."""
        where = path(resource, namespace, name)
        return self._ask("PATCH", where, change, "application/merge-patch+json")

    def delete(self, resource: Resource, namespace: str, name: str) -> None:
        """Delete the object; it is fine if there is none."""
        with contextlib.suppress(NotFound):
            self._ask("DELETE", path(resource, namespace, name))

    def raw(self, where: str) -> str:
        """Return what the server answers to GET *where*, as text."""
        return self._send("GET", where, None, "").decode("utf-8", errors="replace")

    def whoami(self) -> str:
        """Return the user name that the API server knows us by; empty if it cannot say."""
        review = {"apiVersion": "authentication.k8s.io/v1", "kind": "SelfSubjectReview"}
        try:
            answer = self._ask("POST", "/apis/authentication.k8s.io/v1/selfsubjectreviews", review)
        except CommandError:
            return ""
        return str(((answer.get("status") or {}).get("userInfo") or {}).get("username") or "")

    def _ask(
        self,
        method: str,
        where: str,
        body: dict[str, Any] | None = None,
        content_type: str = "application/json",
    ) -> dict[str, Any]:
        answer = self._send(method, where, body, content_type)
        try:
            value = json.loads(answer)
        except ValueError as exc:
            raise Unreachable(f"{self.target.server} answers, but not like an API server") from exc
        return value if isinstance(value, dict) else {}

    def _send(
        self, method: str, where: str, body: dict[str, Any] | None, content_type: str
    ) -> bytes:
        headers = {"Accept": "application/json"}
        if self.target.authorization:
            headers["Authorization"] = self.target.authorization
        if body is not None:
            headers["Content-Type"] = content_type
        payload = None if body is None else json.dumps(body)
        try:
            with contextlib.closing(self._connect()) as connection:
                connection.request(method, where, payload, headers)
                response = connection.getresponse()
                answer = response.read()
        except (OSError, http.client.HTTPException) as exc:
            raise Unreachable(
                f"the API server {self.target.server} (from {self.target.source}) "
                f"does not answer: {exc}"
            ) from exc
        if response.status >= 400:
            raise _refusal(response.status, answer)
        return answer

    def _connect(self) -> http.client.HTTPConnection:
        to = urlsplit(self.target.server)
        host, port = to.hostname or "", to.port or (443 if self._tls else 80)
        if self.target.proxy:
            proxy = urlsplit(self.target.proxy)
            connection = http.client.HTTPConnection(
                proxy.hostname or "", proxy.port or 3128, timeout=self._timeout
            )
            connection.set_tunnel(host, port)
        else:
            connection = http.client.HTTPConnection(host, port, timeout=self._timeout)
        connection.connect()
        if self._tls is not None:
            name = self.target.server_name or host
            connection.sock = self._tls.wrap_socket(connection.sock, server_hostname=name)
        return connection


def path(resource: Resource, namespace: str, name: str = "") -> str:
    """Return the path of an object, or without *name* of its collection."""
    root = f"/apis/{resource.group}" if resource.group else "/api"
    inside = f"/namespaces/{quote(namespace, safe='')}" if resource.namespaced else ""
    one = f"/{quote(name, safe='')}" if name else ""
    return f"{root}/{resource.version}{inside}/{resource.plural}{one}"


def _tls(target: Target) -> ssl.SSLContext | None:
    if not target.server.startswith("https://"):
        return None
    try:
        context = ssl.create_default_context(
            cadata=target.ca.decode("ascii", errors="replace") if target.ca else None
        )
        if target.insecure:
            context.check_hostname = False
            context.verify_mode = ssl.CERT_NONE
        if target.client_certificate and target.client_key:
            _load_client(context, target)
    except (ssl.SSLError, ValueError) as exc:
        raise CommandError(f"a certificate in {target.source} cannot be used: {exc}") from exc
    return context


def _load_client(context: ssl.SSLContext, target: Target) -> None:
    """Load the client's certificate; ssl takes it only from a file, so it is one for a moment."""
    with tempfile.TemporaryDirectory(prefix="agentsmesh-") as scratch:  # mode 0700
        pair = Path(scratch) / "client.pem"
        pair.touch(0o600)
        pair.write_bytes(target.client_certificate + b"\n" + target.client_key)
        context.load_cert_chain(pair)


def _refusal(status: int, answer: bytes) -> CommandError:
    """Return the error that an answer of HTTP *status* stands for."""
    try:
        document = json.loads(answer)
    except ValueError:
        document = {}
    said = str(document.get("message") or "") if isinstance(document, dict) else ""
    text = said or f"the API server answered {status}"
    match status:
        case 401:
            return NotAllowed(f"the API server does not know the credential: {text}")
        case 403:
            return NotAllowed(text)
        case 404:
            return NotFound(text)
        case 409:
            return Conflict(text)
        case _ if status >= 500 or status == 429:
            return Unreachable(f"the API server is in trouble: {text}")
        case _:
            return CommandError(text)
