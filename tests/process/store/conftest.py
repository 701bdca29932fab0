"""Places for stores of processes of their own."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.postgres import Postgres, running


@pytest.fixture(scope="session")
def postgres() -> Iterator[Postgres]:
    """Return a PostgreSQL of the test run's own."""
    with running() as server:
        yield server


@pytest.fixture
def socket() -> Iterator[Path]:
    """Return a path that is short enough for a unix socket."""
    with tempfile.TemporaryDirectory(prefix="mesh-store-") as folder:
        yield Path(folder) / "owner"


@pytest.fixture
def url_file(postgres: Postgres, tmp_path: Path) -> Path:
    """Return a file with the URL of an empty place in PostgreSQL."""
    file = tmp_path / "url"
    file.write_text(postgres.url(postgres.new_schema()))
    return file
