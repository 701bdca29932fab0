"""The way to the threads: groups share commits, and nobody suffers from a neighbour."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from sqlalchemy import text

from controller.kernel.clock import wall
from controller.store import access as access_module
from controller.store.access import Access
from controller.store.errors import NotFoundError, StoreError, UnavailableError
from controller.store.sqlite import sqlite_database
from controller.store.turn import Turn
from controller.store.writer import GROUP, Job, Writer

pytestmark = pytest.mark.anyio


@pytest.fixture
async def access(tmp_path: Path) -> AsyncIterator[Access]:
    """Return the way to a database with one empty table."""
    database = sqlite_database(tmp_path / "test.db")
    with database.writing.begin() as connection:
        connection.execute(text("CREATE TABLE t (x UNIQUE)"))
    found = Access(database, wall)
    yield found
    await found.close()


async def _rows(access: Access) -> list[int]:
    return await access.read(lambda c: [int(x) for x in c.scalars(text("SELECT x FROM t"))])


def _insert(turn: Turn, number: int) -> int:
    turn.connection.execute(text("INSERT INTO t VALUES (:x)"), {"x": number})
    return number


async def test_what_a_refused_job_has_written_does_not_stay(access: Access) -> None:
    def refused(turn: Turn) -> None:
        _insert(turn, 1)
        raise NotFoundError("refused after writing")

    async with asyncio.TaskGroup() as group:
        first = group.create_task(access.write("", lambda turn: _insert(turn, 0)))
        bad = group.create_task(_outcome(access, refused))
        last = group.create_task(access.write("", lambda turn: _insert(turn, 2)))
    assert isinstance(bad.result(), NotFoundError)
    assert (first.result(), last.result()) == (0, 2)
    assert await _rows(access) == [0, 2]


async def _outcome(access: Access, action: object) -> BaseException | None:
    try:
        await access.write("", action)  # type: ignore[arg-type]
    except StoreError as exc:
        return exc
    return None


@pytest.mark.parametrize("bug", ["in Python", "in the database"])
async def test_a_bug_in_one_job_fails_that_job_only(access: Access, bug: str) -> None:
    def broken(turn: Turn) -> None:
        _insert(turn, 99)
        if bug == "in Python":
            raise ValueError("planted")
        _insert(turn, 99)  # not unique

    async with asyncio.TaskGroup() as group:
        good = [
            group.create_task(access.write("", lambda turn, n=n: _insert(turn, n)))
            for n in range(5)
        ]
        bad = group.create_task(_outcome(access, broken))
        good += [
            group.create_task(access.write("", lambda turn, n=n: _insert(turn, n)))
            for n in range(5, 9)
        ]
    assert isinstance(bad.result(), UnavailableError)
    assert "planted" not in str(bad.result())
    assert [task.result() for task in good] == list(range(9))
    assert await _rows(access) == list(range(9))


async def test_an_answer_means_that_it_is_committed(access: Access) -> None:
    seen: list[int] = []
    for number in range(20):
        await access.write("", lambda turn, n=number: _insert(turn, n))
        seen.append(len(await _rows(access)))
    assert seen == list(range(1, 21))


async def test_a_full_queue_lets_wait_and_then_refuses(
    access: Access, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(access_module, "_WAIT_SECONDS", 0.05)
    go = threading.Event()
    async with asyncio.TaskGroup() as group:
        tasks = [
            group.create_task(access.write("", lambda _: go.wait(20)))
            for _ in range(access_module._WRITES_AT_ONCE)
        ]
        await asyncio.sleep(0)
        with pytest.raises(UnavailableError, match="is behind"):
            await access.write("", lambda _: True)
        go.set()
    assert all(task.result() for task in tasks)
    assert await access.write("", lambda _: True)


async def test_cancelled_writers_give_their_places_back(access: Access) -> None:
    for _ in range(access_module._WRITES_AT_ONCE + 10):
        async with asyncio.TaskGroup() as group:
            task = group.create_task(access.write("", lambda _: True))
            await asyncio.sleep(0)
            task.cancel()
    assert await access.write("", lambda _: True)


async def test_a_lane_keeps_its_order_and_groups_what_waits() -> None:
    groups: list[list[int]] = []
    started, go, done = threading.Event(), threading.Event(), asyncio.Event()

    def perform(jobs: object) -> None:
        started.set()
        go.wait(10)
        groups.append([job.action(None) for job in jobs])  # type: ignore[attr-defined]

    finished: list[Job] = []

    def finish(job: Job) -> None:
        finished.append(job)
        if len(finished) == 101:
            done.set()

    writer = Writer(perform, asyncio.get_running_loop(), threads=3)
    writer.submit("lane", Job(lambda _: 0, finish))
    await asyncio.to_thread(started.wait, 10)
    for number in range(1, 101):
        writer.submit("lane", Job(lambda _, n=number: n, finish))
    go.set()
    await asyncio.wait_for(done.wait(), 10)
    await asyncio.to_thread(writer.close)
    assert [len(group) for group in groups] == [1, GROUP, 100 - GROUP]
    assert [number for group in groups for number in group] == list(range(101))


async def test_lanes_do_not_wait_for_each_other() -> None:
    go, done = threading.Event(), asyncio.Event()

    def perform(jobs: object) -> None:
        for job in jobs:  # type: ignore[attr-defined]
            job.action(None)

    writer = Writer(perform, asyncio.get_running_loop(), threads=2)
    writer.submit("slow", Job(lambda _: go.wait(10), lambda _: None))
    writer.submit("quick", Job(lambda _: None, lambda _: done.set()))
    await asyncio.wait_for(done.wait(), 5)
    go.set()
    await asyncio.to_thread(writer.close)
    with pytest.raises(UnavailableError, match="being closed"):
        writer.submit("quick", Job(lambda _: None, lambda _: None))
