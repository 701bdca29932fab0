"""Worktrees.Restore, on the public port: people have the work of a pod back that is gone."""

import logging
from typing import Any, Final

import grpc
from meshwire.v1 import link_pb2

from controller.rpc.caller import Caller, current_caller
from controller.rpc.ports import Placement
from controller.rpc.race import first_done
from controller.rpc.recheck import RECHECK_SECONDS, recheck
from controller.rpc.refusal import refuse
from controller.rpc.rights import demand
from controller.rpc.splice import RawOutput
from controller.services.access import RESTORE, Access
from controller.services.saved import Nothing, SavedWork, Work
from controller.services.terminals import WINDOW_BYTES
from controller.services.tokens import is_name, is_object_name

logger = logging.getLogger(__name__)

_MOST_HAVE: Final = 1024


class WorktreesDoor:
    """Translates between the wire and the service, for callers that the API server recognised."""

    def __init__(
        self,
        saved: SavedWork,
        access: Access,
        placement: Placement,
        *,
        recheck_seconds: float = RECHECK_SECONDS,
    ) -> None:
        self._saved = saved
        self._access = access
        self._placement = placement
        self._recheck_seconds = recheck_seconds

    async def Restore(  # noqa: N802 - the name of the RPC
        self, request: link_pb2.RestoreRequest, context: Any
    ) -> None:
        """Write what is kept of the pod, then the bundle that has it."""
        caller = current_caller()
        _check(request)
        await self._authorise(caller, request, fresh=False)
        async with self._saved.find(request) as work:
            if isinstance(work, Nothing):
                refuse(grpc.StatusCode.NOT_FOUND, self._why_not(request, work))
            logger.info(
                "saved work restored",
                extra={"key": f"{request.namespace}/{request.pod}", "user": caller.user.name},
            )
            await first_done(
                _write(context, work),
                recheck(
                    lambda: self._authorise(caller, request, fresh=True), self._recheck_seconds
                ),
            )

    async def _authorise(
        self, caller: Caller, request: link_pb2.RestoreRequest, *, fresh: bool
    ) -> None:
        """Ask whether the caller may have the pod's work. Raises Refusal, KubeError."""
        await demand(self._access, caller, RESTORE, (request.namespace, request.pod), fresh=fresh)

    def _why_not(self, request: link_pb2.RestoreRequest, nothing: Nothing) -> str:
        if nothing.message:
            return nothing.message
        where = f"on the {nothing.asked} connected runners of namespace {request.namespace}"
        if not nothing.asked:
            where = f"here: no runner of namespace {request.namespace} is connected"
        text = f"nothing is kept of a pod {request.pod} {where}"
        if self._placement.find(request.namespace, request.pod) is not None:
            return f"{text}; the pod is there, and its work is kept when it is deleted"
        return text


def _check(request: link_pb2.RestoreRequest) -> None:
    if not is_name(request.namespace) or not is_object_name(request.pod):
        refuse(
            grpc.StatusCode.INVALID_ARGUMENT, "namespace must be a name, and pod a name or a uid"
        )
    if len(request.have) > _MOST_HAVE or any(len(each) > 64 for each in request.have):  # noqa: PLR2004 - a SHA-256
        refuse(grpc.StatusCode.INVALID_ARGUMENT, f"have: at most {_MOST_HAVE} commits")


async def _write(context: Any, work: Work) -> None:
    """Write what was found, then its bundle as fast as the caller takes it."""
    found = work.found
    await context.write(
        link_pb2.RestoreChunk(
            saved_ref=found.saved_ref,
            commit=found.commit,
            branch=found.branch,
            found=found,
            runner=work.runner.name,
        )
    )
    if not found.bundled:
        return
    view = work.view
    view.allow(WINDOW_BYTES)
    while not isinstance(up := await view.next(), link_pb2.ViewEnded):
        if not isinstance(up, RawOutput):
            continue  # of a newer runner
        data = link_pb2.TerminalUp.FromString(up.wire).output.data
        await context.write(link_pb2.RestoreChunk(data=data))
        view.passed(up)
        view.allow(up.length)
    if up.reason != "EndOfWork":
        refuse(grpc.StatusCode.UNAVAILABLE, up.message or "the runner went away; try again")
