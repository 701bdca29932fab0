"""``agentsmesh attach POD``: a pod's terminal on the user's own."""

import asyncio
import signal
from argparse import Namespace
from typing import Final

from meshwire.v1 import link_pb2

from cli.errors import CommandError
from cli.terminal.address import Desk
from cli.terminal.console import Console
from cli.terminal.keys import DetachKeys, parse
from cli.terminal.session import Session, check, sentence

_INPUT_BYTES: Final = 4 << 10
_UNCONFIRMED: Final = 16
"""So many messages of input may be on their way."""
_HOLD_SECONDS: Final = 0.5
"""How long a first detach key waits for the second before it goes to the agent."""
_INTERRUPT: Final = b"\x03"


def attach(arguments: Namespace) -> int:
    """Show the terminal and type into it until the agent ends or the user leaves."""
    keys = parse(arguments.detach_keys)
    return asyncio.run(_Attachment(arguments, Console(), keys).run())


class _Attachment:
    """One user at one pod's terminal."""

    def __init__(self, arguments: Namespace, console: Console, keys: bytes) -> None:
        self._pod: str = arguments.pod
        self._read_only: bool = arguments.read_only
        self._keys_named: str = arguments.detach_keys
        self._console = console
        self._keys = DetachKeys(keys if console.interactive else b"")
        self._left = asyncio.Event()
        greeting = ""
        if console.interactive and self._keys_named:
            greeting = f"attached to {self._pod}; leave with {self._keys_named}"
        self._session = Session(
            Desk(arguments), console, self._opening, redraw=True, greeting=greeting
        )

    async def run(self) -> int:
        """Be attached; return the exit code."""
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGHUP, signal.SIGINT):
            loop.add_signal_handler(number, self._left.set)
        loop.add_signal_handler(signal.SIGWINCH, self._resized)
        ends: list[link_pb2.ViewEnded] = []
        failures: list[CommandError] = []

        async def view() -> None:
            try:
                ends.append(await self._session.run())
            except CommandError as exc:
                failures.append(exc)

        with self._console.raw():
            async with asyncio.TaskGroup() as tasks:
                viewing = tasks.create_task(view())
                typing = tasks.create_task(self._type())
                leaving = tasks.create_task(self._left.wait())
                await asyncio.wait({viewing, leaving}, return_when=asyncio.FIRST_COMPLETED)
                for task in (viewing, typing, leaving):
                    task.cancel()
        if failures:
            raise failures[0]
        return self._farewell(ends[0] if ends else None)

    def _farewell(self, ended: link_pb2.ViewEnded | None) -> int:
        if ended is None:
            self._console.part(f"detached from {self._pod}; the agent goes on")
            return 0
        check(ended, self._pod)
        self._console.part(sentence(ended))
        return 0

    def _opening(self) -> link_pb2.AttachOpen:
        opening = link_pb2.AttachOpen(
            pod=self._pod,
            read_only=self._read_only,
            start=link_pb2.VIEW_START_SCREEN,
            follow=True,
        )
        size = self._console.size()
        if size is not None and not self._read_only:
            opening.size.cols, opening.size.rows = size
        return opening

    def _resized(self) -> None:
        size = self._console.size()
        if size is not None and not self._read_only:
            self._session.resize(*size)

    async def _type(self) -> None:
        """Pass on what is typed until the user leaves or the input ends."""
        while True:
            data = await self._next()
            if not data:
                break
            passed, leave = self._keys.feed(data)
            if self._read_only:
                leave = leave or (self._console.interactive and _INTERRUPT in passed)
            else:
                await self._send(passed)
            if leave:
                self._left.set()
                return
        if not self._console.interactive and not self._read_only:
            await self._session.connected.wait()  # without a pod there is nothing to leave
            await self._session.confirmed(0)
            self._left.set()
        elif self._console.interactive:  # the terminal is gone
            self._left.set()

    async def _next(self) -> bytes:
        """Return what is typed next; a lone first detach key goes on after a moment."""
        if not self._keys.holding:
            return await self._console.read()
        try:
            async with asyncio.timeout(_HOLD_SECONDS):
                return await self._console.read()
        except TimeoutError:
            if not self._read_only:
                await self._send(self._keys.release())
            return await self._console.read()

    async def _send(self, data: bytes) -> None:
        for start in range(0, len(data), _INPUT_BYTES):
            piece = data[start : start + _INPUT_BYTES]
            if not self._console.interactive:
                await self._session.connected.wait()
                await self._session.confirmed(_UNCONFIRMED)
            if not await self._session.type(piece):
                self._console.bell()
