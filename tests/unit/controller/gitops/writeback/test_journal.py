"""What was accepted survives everything; what ended is known."""

import asyncio
import sqlite3
import stat
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from controller.gitops.values import Author, Operation, OperationKind
from controller.gitops.writeback.backlog import Backlog, Bounds, Most
from controller.gitops.writeback.journal import KEPT_SECONDS, FullError, Journal, JournalError
from controller.gitops.writeback.values import End, Outcome

pytestmark = pytest.mark.anyio

NOW = 1_800_000_000.0
LANDED = Outcome(End.LANDED, commit="c" * 40, path="a.md")


def operation(number: int, ticket: str = "tk-1", **more: Any) -> Operation:
    made = Operation(
        id=f"op-{number}",
        kind=OperationKind.UPDATE,
        source_uid="uid-1",
        namespace="acme",
        source="fleet",
        ticket=ticket,
        changes={"state": "done", "parent": None},
        base={"state": "todo"},
        author=Author("claude (p1)", "p1@pods.invalid"),
        person=False,
        summary="Update",
        trailers={"Agent-Pod": "p1"},
    )
    return replace(made, **more)


async def opened(folder: Path, now: float = NOW) -> Journal:
    journal = Journal(folder / "operations.db")
    await journal.open(now)
    return journal


async def test_what_was_accepted_is_there_after_the_process_has_died(tmp_path: Path) -> None:
    dead = await opened(tmp_path)
    await dead.accept(operation(1), "", NOW)
    await dead.accept(operation(2, "tk-2"), "", NOW)
    journal = await opened(tmp_path)
    assert [kept.operation for kept in journal.waiting("uid-1")] == [
        operation(1),
        operation(2, "tk-2"),
    ]
    assert journal.sources() == ("uid-1",)
    await journal.close()
    await dead.close()


async def test_an_operation_given_twice_is_one_also_after_it_ended(tmp_path: Path) -> None:
    journal = await opened(tmp_path)
    first = await journal.accept(operation(1), "", NOW)
    assert await journal.accept(operation(1), "", NOW + 1) == first
    await journal.finish("uid-1", {"op-1": LANDED}, NOW + 2)
    again = await journal.accept(operation(1), "", NOW + 3)
    assert again.outcome == LANDED
    assert journal.waiting("uid-1") == ()
    await journal.close()
    journal = await opened(tmp_path)
    assert (await journal.accept(operation(1), "", NOW + 4)).outcome == LANDED
    await journal.close()


async def test_what_is_accepted_at_once_is_all_kept_and_in_order(tmp_path: Path) -> None:
    journal = await opened(tmp_path)
    async with asyncio.TaskGroup() as tasks:
        for number in range(200):
            tasks.create_task(journal.accept(operation(number), "", NOW))
    assert [kept.operation.id for kept in journal.waiting("uid-1")] == [
        f"op-{number}" for number in range(200)
    ]
    await journal.close()


async def test_what_landed_is_ahead_of_the_ticket_until_the_sync_has_brought_it(
    tmp_path: Path,
) -> None:
    journal = await opened(tmp_path)
    for number in (1, 2):
        await journal.accept(operation(number), "", NOW)
    await journal.finish("uid-1", {"op-1": LANDED}, NOW)
    assert [kept.operation.id for kept in journal.ahead("uid-1", "tk-1")] == ["op-1", "op-2"]
    await journal.close()
    journal = await opened(tmp_path)
    assert [kept.operation.id for kept in journal.ahead("uid-1", "tk-1")] == ["op-1", "op-2"]
    await journal.applied("uid-1", journal.unapplied("uid-1"))
    assert [kept.operation.id for kept in journal.ahead("uid-1", "tk-1")] == ["op-2"]
    last = journal.last("uid-1", "tk-1")
    assert last is not None
    assert last.outcome == LANDED
    await journal.close()


async def test_what_was_refused_is_never_waited_for(tmp_path: Path) -> None:
    journal = await opened(tmp_path)
    await journal.accept(operation(1), "", NOW)
    await journal.finish("uid-1", {"op-1": Outcome(End.REFUSED, reason="FileGone")}, NOW)
    assert journal.ahead("uid-1", "tk-1") == ()
    await journal.close()
    journal = await opened(tmp_path)
    assert journal.ahead("uid-1", "tk-1") == ()
    await journal.close()


async def test_the_oldest_push_without_an_end_is_remembered(tmp_path: Path) -> None:
    dead = await opened(tmp_path)
    await dead.begin("uid-1", "a" * 40, ["c" * 40])
    await dead.begin("uid-1", "b" * 40, ["d" * 40])
    journal = await opened(tmp_path)
    assert journal.outstanding("uid-1") == "a" * 40
    assert journal.is_ours("uid-1", "c" * 40)
    assert journal.is_ours("uid-1", "d" * 40)
    assert not journal.is_ours("uid-2", "c" * 40)
    await journal.settle("uid-1")
    await journal.close()
    journal = await opened(tmp_path)
    assert journal.outstanding("uid-1") == ""
    assert not journal.is_ours("uid-1", "c" * 40)
    await journal.close()
    await dead.close()


async def test_tickets_that_a_pod_made_are_counted(tmp_path: Path) -> None:
    journal = await opened(tmp_path)
    made = [operation(number, f"tk-{number}", kind=OperationKind.CREATE) for number in range(3)]
    for one in made:
        await journal.accept(one, "pod-uid", NOW)
    await journal.accept(operation(9), "pod-uid", NOW)
    assert journal.created_by("pod-uid") == 3
    await journal.close()
    journal = await opened(tmp_path)
    assert journal.created_by("pod-uid") == 3
    await journal.close()


async def test_only_what_is_done_with_is_forgotten(tmp_path: Path) -> None:
    journal = await opened(tmp_path)
    for number in (1, 2, 3):
        await journal.accept(operation(number), "", NOW)
    await journal.finish("uid-1", {"op-1": LANDED, "op-2": LANDED}, NOW)
    await journal.applied("uid-1", ["op-1"])
    await journal.close()
    journal = await opened(tmp_path, NOW + KEPT_SECONDS + 1)
    assert await journal.find("op-1") is None
    assert [kept.operation.id for kept in journal.ahead("uid-1", "tk-1")] == ["op-2", "op-3"]
    await journal.close()


async def test_the_file_is_its_owners_alone(tmp_path: Path) -> None:
    journal = await opened(tmp_path)
    await journal.accept(operation(1), "", NOW)
    for path in tmp_path.glob("operations.db*"):
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
    await journal.close()


async def test_what_cannot_be_written_is_not_accepted(tmp_path: Path) -> None:
    journal = await opened(tmp_path)
    blocker = sqlite3.connect(tmp_path / "operations.db")
    blocker.execute("DROP TABLE operations")
    blocker.commit()
    blocker.close()
    with pytest.raises(JournalError, match=r"operations\.db"):
        await journal.accept(operation(1), "", NOW)
    assert journal.waiting("uid-1") == ()
    await journal.close()


async def test_a_file_that_is_no_journal_is_said(tmp_path: Path) -> None:
    (tmp_path / "operations.db").write_text("not a database, but longer than a header " * 100)
    with pytest.raises(JournalError, match="cannot be opened"):
        await opened(tmp_path)


# --- what waits is bounded ---

BOUNDS = Bounds(pod=Most(3, 1), pods=Most(5, 1), people=Most(7, 1))


def asked(number: int, text: str = "") -> Operation:
    return operation(number, f"tk-{number}", changes={"body": text})


def by_ada(number: int) -> Operation:
    return operation(number, f"tk-{number}", person=True, trailers={})


async def small(folder: Path) -> Journal:
    journal = Journal(folder / "operations.db", Backlog(BOUNDS))
    await journal.open(NOW)
    return journal


async def taken(journal: Journal, some: Iterable[Operation], pod_uid: str = "") -> int:
    """Return how many are accepted."""
    count = 0
    for one in some:
        try:
            await journal.accept(one, pod_uid, NOW)
        except FullError:
            continue
        count += 1
    return count


async def test_what_a_pod_has_waiting_is_bounded_also_over_a_restart(tmp_path: Path) -> None:
    dead = await small(tmp_path)
    assert await taken(dead, map(asked, range(9)), "uid-p1") == 3
    journal = await small(tmp_path)
    with pytest.raises(FullError, match="3 changes of yours wait to be pushed: no more than 3"):
        await journal.accept(asked(20), "uid-p1", NOW)
    assert (await journal.accept(asked(0), "uid-p1", NOW)).number == 1  # given again
    assert await taken(journal, map(asked, range(30, 39)), "uid-p2") == 2
    assert len(journal.waiting("uid-1")) == 5
    await journal.close()
    await dead.close()


async def test_pods_leave_people_room_and_the_controller_is_never_refused(tmp_path: Path) -> None:
    journal = await small(tmp_path)
    for number in range(3):
        await taken(journal, map(asked, range(10 * number, 10 * number + 9)), f"uid-p{number}")
    assert len(journal.waiting("uid-1")) == 5
    assert await taken(journal, map(by_ada, range(100, 109))) == 2
    assert await taken(journal, map(operation, range(200, 240))) == 40
    elsewhere = operation(300, person=True, source_uid="uid-2")
    assert await taken(journal, [elsewhere]) == 1
    await journal.close()


async def test_what_a_pod_has_waiting_is_bounded_in_bytes(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "operations.db")
    await journal.open(NOW)
    count = await taken(journal, (asked(n, "x" * 65_536) for n in range(200)), "uid-p1")
    assert 100 < count <= 128
    await journal.close()


@pytest.mark.parametrize(
    "outcome", [LANDED, Outcome(End.REFUSED, reason="FileGone")], ids=["landed", "refused"]
)
async def test_what_is_over_counts_no_more_and_its_text_is_forgotten(
    tmp_path: Path, outcome: Outcome
) -> None:
    journal = await small(tmp_path)
    text = "long-text-" * 5_000
    for start in range(0, 30, 3):
        some = [asked(start + number, text) for number in range(3)]
        assert await taken(journal, some, "uid-p1") == 3
        await journal.finish("uid-1", {one.id: outcome for one in some}, NOW)
        if outcome is LANDED:
            assert await taken(journal, [asked(100)], "uid-p1") == 0  # no Ticket shows it yet
            await journal.applied("uid-1", journal.unapplied("uid-1"))
        found = await journal.find(some[0].id)
        assert found is not None
        assert found.outcome == outcome
    last = journal.last("uid-1", "tk-29")
    assert last is not None
    assert (last.outcome, last.operation.changes) == (outcome, {})
    await journal.close()
    with sqlite3.connect(tmp_path / "operations.db") as connection:
        (kept,) = connection.execute("SELECT SUM(LENGTH(document)) FROM operations").fetchone()
    connection.close()
    assert kept < 30 * 1_000
    journal = await small(tmp_path)
    assert await taken(journal, map(asked, range(50, 59)), "uid-p1") == 3
    await journal.close()


async def test_what_could_not_be_written_does_not_count(tmp_path: Path) -> None:
    journal = await small(tmp_path)
    blocker = sqlite3.connect(tmp_path / "operations.db")
    full = "CREATE TRIGGER full BEFORE INSERT ON operations BEGIN SELECT RAISE(ABORT, 'full'); END"
    blocker.execute(full)
    blocker.close()
    for number in range(5):
        with pytest.raises(JournalError, match="full") as caught:
            await journal.accept(asked(number), "uid-p1", NOW)
        assert not isinstance(caught.value, FullError)
    await journal.close()
