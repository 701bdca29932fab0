"""A call of a tool: who calls, what a handler is, and how a call fails.

* ToolError   -- what the agent is told: a reason for programs, a sentence, perhaps data

Reasons: ``InvalidArgument``, ``UnknownTool``, ``NotFound``, ``Forbidden``, ``Conflict``,
``AlreadyExists``, ``NotRunning``, ``Unavailable``, ``LimitExceeded``, ``Failed``.
"""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

from controller.rpc.ports import RunnerKey
from schemas.agentpod import AgentPod
from schemas.tools.base import Result


@dataclass(frozen=True, slots=True)
class Caller:
    """The pod that calls: it is placed on the runner whose certificate brought the call."""

    pod: AgentPod
    """As the store has it now: alive and placed."""
    runner: RunnerKey

    @property
    def namespace(self) -> str:
        """The organization's namespace: all that the caller may know of is in it."""
        return self.pod.metadata.namespace

    @property
    def name(self) -> str:
        """The pod's name."""
        return self.pod.metadata.name

    @property
    def uid(self) -> str:
        """The pod's uid: authority is bound to it, never to the name."""
        return self.pod.metadata.uid


class ToolError(Exception):
    """A call that fails: the agent is told ``message``, what is wrong and what to do."""

    def __init__(self, reason: str, message: str, structured: dict[str, Any] | None = None) -> None:
        super().__init__(message)
        self.reason = reason
        self.message = message
        self.structured = structured
        """JSON data that goes with it, such as the current document of a conflict."""


Handler = Callable[[Caller, Any], Awaitable[Result]]
"""Carries out a tool: caller and parsed arguments (the model of the catalogue) to its result.

Raises:
    ToolError: It cannot or must not be done.
"""
