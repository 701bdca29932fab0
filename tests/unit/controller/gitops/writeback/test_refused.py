"""What the API would refuse is never committed; what it refused is told."""

from pathlib import Path
from typing import Any

import pytest

from controller.gitops.values import Problem
from controller.services.ticket_values import By, ByKind, by_person
from controller.services.tickets import Place
from controller.tools.call import ToolError
from schemas.ticket import OWN_PARENT
from tests.unit.controller.gitops.writeback.scene import (
    ORG,
    SOURCE,
    Running,
    Scene,
    scene,
    ticket_file,
)

pytestmark = pytest.mark.anyio

POD = By(ByKind.POD, "apod-x1", "uid-x1", "claude")
ADA = by_person("ada@acme.example")
FIRST = "tickets/tk-aaaa.md"
FILES = {
    FIRST: ticket_file("tk-aaaa"),
    "tickets/tk-bbbb.md": ticket_file("tk-bbbb", parent="tk-aaaa"),
}


@pytest.fixture
async def there(tmp_path: Path) -> Scene:
    found = scene(tmp_path, FILES)
    assert await found.sync(ORG, SOURCE)
    return found


# --- refused before the commit ---


@pytest.mark.parametrize(
    ("ticket", "changes", "words"),
    [
        pytest.param(
            "tk-aaaa",
            {"parent": "tk-bbbb", "dependsOn": ["tk-bbbb"]},
            OWN_PARENT.message,
            id="its parent, in one change",
        ),
        pytest.param("tk-bbbb", {"dependsOn": ["tk-aaaa"]}, OWN_PARENT.message, id="its parent"),
        pytest.param("tk-aaaa", {"parent": "tk-aaaa"}, "its own parent", id="itself as parent"),
        pytest.param(
            "tk-aaaa", {"dependsOn": ["tk-bbbb", "tk-aaaa"]}, "depend on itself", id="itself"
        ),
    ],
)
async def test_a_change_that_the_api_would_refuse_is_refused_and_not_committed(
    there: Scene, ticket: str, changes: dict[str, Any], words: str
) -> None:
    async with Running(there) as running:
        with pytest.raises(ToolError, match=words) as caught:
            await running.tickets.update(ADA, ORG, ticket, changes)
    assert caught.value.reason == "InvalidArgument"
    assert there.team.tip() == there.begin


@pytest.mark.parametrize(
    ("spec", "words"),
    [
        pytest.param({"parent": "tk-aaaa", "dependsOn": ["tk-aaaa"]}, OWN_PARENT.message),
        pytest.param({"dependsOn": ["tk-new"]}, "depend on itself"),
    ],
)
async def test_a_ticket_that_the_api_would_refuse_is_not_made(
    there: Scene, spec: dict[str, Any], words: str
) -> None:
    async with Running(there) as running:
        with pytest.raises(ToolError, match=words) as caught:
            await running.tickets.create(ADA, Place(ORG, "tk-new"), {"title": "x", **spec})
    assert caught.value.reason == "InvalidArgument"
    assert there.team.tip() == there.begin


async def test_what_two_changes_come_to_together_is_refused_as_well(there: Scene) -> None:
    """A person gave it a parent a moment ago: nobody here knows yet."""
    there.stands = True
    text = ticket_file("tk-aaaa", parent="tk-bbbb")
    theirs = there.team.push({FIRST: text})
    async with Running(there) as running:
        with pytest.raises(ToolError, match=OWN_PARENT.message) as caught:
            await running.tickets.update(POD, ORG, "tk-aaaa", {"dependsOn": ["tk-bbbb"]})
        assert FIRST in caught.value.message
    assert there.team.tip() == theirs


async def test_of_changes_that_wait_the_last_one_counts(there: Scene) -> None:
    there.source(suspend=True)
    async with Running(there) as running:
        await running.tickets.update(ADA, ORG, "tk-bbbb", {"parent": None}, wait_seconds=0)
        later = await running.tickets.update(
            ADA, ORG, "tk-bbbb", {"dependsOn": ["tk-aaaa"]}, wait_seconds=0
        )
        assert later.pending
        with pytest.raises(ToolError, match=OWN_PARENT.message):
            await running.tickets.update(ADA, ORG, "tk-bbbb", {"parent": "tk-aaaa"})


async def test_a_file_that_the_api_refuses_already_is_only_changed_for_the_better(
    there: Scene,
) -> None:
    there.stands = True
    lines = {"parent": "tk-bbbb", "dependsOn": "[tk-bbbb]"}
    theirs = there.team.push({FIRST: ticket_file("tk-aaaa", **lines)})
    async with Running(there) as running:
        with pytest.raises(ToolError, match="must be repaired first") as caught:
            await running.tickets.update(POD, ORG, "tk-aaaa", {"type": "bug"})
        assert caught.value.reason == "Failed"
        assert there.team.tip() == theirs


# --- told, where it is not in force ---

REFUSED = Problem(FIRST, "Refused", "spec.parent: tk-zzzz may not be: says a webhook", None)


async def test_a_change_of_a_file_that_is_refused_is_told_with_path_and_reason(
    there: Scene,
) -> None:
    there.problems[FIRST] = REFUSED
    before = there.ticket("tk-aaaa")
    async with Running(there) as running:
        written = await running.tickets.update(ADA, ORG, "tk-aaaa", {"dependsOn": []})
        assert written.conflicts == ("dependsOn",)
        assert not written.pending
        for word in (FIRST, "Refused", REFUSED.message, "nothing was changed"):
            assert word in written.message
        assert there.team.tip() == there.begin
        written = await running.tickets.update(ADA, ORG, "tk-aaaa", {"state": "done"})
        assert written.commit == there.team.tip() != there.begin
        assert written.conflicts == ("state",)
        for word in (FIRST, "Refused", "committed"):
            assert word in written.message
    assert there.ticket("tk-aaaa").spec == before.spec


async def test_a_new_ticket_that_is_refused_was_not_deleted(there: Scene) -> None:
    path = "tickets/tk-new-x.md"
    there.problems[path] = Problem(path, "QuotaExceeded", "there are 5 of 5 tickets", None)
    async with Running(there) as running:
        with pytest.raises(ToolError, match="there are 5 of 5 tickets") as caught:
            await running.tickets.create(ADA, Place(ORG, "tk-new"), {"title": "x"})
    assert caught.value.reason == "Conflict"
    assert path in caught.value.message
    assert "QuotaExceeded" in caught.value.message


async def test_a_change_to_what_stands_there_already_says_so(there: Scene) -> None:
    async with Running(there) as running:
        written = await running.tickets.update(ADA, ORG, "tk-aaaa", {"state": "todo"})
        assert (written.unchanged, written.conflicts, written.pending) == (True, (), False)
        written = await running.tickets.update(ADA, ORG, "tk-aaaa", {"state": "done"})
        assert not written.unchanged
    assert there.team.tip() != there.begin
