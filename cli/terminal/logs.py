"""``agentsmesh logs POD``: what a pod's terminal has shown."""

import asyncio
import os
import select
import stat
import sys
from argparse import Namespace

from meshwire.v1 import link_pb2

from cli.errors import CommandError
from cli.terminal.address import Desk
from cli.terminal.plain import Plain
from cli.terminal.session import Session, check


def logs(arguments: Namespace) -> int:
    """Print the transcript, and with --follow what comes, until the agent ends."""
    out = sys.stdout.fileno()
    plain = None if arguments.raw else Plain(colours=os.isatty(out))
    printer = _Printer(out, plain)

    def opening() -> link_pb2.AttachOpen:
        nothing_yet = arguments.tail == 0  # a screen is not shown: only what comes after it
        return link_pb2.AttachOpen(
            pod=arguments.pod,
            read_only=True,
            start=link_pb2.VIEW_START_SCREEN if nothing_yet else link_pb2.VIEW_START_OFFSET,
            follow=arguments.follow,
            tail_lines=arguments.tail or 0,
        )

    session = Session(Desk(arguments), printer, opening, redraw=False)
    ended = asyncio.run(_until_closed(session, out))
    if plain is not None:
        os.write(out, plain.finish())
    check(ended, arguments.pod)
    return 0


async def _until_closed(session: Session, out: int) -> link_pb2.ViewEnded:
    """Return the end of the view.

    Raises:
        CommandError: As the session does.
        OSError: The output cannot be written; BrokenPipeError: nobody reads it any more.
    """
    ends: list[link_pb2.ViewEnded] = []
    failures: list[CommandError | OSError] = []

    async def view() -> None:
        try:
            ends.append(await session.run())
        except (CommandError, OSError) as exc:
            failures.append(exc)

    async with asyncio.TaskGroup() as tasks:
        viewing = tasks.create_task(view())
        watching = tasks.create_task(_closed(out))
        await asyncio.wait({viewing, watching}, return_when=asyncio.FIRST_COMPLETED)
        viewing.cancel()
        watching.cancel()
    if failures:
        raise failures[0]
    if not ends:
        raise BrokenPipeError
    return ends[0]


async def _closed(out: int) -> None:
    """Return once nobody reads the pipe *out* any more; never if it is no pipe."""
    closed = asyncio.Event()
    loop = asyncio.get_running_loop()
    errors = select.poll()
    errors.register(out, 0)

    def look() -> None:
        if errors.poll(0):
            closed.set()
        else:
            loop.remove_reader(out)  # opened for reading, too: it would be ready for ever

    if stat.S_ISFIFO(os.fstat(out).st_mode):
        loop.add_reader(out, look)
    try:
        await closed.wait()
    finally:
        loop.remove_reader(out)


class _Printer:
    """Standard output, as text or byte for byte."""

    def __init__(self, out: int, plain: Plain | None) -> None:
        self._out = out
        self._plain = plain

    async def write(self, data: bytes) -> None:
        """Write *data*, all of it."""
        text = memoryview(self._plain.feed(data) if self._plain is not None else data)
        while text:
            text = text[await asyncio.to_thread(os.write, self._out, text) :]

    def tell(self, text: str) -> None:
        """Write a line of our own to standard error."""
        print(f"[agentsmesh] {text}", file=sys.stderr, flush=True)

    note = tell
