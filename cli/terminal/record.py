"""``agentsmesh record POD``: what was recorded of a pod's terminal, as an asciicast."""

import asyncio
import os
import sys
import tempfile
from argparse import Namespace
from collections.abc import Callable
from pathlib import Path
from typing import Final

from meshwire.v1 import link_pb2

from cli.errors import CommandError, Unreachable
from cli.terminal.address import Desk
from cli.terminal.asciicast import Asciicast
from cli.terminal.session import check
from cli.terminal.stream import Stream

_LEAST_COST: Final = 256
"""What a piece costs of the credit, at least: see ``runner.terminals.export``."""

_PAUSES: Final = (0.5, 1.0, 2.0, 4.0, 8.0)
"""How long to wait before it is tried again from the beginning."""

_STDOUT: Final = "-"

Write = Callable[[bytes], object]


def record(arguments: Namespace) -> int:
    """Write the asciicast: a file that is there whole or not at all, or to the standard output."""
    if arguments.output == _STDOUT:
        out = sys.stdout.buffer
        asyncio.run(_once(arguments, out.write))
        out.flush()
        return 0
    target = Path(arguments.output or f"{arguments.pod}.cast")
    asyncio.run(_into(arguments, target))
    print(f"{target}: play it with `asciinema play {target}`", file=sys.stderr)
    return 0


async def _into(arguments: Namespace, target: Path) -> None:
    """Write a file beside the target, from the beginning if the connection is lost, and name it so.

    Raises:
        CommandError: The recording cannot be had.
        OSError: The file cannot be written.
    """
    folder = str(target.parent)
    fd, beside = await asyncio.to_thread(tempfile.mkstemp, ".new", f".{target.name}.", folder)
    try:
        with os.fdopen(fd, "wb") as file:  # readable for the user alone, as what agents print is
            for pause in (*_PAUSES, None):
                try:
                    await _once(arguments, file.write)
                    break
                except Unreachable:
                    if pause is None:
                        raise
                    await asyncio.sleep(pause)
                    file.seek(0)
                    file.truncate()
        os.replace(beside, target)  # noqa: PTH105  both are there: no work for the disk
    except BaseException:
        os.unlink(beside)  # noqa: PTH108  likewise
        raise


async def _once(arguments: Namespace, write: Write) -> None:
    address = await asyncio.to_thread(Desk(arguments).address)
    cast = Asciicast(f"{address.namespace}/{arguments.pod}")
    opening = link_pb2.AttachOpen(
        namespace=address.namespace, pod=arguments.pod, read_only=True, recording=True
    )
    async with Stream(address, opening) as stream:
        async for message in stream.receive():
            match message.WhichOneof("msg"):
                case "recorded":
                    cost = max(_LEAST_COST, message.recorded.ByteSize())
                    await asyncio.to_thread(write, cast.feed(message.recorded))
                    stream.used(cost)
                case "note":
                    print(f"[agentsmesh] {message.note.text}", file=sys.stderr, flush=True)
                case "opened":
                    raise CommandError("the controller has no recordings: it is too old")
                case "ended":
                    _ended(message.ended, arguments.pod)
                    await asyncio.to_thread(write, cast.finish())
                    return
                case _:
                    continue  # of a newer controller


def _ended(ended: link_pb2.ViewEnded, pod: str) -> None:
    if ended.reason == "RunnerAway":
        raise Unreachable(ended.message)
    check(ended, pod)
