import asyncio
import contextlib
import dataclasses
import sqlite3
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from runner.converge.delivery_states import Delivery, Outcome, Stage
from runner.converge.journal import Journal, JournalError
from runner.converge.states import Row, State

pytestmark = pytest.mark.anyio


def row(uid: str = "pod-a1", **fields: Any) -> Row:
    values = {"epoch": 1, "namespace": "acme", "name": "one", "state": State.RUNNING}
    return Row(uid=uid, **{**values, **fields})


async def opened(path: Any) -> Journal:
    journal = Journal(path)
    await journal.open()
    return journal


@contextlib.asynccontextmanager
async def open_journal(folder: Path) -> AsyncIterator[Journal]:
    journal = await opened(folder / "journal.db")
    yield journal
    await journal.close()


async def test_rows_come_back_as_they_were_written(tmp_path: Path) -> None:
    written = row(
        restart=2,
        desired=b"\x00\xff",
        exit_code=0,
        signal=None,
        initialized=True,
        proven_dead=False,
        commit="abc",
    )
    journal = await opened(tmp_path / "j.db")
    await journal.put(written)
    await journal.set_meta("max_controller_epoch", "7")
    await journal.close()
    again = await opened(tmp_path / "j.db")
    assert again.rows == {"pod-a1": written}
    assert again.controller_epoch == 7
    await again.forget("pod-a1")
    await again.close()
    last = await opened(tmp_path / "j.db")
    assert last.rows == {}
    await last.close()


async def test_what_was_awaited_is_on_the_disk_for_another_reader(tmp_path: Path) -> None:
    journal = await opened(tmp_path / "j.db")
    async with asyncio.TaskGroup() as tasks:
        for number in range(50):
            tasks.create_task(journal.put(row(f"pod-{number:03}")))
    with sqlite3.connect(tmp_path / "j.db") as other:
        assert other.execute("SELECT count(*) FROM pods").fetchone() == (50,)
    other.close()
    await journal.close()


async def test_a_write_that_fails_counts_as_not_written(tmp_path: Path) -> None:
    journal = await opened(tmp_path / "j.db")
    await journal.put(row())
    blocker = sqlite3.connect(tmp_path / "j.db", isolation_level=None)
    blocker.execute("DROP TABLE pods")
    with pytest.raises(JournalError, match="cannot be written"):
        await journal.put(row(state=State.FAILED))
    assert journal.rows["pod-a1"].state is State.RUNNING
    blocker.close()
    await journal.close()


async def test_a_file_that_is_no_journal_is_named(tmp_path: Path) -> None:
    path = tmp_path / "j.db"
    path.write_bytes(b"this is no database, whatever its name says" * 100)
    with pytest.raises(JournalError, match=r"j\.db cannot be opened"):
        await opened(path)


async def test_a_journal_of_an_older_version_is_read(tmp_path: Path) -> None:
    path = tmp_path / "j.db"
    old = sqlite3.connect(path)
    old.execute("CREATE TABLE pods (uid TEXT PRIMARY KEY, epoch, namespace, name, state)")
    old.execute("INSERT INTO pods VALUES ('pod-a1', 3, 'acme', 'one', 'running')")
    old.commit()
    old.close()
    journal = await opened(path)
    assert journal.rows["pod-a1"] == row(epoch=3)
    await journal.close()


async def test_deliveries_come_back_in_the_order_of_their_coming(tmp_path: Path) -> None:
    written = [Delivery(f"id-{number}", "pod-a1", 1, f"text {number}") for number in range(3)]
    journal = await opened(tmp_path / "j.db")
    for delivery in written:
        await journal.put_delivery(delivery)
    changed = dataclasses.replace(written[0], state=Outcome.FAILED, stage=Stage.PRESSED, restart=2)
    await journal.put_delivery(changed)
    await journal.forget_delivery("id-1")
    await journal.close()
    again = await opened(tmp_path / "j.db")
    assert list(again.deliveries.values()) == [changed, written[2]]
    await again.close()


async def test_what_is_noted_beside_a_row_belongs_to_one_run_and_outlives_its_other_changes(
    tmp_path: Path,
) -> None:
    journal = await opened(tmp_path / "j.db")
    await journal.put(row())
    await journal.tools_listed(row(), 77)
    await journal.prompt_sent("pod-a1", 1, 0)
    await journal.prompt_sent("pod-a1", 1, 9)  # of another run: nobody's
    assert journal.rows["pod-a1"] == row(prompt_sent=True)
    await journal.close()
    again = await opened(tmp_path / "j.db")
    assert again.rows["pod-a1"] == row(prompt_sent=True)
    assert (again.listed_ms(row()), again.listed_ms(row(restart=1))) == (77, 0)
    await again.forget("pod-a1")
    assert again.listed_ms(row()) == 0
    await again.close()


async def test_what_stands_in_an_input_is_remembered_until_it_does_no_more(tmp_path: Path) -> None:
    journal = await opened(tmp_path / "j.db")
    for uid in ("pod-a1", "pod-a2", "pod-a3"):
        await journal.put_stuck(uid, f"in {uid}")
    await journal.put_stuck("pod-a1", "")
    await journal.forget("pod-a2")
    await journal.close()
    again = await opened(tmp_path / "j.db")
    assert [again.stuck(f"pod-a{n}") for n in (1, 2, 3)] == ["", "", "in pod-a3"]
    await again.close()


@pytest.mark.parametrize("state", [State.RUNNING, State.STOPPING])
async def test_that_a_prompt_was_given_stays_though_a_row_from_before_is_written(
    tmp_path: Path, state: State
) -> None:
    async with open_journal(tmp_path) as journal:
        stale = row(state=state)
        await journal.put(stale)
        await journal.prompt_given("pod-a1", 1)
        await journal.prompt_sent("pod-a1", 1, 0)
        await journal.put(dataclasses.replace(stale, state=State.FAILED))
        assert journal.rows["pod-a1"].prompt_given
    async with open_journal(tmp_path) as again:
        found = again.rows["pod-a1"]
        assert (found.state, found.prompt_given, found.prompt_sent) == (State.FAILED, True, True)
        await again.put(dataclasses.replace(found, prompt_given=False))  # it is proven not to be
        assert not again.rows["pod-a1"].prompt_given


async def test_what_an_older_runner_started_counts_as_prompted(tmp_path: Path) -> None:
    async with open_journal(tmp_path) as journal:
        await journal.put(row(state=State.FAILED, started_ms=7))
    with contextlib.closing(sqlite3.connect(tmp_path / "journal.db")) as connection:
        for name in ("ran", "prompt_given"):
            connection.execute(f"ALTER TABLE pods DROP COLUMN {name}")
        connection.commit()
    async with open_journal(tmp_path) as again:
        found = again.rows["pod-a1"]
        assert (found.ran, found.prompt_given) == (True, True)
