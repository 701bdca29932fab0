"""A start that a dead runner asked for and that is carried out late: nothing begins twice."""

import asyncio
import os
import signal
import uuid
from typing import Any

import pytest

from runner.drivers.terminal import Absent, Alive, Terminals

pytestmark = [pytest.mark.anyio, pytest.mark.timeout(120)]

SCRIPT = "echo $$ >> {file}; exec sleep 600"


async def asked(terminals: Terminals, launch: Any) -> None:
    """Ask a stopped zygote for the start, and die before it has done anything."""
    assert terminals.zygote_pid is not None
    os.kill(terminals.zygote_pid, signal.SIGSTOP)
    async with asyncio.TaskGroup() as tasks:
        start = tasks.create_task(terminals.start(launch))
        await asyncio.sleep(0.5)  # the request is with the zygote; nothing tells that
        start.cancel()  # closes the launch's socket, as the end of the process does


@pytest.mark.parametrize("late", ["before", "beside", "after"])
async def test_a_shim_that_comes_too_late_starts_nothing(pods: Any, late: str) -> None:
    file = pods.root / "started"
    launch = pods.launch("sh", "-c", SCRIPT.format(file=file), pod=f"late-{uuid.uuid4()}")
    other = pods.launch("true", pod=f"first-{uuid.uuid4()}")
    async with Terminals() as dead, Terminals() as living:
        await dead.start(other)  # so that it has its zygote
        await asked(dead, launch)
        try:
            assert await living.observe(launch.run_dir) == Absent(died=False)
            if late == "before":
                os.kill(dead.zygote_pid or 0, signal.SIGCONT)
                await asyncio.sleep(0.2)
            async with asyncio.TaskGroup() as tasks:
                start = tasks.create_task(living.start(launch))
                if late == "beside":
                    os.kill(dead.zygote_pid or 0, signal.SIGCONT)
        finally:
            os.kill(dead.zygote_pid or 0, signal.SIGCONT)
        alive = start.result()
        await dead.close()
        assert await living.observe(launch.run_dir) == alive
        assert isinstance(alive, Alive)
        await asyncio.sleep(0.5)  # a second one would have begun by now
        assert file.read_text().split() == [str(alive.child_pid)]
