"""Write-back leaves a folder room: what agents make never stalls the source."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from controller.gitops.files.read import Rules
from controller.gitops.values import MAX_FILES, MAX_LISTED, Author, Operation, OperationKind
from controller.gitops.writeback.compose import Composed, Context, Files, compose
from controller.gitops.writeback.values import End
from controller.services.ticket_values import By, ByKind, by_person
from controller.services.tickets import Place
from controller.tools.call import ToolError
from tests.unit.controller.gitops.git_scene import fast_import
from tests.unit.controller.gitops.writeback.scene import (
    ORG,
    SOURCE,
    UID,
    Running,
    Scene,
    scene,
    ticket_file,
)
from tests.unit.controller.gitops.writeback.test_writeback import until

pytestmark = pytest.mark.anyio

POD = By(ByKind.POD, "apod-x1", "uid-x1", "claude")
ADA = by_person("ada@acme.example")
FOR_PODS = MAX_FILES * 90 // 100
FOR_PEOPLE = MAX_FILES * 95 // 100
NOTE = b"# A note\n"
PATH = "tickets/tk-aaaa.md"


def fill(found: Scene, paths: list[str]) -> None:
    """Push a note to each of the paths."""
    head = (
        f"blob\nmark :1\ndata {len(NOTE)}\n{NOTE.decode()}\n"
        "commit refs/heads/main\ncommitter A <a@b.c> 1 +0000\ndata 1\nx\n"
        f"from {found.team.tip()}\n"
    )
    lines = "".join(f"M 100644 :1 {path}\n" for path in paths)
    fast_import(found.team.bare, f"{head}{lines}\n".encode())


@pytest.fixture
async def there(tmp_path: Path) -> Scene:
    found = scene(tmp_path, {PATH: ticket_file("tk-aaaa")})
    assert await found.sync(ORG, SOURCE)
    return found


async def test_a_pod_makes_no_ticket_in_a_folder_that_is_nearly_full_and_people_do(
    there: Scene,
) -> None:
    fill(there, [f"notes/n{number}.md" for number in range(FOR_PODS - 2)])
    async with Running(there) as running:
        await running.tickets.create(POD, Place(ORG, "tk-last"), {"title": "The last one"})
        with pytest.raises(ToolError, match=r"holds 18,000 of 20,000 files") as caught:
            await running.tickets.create(POD, Place(ORG, "tk-more"), {"title": "One more"})
        assert caught.value.reason == "LimitExceeded"
        made = await running.tickets.create(ADA, Place(ORG, "tk-ada"), {"title": "Make room"})
        assert made.commit
        done = await running.tickets.update(POD, ORG, "tk-aaaa", {"state": "done"})
        assert done.commit
        assert running.write_back.facts(UID).trouble is None


async def test_what_is_no_ticket_does_not_count(there: Scene) -> None:
    others = [f"src/f{number}.py" for number in range(MAX_FILES)]
    comments = [f"tickets/tk-aaaa/comments/{number}-x.md" for number in range(FOR_PODS)]
    fill(there, [*others, *comments])
    there.stands = True  # the scene's sync reads what is below comments/
    async with Running(there) as running:
        await running.tickets.create(POD, Place(ORG, "tk-new"), {"title": "New"}, wait_seconds=0)
        await until(lambda: there.ends)
    assert "tk-new" in there.team.show("tickets/tk-new-new.md")


def operation(
    ticket: str, changes: Mapping[str, Any], *, person: bool, base: Mapping[str, Any] | None = None
) -> Operation:
    kind = OperationKind.CREATE if ticket != "tk-aaaa" else OperationKind.UPDATE
    return Operation(
        id=f"op-{ticket}-{person}",
        kind=kind,
        source_uid=UID,
        namespace=ORG,
        source=SOURCE,
        ticket=ticket,
        changes=changes,
        base=base,
        author=Author("somebody", "some@body.example"),
        person=person,
        summary="Do",
    )


def composed(files: Files, *operations: Operation) -> Composed:
    ulids = {each.id: "01" for each in operations}
    context = Context(Rules(ORG, frozenset({"Ticket"})), {}, "2026-01-01T00:00:00Z", ulids)
    return compose(operations, files, context)


def files(*, total: int = 1, listed: int = 1) -> Files:
    data = {PATH: ticket_file("tk-aaaa", "Theirs.\n").encode()}
    return Files(".", {"tk-aaaa": PATH}, data, total=total, listed=listed)


@pytest.mark.parametrize(
    ("person", "most"), [pytest.param(False, FOR_PODS), pytest.param(True, FOR_PEOPLE)]
)
async def test_of_many_new_tickets_only_those_are_made_that_there_is_room_for(
    *, person: bool, most: int
) -> None:
    wishes = [operation(f"tk-{n}", {"title": "New"}, person=person) for n in range(4)]
    made = composed(files(total=most - 2, listed=most), *wishes)
    ends = [made.outcomes[each.id] for each in wishes]
    assert [each.end for each in ends] == [End.LANDED, End.LANDED, End.REFUSED, End.REFUSED]
    assert ends[-1].reason == "LimitExceeded"
    assert [len(edit.files) for edit in made.edits] == [1, 1]


@pytest.mark.parametrize("person", [False, True])
async def test_a_text_for_which_there_is_no_room_beside_the_ticket_changes_nothing(
    *, person: bool
) -> None:
    base = {"body": "Old.\n", "state": "todo"}
    changes = {"body": "Mine.\n", "state": "done"}
    wish = operation("tk-aaaa", changes, person=person, base=base)
    room = composed(files(listed=MAX_LISTED // 2), wish)
    assert any("/comments/" in path for edit in room.edits for path in edit.files)
    full = files(listed=MAX_LISTED * 95 // 100)
    none = composed(full, wish)
    assert none.edits == []
    assert none.outcomes[wish.id].reason == "LimitExceeded"
    assert full.data == files().data


async def test_who_has_too_much_waiting_is_told_what_keeps_it(there: Scene) -> None:
    there.source(suspend=True)
    async with Running(there) as running:
        for number in range(500):
            change = {"priority": ("low", "high")[number % 2]}
            await running.tickets.update(POD, ORG, "tk-aaaa", change, wait_seconds=0)
        with pytest.raises(ToolError) as caught:
            await running.tickets.update(POD, ORG, "tk-aaaa", {"type": "bug"}, wait_seconds=0)
        assert caught.value.reason == "LimitExceeded"
        assert "500 changes of yours wait to be pushed" in caught.value.message
        assert "suspended" in caught.value.message
        assert len(running.journal.waiting(UID)) == 500
        written = await running.tickets.update(
            ADA, ORG, "tk-aaaa", {"state": "done"}, wait_seconds=0
        )
        assert written.pending
        there.source()
        await until(lambda: not running.journal.waiting(UID))
        await until(lambda: not running.journal.unapplied(UID))
        assert (await running.tickets.update(POD, ORG, "tk-aaaa", {"type": "bug"})).commit
