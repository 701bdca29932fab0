"""A runner that kills itself at one step, once: ``crashing_runner.py STEP DIRECTORY -- arguments``.

STEP is ``before-<state>``, ``after-<state>`` (of a journal entry), ``asked`` (a shim was asked to
start the agent and not told to go) or ``spawned`` (the agent was started, the journal does not
know yet). A file in DIRECTORY remembers that it has happened.
"""

import os
import signal
import sys
from pathlib import Path

import runner.daemon
from runner.converge.journal import Journal
from runner.converge.states import Row
from runner.drivers import terminal_zygote
from runner.drivers.terminal import Terminals
from runner.drivers.terminal_values import Alive, Launch
from runner.settings import parse

STEP, DIRECTORY = sys.argv[1], Path(sys.argv[2])


def reached(step: str) -> None:
    marker = DIRECTORY / "crashed"
    if step == STEP and not marker.exists():
        marker.write_text(step)
        os.kill(os.getpid(), signal.SIGKILL)


class CrashingJournal(Journal):
    async def put(self, row: Row) -> None:
        step = "forgotten" if row.forgotten_ms else str(row.state)
        reached(f"before-{step}")
        await super().put(row)
        reached(f"after-{step}")


class CrashingTerminals(Terminals):
    async def start(self, launch: Launch) -> Alive:
        alive = await super().start(launch)
        reached("spawned")
        return alive


class CrashingChannel(terminal_zygote.Channel):
    async def send_raw(self, data: bytes) -> None:
        await super().send_raw(data)
        reached("asked")


terminal_zygote.Channel = CrashingChannel  # type: ignore[misc]
runner.daemon.Journal = CrashingJournal  # type: ignore[misc]
runner.daemon.Terminals = CrashingTerminals  # type: ignore[misc]
runner.daemon.run(parse(sys.argv[4:]))
