"""Directories go at once, and are deleted later."""

import asyncio
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from runner.drivers.trash import Trash

pytestmark = pytest.mark.anyio


@asynccontextmanager
async def running(trash: Trash) -> AsyncIterator[None]:
    async with asyncio.TaskGroup() as tasks:
        task = tasks.create_task(trash.run())
        await asyncio.sleep(0)
        yield
        async with asyncio.timeout(20):
            await trash.empty()
        task.cancel()


async def test_a_directory_is_gone_at_once_and_deleted_later(tmp_path: Path) -> None:
    trash = Trash(tmp_path / "trash")
    (tmp_path / "pod/deep").mkdir(parents=True)
    (tmp_path / "pod/deep/file").write_text("x")
    assert trash.discard(tmp_path / "pod")
    assert not (tmp_path / "pod").exists()
    assert len(list((tmp_path / "trash").iterdir())) == 1
    async with running(trash):
        pass
    assert list((tmp_path / "trash").iterdir()) == []


async def test_discarding_what_is_not_there_is_fine(tmp_path: Path) -> None:
    assert not Trash(tmp_path / "trash").discard(tmp_path / "nothing")


async def test_two_things_of_one_name_do_not_meet(tmp_path: Path) -> None:
    trash = Trash(tmp_path / "trash", at_once=2)
    async with running(trash):
        for _ in range(10):
            (tmp_path / "pod").mkdir()
            assert trash.discard(tmp_path / "pod")
    assert list((tmp_path / "trash").iterdir()) == []


async def test_what_a_dead_runner_left_is_deleted(tmp_path: Path) -> None:
    (tmp_path / "trash/1-1-worktree").mkdir(parents=True)
    (tmp_path / f"trash/{os.getpid()}-1-pod").mkdir()
    trash = Trash(tmp_path / "trash")
    (tmp_path / "pod").mkdir()
    trash.discard(tmp_path / "pod")
    async with running(trash):
        pass
    assert list((tmp_path / "trash").iterdir()) == []


async def test_links_are_deleted_and_not_followed(tmp_path: Path) -> None:
    (tmp_path / "outside").mkdir()
    (tmp_path / "outside/file").write_text("theirs")
    (tmp_path / "pod").mkdir()
    (tmp_path / "pod/link").symlink_to(tmp_path / "outside")
    (tmp_path / "top").symlink_to(tmp_path / "outside")
    trash = Trash(tmp_path / "trash")
    trash.discard(tmp_path / "pod")
    trash.discard(tmp_path / "top")
    async with running(trash):
        pass
    assert (tmp_path / "outside/file").read_text() == "theirs"
    assert list((tmp_path / "trash").iterdir()) == []


async def test_a_tree_deeper_than_a_path_can_be_is_deleted(tmp_path: Path) -> None:
    (tmp_path / "pod").mkdir()
    fd = os.open(tmp_path / "pod", os.O_RDONLY)
    for _ in range(3000):
        os.mkdir("d", 0o500, dir_fd=fd) if os.geteuid() == 0 else os.mkdir("d", dir_fd=fd)
        inner = os.open("d", os.O_RDONLY, dir_fd=fd)
        os.close(fd)
        fd = inner
    os.close(fd)
    trash = Trash(tmp_path / "trash")
    trash.discard(tmp_path / "pod")
    async with running(trash):
        pass
    assert list((tmp_path / "trash").iterdir()) == []
