"""A controller and a runner as processes, and a door between controller and API server.

Everything that the controller sends passes the door, which counts and can lie.
"""

import asyncio
import hashlib
import json
import os
import secrets
import signal
import ssl
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiohttp
import pytest
import yaml
from aiohttp import web

from scripts.realserver import TOKEN, real_server
from tests.process.conftest import ApiserverProcess

ROOT = Path(__file__).parents[3]


def eventually(true: Callable[[], Any], what: str, seconds: float = 20.0) -> Any:
    """Return what *true* returns once it is something, or fail saying *what* was awaited."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if value := true():
            return value
        time.sleep(0.05)
    raise AssertionError(f"not in {seconds:g} s: {what}")


@dataclass(frozen=True)
class Trap:
    """Kills a process the moment that a certain request is made, and lets it learn nothing."""

    matches: Callable[[str, str, bytes], bool]
    """Whether method, path and body are the ones that are waited for."""
    pid: int
    forward: bool
    """Whether the API server gets the request, and has answered it, before the process dies."""
    sprung: threading.Event = field(default_factory=threading.Event)


class Door:
    """A proxy in front of the API server, on a thread of its own."""

    def __init__(self, url: str, ca_file: Path) -> None:
        self._url = url
        self._tls = ssl.create_default_context(cafile=ca_file)
        self.requests: list[tuple[str, str, bytes]] = []
        """What passed: method, path, body."""
        self.shut = False
        """Nothing passes, and what is open is cut."""
        self.blind = ""
        """Watch events of this plural are swallowed, until ``expire``."""
        self.trap: Trap | None = None
        self._expired = asyncio.Event()
        self._open: set[web.StreamResponse] = set()
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self.port = 0

    def start(self) -> "Door":
        self._thread.start()
        asyncio.run_coroutine_threadsafe(self._start(), self._loop).result(10)
        return self

    def stop(self) -> None:
        asyncio.run_coroutine_threadsafe(self._stop(), self._loop).result(20)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(10)
        self._loop.close()

    def close(self) -> None:
        """Let nothing through any more."""
        self.shut = True
        self._loop.call_soon_threadsafe(self._cut)

    def expire(self) -> None:
        """End the blind watches as the API server does when it has forgotten: 410."""
        self.blind = ""
        self._loop.call_soon_threadsafe(self._expired.set)

    def writes(self, *, about: str) -> list[str]:
        """Return the methods of all writes on objects of that name, Events about it included."""
        found = []
        for method, path, body in list(self.requests):
            if method == "GET" or "reviews" in path:
                continue
            named = path.split("?")[0].split("/")
            event = "/events" in path and about.encode() in body
            if about in named or event:
                found.append(f"{method} {path.split('?')[0]}")
        return found

    def _cut(self) -> None:
        for response in list(self._open):
            if response._req is not None and response._req.transport is not None:
                response._req.transport.abort()

    async def _start(self) -> None:
        self._client = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(ssl=self._tls), auto_decompress=False
        )
        application = web.Application(client_max_size=4 * 1024 * 1024)
        application.router.add_route("*", "/{path:.*}", self._pass)
        self._runner = web.AppRunner(application, shutdown_timeout=0.1)
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", 0)
        await site.start()
        self.port = self._runner.addresses[0][1]

    async def _stop(self) -> None:
        self._cut()
        await self._runner.cleanup()
        others = asyncio.all_tasks() - {asyncio.current_task()}
        for task in others:
            task.cancel()
        await asyncio.gather(*others, return_exceptions=True)
        await self._client.close()
        await asyncio.sleep(0.2)  # transports are closed by the loop, one turn later

    async def _pass(self, request: web.Request) -> web.StreamResponse:
        if self.shut and request.transport is not None:
            request.transport.abort()
            return web.Response(status=503)
        body = await request.read()
        self.requests.append((request.method, request.path_qs, body))
        trap = self.trap
        if trap is not None and trap.matches(request.method, request.path_qs, body):
            return await self._spring(trap, request, body)
        return await self._forward(request, body)

    async def _spring(self, trap: Trap, request: web.Request, body: bytes) -> web.Response:
        """Carry the request out or not, kill, and answer nobody: nor do the watches tell it."""
        self.trap, self.blind = None, request.path.split("/")[-3]
        if trap.forward:
            async with self._ask(request, body) as answer:
                assert answer.status == 200, await answer.text()
        os.kill(trap.pid, signal.SIGKILL)
        self.blind = ""
        trap.sprung.set()
        return web.Response(status=503)

    async def _forward(self, request: web.Request, body: bytes) -> web.StreamResponse:
        async with self._ask(request, body) as answer:
            response = web.StreamResponse(status=answer.status)
            response.content_type = answer.content_type
            await response.prepare(request)
            self._open.add(response)
            try:
                await self._copy(answer, response, request)
            finally:
                self._open.discard(response)
            return response

    def _ask(self, request: web.Request, body: bytes) -> Any:
        headers = {
            name: value
            for name, value in request.headers.items()
            if name.lower() in {"authorization", "accept", "content-type", "user-agent"}
        }
        return self._client.request(
            request.method,
            self._url + request.raw_path,
            data=body,
            headers=headers,
            timeout=aiohttp.ClientTimeout(total=None),
        )

    async def _copy(self, answer: Any, response: web.StreamResponse, request: web.Request) -> None:
        if "watch" not in request.query:
            await response.write(await answer.read())
            return
        plural = request.path.rsplit("/", 1)[-1]
        while (data := await self._line(answer.content)) is not None:
            if not data:
                return
            if self.blind != plural:
                await response.write(data)
        status = {"kind": "Status", "code": 410, "reason": "Expired", "message": "gone"}
        await response.write(json.dumps({"type": "ERROR", "object": status}).encode() + b"\n")

    async def _line(self, lines: Any) -> bytes | None:
        """Return the next line, empty at the end, None when the watch has expired."""
        line = asyncio.ensure_future(lines.readline())
        expired = asyncio.ensure_future(self._expired.wait())
        try:
            await asyncio.wait({line, expired}, return_when=asyncio.FIRST_COMPLETED)
            if expired.done():
                self._loop.call_soon(self._expired.clear)  # after all who wait for it
                return None
            found: bytes = line.result()
            return found
        finally:
            line.cancel()
            expired.cancel()


@dataclass
class Process:
    """A part of the product as a process of its own."""

    argv: list[str]
    log: Path
    process: subprocess.Popen[bytes] | None = field(default=None, repr=False)

    def start(self) -> "Process":
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", *self.argv], cwd=ROOT, stdout=log, stderr=log
            )
        return self

    @property
    def pid(self) -> int:
        assert self.process is not None
        return self.process.pid

    @property
    def alive(self) -> bool:
        return self.process is not None and self.process.poll() is None

    def end(self, number: signal.Signals = signal.SIGTERM) -> int:
        assert self.process is not None
        self.process.send_signal(number)
        try:
            return self.process.wait(20)
        finally:
            self.process.kill()
            self.process.wait()

    def said(self, message: str) -> list[dict[str, Any]]:
        """Return the lines of the log with that message."""
        lines = (line for line in self.log.read_text().splitlines() if line.startswith("{"))
        return [line for line in map(json.loads, lines) if line.get("message") == message]


BASE = """
apiVersion: agentsmesh.io/v1alpha1
kind: Organization
metadata: {name: acme}
spec:
  members: [{subject: {kind: User, name: ada}, role: owner}]
---
apiVersion: agentsmesh.io/v1alpha1
kind: AgentClass
metadata: {name: sleeper}
spec: {executable: sleep, args: ["1000"], prompt: {position: none}}
---
apiVersion: agentsmesh.io/v1alpha1
kind: AgentClass
metadata: {name: quick}
spec: {executable: "true", prompt: {position: none}}
"""


class Mesh:
    """An API server, the door, a controller, and runners on demand."""

    def __init__(self, server: "ApiserverProcess | Cluster", folder: Path) -> None:
        self.server = server
        self.folder = folder
        self.door = Door(server.url, server.ca_file).start()
        self.kubeconfig = folder / "through-the-door"
        self._write_kubeconfig()
        self.ports = {"runner": 0, "public": 0}
        self.controller = self._controller()
        self.runners: dict[str, Process] = {}

    def _write_kubeconfig(self) -> None:
        config = {
            "apiVersion": "v1",
            "kind": "Config",
            "clusters": [
                {"name": "c", "cluster": {"server": f"http://127.0.0.1:{self.door.port}"}}
            ],
            "users": [{"name": "u", "user": {"token": self.server.token}}],
            "contexts": [{"name": "x", "context": {"cluster": "c", "user": "u"}}],
            "current-context": "x",
        }
        self.kubeconfig.write_text(yaml.safe_dump(config))
        self.kubeconfig.chmod(0o600)

    def _controller(self) -> Process:
        data = self.folder / "controller"
        argv = ["controller", "--kubeconfig", str(self.kubeconfig), "--data-dir", str(data)]
        argv += ["--runner-listen", f"127.0.0.1:{self.ports['runner']}"]
        argv += ["--public-listen", f"127.0.0.1:{self.ports['public']}"]
        argv += ["--relist-seconds", "0.5"]
        return Process(argv, self.folder / "controller.log")

    def start(self) -> "Mesh":
        """Start the controller and wait until it serves."""
        ports = self.folder / "controller" / "ports.json"
        ports.unlink(missing_ok=True)
        self.controller.start()
        eventually(
            lambda: ports.exists() or not self.controller.alive, "the controller serves its ports"
        )
        assert ports.exists(), self.controller.log.read_text()
        self.ports = json.loads(ports.read_text())
        return self

    def restart(self, number: signal.Signals = signal.SIGKILL) -> None:
        """End the controller and start another one on the same ports."""
        self.controller.end(number)
        log = self.controller.log
        self.controller = self._controller()
        self.controller.log = log
        self.start()

    def base(self) -> None:
        self.apply(BASE)
        self.kubectl("wait", "--for=condition=Ready", "org/acme", "--timeout=15s")

    def runner(self, name: str = "r1", **spec: Any) -> Process:
        """Enrol a real runner and wait until it is online."""
        token = f"amjt_{name}.{secrets.token_urlsafe(32)}"
        file = self.folder / f"{name}.token"
        file.touch(mode=0o600)
        file.write_text(token)
        if spec:
            self.apply_object("Runner", name, spec)
        digest = hashlib.sha256(token.encode()).hexdigest()
        enrolment = {"runnerName": name, "tokenHash": digest}
        self.apply_object("RunnerEnrollment", name, enrolment)
        bundle = ["get", "cm", "agentsmesh-trust-bundle", "-o", r"jsonpath={.data.ca\.crt}"]
        ca = self.folder / "ca.crt"
        ca.write_text(self.kubectl("-n", "acme", *bundle))
        argv = ["runner", "--data-dir", str(self.folder / name), "--organization", "acme"]
        argv += ["--controller", f"127.0.0.1:{self.ports['runner']}"]
        argv += ["--enroll", f"127.0.0.1:{self.ports['public']}", "--name", name]
        argv += ["--join-token-file", str(file), "--ca-file", str(ca)]
        self.runners[name] = Process(argv, self.folder / f"{name}.log").start()
        eventually(lambda: self.get("runner", name, "{.status.phase}") == "Online", "online")
        return self.runners[name]

    def apply_object(self, kind: str, name: str, spec: dict[str, Any]) -> None:
        self.apply(
            yaml.safe_dump(
                {
                    "apiVersion": "agentsmesh.io/v1alpha1",
                    "kind": kind,
                    "metadata": {"name": name, "namespace": "acme"},
                    "spec": spec,
                }
            )
        )

    def pod(self, name: str = "fix", agent: str = "sleeper", **spec: Any) -> None:
        self.apply_object("AgentPod", name, {"agentClassName": agent, **spec})

    def apply(self, text: str) -> None:
        self.server.kubectl("apply", "-f", "-", stdin=text)

    def kubectl(self, *arguments: str, check: bool = True) -> str:
        return self.server.kubectl(*arguments, check=check).stdout

    def get(self, kind: str, name: str, path: str) -> str:
        """Return one field, empty if it is not there."""
        argv = ["-n", "acme", "get", kind, name, "--ignore-not-found", "-o", f"jsonpath={path}"]
        return self.kubectl(*argv)

    def condition(self, kind: str, name: str = "fix") -> tuple[str, str]:
        """Return status and reason of a pod's condition."""
        where = f'.status.conditions[?(@.type=="{kind}")]'
        found = self.get("agentpod", name, f"{{{where}.status}} {{{where}.reason}}")
        status, _, reason = found.partition(" ")
        return status, reason

    def stop(self) -> None:
        for process in (*self.runners.values(), self.controller):
            if process.process is not None:
                process.end()
        self.door.stop()


@dataclass(frozen=True)
class Cluster:
    """A real kube-apiserver, seen as the embedded one is."""

    url: str
    ca_file: Path
    token: str
    kubeconfig: Path

    def kubectl(
        self, *arguments: str, stdin: str | None = None, check: bool = True
    ) -> subprocess.CompletedProcess[str]:
        cache = self.kubeconfig.parent
        done = subprocess.run(
            ["kubectl", "--cache-dir", str(cache / "cache"), *arguments],
            input=stdin,
            capture_output=True,
            text=True,
            timeout=40,
            check=False,
            env=os.environ | {"KUBECONFIG": str(self.kubeconfig), "HOME": str(cache)},
        )
        if check:
            assert done.returncode == 0, f"{arguments}: {done.stderr or done.stdout}"
        return done


@pytest.fixture
def cluster(tmp_path: Path) -> Iterator[Cluster]:
    """Return a real API server, without a controller manager: nothing deletes its namespaces."""
    folder = tmp_path / "cluster"
    folder.mkdir()
    with real_server(folder) as started:
        config = yaml.safe_load(started.kubeconfig.read_text())
        url = config["clusters"][0]["cluster"]["server"]
        yield Cluster(url, folder / "tls.crt", TOKEN, started.kubeconfig)


def _running(server: ApiserverProcess | Cluster, folder: Path) -> Iterator[Mesh]:
    os.environ.setdefault("GRPC_VERBOSITY", "NONE")
    made = Mesh(server, folder)
    try:
        yield made.start()
    finally:
        made.stop()


@pytest.fixture
def mesh(apiserver_process: ApiserverProcess, tmp_path: Path) -> Iterator[Mesh]:
    """Return a mesh whose controller runs, on the embedded API server."""
    yield from _running(apiserver_process, tmp_path)


@pytest.fixture(
    params=[
        "embedded",
        pytest.param(
            "real",
            marks=[
                pytest.mark.cluster,
                pytest.mark.skipif("KUBEBUILDER_ASSETS" not in os.environ, reason="no cluster"),
            ],
        ),
    ]
)
def any_mesh(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Mesh]:
    """Return a mesh whose controller runs, on each API server that there is."""
    kinds = {"embedded": "apiserver_process", "real": "cluster"}
    yield from _running(request.getfixturevalue(kinds[request.param]), tmp_path)
