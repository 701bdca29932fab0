"""A gateway on loopback with real certificates, and what it needs in memory."""

import asyncio
import base64
import contextlib
import hashlib
import secrets
import tempfile
import time
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any

import grpc
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from meshwire.v1 import link_pb2, link_pb2_grpc

from controller.kernel.store import Store
from controller.pki.authority import Authority, AuthoritySettings
from controller.placement.indexes import new_store
from controller.rpc.gateway import Gateway, GatewaySettings, Ports, ToolServices
from controller.rpc.ports import PodPlace, RunnerKey, Subject
from controller.rpc.signals import Signals, Subscription
from controller.services.asks import Asks
from controller.services.channels import Channels
from controller.services.deliveries import Deliveries
from controller.services.prompting import Prompting
from controller.services.tickets import Tickets
from controller.store.messages import MessageStore
from controller.store.open import StoreSettings, opened
from controller.tools.call import Caller, Handler
from controller.tools.toolbox import Toolbox
from schemas.names import RUNNER, RUNNER_ENROLLMENT, Resource
from schemas.runner import Runner
from schemas.tools.base import Result
from schemas.tools.catalogue import CATALOGUE
from tests.unit.controller.kube_memory import MemoryKube
from tests.unit.controller.services.runner_end import MemoryDeliveries

ORG = "acme"


@dataclass
class MemoryRegistry:
    """Runners as a watch has them: possibly late, with ``lagging``."""

    kube: MemoryKube
    lagging: bool = False
    runners: dict[tuple[str, str], Runner] = field(default_factory=dict)
    signals: Signals[tuple[str, str]] = field(default_factory=Signals)

    def __post_init__(self) -> None:
        self.kube.watchers.append(self._watch)

    def _watch(self, resource: Resource, manifest: dict[str, Any]) -> None:
        if resource != RUNNER or self.lagging:
            return
        key = (manifest["metadata"]["namespace"], manifest["metadata"]["name"])
        if (RUNNER.kind, *key) in self.kube.objects:
            self.runners[key] = Runner.model_validate(manifest)
        else:
            self.runners.pop(key, None)
        self.signals.notify(key)

    def runner(self, namespace: str, name: str) -> Runner | None:
        return self.runners.get((namespace, name))

    def changes(self, namespace: str, name: str) -> AbstractContextManager[Subscription]:
        return self.signals.subscribe((namespace, name))


@dataclass
class MemoryPlacement:
    """What runners shall have, and what they said."""

    number: int = 7
    wanted: dict[RunnerKey, list[link_pb2.PodDesired]] = field(default_factory=dict)
    places: dict[str, PodPlace] = field(default_factory=dict)
    truly_empty: bool = True
    synced: asyncio.Event = field(default_factory=asyncio.Event)
    signals: Signals[RunnerKey] = field(default_factory=Signals)
    reports: asyncio.Queue[tuple[RunnerKey, list[link_pb2.PodObserved], bool]] = field(
        default_factory=asyncio.Queue
    )
    online: set[RunnerKey] = field(default_factory=set)
    beats: int = 0
    agents: link_pb2.AgentCatalogue = field(default_factory=link_pb2.AgentCatalogue)
    ready: link_pb2.WarmRepositories = field(default_factory=link_pb2.WarmRepositories)
    agents_found: asyncio.Queue[tuple[RunnerKey, link_pb2.AgentsFound]] = field(
        default_factory=asyncio.Queue
    )

    def look_for(self, runner: RunnerKey, *programs: link_pb2.AgentProgram) -> None:
        self.agents = link_pb2.AgentCatalogue(agents=programs)
        self.signals.notify(runner)

    def catalogue(self) -> link_pb2.AgentCatalogue:
        return self.agents

    def keep_ready(self, runner: RunnerKey, *repositories: link_pb2.WarmRepository) -> None:
        self.ready = link_pb2.WarmRepositories(repositories=repositories)
        self.signals.notify(runner)

    def warm(self, runner: RunnerKey) -> link_pb2.WarmRepositories:  # noqa: ARG002 - the port's
        return self.ready

    def found(self, runner: RunnerKey, agents: link_pb2.AgentsFound) -> None:
        self.agents_found.put_nowait((runner, agents))

    def want(self, runner: RunnerKey, *pods: link_pb2.PodDesired) -> None:
        self.wanted[runner] = list(pods)
        self.signals.notify(runner)

    def put(self, place: PodPlace) -> PodPlace:
        self.places[place.uid] = place
        return place

    def epoch(self) -> int:
        return self.number

    async def wait_synced(self) -> None:
        await self.synced.wait()

    def desired(self, runner: RunnerKey) -> Sequence[link_pb2.PodDesired]:
        return self.wanted.get(runner, [])

    def changes(self, runner: RunnerKey) -> AbstractContextManager[Subscription]:
        return self.signals.subscribe(runner)

    async def confirmed_empty(self, runner: RunnerKey) -> bool:  # noqa: ARG002 - the Protocol's
        return self.truly_empty

    def pod(self, pod_uid: str) -> PodPlace | None:
        return self.places.get(pod_uid)

    def find(self, namespace: str, name: str) -> PodPlace | None:
        for place in self.places.values():
            if (place.namespace, place.name) == (namespace, name):
                return place
        return None

    def observe(
        self, runner: RunnerKey, pods: Sequence[link_pb2.PodObserved], *, complete: bool
    ) -> None:
        self.reports.put_nowait((runner, list(pods), complete))

    def connected(self, runner: RunnerKey, hello: link_pb2.Hello) -> None:  # noqa: ARG002
        self.online.add(runner)

    def heartbeat(self, runner: RunnerKey, beat: link_pb2.Heartbeat) -> None:
        assert runner in self.online
        self.beats = beat.beat

    def disconnected(self, runner: RunnerKey) -> None:
        self.online.remove(runner)


@dataclass
class MemoryRecorder:
    """Events, as (kind, name, reason, message)."""

    events: list[tuple[str, str, str, str]] = field(default_factory=list)

    def event(self, about: Subject, *, warning: bool, reason: str, message: str) -> None:
        assert warning
        self.events.append((about.resource.kind, about.name, reason, message))

    @property
    def reasons(self) -> list[str]:
        return [reason for _, _, reason, _ in self.events]


@dataclass
class Tools:
    """What is behind RunnerTools: a store, deliveries, and one handler for every tool."""

    handler: Handler
    messages: MessageStore
    kube: MemoryKube
    store: Store = field(default_factory=new_store)
    deliveries: MemoryDeliveries = field(default_factory=MemoryDeliveries)

    def __post_init__(self) -> None:
        handlers: dict[str, Handler] = dict.fromkeys(CATALOGUE, self._handled)
        self.tickets = Tickets(self.store, self.kube)
        self.toolbox = Toolbox(self.store, lambda _: None, handlers)
        self.asks = Asks(self.deliveries, link_wait_seconds=0.3)
        deliveries = Deliveries(self.store, self.messages, MemoryRecorder())
        self.channels = Channels(self.store, self.messages, self.kube, deliveries)
        self.prompting = Prompting(self.store, self.messages, deliveries, self.kube)

    async def _handled(self, caller: Caller, arguments: Any) -> Result:
        return await self.handler(caller, arguments)


async def nothing(caller: Caller, arguments: Any) -> Result:  # noqa: ARG001 - a handler's
    raise NotImplementedError


NOBODY = RunnerKey("", "", "")


@dataclass(frozen=True)
class Holder:
    """Somebody with a key and a certificate."""

    key: ec.EllipticCurvePrivateKey
    chain_pem: bytes
    runner: RunnerKey = NOBODY

    @property
    def certificate(self) -> x509.Certificate:
        return x509.load_pem_x509_certificate(self.chain_pem)


@dataclass
class World:
    kube: MemoryKube
    authority: Authority
    gateway: Gateway
    registry: MemoryRegistry
    placement: MemoryPlacement
    recorder: MemoryRecorder
    ports: Ports
    stack: contextlib.AsyncExitStack
    tools: "Tools"

    async def public(self) -> grpc.aio.Channel:
        """Open a channel to the public port."""
        credentials = grpc.ssl_channel_credentials(self.authority.roots_pem)
        return await self._channel(self.ports.public, credentials)

    async def runner_port(self, holder: Holder | None) -> grpc.aio.Channel:
        """Open a channel to the runners' port with the holder's certificate, or none."""
        credentials = grpc.ssl_channel_credentials(
            self.authority.roots_pem,
            private_key=pem(holder.key) if holder else None,
            certificate_chain=holder.chain_pem if holder else None,
        )
        return await self._channel(self.ports.runner, credentials)

    async def _channel(self, port: int, credentials: grpc.ChannelCredentials) -> Any:
        options = (("grpc.use_local_subchannel_pool", 1), ("grpc.enable_retries", 0))
        channel = grpc.aio.secure_channel(f"127.0.0.1:{port}", credentials, options=options)
        return await self.stack.enter_async_context(channel)

    async def control(self, holder: Holder | None) -> Any:
        return link_pb2_grpc.RunnerControlStub(await self.runner_port(holder))

    async def token(self, name: str = "laptop", namespace: str = ORG, **spec: Any) -> str:
        """Make an enrolment and return its token."""
        token = f"amjt_{name}.{secrets.token_urlsafe(32)}"
        digest = hashlib.sha256(token.encode()).hexdigest()
        manifest = {
            "metadata": {"name": name},
            "spec": {"runnerName": name, "tokenHash": digest, "ttlSeconds": 900, "maxUses": 1}
            | spec,
        }
        manifest["spec"] = {k: v for k, v in manifest["spec"].items() if v is not None}
        await self.kube.create(RUNNER_ENROLLMENT, namespace, manifest)
        return token

    async def enroll(self, token: str, **changes: Any) -> link_pb2.EnrollResponse:
        """Enrol with the token; *changes* go into the request."""
        request = {
            "enrollment": token.removeprefix("amjt_").partition(".")[0],
            "namespace": ORG,
            "token": token,
            "csr_der": csr(new_key()),
            "wall_clock_unix_ms": now_ms(),
        } | changes
        stub = link_pb2_grpc.EnrollmentStub(await self.public())
        return await stub.Enroll(link_pb2.EnrollRequest(**request), timeout=10)

    async def runner(self, name: str = "laptop", namespace: str = ORG) -> Holder:
        """Enrol a new runner."""
        key = new_key()
        token = await self.token(name, namespace)
        answer = await self.enroll(token, namespace=namespace, csr_der=csr(key))
        return Holder(key, chain(answer.chain_der), RunnerKey(namespace, name, answer.runner_uid))

    async def status(self, holder: Holder) -> dict[str, Any]:
        found = await self.kube.get(RUNNER, holder.runner.namespace, holder.runner.name)
        return found["status"]

    def pod(self, runner: RunnerKey | None, name: str = "fix", **fields: Any) -> PodPlace:
        """Place a pod."""
        uid = fields.pop("uid", f"uid-{name}")
        namespace = fields.pop("namespace", ORG)
        epoch = fields.pop("epoch", 1)
        return self.placement.put(PodPlace(uid, namespace, name, runner, epoch, **fields))


def new_key() -> ec.EllipticCurvePrivateKey:
    return ec.generate_private_key(ec.SECP256R1())


def csr(key: Any) -> bytes:
    builder = x509.CertificateSigningRequestBuilder().subject_name(x509.Name([]))
    return builder.sign(key, hashes.SHA256()).public_bytes(serialization.Encoding.DER)


def chain(ders: Sequence[bytes]) -> bytes:
    certificates = (x509.load_der_x509_certificate(der) for der in ders)
    return b"".join(one.public_bytes(serialization.Encoding.PEM) for one in certificates)


def pem(key: ec.EllipticCurvePrivateKey) -> bytes:
    return key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )


def now_ms() -> int:
    return int(time.time() * 1000)


def hello(instance: str = "i-1", **fields: Any) -> link_pb2.RunnerMessage:
    values = {"instance_id": instance, "protocol_min": 1, "protocol_max": 1} | fields
    return link_pb2.RunnerMessage(hello=link_pb2.Hello(**values))


def desired(place: PodPlace, **fields: Any) -> link_pb2.PodDesired:
    ref = link_pb2.PodRef(pod_uid=place.uid, epoch=place.epoch)
    return link_pb2.PodDesired(
        ref=ref, namespace=place.namespace, name=place.name, desired=link_pb2.RUN, **fields
    )


def observed(place: PodPlace, **fields: Any) -> link_pb2.PodObserved:
    values = {"ref": link_pb2.PodRef(pod_uid=place.uid, epoch=place.epoch)} | fields
    return link_pb2.PodObserved(
        **({"namespace": place.namespace, "name": place.name, "state": link_pb2.RUNNING} | values)
    )


async def read(call: Any, kind: str | None = None, seconds: float = 5.0) -> Any:
    """Return the next message; with *kind* the content of the next one of that kind."""
    async with asyncio.timeout(seconds):
        while True:
            message = await call.read()
            if kind is None or message is grpc.aio.EOF:
                return message
            if message.WhichOneof("msg") == kind:
                return getattr(message, kind)


async def ends(call: Any, seconds: float = 5.0) -> tuple[grpc.StatusCode, str]:
    """Read the call to its end and return its status."""
    async with asyncio.timeout(seconds):
        with contextlib.suppress(grpc.aio.AioRpcError):
            while await call.read() is not grpc.aio.EOF:
                pass
        return await call.code(), await call.details()


async def refused(awaitable: Any) -> tuple[grpc.StatusCode, str]:
    """Return how the unary call was refused."""
    try:
        await awaitable
    except grpc.aio.AioRpcError as error:
        return error.code(), error.details() or ""
    raise AssertionError("the call was not refused")


async def until(condition: Callable[[], bool], seconds: float = 5.0) -> None:
    async with asyncio.timeout(seconds):
        while not condition():
            await asyncio.sleep(0.01)


def secret(**values: str) -> dict[str, str]:
    return {key: base64.b64encode(value.encode()).decode() for key, value in values.items()}


@contextlib.asynccontextmanager
async def world(
    *,
    leaf_seconds: float = 86400,
    issuing_seconds: float = 90 * 86400,
    server_seconds: float = 86400,
    **settings: Any,
) -> AsyncIterator[World]:
    """Serve on any two ports of loopback."""
    kube = MemoryKube()
    authority = Authority(
        kube,
        AuthoritySettings(
            leaf_lifetime=timedelta(seconds=leaf_seconds),
            issuing_lifetime=timedelta(seconds=issuing_seconds),
            server_lifetime=timedelta(seconds=server_seconds),
            refresh_seconds=0.2,
        ),
    )
    await authority.refresh()
    registry, placement, recorder = MemoryRegistry(kube), MemoryPlacement(), MemoryRecorder()
    placement.synced.set()
    folder = tempfile.TemporaryDirectory()
    messages = await opened(StoreSettings(path=Path(folder.name) / "messages.db"))
    tools = Tools(nothing, messages, kube)
    gateway = Gateway(
        GatewaySettings(runner_listen="127.0.0.1:0", public_listen="127.0.0.1:0", **settings),
        authority,
        objects=kube,
        reviews=kube,
        registry=registry,
        placement=placement,
        recorder=recorder,
        tools=ToolServices(
            tools.toolbox, tools.asks, tools.channels, tools.tickets, tools.prompting
        ),
    )
    ports = await gateway.start()
    async with contextlib.AsyncExitStack() as stack:
        yield World(kube, authority, gateway, registry, placement, recorder, ports, stack, tools)
    await gateway.stop(0.5)
    await messages.close()
    folder.cleanup()
