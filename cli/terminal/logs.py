"""``agentsmesh logs POD``: what a pod's terminal has shown."""

import asyncio
import os
import sys
from argparse import Namespace

from meshwire.v1 import link_pb2

from cli.terminal.address import Desk
from cli.terminal.plain import Plain
from cli.terminal.session import Session, check


def logs(arguments: Namespace) -> int:
    """Print the transcript, and with --follow what comes, until the agent ends."""
    out = sys.stdout.fileno()
    plain = None if arguments.raw else Plain(colours=os.isatty(out))
    printer = _Printer(out, plain)

    def opening() -> link_pb2.AttachOpen:
        return link_pb2.AttachOpen(
            pod=arguments.pod,
            read_only=True,
            start=link_pb2.VIEW_START_OFFSET,
            follow=arguments.follow,
            tail_lines=arguments.tail or 0,
        )

    session = Session(Desk(arguments), printer, opening, redraw=False)
    ended = asyncio.run(session.run())
    if plain is not None:
        os.write(out, plain.finish())
    check(ended, arguments.pod)
    return 0


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
