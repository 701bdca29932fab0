"""Stores on both databases, for one suite."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from controller.kernel.clock import wall
from controller.store.messages import MessageStore
from controller.store.open import StoreSettings, opened
from tests.postgres import Postgres, running


@pytest.fixture(scope="session")
def postgres() -> Iterator[Postgres]:
    """Return a PostgreSQL of the test run's own."""
    with running() as server:
        yield server


class Clock:
    """The time, which a test may stop and set."""

    at: float | None = None

    def __call__(self) -> float:
        return wall() if self.at is None else self.at


@dataclass(frozen=True)
class Place:
    """Where a store is: it can be opened several times, one after the other or at once."""

    settings: StoreSettings
    clock: Clock

    async def open(self) -> MessageStore:
        return await opened(self.settings, self.clock)


@pytest.fixture(params=["sqlite", "postgresql"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Place:
    """Return an empty place for a store, on each of the databases."""
    if request.param == "sqlite":
        return Place(StoreSettings(path=tmp_path / "store" / "messages.db"), Clock())
    server: Postgres = request.getfixturevalue("postgres")
    file = tmp_path / "url"
    file.write_text(server.url(server.new_schema()) + "\n")
    return Place(StoreSettings(url_file=file), Clock())


@pytest.fixture
async def store(place: Place) -> AsyncIterator[MessageStore]:
    """Return an open store on each of the databases."""
    found = await place.open()
    yield found
    await found.close()
