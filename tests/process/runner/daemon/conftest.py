"""A controller for one runner: real mutual TLS, states as a test scripts them."""

import asyncio
import contextlib
import datetime as dt
import hashlib
import ipaddress
import os
import signal
import sys
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import grpc
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from meshwire.v1 import link_pb2, link_pb2_grpc

ROOT = Path(__file__).parents[4]
TOKEN = "amjt_laptop." + "x" * 43
PEM, DER = serialization.Encoding.PEM, serialization.Encoding.DER


class Authority:
    """A root that signs leaves."""

    def __init__(self) -> None:
        self.key = ec.generate_private_key(ec.SECP256R1())
        self.root = self._sign("root", self.key.public_key(), 3600.0, ca=True)

    def _sign(
        self, name: str, key: Any, seconds: float, *, ca: bool = False, san: Any = None
    ) -> x509.Certificate:
        now = dt.datetime.now(dt.UTC)
        builder = (
            x509.CertificateBuilder()
            .subject_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)]))
            .issuer_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "root")]))
            .public_key(key)
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - dt.timedelta(seconds=60))
            .not_valid_after(now + dt.timedelta(seconds=seconds))
            .add_extension(x509.BasicConstraints(ca=ca, path_length=None), critical=True)
        )
        if san is not None:
            builder = builder.add_extension(x509.SubjectAlternativeName(san), critical=False)
        return builder.sign(self.key, hashes.SHA256())

    @property
    def root_pem(self) -> bytes:
        return self.root.public_bytes(PEM)

    @property
    def pin(self) -> str:
        spki = self.root.public_key().public_bytes(
            DER, serialization.PublicFormat.SubjectPublicKeyInfo
        )
        return "sha256:" + hashlib.sha256(spki).hexdigest()

    def server(self) -> tuple[bytes, bytes]:
        key = ec.generate_private_key(ec.SECP256R1())
        san = [x509.DNSName("localhost"), x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]
        leaf = self._sign("server", key.public_key(), 3600.0, san=san)
        pem = key.private_bytes(
            PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
        return pem, leaf.public_bytes(PEM) + self.root_pem

    def runner(self, csr_der: bytes, seconds: float) -> bytes:
        csr = x509.load_der_x509_csr(csr_der)
        san = [x509.UniformResourceIdentifier("spiffe://agentsmesh.local/ns/acme/runner/one/u1")]
        return self._sign("runner", csr.public_key(), seconds, san=san).public_bytes(DER)


@dataclass
class Pod:
    """A PodDesired in short."""

    uid: str
    script: str
    epoch: int = 1
    desired: int = link_pb2.RUN
    grace: int = 2
    more: Callable[[link_pb2.PodDesired], None] = lambda _pod: None

    def message(self) -> link_pb2.PodDesired:
        pod = link_pb2.PodDesired(
            ref=link_pb2.PodRef(pod_uid=self.uid, epoch=self.epoch),
            namespace="acme",
            name=self.uid,
            generation=1,
            spec_digest=hashlib.sha256(self.script.encode()).hexdigest(),
            desired=self.desired,
            grace_seconds=self.grace,
            spec=link_pb2.RunSpec(
                executable="sh",
                args=["-c", self.script.replace("$", "$$")],
                organization="acme",
                terminal=link_pb2.TerminalSize(cols=80, rows=24),
                sandbox=link_pb2.Sandbox(isolation="none", network="host"),
            ),
        )
        self.more(pod)
        return pod


@dataclass
class Session:
    """One stream that a runner opened."""

    hello: link_pb2.Hello
    out: "asyncio.Queue[link_pb2.ControllerMessage | None]" = field(default_factory=asyncio.Queue)
    serial: int = 0


class Controller(
    link_pb2_grpc.EnrollmentServicer,
    link_pb2_grpc.RunnerControlServicer,
    link_pb2_grpc.RunnerTerminalServicer,
):
    """Speaks the controller's part."""

    def __init__(self) -> None:
        self.authority = Authority()
        self.lifetime_seconds = 3600.0
        self.epoch = 1
        self.heartbeat_ms = 500
        self.pods: list[Pod] | None = []
        self.allow_empty = True
        self.answers = True
        """Whether heartbeats are answered."""
        self.reads: asyncio.Event | None = None
        """None: what terminals print is read; else once it is set."""
        self.sessions: list[Session] = []
        self.live: list[Session] = []
        self.observed: dict[str, link_pb2.PodObserved] = {}
        self.history: list[link_pb2.PodObserved] = []
        self.enrolled: list[link_pb2.EnrollRequest] = []
        self.renewed = 0
        self.beats = 0
        self.resyncs: list[str] = []
        self.goodbyes: list[str] = []
        self.agents: list[link_pb2.AgentsFound] = []
        self.revision = 0
        self.terminal_up: list[link_pb2.TerminalUp] = []
        self.terminal_out: asyncio.Queue[link_pb2.TerminalDown] = asyncio.Queue()
        self.terminals_connected = 0
        self.changed = asyncio.Condition()
        self.port = 0
        self.public_port = 0

    async def notify(self) -> None:
        async with self.changed:
            self.changed.notify_all()

    async def until(self, claim: Callable[[], Any], seconds: float = 40.0) -> Any:
        """Wait until something that the runner told makes the claim true."""
        try:
            async with asyncio.timeout(seconds), self.changed:
                return await self.changed.wait_for(claim)
        except TimeoutError:
            raise AssertionError(f"not within {seconds} s; observed: {self.observed}") from None

    async def until_state(
        self, uid: str, state: link_pb2.PodState, seconds: float = 40.0
    ) -> link_pb2.PodObserved:
        await self.until(
            lambda: uid in self.observed and self.observed[uid].state == state, seconds
        )
        return self.observed[uid]

    # --- what the test says ----------------------------------------------------------------------

    async def want(self, *pods: Pod, allow_empty: bool = True) -> None:
        """Tell all live sessions the whole state."""
        self.pods, self.allow_empty = list(pods), allow_empty
        for session in self.live:
            await self._snapshot(session)

    async def say(self, **message: Any) -> None:
        for session in self.live:
            await session.out.put(
                link_pb2.ControllerMessage(controller_epoch=self.epoch, **message)
            )

    async def _snapshot(self, session: Session) -> None:
        if self.pods is None:
            return
        self.revision += 1
        snapshot = link_pb2.Snapshot(
            revision=self.revision,
            pods=[pod.message() for pod in self.pods],
            last=True,
            allow_empty=self.allow_empty,
        )
        await session.out.put(
            link_pb2.ControllerMessage(controller_epoch=self.epoch, snapshot=snapshot)
        )

    # --- the services ----------------------------------------------------------------------------

    async def Enroll(self, request: Any, context: Any) -> Any:  # noqa: N802
        if request.token != TOKEN:
            await context.abort(grpc.StatusCode.PERMISSION_DENIED, "the token is not known")
        self.enrolled.append(request)
        return link_pb2.EnrollResponse(
            spiffe_id="spiffe://agentsmesh.local/ns/acme/runner/one/u1",
            runner_uid="u1",
            chain_der=[self.authority.runner(request.csr_der, self.lifetime_seconds)],
            bundle=self._bundle(),
        )

    def _bundle(self) -> link_pb2.TrustBundle:
        return link_pb2.TrustBundle(sequence=1, roots_der=[self.authority.root.public_bytes(DER)])

    async def Renew(self, request: Any, context: Any) -> Any:  # noqa: N802, ARG002
        self.renewed += 1
        return link_pb2.RenewResponse(
            chain_der=[self.authority.runner(request.csr_der, self.lifetime_seconds)],
            bundle=self._bundle(),
        )

    async def Connect(self, request_iterator: Any, context: Any) -> None:  # noqa: N802
        first = await anext(aiter(request_iterator))
        peer = context.auth_context()["x509_pem_cert"][0]
        serial = x509.load_pem_x509_certificate(peer).serial_number
        session = Session(first.hello, serial=serial)
        self.sessions.append(session)
        self.live.append(session)
        await self.notify()
        welcome = link_pb2.Welcome(
            session_id="s", protocol=1, heartbeat_ms=self.heartbeat_ms, lease_ttl_ms=4000
        )
        await session.out.put(
            link_pb2.ControllerMessage(controller_epoch=self.epoch, welcome=welcome)
        )
        await self._snapshot(session)
        try:
            async with asyncio.TaskGroup() as tasks:
                writer = tasks.create_task(self._write(session, context))
                reader = tasks.create_task(self._read(session, request_iterator))
                await asyncio.wait({writer, reader}, return_when=asyncio.FIRST_COMPLETED)
                writer.cancel()
                reader.cancel()
        finally:
            self.live.remove(session)

    async def _write(self, session: Session, context: Any) -> None:
        while (message := await session.out.get()) is not None:
            await context.write(message)

    async def _read(self, session: Session, request_iterator: Any) -> None:
        async for message in request_iterator:
            match message.WhichOneof("msg"):
                case "heartbeat":
                    self.beats += 1
                    if not self.answers:
                        await self.notify()
                        continue
                    ack = link_pb2.HeartbeatAck(beat=message.heartbeat.beat)
                    await session.out.put(
                        link_pb2.ControllerMessage(controller_epoch=self.epoch, heartbeat_ack=ack)
                    )
                case "observed" | "observed_snapshot" as kind:
                    for pod in getattr(message, kind).pods:
                        self.observed[pod.ref.pod_uid] = pod
                        self.history.append(pod)
                case "resync":
                    self.resyncs.append(message.resync.reason)
                    await self._snapshot(session)
                case "agents":
                    self.agents.append(message.agents)
                case "goodbye":
                    self.goodbyes.append(message.goodbye.reason)
            await self.notify()

    async def Serve(self, request_iterator: Any, context: Any) -> None:  # noqa: N802
        async with asyncio.TaskGroup() as tasks:

            async def down() -> None:
                while True:
                    await context.write(await self.terminal_out.get())

            writer = tasks.create_task(down())
            async for message in request_iterator:
                if message.WhichOneof("msg") == "hello":
                    self.terminals_connected += 1
                self.terminal_up.append(message)
                await self.notify()
                if self.reads is not None:
                    await self.reads.wait()
            writer.cancel()


@pytest.fixture
async def controller() -> AsyncIterator[Controller]:
    made = Controller()
    key, chain = made.authority.server()
    runners, public = grpc.aio.server(), grpc.aio.server()
    link_pb2_grpc.add_RunnerControlServicer_to_server(made, runners)
    link_pb2_grpc.add_RunnerTerminalServicer_to_server(made, runners)
    link_pb2_grpc.add_EnrollmentServicer_to_server(made, public)
    mutual = grpc.ssl_server_credentials(
        [(key, chain)], made.authority.root_pem, require_client_auth=True
    )
    made.port = runners.add_secure_port("127.0.0.1:0", mutual)
    made.public_port = public.add_secure_port(
        "127.0.0.1:0", grpc.ssl_server_credentials([(key, chain)])
    )
    await runners.start()
    await public.start()
    yield made
    await runners.stop(0)
    await public.stop(0)


class Daemon:
    """A runner as a process of its own."""

    def __init__(self, controller: Controller, directory: Path) -> None:
        self.directory = directory
        self.data = directory / "data"
        self.log = directory / "runner.log"
        self.token = directory / "token"
        self.controller = controller
        self.pin = controller.authority.pin
        self.no_isolation = True
        self.process: asyncio.subprocess.Process | None = None
        self.all: list[asyncio.subprocess.Process] = []

    def write_token(self) -> None:
        self.token.touch(mode=0o600)
        self.token.write_text(TOKEN + "\n")

    def arguments(self) -> list[str]:
        return [
            *("--data-dir", str(self.data), "--organization", "acme", "--name", "one"),
            *("--controller", f"127.0.0.1:{self.controller.port}"),
            *("--enroll", f"127.0.0.1:{self.controller.public_port}"),
            *("--join-token-file", str(self.token), "--ca-pin", self.pin),
            *("--log-file", str(self.log)),
            *(("--allow-no-isolation",) if self.no_isolation else ()),
        ]

    async def start(self, *more: str, entry: tuple[str, ...] = ("-m", "runner")) -> None:
        environment = {
            **os.environ,
            "PYTHONPATH": f"{ROOT}:{ROOT / 'proto'}",
            "PYTHONFAULTHANDLER": "1",
        }
        self.process = await asyncio.create_subprocess_exec(
            sys.executable, *entry, *self.arguments(), *more, cwd=ROOT, env=environment
        )
        self.all.append(self.process)

    async def kill(self, number: int = signal.SIGKILL) -> int:
        assert self.process is not None
        if self.process.returncode is None:
            self.process.send_signal(number)
        return await self.ended()

    async def ended(self, seconds: float = 20.0) -> int:
        assert self.process is not None
        try:
            async with asyncio.timeout(seconds):
                return await self.process.wait()
        except TimeoutError as exc:
            self.process.send_signal(signal.SIGABRT)  # has faulthandler say where it stands
            await self.process.wait()
            exc.add_note("\n".join(self.log.read_text().splitlines()[-30:]))
            raise

    async def stop_everything(self) -> None:
        for process in self.all:
            if process.returncode is None:
                process.kill()
            await process.wait()
        async with asyncio.timeout(30):
            while left := self.left():  # agents first: their shims write down how they ended
                for pid in left:
                    with contextlib.suppress(ProcessLookupError):
                        os.kill(pid, signal.SIGKILL)
                await asyncio.sleep(0.05)

    def left(self) -> list[int]:
        """Return what lives of the pods: agents, and the shims that hold their terminals.

        Also of pods whose directory is gone.
        """
        told = {report.ref.pod_uid for report in self.controller.history}
        uids = {*self.pods(), *self.controller.observed, *told}
        agents = [pid for uid in uids for pid in processes_of(uid)]
        return agents or processes_in(self.data)

    def pods(self) -> list[str]:
        pods = self.data / "pods"
        return [path.name for path in pods.iterdir()] if pods.is_dir() else []


def processes_of(uid: str) -> list[int]:
    """Return every process that carries the pod's mark."""
    mark = f"AGENTSMESH_POD_UID={uid}".encode()
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                if mark in (entry / "environ").read_bytes().split(b"\0"):
                    found.append(int(entry.name))
            except OSError:
                continue
    return found


def processes_in(directory: Path) -> list[int]:
    """Return every process in a folder below the directory, or in one that was there."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                if (entry / "cwd").readlink().is_relative_to(directory.resolve()):
                    found.append(int(entry.name))
            except OSError:
                continue
    return found


@pytest.fixture
async def daemon(controller: Controller, tmp_path: Path) -> AsyncIterator[Daemon]:
    made = Daemon(controller, tmp_path)
    made.write_token()
    yield made
    await made.stop_everything()


@pytest.fixture
def pod() -> type[Pod]:
    """Give the test the short form of a PodDesired."""
    return Pod


@pytest.fixture
def living() -> Callable[[str], list[int]]:
    """Give the test a look at a pod's processes."""
    return processes_of
