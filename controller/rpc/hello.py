"""The first message of a runner's stream beside its session: whose instance it is."""

import asyncio
from typing import Any, Final

import grpc
from meshwire.v1 import link_pb2

from controller.rpc.caller import current_caller
from controller.rpc.ports import RunnerKey
from controller.rpc.refusal import refuse
from controller.rpc.sessions import Sessions

HELLO_SECONDS: Final = 10.0


async def greeted(
    context: Any, sessions: Sessions, message: type[link_pb2.TerminalUp] | type[link_pb2.AskUp]
) -> RunnerKey:
    """Return the calling runner once it has said TerminalHello, in a *message*.

    Raises:
        Refusal: It says something else or nothing, or another instance of it has the session.
    """
    runner = current_caller().runner
    try:
        async with asyncio.timeout(HELLO_SECONDS):
            first = await context.read()
    except TimeoutError:
        refuse(grpc.StatusCode.DEADLINE_EXCEEDED, "no TerminalHello came: send it first")
    if not isinstance(first, message) or first.WhichOneof("msg") != "hello":
        refuse(grpc.StatusCode.INVALID_ARGUMENT, "the first message must be TerminalHello")
    current = sessions.instance(runner)
    if current is not None and current != first.hello.instance_id:
        refuse(
            grpc.StatusCode.FAILED_PRECONDITION,
            "another instance of the runner holds the session",
            "DuplicateRunner",
        )
    return runner
