"""Programs without a token at a pod's port: its own agent is served all the same.

How fast, is a matter of the machine: ``bench`` has the figures.
"""

import asyncio
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from runner.converge.places import Places
from runner.mcpserver.ports import Limits
from tests.unit.runner.mcpserver.rig import Pod, Rig, Wire, ask, request, tool

pytestmark = pytest.mark.anyio

STRANGERS = Path(__file__).with_name("strangers.py")
SECONDS = 4.0
CALLERS = 4
CUT_OFF_SECONDS = 10.0
"""An agent that waits longer gives its tools up; strangers once made it wait for thirteen."""


@pytest.fixture
def limits() -> Limits:
    return Limits()


@pytest.fixture
async def mesh(tmp_path: Path, limits: Limits) -> AsyncIterator[Rig]:
    rig = Rig(Places(tmp_path), limits)
    async with asyncio.TaskGroup() as tasks:
        serving = tasks.create_task(rig.server().run())
        yield rig
        serving.cancel()
    rig.close()


@asynccontextmanager
async def strangers(port: int, how: str) -> AsyncIterator[None]:
    process = await asyncio.create_subprocess_exec(
        sys.executable, str(STRANGERS), str(port), how, stdout=asyncio.subprocess.PIPE
    )
    try:
        assert process.stdout is not None
        assert await process.stdout.readline() == b"begun\n"
        yield
        assert process.returncode is None, "they went on to the end"
    finally:
        process.kill()
        await process.wait()


async def beat(late_seconds: list[float]) -> None:
    """Note how late the runner's loop is."""
    loop = asyncio.get_running_loop()
    while True:
        due = loop.time() + 0.01
        await asyncio.sleep(0.01)
        late_seconds.append(loop.time() - due)


async def called_anew(pod: Pod, took: list[float]) -> None:
    """Call on a new connection each time: they come in by the way that strangers take."""
    loop = asyncio.get_running_loop()
    end = loop.time() + SECONDS
    while loop.time() < end:
        began = loop.time()
        assert (await ask(pod, tool())).status == 200
        took.append(loop.time() - began)
        await asyncio.sleep(0.02)


async def called_on(wire: Wire, pod: Pod, took: list[float]) -> None:
    """Call on a connection that was there before."""
    loop = asyncio.get_running_loop()
    end = loop.time() + SECONDS
    while loop.time() < end:
        began = loop.time()
        wire.send(request(pod, tool()))
        assert (await wire.answer()).status == 200
        took.append(loop.time() - began)
        await asyncio.sleep(0.02)


FEW = Limits(guests=32)
"""As when many pods share the usual 1,024 descriptors."""


@pytest.mark.parametrize(
    ("how", "limits"),
    [
        pytest.param("slow heads", Limits(), id="200 slow heads"),
        pytest.param("slow bodies", Limits(), id="200 slow bodies"),
        pytest.param("whole requests", Limits(), id="2,000 requests in a second"),
        pytest.param("silence", Limits(), id="1,000 that send nothing"),
        pytest.param("slow heads", FEW, id="200 slow heads, few descriptors"),
        pytest.param("silence", FEW, id="1,000 that send nothing, few descriptors"),
    ],
)
async def test_strangers_do_not_cut_off_an_agent(mesh: Rig, how: str) -> None:
    pod = mesh.pod("pod-bob")
    new: list[float] = []
    old: list[float] = []
    late: list[float] = []
    assert (await ask(pod, tool())).status == 200
    wire = await Wire.to(pod.port)
    wire.send(request(pod, tool()))
    await wire.answer()
    async with strangers(pod.port, how), asyncio.TaskGroup() as tasks:
        beating = tasks.create_task(beat(late))
        async with asyncio.TaskGroup() as calls:
            for _ in range(CALLERS):
                calls.create_task(called_anew(pod, new))
            calls.create_task(called_on(wire, pod, old))
        beating.cancel()
    await wire.close()
    assert max(new) < CUT_OFF_SECONDS
    assert max(old) < CUT_OFF_SECONDS
    assert max(late) < CUT_OFF_SECONDS
