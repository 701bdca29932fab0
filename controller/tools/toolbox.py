"""Carries out calls of tools: who calls, what is asked, which handler, and every failure in words.

Whatever goes wrong is an answer: nothing leaves here as an exception, save cancellation. Each call
is logged with pod, tool, target, outcome and duration, and with no value that may be a secret.
"""

import asyncio
import json
import logging
import time
import traceback
from collections.abc import Callable, Mapping
from typing import Any, Final, NoReturn

from meshwire.v1 import link_pb2

from controller.kernel.redact import redact
from controller.kernel.store import Store
from controller.kube import errors as kube
from controller.placement.desired import ended
from controller.placement.observation import Observation, PodState
from controller.rpc.ports import RunnerKey
from controller.store import errors as messages
from controller.tools.call import Caller, Handler, ToolError
from controller.tools.pace import Pace
from schemas.agentpod import AgentPod, RestartPolicy
from schemas.tools.base import Arguments, InvalidArgumentsError, Result, Tool, parsed
from schemas.tools.catalogue import CATALOGUE

logger = logging.getLogger(__name__)

CALL_SECONDS: Final = 30.0
"""So long may a call take."""
MAX_ARGUMENT_BYTES: Final = 4 * 1024 * 1024 - 64 * 1024
"""A document of 1 MiB fits even where JSON escapes every byte of it."""
MAX_RESULT_BYTES: Final = 4 * 1024 * 1024 - 64 * 1024
"""What a message to a runner holds, less its envelope."""

_TARGETS: Final = ("pod_key", "target_pod", "channel_id", "ticket_id", "binding_id")
"""Arguments that name what a call is about: the only ones that are logged."""

_OVER: Final = frozenset({PodState.SUCCEEDED, PodState.FAILED, PodState.REMOVED})
_AT_WORK: Final = frozenset({PodState.STARTING, PodState.RUNNING})

_KUBE: Final[tuple[tuple[type[kube.KubeError], str, str], ...]] = (
    (kube.NotFound, "NotFound", "what the call is about was deleted meanwhile: look again"),
    (kube.AlreadyExists, "AlreadyExists", "there is already one of that name: take another name"),
    (kube.Conflict, "Conflict", "it was changed by others meanwhile: look again, then repeat"),
    (kube.Denied, "Forbidden", "the organization's API does not allow this"),
    (kube.Refused, "InvalidArgument", "the organization's API refuses this"),
    (kube.KubeError, "Unavailable", "the Kubernetes API does not answer: try again in a moment"),
)
_MESSAGES: Final[tuple[tuple[type[messages.StoreError], str], ...]] = (
    (messages.UnavailableError, "Unavailable"),
    (messages.NotFoundError, "NotFound"),
    (messages.ChannelGoneError, "NotFound"),
    (messages.KeyConflictError, "Conflict"),
    (messages.RevisionConflictError, "Conflict"),
    (messages.TextError, "InvalidArgument"),
    (messages.StoreError, "Unavailable"),
)

Seen = Callable[[str], Observation | None]
"""What a pod's runner said last, by the pod's uid: ``Fleet.observed``."""


class Toolbox:
    """All tools, behind one door."""

    def __init__(
        self,
        store: Store,
        seen: Seen,
        handlers: Mapping[str, Handler],
        *,
        call_seconds: float = CALL_SECONDS,
        ticks: Callable[[], float] = time.monotonic,
    ) -> None:
        """*handlers* are by name of tool.

        Raises:
            ValueError: A tool has no handler, or a handler no tool.
        """
        if odd := set(handlers) ^ set(CATALOGUE):
            raise ValueError(f"tools and handlers differ: {', '.join(sorted(odd))}")
        self._pods = store.of(AgentPod)
        self._seen = seen
        self._handlers = dict(handlers)
        self._call_seconds = call_seconds
        self._ticks = ticks
        self._pace = Pace(ticks=ticks)

    async def call(self, runner: RunnerKey, request: link_pb2.ToolCall) -> link_pb2.ToolResult:
        """Carry out the call that came with the runner's certificate, and answer."""
        began = self._ticks()
        pod = self._pods.by_uid(request.caller.pod_uid)
        record = {"pod": _shown(pod, runner), "tool": request.tool if _known(request) else ""}
        try:
            result = await self._answered(runner, pod, request, record)
        except ToolError as exc:
            record["outcome"] = exc.reason
            result = _failed(exc)
        except asyncio.CancelledError:
            record["outcome"] = "Cancelled"
            raise
        else:
            record["outcome"] = "ok"
        finally:
            record["duration_ms"] = f"{(self._ticks() - began) * 1000:.1f}"
            logger.info("tool", extra=record)
        return result

    async def _answered(
        self,
        runner: RunnerKey,
        pod: AgentPod | None,
        request: link_pb2.ToolCall,
        record: dict[str, str],
    ) -> link_pb2.ToolResult:
        await self._pace.runner(runner.uid)
        self._caller(runner, pod, request)
        tool = CATALOGUE.get(request.tool)
        if tool is None:
            raise ToolError("UnknownTool", "there is no such tool: list the tools")
        arguments = _arguments(tool, request.arguments)
        record["target"] = _target(arguments)
        await self._pace.pod(request.caller.pod_uid, tool)
        now = self._pods.by_uid(request.caller.pod_uid)  # it may have ended while it waited
        caller = self._caller(runner, now, request)
        result = await self._carried_out(tool, caller, arguments)
        structured = json.dumps(result.structured(), ensure_ascii=False, separators=(",", ":"))
        data = structured.encode("utf-8", errors="replace")
        if len(data) > MAX_RESULT_BYTES:
            raise ToolError(
                "LimitExceeded", "the answer is larger than 4 MiB: ask for less, with a lower limit"
            )
        return link_pb2.ToolResult(structured=data)

    def _caller(
        self, runner: RunnerKey, pod: AgentPod | None, request: link_pb2.ToolCall
    ) -> Caller:
        """Return the pod that calls, if it lives and is where the call came from."""
        placement = pod.status.placement if pod is not None else None
        if (
            pod is None
            or placement is None
            or placement.runner_uid != runner.uid
            or pod.metadata.namespace != runner.namespace  # whatever a forged status says
            or placement.epoch != request.caller.epoch
            or not alive(pod, self._seen(pod.metadata.uid))
        ):
            raise ToolError("Forbidden", "this pod has ended: its tools have ended with it")
        return Caller(pod, runner)

    async def _carried_out(self, tool: Tool, caller: Caller, arguments: Arguments) -> Result:
        """Return the handler's result, or raise ToolError and nothing else."""
        limit = asyncio.timeout(self._call_seconds)
        try:
            async with limit:
                return await self._handlers[tool.name](caller, arguments)
        except ToolError:
            raise
        except kube.KubeError as exc:
            _raise_kube(exc, tool)
        except messages.StoreError as exc:
            reason = next(reason for kind, reason in _MESSAGES if isinstance(exc, kind))
            raise ToolError(reason, str(exc)) from None
        except Exception as exc:  # noqa: BLE001 - any failure is an answer
            if limit.expired():
                what = "try again" if tool.read_only else "look what it did before you repeat it"
                raise ToolError(
                    "Unavailable", f"the call took longer than {self._call_seconds:g} s: {what}"
                ) from None
            logger.error(  # noqa: TRY400 - the text of a stranger's exception may quote arguments
                "a tool failed",
                extra={"tool": tool.name, "error": type(exc).__name__, "trace": _trace(exc)},
            )
            raise ToolError(
                "Failed", "the controller failed at this call: tell a person to see its log"
            ) from None


def alive(pod: AgentPod, seen: Observation | None) -> bool:
    """Whether the pod's agent may still act: what its runner said last counts before the status."""
    placement = pod.status.placement
    if placement is None or pod.metadata.deleting:
        return False
    news = seen.state if seen is not None and seen.epoch == placement.epoch else None
    if news in _OVER:
        return False
    if not ended(pod):
        return True
    restarts = pod.spec.restart_policy is not RestartPolicy.NEVER
    return restarts and news in _AT_WORK


def _arguments(tool: Tool, data: bytes) -> Arguments:
    """Return the arguments in the JSON object *data*, checked."""
    if len(data) > MAX_ARGUMENT_BYTES:
        raise ToolError("LimitExceeded", "the arguments are larger than 1 MiB: send less")
    try:
        values = json.loads(data or b"{}", parse_constant=_not_json)
    except (ValueError, RecursionError):
        raise ToolError("InvalidArgument", "the arguments are no valid JSON: repair it") from None
    if not isinstance(values, dict):
        raise ToolError("InvalidArgument", "the arguments must be a JSON object")
    try:
        return parsed(tool.arguments, values)
    except InvalidArgumentsError as exc:
        raise ToolError("InvalidArgument", str(exc)) from None


def _not_json(constant: str) -> NoReturn:
    raise ValueError(constant)


def _raise_kube(error: kube.KubeError, tool: Tool) -> NoReturn:
    reason, message = next((r, m) for kind, r, m in _KUBE if isinstance(error, kind))
    if isinstance(error, kube.Refused):
        logger.warning("refused by the API", extra={"tool": tool.name, "status": error.status})
        message = f"{message}: {redact(str(error))[:500]}"
    raise ToolError(reason, message) from None


def _trace(error: BaseException) -> list[str]:
    """Return where the error came from, without what it says."""
    frames = traceback.extract_tb(error.__traceback__)
    return [f"{frame.filename}:{frame.lineno} {frame.name}" for frame in frames[-8:]]


def _failed(error: ToolError) -> link_pb2.ToolResult:
    data = b""
    if error.structured is not None:
        text = json.dumps(error.structured, ensure_ascii=False, separators=(",", ":"))
        data = text.encode("utf-8", errors="replace")
    if len(data) > MAX_RESULT_BYTES:
        data = b""
    failure = link_pb2.ToolFailure(reason=error.reason, message=error.message, structured=data)
    return link_pb2.ToolResult(failure=failure)


def _known(request: link_pb2.ToolCall) -> bool:
    return request.tool in CATALOGUE


def _shown(pod: AgentPod | None, runner: RunnerKey) -> str:
    if pod is None or pod.metadata.namespace != runner.namespace:
        return ""
    return f"{pod.metadata.namespace}/{pod.metadata.name}"


def _target(arguments: Any) -> str:
    named = (getattr(arguments, name, None) for name in _TARGETS)
    return next((name for name in named if isinstance(name, str)), "")
