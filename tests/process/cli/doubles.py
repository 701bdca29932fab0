"""A controller and an API server for the command line to talk to, on real sockets.

Only what ``attach`` and ``logs`` see of them: a ConfigMap over HTTP, and the service ``Attach``
over gRPC with TLS. The terminal echoes what is typed, as one with ``cat`` in it does.
"""

import base64
import contextlib
import datetime as dt
import http.server
import ipaddress
import json
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import grpc
import yaml
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from meshwire.v1 import link_pb2, link_pb2_grpc

SCREEN = b"\x1b[2J\x1b[H"


class Terminal:
    """What the agent has written, and what it was told."""

    def __init__(self) -> None:
        self.changed = threading.Condition()
        self.transcript = b""
        self.ended: link_pb2.ViewEnded | None = None
        self.notes: list[str] = []
        """What viewers are told from now on, once."""
        self.typed = b""
        self.sizes: list[tuple[int, int]] = []
        self.openings: list[link_pb2.AttachOpen] = []
        self.followed = False
        """Whether a viewer was told from where on it follows."""

    def write(self, data: bytes) -> None:
        with self.changed:
            self.transcript += data
            self.changed.notify_all()

    def note(self, text: str) -> None:
        with self.changed:
            self.notes.append(text)
            self.changed.notify_all()

    def end(self, exit_code: int = 0, signal: int = 0) -> None:
        with self.changed:
            self.ended = link_pb2.ViewEnded(reason="Exited", exit_code=exit_code, signal=signal)
            self.changed.notify_all()


class Controller(link_pb2_grpc.AttachServicer):
    """Serves one terminal, ``pod``, on a port that it keeps over restarts."""

    def __init__(self, terminal: Terminal) -> None:
        self.terminal = terminal
        self.key, self.certificate = _certificate()
        self.port = 0
        self._server: grpc.Server | None = None

    def start(self) -> None:
        self._stopping = threading.Event()
        self._server = grpc.server(ThreadPoolExecutor(8), options=[("grpc.so_reuseport", 0)])
        link_pb2_grpc.add_AttachServicer_to_server(self, self._server)
        credentials = grpc.ssl_server_credentials([(self.key, self.certificate)])
        self.port = self._server.add_secure_port(f"127.0.0.1:{self.port}", credentials)
        self._server.start()

    def stop(self) -> None:
        if self._server is not None:
            self._stopping.set()
            with self.terminal.changed:
                self.terminal.changed.notify_all()
            self._server.stop(0).wait()
            self._server = None

    def Attach(self, request_iterator: Any, context: Any) -> Iterator[link_pb2.AttachOut]:  # noqa: N802
        token = dict(context.invocation_metadata()).get("authorization")
        if token == "Bearer stranger":
            context.abort(grpc.StatusCode.PERMISSION_DENIED, "stranger may not attach to pod")
        if token != "Bearer good":
            context.abort(grpc.StatusCode.UNAUTHENTICATED, "the token is not known")
        opening = next(request_iterator).open
        if opening.pod != "pod":
            context.abort(grpc.StatusCode.NOT_FOUND, f"there is no AgentPod {opening.pod}")
        self.terminal.openings.append(opening)
        acks: list[int] = []
        reader = threading.Thread(target=self._read, args=(request_iterator, acks), daemon=True)
        reader.start()
        yield from self._show(opening, acks)

    def _read(self, requests: Any, acks: list[int]) -> None:
        with contextlib.suppress(grpc.RpcError, StopIteration):
            for request in requests:
                with self.terminal.changed:
                    match request.WhichOneof("msg"):
                        case "input":
                            self.terminal.typed += request.input.data
                            self.terminal.transcript += request.input.data
                            acks.append(request.input.seq)
                        case "resize":
                            size = request.resize
                            self.terminal.sizes.append((size.cols, size.rows))
                    self.terminal.changed.notify_all()

    def _notes(self) -> Iterator[link_pb2.AttachOut]:
        with self.terminal.changed:
            notes, self.terminal.notes = self.terminal.notes, []
        for text in notes:
            yield link_pb2.AttachOut(note=link_pb2.ViewNote(text=text))

    def _show(self, opening: link_pb2.AttachOpen, acks: list[int]) -> Iterator[link_pb2.AttachOut]:
        terminal = self.terminal
        with terminal.changed:
            end = len(terminal.transcript)
        yield from self._notes()
        screen = opening.start == link_pb2.VIEW_START_SCREEN
        offset = end if screen else opening.from_offset
        yield link_pb2.AttachOut(
            opened=link_pb2.ViewOpened(
                offset=offset,
                screen=SCREEN + terminal.transcript[:end] if screen else b"",
                running=True,
            )
        )
        with terminal.changed:
            terminal.followed = terminal.followed or opening.follow
            terminal.changed.notify_all()
        while True:
            with terminal.changed:
                terminal.changed.wait_for(
                    lambda at=offset: (
                        len(terminal.transcript) > at
                        or acks
                        or terminal.notes
                        or terminal.ended
                        or not opening.follow
                        or self._stopping.is_set()
                    )
                )
                fresh, done = terminal.transcript[offset : offset + 65536], list(acks)
                acks.clear()
            if self._stopping.is_set():
                return
            yield from self._notes()
            for seq in done:
                yield link_pb2.AttachOut(input_ack=link_pb2.InputAck(seq=seq))
            if fresh:
                yield link_pb2.AttachOut(output=link_pb2.Output(offset=offset, data=fresh))
                offset += len(fresh)
            elif terminal.ended:
                yield link_pb2.AttachOut(ended=terminal.ended)
                return
            elif not opening.follow:
                yield link_pb2.AttachOut(ended=link_pb2.ViewEnded(reason="EndOfTranscript"))
                return


@contextlib.contextmanager
def api_server(controller: Controller) -> Iterator[str]:
    """Serve the trust bundle of the namespace ``default``; yield the address."""

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:  # noqa: N802 - the library's name
            found = self.path == "/api/v1/namespaces/default/configmaps/agentsmesh-trust-bundle"
            data = {
                "ca.crt": controller.certificate.decode(),
                "publicEndpoint": f"127.0.0.1:{controller.port}",
                "runnerEndpoint": "127.0.0.1:1",
            }
            status = {"kind": "Status", "message": "not found", "code": 404}
            body = json.dumps({"data": data} if found else status).encode()
            self.send_response(200 if found else 404)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the library's name
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_address[1]}"
        finally:
            server.shutdown()
            thread.join()


def write_kubeconfig(path: Path, server: str, user: dict[str, Any]) -> Path:
    """Write a kubeconfig for *server* with the credential *user*."""
    document = {
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": "c",
        "clusters": [{"name": "k", "cluster": {"server": server}}],
        "contexts": [{"name": "c", "context": {"cluster": "k", "user": "u"}}],
        "users": [{"name": "u", "user": user}],
    }
    path.write_text(yaml.safe_dump(document), encoding="utf-8")
    return path


def _certificate() -> tuple[bytes, bytes]:
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "double")])
    now = dt.datetime.now(dt.UTC)
    address = x509.IPAddress(ipaddress.ip_address("127.0.0.1"))
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - dt.timedelta(minutes=5))
        .not_valid_after(now + dt.timedelta(hours=1))
        .add_extension(x509.SubjectAlternativeName([address]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .sign(key, hashes.SHA256())
    )
    pem = key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
    return pem, certificate.public_bytes(serialization.Encoding.PEM)


def certificate_user() -> dict[str, str]:
    """Return a kubeconfig user with a client certificate and no token."""
    key, certificate = _certificate()
    return {
        "client-certificate-data": base64.b64encode(certificate).decode(),
        "client-key-data": base64.b64encode(key).decode(),
    }
