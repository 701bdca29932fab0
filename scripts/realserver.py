"""A real etcd and kube-apiserver on loopback, from the binaries that ``KUBEBUILDER_ASSETS`` names.

Where the folder also holds ``apiextensions-apiserver``, the server of custom resources of a newer
Kubernetes can be started beside them, on the same etcd; or behind them, so that one kubeconfig
serves everything, as kube-aggregator does it. Source: the convention of controller-runtime's
envtest; https://kubernetes.io/docs/tasks/extend-kubernetes/configure-aggregation-layer/.
"""

import base64
import contextlib
import datetime as dt
import ipaddress
import json
import os
import socket
import ssl
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

TOKEN = "throw-away-admin"  # noqa: S105 - of a server on loopback that lives for minutes


@dataclass(frozen=True, slots=True)
class RealServer:
    """A running server."""

    kubeconfig: Path
    pids: tuple[int, ...]
    custom: Path | None = None
    """Kubeconfig of the newer server of custom resources, if it was asked for and is there."""


@contextlib.contextmanager
def real_server(
    folder: Path, *, custom: bool = False, aggregated: tuple[str, ...] = ()
) -> Iterator[RealServer]:
    """Start etcd (without fsync) and kube-apiserver in *folder*; end them afterwards.

    *custom* starts the newer server of custom resources beside it. *aggregated* names groups
    (``example.io/v1``) that kube-apiserver passes on to it, together with their definitions.
    """
    assets = Path(os.environ["KUBEBUILDER_ASSETS"])
    client, peer, port, custom_port = _free_ports(4)
    _credentials(folder)
    _front_proxy(folder)
    with contextlib.ExitStack() as stack:
        etcd = _spawn(
            stack,
            folder / "etcd.log",
            str(assets / "etcd"),
            f"--data-dir={folder}/etcd",
            f"--listen-client-urls=http://127.0.0.1:{client}",
            f"--advertise-client-urls=http://127.0.0.1:{client}",
            f"--listen-peer-urls=http://127.0.0.1:{peer}",
            f"--initial-advertise-peer-urls=http://127.0.0.1:{peer}",
            f"--initial-cluster=default=http://127.0.0.1:{peer}",
            "--unsafe-no-fsync",
        )
        api = _spawn(
            stack,
            folder / "apiserver.log",
            str(assets / "kube-apiserver"),
            f"--etcd-servers=http://127.0.0.1:{client}",
            "--bind-address=127.0.0.1",
            f"--secure-port={port}",
            f"--tls-cert-file={folder}/tls.crt",
            f"--tls-private-key-file={folder}/tls.key",
            f"--token-auth-file={folder}/tokens.csv",
            f"--client-ca-file={folder}/tls.crt",  # the newer server asks for it
            "--service-account-issuer=https://kubernetes.default.svc",
            f"--service-account-key-file={folder}/tls.key",
            f"--service-account-signing-key-file={folder}/tls.key",
            "--authorization-mode=RBAC",
            "--service-cluster-ip-range=10.0.0.0/24",
            "--disable-admission-plugins=ServiceAccount",
            f"--requestheader-client-ca-file={folder}/proxy.crt",
            "--requestheader-allowed-names=front-proxy",
            "--requestheader-username-headers=X-Remote-User",
            "--requestheader-group-headers=X-Remote-Group",
            "--requestheader-extra-headers-prefix=X-Remote-Extra-",
            f"--proxy-client-cert-file={folder}/proxy.crt",
            f"--proxy-client-key-file={folder}/proxy.key",
        )
        _wait_ready(folder, port, api)
        kubeconfig = _kubeconfig(folder, "real", port)
        newer = None
        if (custom or aggregated) and (assets / "apiextensions-apiserver").exists():
            newer = _custom_server(stack, folder, client, custom_port, kubeconfig)
            _aggregate(folder, port, custom_port, aggregated)
        yield RealServer(kubeconfig, (etcd.pid, api.pid), newer)


def _custom_server(
    stack: contextlib.ExitStack, folder: Path, etcd_port: int, port: int, kubeconfig: Path
) -> Path:
    """Start the newer server of custom resources; kube-apiserver authenticates for it."""
    process = _spawn(
        stack,
        folder / "custom.log",
        str(Path(os.environ["KUBEBUILDER_ASSETS"]) / "apiextensions-apiserver"),
        f"--etcd-servers=http://127.0.0.1:{etcd_port}",
        "--bind-address=127.0.0.1",
        f"--secure-port={port}",
        f"--tls-cert-file={folder}/tls.crt",
        f"--tls-private-key-file={folder}/tls.key",
        f"--kubeconfig={kubeconfig}",
        f"--authentication-kubeconfig={kubeconfig}",
        "--authentication-tolerate-lookup-failure",
        f"--authorization-kubeconfig={kubeconfig}",
        "--enable-priority-and-fairness=false",
        "--disable-admission-plugins=ValidatingAdmissionPolicy,MutatingAdmissionPolicy",
        environment={"KUBE_FEATURE_WatchListClient": "false"},
    )
    _wait_ready(folder, port, process)
    return _kubeconfig(folder, "custom", port)


def _aggregate(folder: Path, port: int, custom_port: int, groups: tuple[str, ...]) -> None:
    """Have kube-apiserver pass the *groups*, and the definitions of resources, on."""
    if not groups:
        return
    service = {"name": "custom", "namespace": "kube-system", "port": custom_port}
    manifest: dict[str, Any] = {"metadata": {"name": "custom", "namespace": "kube-system"}}
    manifest["spec"] = {"type": "ExternalName", "externalName": "localhost"}
    manifest["spec"]["ports"] = [{"port": custom_port}]
    _call(folder, port, "POST", "/api/v1/namespaces/kube-system/services", manifest)
    authority = base64.b64encode((folder / "tls.crt").read_bytes()).decode()
    behind = {"caBundle": authority, "service": service}
    services = "/apis/apiregistration.k8s.io/v1/apiservices"
    for group, _, version in (each.partition("/") for each in groups):
        spec: dict[str, Any] = {"group": group, "version": version, **behind}
        spec |= {"groupPriorityMinimum": 1000, "versionPriority": 100}
        manifest = {"metadata": {"name": f"{version}.{group}"}, "spec": spec}
        _call(folder, port, "POST", services, manifest)
    _call(folder, port, "PATCH", f"{services}/v1.apiextensions.k8s.io", {"spec": behind})
    _wait_passed_on(folder, port)


def _wait_passed_on(folder: Path, port: int) -> None:
    """Return once definitions of resources are answered by the newer server."""
    name = "/apis/apiregistration.k8s.io/v1/apiservices/v1.apiextensions.k8s.io"
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        conditions = _call(folder, port, "GET", name).get("status", {}).get("conditions", [])
        if any(c["type"] == "Available" and c["reason"] == "Passed" for c in conditions):
            return
        time.sleep(0.05)
    raise RuntimeError(f"{folder}: the newer server did not become available within 30 s")


def _call(
    folder: Path, port: int, method: str, path: str, body: dict[str, Any] | None = None
) -> dict[str, Any]:
    kind = "application/json" if method != "PATCH" else "application/merge-patch+json"
    request = urllib.request.Request(  # noqa: S310 - loopback
        f"https://127.0.0.1:{port}{path}",
        method=method,
        data=json.dumps(body).encode() if body is not None else None,
        headers={"Authorization": f"Bearer {TOKEN}", "Content-Type": kind},
    )
    context = ssl.create_default_context(cafile=str(folder / "tls.crt"))
    with urllib.request.urlopen(request, context=context, timeout=10) as answer:  # noqa: S310 - loopback
        return dict(json.load(answer))


def _free_ports(count: int) -> list[int]:
    with contextlib.ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(count)]
        for one in sockets:
            one.bind(("127.0.0.1", 0))
        return [int(one.getsockname()[1]) for one in sockets]


def _credentials(folder: Path) -> None:
    addresses = [x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]
    names = [x509.DNSName("localhost"), x509.DNSName("custom.kube-system.svc")]
    _self_signed(folder, "tls", "bench", [*addresses, *names])
    (folder / "tokens.csv").write_text(f'{TOKEN},admin,admin,"system:masters"\n', encoding="utf-8")


def _front_proxy(folder: Path) -> None:
    """Make what kube-apiserver shows to servers behind it, and what they know it by."""
    _self_signed(folder, "proxy", "front-proxy", [])


def _self_signed(folder: Path, file: str, common: str, names: list[x509.GeneralName]) -> None:
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common)])
    now = dt.datetime.now(dt.UTC)  # noqa: TID251 - the edge: certificates need the wall clock
    builder = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
        .not_valid_before(now - dt.timedelta(minutes=5))
        .not_valid_after(now + dt.timedelta(days=1))
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
    )
    if names:
        builder = builder.add_extension(x509.SubjectAlternativeName(names), critical=False)
    certificate = builder.sign(key, hashes.SHA256())
    (folder / f"{file}.crt").write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    (folder / f"{file}.key").write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.TraditionalOpenSSL,
            serialization.NoEncryption(),
        )
    )


def _spawn(
    stack: contextlib.ExitStack, log: Path, *argv: str, environment: dict[str, str] | None = None
) -> subprocess.Popen[bytes]:
    file = stack.enter_context(log.open("wb"))
    process = subprocess.Popen(argv, stdout=file, stderr=file, env=os.environ | (environment or {}))

    def end() -> None:
        process.kill()
        process.wait(30)

    stack.callback(end)
    return process


def _wait_ready(folder: Path, port: int, process: subprocess.Popen[bytes]) -> None:
    context = ssl.create_default_context(cafile=str(folder / "tls.crt"))
    request = urllib.request.Request(  # noqa: S310 - loopback
        f"https://127.0.0.1:{port}/readyz", headers={"Authorization": f"Bearer {TOKEN}"}
    )
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        if process.poll() is not None:
            log = next(folder.glob("*.log"))
            raise RuntimeError(f"{process.args!r} ended: see {log.parent}/*.log")
        with (
            contextlib.suppress(urllib.error.URLError, OSError),
            urllib.request.urlopen(request, context=context, timeout=5),  # noqa: S310 - loopback
        ):
            return
        time.sleep(0.05)
    raise RuntimeError(f"{folder}: the server was not ready within 60 s")


def _kubeconfig(folder: Path, name: str, port: int) -> Path:
    authority = base64.b64encode((folder / "tls.crt").read_bytes()).decode()
    server = f"https://127.0.0.1:{port}"
    cluster = {"server": server, "certificate-authority-data": authority}
    config = {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": "real", "cluster": cluster}],
        "users": [{"name": "admin", "user": {"token": TOKEN}}],
        "contexts": [{"name": "real", "context": {"cluster": "real", "user": "admin"}}],
        "current-context": "real",
    }
    path = folder / f"{name}.kubeconfig"
    path.write_text(yaml.safe_dump(config), encoding="utf-8")
    return path
