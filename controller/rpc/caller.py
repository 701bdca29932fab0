"""Who is calling, for the length of one RPC. Set by the interceptor, read by the services."""

import asyncio
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import Any

from controller.pki.identity import RunnerCertificate
from controller.rpc.ports import RunnerKey
from controller.rpc.refusal import Refusal


@dataclass(slots=True)
class Caller:
    """What the interceptor has found out."""

    peer: str
    """The address alone, without the port; empty if it has none."""
    certificate: RunnerCertificate | None = None
    """Set if the caller is a runner."""
    user: Any = None
    """Set if the caller is a person: what TokenReview answered."""
    token: str = field(default="", repr=False)
    """The person's bearer token, to ask again about long streams."""
    ending: asyncio.Event = field(default_factory=asyncio.Event)
    """Set when the caller may not go on; a stream then has a moment to say so."""
    refusal: Refusal | None = None
    """Why, once ``ending`` is set."""

    @property
    def runner(self) -> RunnerKey:
        """The calling runner: the only source of it."""
        if self.certificate is None:
            raise RuntimeError("asked for the runner of a caller that is none")
        found = self.certificate
        return RunnerKey(found.namespace, found.name, found.uid)


_CALLER: ContextVar[Caller] = ContextVar("caller")


def set_caller(caller: Caller) -> None:
    """Note who calls, for the task of the RPC and those it starts."""
    _CALLER.set(caller)


def current_caller() -> Caller:
    """Return who calls."""
    return _CALLER.get()
