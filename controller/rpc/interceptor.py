"""The one place where callers are recognised and refused, on both ports.

Every RPC passes here before its handler sees it. A stream stays under watch: when its certificate
ends, or its Runner is banned, replaced or deleted, it gets a moment to take leave and is then ended
with a status. The handler runs in a task of its own for that: cancelling the task of the RPC itself
would leave the client without an answer.
"""

import asyncio
import contextlib
import logging
from collections.abc import Awaitable, Callable
from typing import Any, Final
from urllib.parse import unquote

import grpc

from controller.kube.errors import KubeError
from controller.pki.errors import Stalled
from controller.pki.identity import RunnerCertificate
from controller.rpc.admission import Admission
from controller.rpc.caller import Caller, set_caller
from controller.rpc.policy import ALLOWED, Principal
from controller.rpc.race import first_done
from controller.rpc.refusal import Refusal, refuse
from controller.rpc.splice import read_up, write_out
from controller.rpc.strangers import Strangers
from controller.services.access import Access
from controller.services.limits import PeerLimit

logger = logging.getLogger(__name__)

Behaviour = Callable[[Any, Any], Awaitable[Any]]

RECHECK_SECONDS: Final = 15.0
"""Longest sleep of a watch: timers stand still while a machine sleeps, certificates end by date."""

LEAVE_SECONDS: Final = 0.5
"""How long a stream may take to say good-bye."""

DESERIALIZERS: Final = {"/meshwire.v1.RunnerTerminal/Serve": read_up}
SERIALIZERS: Final = {"/meshwire.v1.Attach/Attach": write_out}
"""Terminal output is spliced, not parsed."""

FIRST_MESSAGE_SECONDS: Final = 0.1
"""How long a stream that is refused anyway may take for its first message."""

_BEARER: Final = "bearer "


class Gatekeeper(grpc.aio.ServerInterceptor):  # type: ignore[misc]  # grpc is not typed
    """Enforces ``policy.ALLOWED``."""

    def __init__(self, admission: Admission, access: Access) -> None:
        self._admission = admission
        self._access = access
        self._enrolments = PeerLimit(burst=20, per_second=2)
        self._strangers = Strangers()

    async def intercept_service(
        self, continuation: Callable[[Any], Awaitable[Any]], handler_call_details: Any
    ) -> Any:
        """Wrap the handler of the RPC; unknown RPCs are left to gRPC, which knows none.

        A stream's handler writes to its context; it is no generator.
        """
        handler = await continuation(handler_call_details)
        if handler is None:
            return None
        principal = ALLOWED.get(handler_call_details.method)
        if handler.stream_stream is not None:
            return grpc.stream_stream_rpc_method_handler(
                self._guarded(principal, handler.stream_stream, watched=True),
                DESERIALIZERS.get(handler_call_details.method, handler.request_deserializer),
                SERIALIZERS.get(handler_call_details.method, handler.response_serializer),
            )
        if handler.unary_stream is not None:
            return grpc.unary_stream_rpc_method_handler(
                self._guarded(principal, handler.unary_stream, watched=False),
                handler.request_deserializer,
                handler.response_serializer,
            )
        return grpc.unary_unary_rpc_method_handler(
            self._guarded(principal, handler.unary_unary, watched=False),
            handler.request_deserializer,
            handler.response_serializer,
        )

    def _guarded(
        self, principal: Principal | None, behaviour: Behaviour, *, watched: bool
    ) -> Behaviour:
        async def run(request: Any, context: Any) -> Any:
            try:
                caller = await self._recognise(principal, context, watched=watched)
                set_caller(caller)
                if not watched or caller.certificate is None:
                    return await behaviour(request, context)
                await self._watched(caller, behaviour, request, context)
            except Refusal as refusal:
                await context.abort(refusal.code, refusal.message)
            except Stalled as stalled:
                await context.abort(grpc.StatusCode.UNAVAILABLE, str(stalled))
            except KubeError as exc:
                logger.warning("API server cannot be asked", extra={"reason": str(exc)})
                await context.abort(
                    grpc.StatusCode.UNAVAILABLE,
                    "the API server cannot be asked at the moment: try again",
                )
            except (grpc.aio.AbortError, grpc.aio.UsageError):
                raise  # an answer that was sent already, or a caller that is gone
            except Exception:
                logger.exception("RPC failed")
                await context.abort(
                    grpc.StatusCode.INTERNAL, "the controller failed: see its log, then try again"
                )
            return None

        return run

    async def _recognise(
        self, principal: Principal | None, context: Any, *, watched: bool
    ) -> Caller:
        """Return the caller, or raise Refusal.

        A stream is refused only after its first message: a client that is still writing it would
        see a broken write in place of the reason.
        """
        try:
            return await self._identify(principal, context)
        except Refusal:
            if watched:
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(FIRST_MESSAGE_SECONDS):
                        await context.read()
            raise

    async def _identify(self, principal: Principal | None, context: Any) -> Caller:
        caller = Caller(peer=peer_address(context.peer()))
        match principal:
            case None:
                refuse(grpc.StatusCode.PERMISSION_DENIED, "nobody may call this")
            case Principal.ANYONE:
                pass
            case Principal.TOKEN:
                if not self._enrolments.take(caller.peer):
                    refuse(
                        grpc.StatusCode.RESOURCE_EXHAUSTED,
                        "too many enrolments from this address: wait a few seconds",
                    )
            case Principal.RUNNER:
                caller.certificate = self._admission.read(context.auth_context())
                refusal = await self._admission.check(caller.certificate)
                if refusal is not None:
                    raise refusal
            case Principal.USER:
                await self._recognise_person(caller, context)
        return caller

    async def _recognise_person(self, caller: Caller, context: Any) -> None:
        token = bearer_token(context.invocation_metadata() or ())
        if not token:
            refuse(
                grpc.StatusCode.UNAUTHENTICATED,
                "a bearer token is needed in the metadata `authorization`",
            )
        if self._strangers.must_wait(caller.peer, token):
            refuse(
                grpc.StatusCode.RESOURCE_EXHAUSTED,
                "too many unknown tokens from this address: wait a few seconds",
            )
        caller.user = await self._access.authenticate(token)
        if caller.user is None:
            self._strangers.refused(caller.peer, token)
            refuse(
                grpc.StatusCode.UNAUTHENTICATED, "the API server does not accept the bearer token"
            )
        self._strangers.accepted(token)
        caller.token = token

    async def _watched(
        self, caller: Caller, behaviour: Behaviour, request: Any, context: Any
    ) -> None:
        """Run the stream until it ends or may not go on."""

        async def stream() -> None:
            await behaviour(request, context)

        await first_done(stream(), self._until_refused(caller))
        if caller.refusal is not None:
            raise caller.refusal

    async def _until_refused(self, caller: Caller) -> None:
        """Return a moment after the caller has lost its right, with the refusal noted."""
        certificate = caller.certificate
        if certificate is None:
            raise RuntimeError("only runners' streams are watched")
        with self._admission.changes(certificate) as changes:
            while (refusal := await self._admission.check(certificate)) is None:
                try:
                    async with asyncio.timeout(self._next_look(certificate)):
                        await changes.wait()
                except TimeoutError:
                    continue
        caller.refusal = refusal
        caller.ending.set()
        await asyncio.sleep(LEAVE_SECONDS)

    def _next_look(self, certificate: RunnerCertificate) -> float:
        left = (certificate.not_after - self._admission.clock()).total_seconds()
        return min(max(left, 0.0) + 0.001, RECHECK_SECONDS)


def bearer_token(metadata: Any) -> str:
    """Return the token in the metadata ``authorization``, or nothing."""
    for key, value in metadata:
        if key == "authorization" and isinstance(value, str) and value.lower().startswith(_BEARER):
            return value[len(_BEARER) :].strip()
    return ""


def peer_address(peer: str) -> str:
    """Return the address in gRPC's name for a peer: ``ipv4:1.2.3.4:5``, ``ipv6:[::1]:5``."""
    kind, _, rest = unquote(peer).partition(":")
    if kind not in {"ipv4", "ipv6"}:
        return ""
    return rest.rpartition(":")[0].strip("[]")
