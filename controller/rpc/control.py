"""RunnerControl: renewal, states and secrets, for runners that the gatekeeper let in."""

import asyncio
import logging
import secrets
from typing import Any, Final

import grpc
from meshwire.v1 import link_pb2

from controller.pki.clock import Clock
from controller.rpc.caller import current_caller
from controller.rpc.enrollment import bundle_message
from controller.rpc.ports import Placement
from controller.rpc.refusal import refuse
from controller.rpc.session import LinkSettings, Session
from controller.rpc.sessions import Sessions
from controller.services.renewal import Renewal
from controller.services.secrets import GitSecrets

logger = logging.getLogger(__name__)

PROTOCOL: Final = 1
"""The version of the protocol that is spoken here; there is no older one yet."""


class RunnerControl:
    """Translates between the wire and the services."""

    def __init__(
        self,
        *,
        renewal: Renewal,
        git_secrets: GitSecrets,
        sessions: Sessions,
        placement: Placement,
        settings: LinkSettings,
        clock: Clock,
    ) -> None:
        self._renewal = renewal
        self._git_secrets = git_secrets
        self._sessions = sessions
        self._placement = placement
        self._settings = settings
        self._clock = clock
        self._revision = 0

    async def Renew(  # noqa: N802 - the name of the RPC
        self,
        request: link_pb2.RenewRequest,
        context: Any,  # noqa: ARG002 - gRPC's signature
    ) -> link_pb2.RenewResponse:
        """Replace the caller's certificate before it ends."""
        certificate = current_caller().certificate
        if certificate is None:
            raise RuntimeError("the gatekeeper let in a caller without a certificate")
        grant = await self._renewal.renew(certificate, request.csr_der, request.wall_clock_unix_ms)
        return link_pb2.RenewResponse(
            chain_der=grant.chain_der,
            bundle=bundle_message(grant.bundle),
            renew_after_unix=grant.renew_after_unix,
        )

    async def FetchSecrets(  # noqa: N802 - the name of the RPC
        self,
        request: link_pb2.FetchSecretsRequest,
        context: Any,  # noqa: ARG002 - gRPC's signature
    ) -> link_pb2.FetchSecretsResponse:
        """Return what a pod placed on the caller needs and no journal may hold."""
        git = await self._git_secrets.fetch(current_caller().runner, request.ref)
        return link_pb2.FetchSecretsResponse(git=git)

    async def Connect(  # noqa: N802 - the name of the RPC
        self,
        request_iterator: Any,  # noqa: ARG002 - messages are read from the context
        context: Any,
    ) -> None:
        """Exchange observed and desired states for as long as both live."""
        caller = current_caller()
        hello = await self._hello(context)
        twin = self._sessions.twin(caller.runner, hello.instance_id)
        if twin is not None:
            await context.write(
                link_pb2.ControllerMessage(controller_epoch=self._placement.epoch(), close=twin)
            )
            refuse(grpc.StatusCode.FAILED_PRECONDITION, twin.message, twin.reason)
        session = Session(caller, hello, self._placement, self._settings, self._first_revision())
        self._sessions.enter(caller.runner, session)
        self._placement.connected(caller.runner, hello)
        logger.info("runner connected", extra=_extra(session, hello.info.version))
        try:
            await context.write(session.welcome(secrets.token_hex(8), PROTOCOL, self._now_ms()))
            await session.run(context.read, context.write)
        finally:
            if self._sessions.leave(caller.runner, session):
                self._placement.disconnected(caller.runner)
            logger.info("session ended", extra=_extra(session, hello.info.version))

    async def _hello(self, context: Any) -> link_pb2.Hello:
        """Return the first message. Raises Refusal."""
        try:
            async with asyncio.timeout(self._settings.hello_seconds):
                first = await context.read()
        except TimeoutError:
            refuse(grpc.StatusCode.DEADLINE_EXCEEDED, "no Hello came: send it first")
        if first is grpc.aio.EOF or first.WhichOneof("msg") != "hello":
            refuse(grpc.StatusCode.INVALID_ARGUMENT, "the first message must be Hello")
        hello: link_pb2.Hello = first.hello
        if not hello.protocol_min <= PROTOCOL <= hello.protocol_max:
            refuse(
                grpc.StatusCode.FAILED_PRECONDITION,
                f"the runner speaks protocol {hello.protocol_min} to {hello.protocol_max}, the "
                f"controller {PROTOCOL}: upgrade the older one of the two",
                "Protocol",
            )
        if not hello.instance_id or len(hello.instance_id) > 128:
            refuse(grpc.StatusCode.INVALID_ARGUMENT, "Hello needs an instance_id")
        epoch = self._placement.epoch()
        if hello.last_controller_epoch > epoch:
            refuse(
                grpc.StatusCode.FAILED_PRECONDITION,
                f"the runner obeys a newer controller (epoch {hello.last_controller_epoch}) than "
                f"this one (epoch {epoch}): this one must step down",
                "OldController",
            )
        return hello

    def _first_revision(self) -> int:
        """Return a number above those of all sessions before, also of an earlier process."""
        self._revision = max(self._revision + 1, self._now_ms())
        return self._revision << 20  # a session has a million revisions of its own

    def _now_ms(self) -> int:
        return int(self._clock().timestamp() * 1000)


def _extra(session: Session, version: str) -> dict[str, str]:
    return {
        "runner": f"{session.runner.namespace}/{session.runner.name}",
        "session": session.instance_id,
        "version": version[:64],
    }
