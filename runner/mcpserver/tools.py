"""The tools as the SDK serves them: lists what the catalogue has, forwards what is asked for."""

import asyncio
import json
import logging
from typing import Any, Final, NamedTuple

from mcp.server.context import ServerRequestContext
from mcp.server.lowlevel.server import Server
from mcp.shared.exceptions import MCPError
from mcp_types import (
    INVALID_PARAMS,
    CallToolRequestParams,
    CallToolResult,
    ListToolsResult,
    PaginatedRequestParams,
    TextContent,
    Tool,
    ToolAnnotations,
)
from meshwire.v1 import link_pb2

from runner.link.errors import Unreachable
from runner.mcpserver.door import Door
from runner.mcpserver.ports import Calls
from schemas.tools import base
from schemas.tools.catalogue import CATALOGUE

logger = logging.getLogger(__name__)

NAME: Final = "agentsmesh"
INSTRUCTIONS: Final = (
    "You are an agent in one pod of a mesh. list_available_pods shows the other pods; bind_pod "
    "asks for the right to watch (terminal:read) or drive (terminal:write) the terminal of one. "
    "Pods talk in channels. A refused call says what to do."
)
_GRACE_SECONDS: Final = 1.0
"""The link ends a call itself; this much later it is ended here."""


def offered() -> list[Tool]:
    """Return the tools as agents see them, in the catalogue's order."""
    return [
        Tool(
            name=tool.name,
            description=tool.description,
            input_schema=base.json_schema(tool.arguments),
            output_schema=base.json_schema(tool.result),
            annotations=ToolAnnotations(read_only_hint=tool.read_only),
            _meta={"anthropic/alwaysLoad": True},
        )
        for tool in CATALOGUE.values()
    ]


def serving(calls: Calls, version: str) -> Server[Any]:
    """Return the SDK's server with all tools; *calls* carries them out."""
    tools = offered()
    schemas = {tool.name: tool.input_schema for tool in tools}
    handlers = _Handlers(calls, tools)
    return Server(
        NAME,
        version=version,
        instructions=INSTRUCTIONS,
        on_list_tools=handlers.list,
        on_call_tool=handlers.call,
        get_tool_input_schema=schemas.get,
    )


class _Outcome(NamedTuple):
    """How a call ended."""

    result: CallToolResult
    outcome: str
    """For the log: done, refused by the controller, or failed on the way."""
    reason: str = ""


class _Handlers:
    """What the SDK calls. The door that a request came in by says whose it is."""

    def __init__(self, calls: Calls, tools: list[Tool]) -> None:
        self._calls = calls
        self._listed = ListToolsResult(tools=tools)

    async def list(
        self, ctx: ServerRequestContext[Any], params: PaginatedRequestParams | None
    ) -> ListToolsResult:
        """Return all tools, on one page."""
        if params is not None and params.cursor is not None:
            raise MCPError(INVALID_PARAMS, "All tools are on the first page: there is no cursor")
        door = _door(ctx)
        try:
            await door.tools_listed()
        except Exception:
            logger.exception("a sign of readiness was lost", extra={"pod": door.run.uid})
        return self._listed

    async def call(
        self, ctx: ServerRequestContext[Any], params: CallToolRequestParams
    ) -> CallToolResult:
        """Carry out one call, and log that, without what it holds."""
        door, tool = _door(ctx), CATALOGUE.get(params.name)
        if tool is None:
            raise MCPError(INVALID_PARAMS, f"Unknown tool: {params.name[:64]}")
        loop = asyncio.get_running_loop()
        began, outcome, reason = loop.time(), "cancelled", ""
        try:
            result, outcome, reason = await self._carried_out(door, tool, params.arguments or {})
        finally:
            about = {
                "pod": door.run.uid,
                "tool": tool.name,
                "outcome": outcome,
                "duration_ms": round((loop.time() - began) * 1000),
                "reason": reason,
            }
            logger.info("tool called", extra=about)
        return result

    async def _carried_out(
        self, door: Door, tool: base.Tool, arguments: dict[str, Any]
    ) -> _Outcome:
        try:
            base.parsed(tool.arguments, arguments)
            data = json.dumps(arguments, allow_nan=False).encode()
        except base.InvalidArgumentsError as exc:
            return _failed("InvalidArgument", str(exc), refused=True)
        except ValueError:
            return _failed(
                "InvalidArgument", "Only numbers that JSON has can be sent.", refused=True
            )
        limits = door.limits
        try:
            async with asyncio.timeout(limits.turn_seconds):
                await door.turns.acquire()
        except TimeoutError:
            text = (
                f"{limits.calls} calls of this pod are under way: "
                "wait for their answers before you make more."
            )
            return _failed("TooManyCalls", text, refused=True)
        try:
            async with asyncio.timeout(limits.call_seconds + _GRACE_SECONDS):
                request = link_pb2.ToolCall(caller=door.run.ref(), tool=tool.name, arguments=data)
                return _outcome(await self._calls.call(request, limits.call_seconds))
        except Unreachable as exc:
            return _failed("ControllerAway", str(exc))
        except TimeoutError:
            text = (
                f"It took longer than {limits.call_seconds:g} s: "
                "look whether it was done before you try again."
            )
            return _failed("TookTooLong", text)
        except Exception:
            logger.exception("a tool call failed", extra={"pod": door.run.uid, "tool": tool.name})
            return _failed("InternalError", "The runner could not carry it out: try again.")
        finally:
            door.turns.release()


def _door(ctx: ServerRequestContext[Any]) -> Door:
    assert ctx.request is not None  # noqa: S101  every request came over HTTP
    door: Door = ctx.request.state.door
    return door


def _outcome(said: link_pb2.ToolResult) -> _Outcome:
    """Return what the controller said as the agent gets it: as data, and the same as text."""
    if said.WhichOneof("outcome") == "structured":
        found = json.loads(said.structured)
        text = json.dumps(found, ensure_ascii=False, separators=(",", ":"))
        return _Outcome(CallToolResult(content=[_text(text)], structured_content=found), "done")
    failure = said.failure
    found = json.loads(failure.structured) if failure.structured else None
    content = [_text(failure.message or "It failed: the controller does not say why.")]
    result = CallToolResult(content=[*content], structured_content=found, is_error=True)
    return _Outcome(result, "refused", failure.reason)


def _failed(reason: str, message: str, *, refused: bool = False) -> _Outcome:
    result = CallToolResult(content=[_text(message)], is_error=True)
    return _Outcome(result, "refused" if refused else "failed", reason)


def _text(text: str) -> TextContent:
    return TextContent(type="text", text=text)
