"""``agentsmesh prompt``: give a pod's agent something to do; it is typed once, or fails.

The prompt has a key. Over however many connections it is told, the controller takes it once.
"""

import asyncio
import json
import secrets
import sys
import time
from argparse import Namespace
from typing import Final

import grpc
from meshwire.v1 import link_pb2, link_pb2_grpc

from cli.channel_text import printable
from cli.door import door, metadata, refused
from cli.errors import CommandError, Unreachable, Usage
from cli.terminal.address import Address, Desk

_PATIENCE_SECONDS: Final = 15.0
"""So long the controller is tried for before the prompt is taken."""
_LONG_PATIENCE_SECONDS: Final = 120.0
"""And so long afterwards: a controller that is started again has it still."""
_FIRST_WAIT: Final = 0.2
_LONGEST_WAIT: Final = 3.0
_QUIET_SECONDS: Final = 2.0
"""What is over so soon is not mentioned."""
_INTERRUPTED: Final = 130

_WORDS: Final = {
    link_pb2.DELIVERY_QUEUED: "queued",
    link_pb2.DELIVERY_ACCEPTED: "accepted",
    link_pb2.DELIVERY_SUBMITTED: "submitted",
    link_pb2.DELIVERY_FAILED: "failed",
}
_ENDS: Final = frozenset({link_pb2.DELIVERY_SUBMITTED, link_pb2.DELIVERY_FAILED})


def prompt(arguments: Namespace) -> int:
    """Submit the prompt and, unless told otherwise, wait for its end.

    Raises:
        CommandError: It was not taken, it failed, or nobody knows yet how it ends.
    """
    text = sys.stdin.read() if arguments.text == "-" else arguments.text
    request = link_pb2.PromptSubmit(
        pod=arguments.pod,
        text=text.encode("utf-8", errors="replace").decode("utf-8"),
        idempotency_key=arguments.key or secrets.token_hex(12),
    )
    if not text.strip():
        raise Usage("the prompt is empty")
    submission = _Submission(Desk(arguments), request, wait=arguments.wait)
    try:
        end = asyncio.run(submission.run())
    except KeyboardInterrupt:
        print(f"agentsmesh: {submission.under_way()}", file=sys.stderr)
        return _INTERRUPTED
    if arguments.output == "json":
        print(json.dumps(_document(arguments.pod, end)))
    if end.state == link_pb2.DELIVERY_FAILED:
        why = f"{printable(end.message)} ({printable(end.reason)})".strip()
        raise CommandError(f"prompt {end.prompt_id} was not submitted to {arguments.pod}: {why}")
    if arguments.output == "text":
        said = f"prompt {end.prompt_id} submitted to {arguments.pod}"
        print(said if arguments.wait else end.prompt_id)
    return 0


class _Submission:
    """One prompt, over as many connections as it takes."""

    def __init__(self, desk: Desk, request: link_pb2.PromptSubmit, *, wait: bool) -> None:
        self._desk = desk
        self._request = request
        self._wait = wait
        self._last: link_pb2.PromptProgress | None = None
        self._well_at = time.monotonic()

    async def run(self) -> link_pb2.PromptProgress:
        """Return how the prompt ended; without waiting, how it was taken. Raises CommandError."""
        pause = _FIRST_WAIT
        if self._wait:
            asyncio.get_running_loop().call_later(_QUIET_SECONDS, self._tell_of_wait)
        while True:
            try:
                return await self._once()
            except Unreachable as exc:
                self._give_up(exc)
            await asyncio.sleep(pause)
            pause = min(pause * 1.5, _LONGEST_WAIT)

    def under_way(self) -> str:
        """Return what to know about a prompt that nobody waits for any more."""
        again = f"the same command with --key {self._request.idempotency_key}"
        if self._last is None:
            return f"the prompt may have been taken: {again} makes sure, and types nothing twice"
        return f"prompt {self._last.prompt_id} is still under way: {again} tells how it stands"

    async def _once(self) -> link_pb2.PromptProgress:
        """Tell it on one connection. Raises CommandError."""
        address = await asyncio.to_thread(self._desk.address)
        self._request.namespace = address.namespace
        try:
            return await self._read(address)
        except grpc.aio.AioRpcError as exc:
            raise refused(exc, "prompts") from exc

    async def _read(self, address: Address) -> link_pb2.PromptProgress:
        async with door(address) as channel:
            stub = link_pb2_grpc.PromptsStub(channel)  # type: ignore[no-untyped-call] # generated
            async for progress in stub.Submit(self._request, metadata=metadata(address)):
                self._last, self._well_at = progress, time.monotonic()
                if progress.state in _ENDS or not self._wait:
                    assert isinstance(progress, link_pb2.PromptProgress)  # noqa: S101 - the stub's
                    return progress
        raise Unreachable("the controller closed the connection")

    def _tell_of_wait(self) -> None:
        """Say that the prompt is taken and waits for the agent; later, if it is not yet taken."""
        if self._last is None:
            asyncio.get_running_loop().call_later(_QUIET_SECONDS, self._tell_of_wait)
            return
        said = f"[agentsmesh] prompt {self._last.prompt_id} is taken and waits for the agent"
        why = f"; {printable(self._last.message)}" if self._last.message else ""
        print(f"{said}{why}", file=sys.stderr, flush=True)

    def _give_up(self, exc: Unreachable) -> None:
        """Raise what keeps us from the controller, when it does for too long."""
        patience = _PATIENCE_SECONDS if self._last is None else _LONG_PATIENCE_SECONDS
        if time.monotonic() - self._well_at <= patience:
            return
        raise Unreachable(f"{exc}; {self.under_way()}") from exc


def _document(pod: str, end: link_pb2.PromptProgress) -> dict[str, str]:
    """Return the JSON document that scripts read."""
    found = {"pod": pod, "prompt_id": end.prompt_id, "state": _WORDS.get(end.state, "unknown")}
    if end.state == link_pb2.DELIVERY_FAILED:
        found |= {"reason": end.reason, "message": end.message}
    return found
