"""The composition of the tools: every tool of the catalogue, each with its own models."""

import typing
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from controller.kernel.events import Recorder
from controller.kernel.queue import WorkQueue
from controller.placement.fleet import Fleet
from controller.placement.indexes import new_store
from controller.store.open import StoreSettings, opened
from controller.toolset import Toolset
from schemas.tools.base import Arguments, Result
from schemas.tools.catalogue import CATALOGUE
from tests.unit.controller.kube_memory import MemoryKube

pytestmark = pytest.mark.anyio


@pytest.fixture
async def toolset(tmp_path: Path) -> AsyncIterator[Toolset]:
    kube: Any = MemoryKube()
    store = new_store()
    messages = await opened(StoreSettings(path=tmp_path / "messages.db"))
    yield Toolset(
        kube=kube,
        store=store,
        fleet=Fleet(store, WorkQueue(), kube),
        recorder=Recorder(kube),
        messages=messages,
        touched=lambda _: None,
    )
    await messages.close()


async def test_there_are_the_24_tools_of_the_catalogue_and_no_other(toolset: Toolset) -> None:
    assert len(CATALOGUE) == 24
    assert set(toolset.handlers) == set(CATALOGUE)


async def test_each_handler_takes_and_gives_the_models_of_its_tool(toolset: Toolset) -> None:
    for name, handler in toolset.handlers.items():
        hints = typing.get_type_hints(handler)
        result = hints.pop("return")
        (arguments,) = (kind for kind in hints.values() if issubclass(kind, Arguments))
        assert issubclass(result, Result)
        tool = CATALOGUE[name]
        assert (arguments, result) == (tool.arguments, tool.result), name
