"""The data directory belongs to one controller at a time, and gives all of them one identity."""

import os
import stat
from pathlib import Path

import pytest

from controller.directory import DirectoryTaken, identity, lock


def test_a_directory_that_is_taken_is_refused_and_free_again_afterwards(tmp_path: Path) -> None:
    folder = tmp_path / "data"
    held = lock(folder)
    with pytest.raises(DirectoryTaken, match=str(folder)):
        lock(folder)
    os.close(held)
    os.close(lock(folder))


def test_the_directory_is_nobody_elses(tmp_path: Path) -> None:
    os.close(lock(tmp_path / "data"))
    assert stat.S_IMODE((tmp_path / "data").stat().st_mode) == 0o700


def test_the_identity_stays_and_differs_from_that_of_another_directory(tmp_path: Path) -> None:
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
    assert identity(tmp_path / "a") == identity(tmp_path / "a")
    assert identity(tmp_path / "a") != identity(tmp_path / "b")
