"""The two servers, each with the CRDs that the scenarios use."""

import contextlib
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from schemas import crdgen
from scripts.realserver import real_server
from tests.conformance.client import Entry, Recorder, Server
from tests.conformance.scenarios import SCENARIOS, WIDGET_CRD

World = tuple[Server, Server]
"""The server of built-in resources, and that of custom ones: the same for the embedded server."""


@contextlib.contextmanager
def embedded() -> Iterator[World]:
    """Start the embedded server."""
    with tempfile.TemporaryDirectory() as folder:
        kubeconfig = Path(folder) / "kubeconfig"
        argv = [sys.executable, "-m", "apiserver", "--data-dir", f"{folder}/data", "--port", "0"]
        with (Path(folder) / "log").open("wb") as log:
            process = subprocess.Popen(
                [*argv, "--kubeconfig", str(kubeconfig)], stdout=log, stderr=log
            )
            try:
                server = _started(kubeconfig, process)
                install((server, server))
                yield server, server
            finally:
                process.terminate()
                process.wait(20)


def _started(kubeconfig: Path, process: subprocess.Popen[bytes]) -> Server:
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline:
        assert process.poll() is None, "the embedded server ended"
        with contextlib.suppress(OSError):
            server = Server(kubeconfig)
            recorder = Recorder(server, server)
            recorder.call("ready", "GET", "/api/v1/namespaces/default")
            if recorder.transcript[0]["status"] == 200:
                return server
        time.sleep(0.02)
    raise AssertionError("the embedded server was not ready within 20 s")


@contextlib.contextmanager
def real() -> Iterator[World]:
    """Start the real servers: built-in resources and custom ones are answered by two of them."""
    with (
        tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder,
        real_server(Path(folder), custom=True) as started,
    ):
        assert started.custom is not None, "KUBEBUILDER_ASSETS has no apiextensions-apiserver"
        world = Server(started.kubeconfig), Server(started.custom)
        install(world)
        with _controllers(Path(folder), started.kubeconfig):
            yield world


@contextlib.contextmanager
def _controllers(folder: Path, kubeconfig: Path) -> Iterator[None]:
    """Run the controllers that delete (namespaces, what others own), and the one that counts."""
    argv = [
        str(Path(os.environ["KUBEBUILDER_ASSETS"]) / "kube-controller-manager"),
        f"--kubeconfig={kubeconfig}",
        "--controllers=garbagecollector,namespace,resourcequota",
        "--leader-elect=false",
        "--port=0",
        "--secure-port=0",
        f"--cert-dir={folder}",
    ]
    with (folder / "controllers.log").open("wb") as log:
        process = subprocess.Popen(argv, stdout=log, stderr=log)
        try:
            yield
        finally:
            process.kill()
            process.wait(20)


def has_real() -> bool:
    """Whether there is a real server to start."""
    assets = os.environ.get("KUBEBUILDER_ASSETS", "")
    needed = ("apiextensions-apiserver", "kube-controller-manager")
    return bool(assets) and all((Path(assets) / name).exists() for name in needed)


def install(world: World) -> None:
    """Install the scenarios' CRDs and wait until they are served."""
    recorder = Recorder(*world)
    definitions: list[dict[str, Any]] = [WIDGET_CRD, *crdgen.crds()]
    path = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"
    for definition in definitions:
        recorder.call("install", "POST", path, definition)
        assert recorder.transcript[-1]["status"] == 201, recorder.transcript[-1]
    deadline = time.monotonic() + 20
    for definition in definitions:
        spec = definition["spec"]
        served = f"/apis/{spec['group']}/{spec['versions'][0]['name']}/{spec['names']['plural']}"
        recorder.transcript.clear()
        while recorder.call("served", "GET", served) and recorder.transcript[-1]["status"] != 200:
            assert time.monotonic() < deadline, f"{served} is not served"
            time.sleep(0.05)


def play(name: str, world: World) -> list[Entry]:
    """Play a scenario in a namespace of its own and return its transcript."""
    recorder = Recorder(*world)
    namespace = name.replace("_", "-")
    body = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": namespace}}
    recorder.call("namespace", "POST", "/api/v1/namespaces", body, keep=False)
    SCENARIOS[name](recorder, namespace)
    return recorder.transcript
