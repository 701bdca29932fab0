"""The two ports, with everything behind them wired together."""

import logging
from dataclasses import dataclass, field
from typing import Any, Final

import grpc
from meshwire.v1 import link_pb2_grpc

from controller.pki.authority import Authority
from controller.pki.clock import Clock, wall_clock
from controller.rpc.admission import Admission
from controller.rpc.attach import Attach
from controller.rpc.channels import ChannelsDoor
from controller.rpc.control import RunnerControl
from controller.rpc.enrollment import Enrollment
from controller.rpc.forward import PortsDoor
from controller.rpc.interceptor import Gatekeeper
from controller.rpc.ports import Objects, Placement, Recorder, Registry, Reviews
from controller.rpc.prompts import PromptsDoor
from controller.rpc.recheck import RECHECK_SECONDS
from controller.rpc.session import LinkSettings
from controller.rpc.sessions import Sessions
from controller.rpc.terminal import RunnerTerminal
from controller.rpc.tickets import TicketsDoor
from controller.rpc.tls import PortCertificate
from controller.rpc.tools import RunnerTools
from controller.rpc.worktrees import WorktreesDoor
from controller.services.access import Access
from controller.services.asks import Asks
from controller.services.channels import Channels
from controller.services.enrolment import Enrolment
from controller.services.issuing import Issuer
from controller.services.prompting import Prompting
from controller.services.renewal import Renewal
from controller.services.saved import SavedWork
from controller.services.secrets import GitSecrets
from controller.services.terminals import LINK_WAIT_SECONDS, Terminals
from controller.services.tickets import Tickets
from controller.tools.toolbox import Toolbox

logger = logging.getLogger(__name__)

_MIB: Final = 1024 * 1024
_COMMON: Final[tuple[tuple[str, Any], ...]] = (
    ("grpc.so_reuseport", 0),  # a port that is taken must be noticed
    ("grpc.keepalive_time_ms", 20_000),
    ("grpc.keepalive_timeout_ms", 10_000),
    ("grpc.keepalive_permit_without_calls", 1),
    ("grpc.http2.min_ping_interval_without_data_ms", 10_000),
    ("grpc.http2.max_pings_without_data", 0),
    ("grpc.max_concurrent_streams", 1024),
)
_RUNNER_OPTIONS: Final = (*_COMMON, ("grpc.max_receive_message_length", 4 * _MIB))
"""A document of 1 MiB may be four times that as JSON; ten thousand lines of a terminal fit, too."""
_PUBLIC_OPTIONS: Final = (*_COMMON, ("grpc.max_receive_message_length", _MIB // 4))

_LOCAL_NAMES: Final = ("localhost", "127.0.0.1", "::1")
_DRAIN_RETRY_MS: Final = 1000


class PortTaken(Exception):  # noqa: N818 - named after what happened
    """A port cannot be listened on; the text says which and what to do."""


@dataclass(frozen=True, slots=True)
class GatewaySettings:
    """Where to listen and under which names."""

    runner_listen: str = "127.0.0.1:7443"
    """host:port of the runners' port; port 0 takes any."""

    public_listen: str = "127.0.0.1:7444"
    """host:port of the port for enrolment and people; port 0 takes any."""

    advertise_host: str = "127.0.0.1"
    """The host under which runners and people reach us."""

    names: tuple[str, ...] = ()
    """Further DNS names and IP addresses for the server certificates."""

    link: LinkSettings = field(default_factory=LinkSettings)
    recheck_seconds: float = RECHECK_SECONDS
    """How often the permission behind a person's long stream is checked again."""

    link_wait_seconds: float = LINK_WAIT_SECONDS
    """How long a viewer waits for a runner that is just coming back."""


@dataclass(frozen=True, slots=True)
class ToolServices:
    """What stands behind the tools of agents."""

    toolbox: Toolbox
    asks: Asks
    channels: Channels
    tickets: Tickets
    prompting: Prompting


@dataclass(frozen=True, slots=True)
class Ports:
    """The ports that are really bound."""

    runner: int
    public: int


class Gateway:
    """Serves runners and people. ``authority.refresh`` must have succeeded before it is made."""

    def __init__(  # noqa: PLR0913 - the ports of the edge, by name
        self,
        settings: GatewaySettings,
        authority: Authority,
        *,
        objects: Objects,
        reviews: Reviews,
        registry: Registry,
        placement: Placement,
        recorder: Recorder,
        tools: ToolServices,
        clock: Clock = wall_clock,
    ) -> None:
        self._settings = settings
        self._ports: Ports | None = None
        self._sessions = Sessions(recorder)
        self._terminals = Terminals(link_wait_seconds=settings.link_wait_seconds)
        self._placement = placement
        access = Access(reviews)
        issuer = Issuer(objects, authority, clock)
        admission = Admission(
            objects,
            registry,
            recorder,
            trust_domain=authority.settings.trust_domain,
            clock=clock,
        )
        gatekeeper = Gatekeeper(admission, access)
        hosts = _host_names(settings)
        self._runner_tls = PortCertificate(authority, hosts, mutual=True, clock=clock)
        self._public_tls = PortCertificate(authority, hosts, mutual=False, clock=clock)
        self._runner_server = grpc.aio.server(interceptors=(gatekeeper,), options=_RUNNER_OPTIONS)
        self._public_server = grpc.aio.server(interceptors=(gatekeeper,), options=_PUBLIC_OPTIONS)
        link_pb2_grpc.add_RunnerControlServicer_to_server(  # type: ignore[no-untyped-call]  # generated
            RunnerControl(
                renewal=Renewal(issuer, recorder, admission.in_use),
                git_secrets=GitSecrets(objects, placement),
                sessions=self._sessions,
                placement=placement,
                settings=settings.link,
                clock=clock,
            ),
            self._runner_server,
        )
        link_pb2_grpc.add_RunnerTerminalServicer_to_server(  # type: ignore[no-untyped-call]  # generated
            RunnerTerminal(self._terminals, self._sessions), self._runner_server
        )
        link_pb2_grpc.add_RunnerToolsServicer_to_server(  # type: ignore[no-untyped-call]  # generated
            RunnerTools(tools.toolbox, tools.asks, self._sessions), self._runner_server
        )
        link_pb2_grpc.add_EnrollmentServicer_to_server(  # type: ignore[no-untyped-call]  # generated
            Enrollment(
                Enrolment(objects, issuer, recorder), authority, lambda: (self.runner_endpoint,)
            ),
            self._public_server,
        )
        link_pb2_grpc.add_AttachServicer_to_server(  # type: ignore[no-untyped-call]  # generated
            Attach(self._terminals, access, placement, recheck_seconds=settings.recheck_seconds),
            self._public_server,
        )
        link_pb2_grpc.add_PortsServicer_to_server(  # type: ignore[no-untyped-call]  # generated
            PortsDoor(self._terminals, access, placement, recheck_seconds=settings.recheck_seconds),
            self._public_server,
        )
        link_pb2_grpc.add_ChannelsServicer_to_server(  # type: ignore[no-untyped-call]  # generated
            ChannelsDoor(tools.channels, access, recheck_seconds=settings.recheck_seconds),
            self._public_server,
        )
        link_pb2_grpc.add_TicketsServicer_to_server(  # type: ignore[no-untyped-call]  # generated
            TicketsDoor(tools.tickets, access), self._public_server
        )
        link_pb2_grpc.add_WorktreesServicer_to_server(  # type: ignore[no-untyped-call]  # generated
            WorktreesDoor(
                SavedWork(self._terminals),
                access,
                placement,
                recheck_seconds=settings.recheck_seconds,
            ),
            self._public_server,
        )
        link_pb2_grpc.add_PromptsServicer_to_server(  # type: ignore[no-untyped-call]  # generated
            PromptsDoor(tools.prompting, access, recheck_seconds=settings.recheck_seconds),
            self._public_server,
        )

    async def start(self) -> Ports:
        """Bind both ports and serve.

        Raises:
            PortTaken: One of them cannot be listened on.
        """
        ports = Ports(
            runner=_bind(
                self._runner_server, self._settings.runner_listen, self._runner_tls, "runner-listen"
            ),
            public=_bind(
                self._public_server, self._settings.public_listen, self._public_tls, "public-listen"
            ),
        )
        self._ports = ports
        await self._runner_server.start()
        await self._public_server.start()
        logger.info("serving", extra={"runner_port": ports.runner, "public_port": ports.public})
        return ports

    async def stop(self, grace_seconds: float = 2.0) -> None:
        """Take leave of the runners and stop serving."""
        self._sessions.drain(_DRAIN_RETRY_MS)
        await self._public_server.stop(grace_seconds)
        await self._runner_server.stop(grace_seconds)

    @property
    def runner_endpoint(self) -> str:
        """host:port at which runners reach us: ``runnerEndpoint`` of the trust bundle."""
        return self._endpoint(self._bound.runner)

    @property
    def public_endpoint(self) -> str:
        """host:port of enrolment and attach: ``publicEndpoint`` of the trust bundle."""
        return self._endpoint(self._bound.public)

    @property
    def _bound(self) -> Ports:
        if self._ports is None:
            raise RuntimeError("the gateway has not been started")
        return self._ports

    def _endpoint(self, port: int) -> str:
        host = self._settings.advertise_host
        return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def _bind(server: Any, listen: str, tls: PortCertificate, flag: str) -> int:
    try:
        port = server.add_secure_port(listen, tls.credentials())
    except RuntimeError as exc:
        raise PortTaken(
            f"cannot listen on {listen}: the port is taken or the address is not ours; choose "
            f"another with --{flag}"
        ) from exc
    return int(port)


def _host_names(settings: GatewaySettings) -> tuple[str, ...]:
    """Return every name a client may reach us by, each once."""
    listened = (
        listen.rpartition(":")[0].strip("[]")
        for listen in (settings.runner_listen, settings.public_listen)
    )
    names = (settings.advertise_host, *listened, *settings.names, *_LOCAL_NAMES)
    anywhere = {"", "0.0.0.0", "::"}  # noqa: S104 - compared, not bound
    return tuple(dict.fromkeys(name for name in names if name not in anywhere))
