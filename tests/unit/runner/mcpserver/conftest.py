"""A running MCP server over the test's pods."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from runner.converge.places import Places
from tests.unit.runner.mcpserver.rig import Rig


@pytest.fixture
def rig(tmp_path: Path) -> Iterator[Rig]:
    rig = Rig(Places(tmp_path))
    yield rig
    rig.close()


@pytest.fixture
async def mesh(rig: Rig) -> AsyncIterator[Rig]:
    async with asyncio.TaskGroup() as tasks:
        serving = tasks.create_task(rig.server().run())
        yield rig
        serving.cancel()
