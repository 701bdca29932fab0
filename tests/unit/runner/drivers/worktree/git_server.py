"""A git server over HTTPS with a password, on the loopback: git's own http-backend behind TLS."""

import datetime as dt
import ipaddress
import os
import ssl
import subprocess
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID


class GitServer(ThreadingHTTPServer):
    """Serves the repositories below a folder to who knows the password."""

    daemon_threads = True

    def __init__(self, root: Path, certificates: Path, authorization: str, canary: str) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.root = root
        self.authorization = authorization
        self.canary = canary
        self.answers: list[int] = []
        self.seen_in_a_process: list[str] = []
        self.scanned = 0
        self.redirect_to = ""
        self.page: bytes | None = None
        """A whole answer that is none of git's, for every request."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificates)
        self.socket = context.wrap_socket(self.socket, server_side=True)
        self._thread = threading.Thread(target=self.serve_forever, kwargs={"poll_interval": 0.01})
        self._thread.start()

    @property
    def url(self) -> str:
        return f"https://127.0.0.1:{self.server_port}"

    def stop(self) -> None:
        self.shutdown()
        self._thread.join()
        self.server_close()

    def handle_error(self, request: object, client_address: object) -> None:
        """Say nothing: clients that do not trust us hang up."""


class Handler(BaseHTTPRequestHandler):
    """One request, handed to git http-backend as CGI."""

    server: GitServer
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        self._scan()
        self.close_connection = True
        if self.server.page is not None:
            self.wfile.write(self.server.page)
            return None
        if self.server.redirect_to:
            return self._answer(301, [("Location", self.server.redirect_to + self.path)])
        if self.headers.get("Authorization") != self.server.authorization:
            return self._answer(401, [("WWW-Authenticate", 'Basic realm="git"')])
        path, _, query = self.path.partition("?")
        length = int(self.headers.get("Content-Length") or 0)
        environment = {
            "PATH": os.environ["PATH"],
            "GIT_PROJECT_ROOT": str(self.server.root),
            "GIT_HTTP_EXPORT_ALL": "1",
            "GIT_CONFIG_GLOBAL": "/dev/null",
            "PATH_INFO": path,
            "QUERY_STRING": query,
            "REQUEST_METHOD": self.command,
            "CONTENT_TYPE": self.headers.get("Content-Type", ""),
            "GIT_PROTOCOL": self.headers.get("Git-Protocol", ""),
            "HTTP_CONTENT_ENCODING": self.headers.get("Content-Encoding", ""),
            "REMOTE_USER": "ada",
        }
        done = subprocess.run(
            ["git", "http-backend"],
            input=self.rfile.read(length),
            env=environment,
            capture_output=True,
            check=True,
        )
        head, _, body = done.stdout.partition(b"\r\n\r\n")
        headers = [tuple(line.split(": ", 1)) for line in head.decode().splitlines()]
        status = next((int(v.split()[0]) for k, v in headers if k == "Status"), 200)
        self._answer(
            status, [(k, v) for k, v in headers if k not in {"Status", "Content-Length"}], body
        )
        return None

    def _scan(self) -> None:
        """Look for the password in every process, while git waits for an answer."""
        if not self.server.canary:
            return
        encoded = self.server.authorization.removeprefix("Basic ")
        numbers = [entry for entry in os.listdir("/proc") if entry.isdigit()]  # noqa: PTH208
        for path in (Path("/proc", n, what) for n in numbers for what in ("cmdline", "environ")):
            try:
                text = path.read_bytes()
            except OSError:
                continue
            self.server.scanned += b"git-remote-http" in text or b"GIT_CONFIG_COUNT" in text
            if self.server.canary.encode() in text or encoded.encode() in text:
                self.server.seen_in_a_process.append(f"{path}: {text.decode(errors='replace')}")

    def do_POST(self) -> None:
        self.do_GET()

    def _answer(self, status: int, headers: list[tuple[str, str]], body: bytes = b"") -> None:
        self.server.answers.append(status)
        self.send_response(status)
        for key, value in headers:
            self.send_header(key, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *args: object) -> None:
        """Say nothing."""


def certificate(path: Path) -> str:
    """Write key and certificate for 127.0.0.1 to *path*; return the certificate."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "127.0.0.1")])
    start = dt.datetime(2020, 1, 1, tzinfo=dt.UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(start)
        .not_valid_after(start + dt.timedelta(days=36500))
        .add_extension(
            x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]), False
        )
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), True)
        .sign(key, hashes.SHA256())
    )
    text = made.public_bytes(serialization.Encoding.PEM).decode()
    private = key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    ).decode()
    path.write_text(private + text)
    return text
