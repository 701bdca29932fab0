"""What of a runner brings prompts, as a process that may be killed: ``carrier.py DIRECTORY POINT``.

At the POINT-th of the points at which being killed could matter it kills itself; 0 is never. It
ends by itself, with status 0, when every delivery in the journal has ended.
"""

import asyncio
import os
import signal
import sys
from pathlib import Path
from typing import Any

from runner.converge.deliveries import Deliveries
from runner.converge.delivery_states import Delivery
from runner.converge.journal import Journal
from runner.converge.places import Places
from runner.drivers import terminal_once
from runner.drivers.screen import Screen
from runner.drivers.terminal import Terminals


class Fate:
    """Counts the points, and ends the process at one."""

    def __init__(self, point: int) -> None:
        self.left = point

    def reached(self) -> None:
        self.left -= 1
        if self.left == 0:
            os.kill(os.getpid(), signal.SIGKILL)


FATE = Fate(int(sys.argv[2]))


class DoomedJournal(Journal):
    """A journal around whose entries the process may be killed."""

    written = asyncio.Event()

    async def put_delivery(self, delivery: Delivery) -> None:
        FATE.reached()
        await super().put_delivery(delivery)
        self.written.set()
        FATE.reached()


class DoomedTerminals(Terminals):
    """A terminal driver around whose typing the process may be killed."""

    async def write_once(self, run_dir: Path, key: str, data: bytes) -> bool:
        FATE.reached()
        typed = await super().write_once(run_dir, key, data)
        FATE.reached()
        return typed


class DoomedChannel:
    """A channel to a shim behind whose requests the process may be killed."""

    def __init__(self, channel: Any) -> None:
        self._channel = channel

    async def send(self, *request: Any) -> None:
        await self._channel.send(*request)
        FATE.reached()

    async def receive(self) -> Any:
        return await self._channel.receive()


async def main() -> None:
    """Carry on with what the journal says until all is done."""
    once = terminal_once.typed
    terminal_once.typed = lambda channel, *more: once(DoomedChannel(channel), *more)  # type: ignore[assignment, arg-type]
    places = Places(Path(sys.argv[1]))
    journal = DoomedJournal(places.journal)
    await journal.open()
    if not journal.deliveries or any(each.is_open for each in journal.deliveries.values()):
        await carry(places, journal)
    await journal.close()


async def carry(places: Places, journal: DoomedJournal) -> None:
    """Bring what there is, until all has ended."""
    async with Terminals() if FATE.left <= 0 else DoomedTerminals() as terminals:
        deliveries = Deliveries(places, journal, terminals, Screen)
        async with asyncio.TaskGroup() as tasks:
            deliveries.running(tasks)
            await journal.written.wait()
            while any(each.is_open for each in journal.deliveries.values()):
                journal.written.clear()
                await journal.written.wait()


asyncio.run(main())
