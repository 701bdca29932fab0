"""Changes of tickets reach a real branch, whatever people, crashes and networks do meanwhile."""

import asyncio
import re
import subprocess
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest

from controller.gitops.remote import MirrorError
from controller.gitops.values import Author, Operation, OperationKind
from controller.gitops.writeback.values import End
from controller.services.ticket_values import By, ByKind, by_person
from controller.services.tickets import OutdatedError, Place
from controller.tools.call import ToolError
from schemas.names import GIT_SOURCE
from tests.unit.controller.gitops.writeback.scene import (
    ORG,
    QUICK,
    SOURCE,
    UID,
    Running,
    Scene,
    scene,
    ticket_file,
)
from tests.unit.runner.drivers.worktree.scene import git

pytestmark = pytest.mark.anyio

POD = By(ByKind.POD, "apod-x1", "uid-x1", "claude")
OTHER = By(ByKind.POD, "apod-x2", "uid-x2", "codex")
ADA = by_person("ada@acme.example")

TICKETS = {
    "tickets/tk-aaaa-first.md": ticket_file("tk-aaaa", labels="[gateway, flaky]"),
    "tickets/tk-bbbb-second.md": ticket_file("tk-bbbb"),
    "README.md": "# Not ours\n",
}
FIRST = "tickets/tk-aaaa-first.md"


async def until(true: Callable[[], object], seconds: float = 60.0) -> None:
    async with asyncio.timeout(seconds):
        while not true():
            await asyncio.sleep(0.01)


def log(found: Scene, form: str = "%an <%ae>|%cn <%ce>|%s") -> list[str]:
    """Return what was committed since the beginning, the newest first."""
    said = git(found.team.bare, "log", f"--format={form}", "main", "--not", f"{found.begin}")
    return said.splitlines() if said else []


@pytest.fixture
async def there(tmp_path: Path) -> Scene:
    found = scene(tmp_path, TICKETS)
    assert await found.sync(ORG, SOURCE)
    return found


# --- a change -------------------------------------------------------------------------------------


async def test_a_change_is_a_commit_of_who_asked_that_touches_one_line(there: Scene) -> None:
    before = there.file("tk-aaaa")
    async with Running(there) as running:
        written = await running.tickets.update(POD, ORG, "TK-AAAA", {"state": "in_review"})
    assert (written.pending, written.conflicts) == (False, ())
    assert written.commit == there.team.tip()
    assert written.ticket.spec.state == "in_review"
    assert there.file("tk-aaaa") == before.replace("state: todo", "state: in_review")
    assert log(there, "%an <%ae>") == ["claude (apod-x1) <apod-x1.uid-x1@pods.invalid>"]
    assert log(there, "%cn <%ce>") == ["AgentsMesh <agentsmesh@agentsmesh.invalid>"]
    assert log(there, "%s") == ["Update tk-aaaa: state in_review"]
    trailers = git(there.team.bare, "log", "-1", "--format=%(trailers)", "main")
    assert re.fullmatch(
        r"Ticket: tk-aaaa\nAgent-Pod: apod-x1 uid-x1\nOperation-Id: [0-9a-f]{32}", trailers.strip()
    )


async def test_a_persons_change_is_in_their_name(there: Scene) -> None:
    async with Running(there) as running:
        await running.tickets.update(ADA, ORG, "tk-aaaa", {"priority": "low"})
        odd = by_person("system:serviceaccount:acme:<ci>\n")
        await running.tickets.update(odd, ORG, "tk-aaaa", {"priority": "none"})
    assert log(there, "%an <%ae>") == [
        "system:serviceaccount:acme: ci <system-serviceaccount-acme-ci@users.invalid>",
        "ada@acme.example <ada@acme.example>",
    ]


async def test_a_new_ticket_is_a_new_file(there: Scene) -> None:
    async with Running(there) as running:
        spec = {"title": "Find the leak", "body": "In the\ngateway.\n", "parent": "TK-AAAA"}
        written = await running.tickets.create(POD, Place(ORG), spec)
        name = written.ticket.metadata.name
        assert written.file is not None
        assert written.file.path == f"tickets/{name}-find-the-leak.md"
        assert (written.ticket.spec.parent, written.ticket.spec.body) == (
            "tk-aaaa",
            "In the\ngateway.\n",
        )
        with pytest.raises(ToolError, match="there is a ticket"):
            await running.tickets.create(ADA, Place(ORG, name), {"title": "Again"})
    assert log(there, "%s") == [f"Create {name}: Find the leak"]


async def test_what_a_pod_made_stays_known_as_that(there: Scene) -> None:
    deep = replace(POD, depth=3)
    async with Running(there) as running:
        made = await running.tickets.create(deep, Place(ORG, "tk-cccc"), {"title": "Part"})
        expected = {
            "agentsmesh.io/created-by": "apod-x1",
            "agentsmesh.io/created-by-uid": "uid-x1",
            "agentsmesh.io/depth": "3",
        }
        assert made.ticket.metadata.annotations == expected
        assert running.write_back.made_by("uid-x1") == 1
        claim = {"podName": "other", "podUID": "u2", "claimedAt": "2027-01-15T08:00:00Z"}
        there.status("tk-cccc", claim=claim)
        changed = await running.tickets.update(OTHER, ORG, "tk-cccc", {"state": "in_progress"})
        assert changed.ticket.metadata.annotations == expected
        by_ada = await running.tickets.create(ADA, Place(ORG, "tk-dddd"), {"title": "Mine"})
        assert by_ada.ticket.metadata.annotations == {}
    text = there.file("tk-cccc")
    assert "x-status:\n  createdBy: apod-x1\n  createdByUid: uid-x1\n  depth: 3\n" in text
    assert "  pod: other" in text
    assert "x-status" not in there.file("tk-dddd")


async def test_what_the_file_says_already_is_no_commit(there: Scene) -> None:
    async with Running(there) as running:
        written = await running.tickets.update(POD, ORG, "tk-aaaa", {"state": "todo"})
    assert written.commit == there.begin
    assert log(there) == []


async def test_what_would_be_no_ticket_is_refused_at_once(there: Scene) -> None:
    async with Running(there) as running:
        with pytest.raises(ToolError) as caught:
            await running.tickets.update(POD, ORG, "tk-aaaa", {"state": "later"})
        assert caught.value.reason == "InvalidArgument"
        with pytest.raises(ToolError) as caught:
            await running.tickets.create(POD, Place(ORG, "Not.A.Name"), {"title": "x"})
        assert caught.value.reason == "InvalidArgument"
        with pytest.raises(OutdatedError):
            await running.tickets.update(
                POD, ORG, "tk-aaaa", {"state": "done"}, expected_revision=7
            )
    assert running.journal.waiting(UID) == ()


async def test_a_source_that_writes_nothing_says_which_file_to_change(there: Scene) -> None:
    there.source(enabled=False)
    async with Running(there) as running:
        with pytest.raises(ToolError) as caught:
            await running.tickets.update(ADA, ORG, "tk-aaaa", {"state": "done"})
    assert caught.value.reason == "Forbidden"
    assert FIRST in caught.value.message
    assert f"GitSource {SOURCE}" in caught.value.message


# --- others push at the same time (GIT-09) ---


async def test_a_push_by_a_person_in_between_loses_neither_side(there: Scene) -> None:
    theirs = there.team.clone / FIRST

    def person() -> None:
        text = theirs.read_text().replace("priority: high", "priority: urgent  # customer waits")
        there.team.push({FIRST: text, "docs/new.md": "hello\n"}, "by hand")

    there.mirror.before = [person, lambda: there.team.push({"other.txt": "x"}, "again")]
    async with Running(there) as running:
        written = await running.tickets.update(
            POD, ORG, "tk-aaaa", {"state": "in_review", "labels": ["gateway", "flaky", "seen"]}
        )
    assert written.conflicts == ()
    assert there.mirror.pushes == 3
    now = there.file("tk-aaaa")
    assert "priority: urgent  # customer waits" in now
    assert "state: in_review" in now
    assert "labels: [gateway, flaky, seen]" in now
    assert there.team.show("docs/new.md") == "hello"
    assert log(there, "%s")[1:] == ["again", "by hand"]
    assert git(there.team.bare, "log", "--merges", "--format=%h", "main") == ""


async def test_where_both_change_a_field_the_person_wins_and_the_agent_is_told(
    there: Scene,
) -> None:
    theirs = there.team.clone / FIRST

    def person() -> None:
        there.team.push({FIRST: theirs.read_text().replace("state: todo", "state: done")}, "mine")

    there.mirror.before = [person]
    async with Running(there) as running:
        written = await running.tickets.update(
            POD, ORG, "tk-aaaa", {"state": "in_progress", "priority": "low"}
        )
        assert written.conflicts == ("state",)
        assert "state is done" in written.message
        assert "priority: low" in there.file("tk-aaaa")
        assert "state: done" in there.file("tk-aaaa")
        assert written.ticket.spec.state == "done"
        said = running.write_back.ticket(UID, "tk-aaaa")
        assert "state is done" in said.conflict
        await running.tickets.update(POD, ORG, "tk-aaaa", {"priority": "none"})
        assert running.write_back.ticket(UID, "tk-aaaa").conflict == ""
    assert there.ends[0][1].conflicts == ("state",)


async def test_texts_that_conflict_both_stay_and_no_marker_is_ever_written(there: Scene) -> None:
    theirs = there.team.clone / FIRST

    def person() -> None:
        there.team.push({FIRST: theirs.read_text().replace("Do it.", "Do it twice.")}, "mine")

    there.mirror.before = [person]
    async with Running(there) as running:
        written = await running.tickets.update(POD, ORG, "tk-aaaa", {"body": "Did it.\n"})
    assert written.conflicts == ("body",)
    assert "comment" in written.message
    everything = git(there.team.bare, "ls-tree", "-r", "--name-only", "main").splitlines()
    (comment,) = [path for path in everything if "/comments/" in path]
    assert re.fullmatch(r"tickets/tk-aaaa/comments/[0-9a-z]{26}-.*\.md", comment)
    assert "Did it." in there.team.show(comment)
    assert "Do it twice." in there.file("tk-aaaa")
    assert not any("<<<<" in there.team.show(path) for path in everything)


async def test_the_commit_and_the_answer_say_what_was_taken_and_what_not(there: Scene) -> None:
    text = (there.team.clone / FIRST).read_text()
    theirs = re.sub("title: .*", "title: Person", text).replace("Do it.", "Do it twice.")
    there.mirror.before = [lambda: there.team.push({FIRST: theirs}, "mine")]
    asked = {"title": "Agent r0", "body": "Did it.\n", "priority": "low"}
    async with Running(there) as running:
        written = await running.tickets.update(POD, ORG, "tk-aaaa", asked)
    assert written.conflicts == ("title", "body")
    assert "priority was taken" in written.message
    assert "what stands there stays: title is Person, body;" in written.message
    assert log(there, "%s") == ["Update tk-aaaa: priority low", "mine"]
    assert "Agent r0" not in git(there.team.bare, "log", "-1", "--format=%B", "main")
    everything = git(there.team.bare, "ls-tree", "-r", "--name-only", "main").splitlines()
    (comment,) = [path for path in everything if "/comments/" in path]
    assert "about: Body of tk-aaaa that was not taken\n" in there.team.show(comment)


async def test_a_commit_that_keeps_a_text_alone_says_so(there: Scene) -> None:
    text = (there.team.clone / FIRST).read_text()
    theirs = text.replace("Do it.", "Do it twice.")
    there.mirror.before = [lambda: there.team.push({FIRST: theirs}, "mine")]
    async with Running(there) as running:
        written = await running.tickets.update(POD, ORG, "tk-aaaa", {"body": "Did it.\n"})
    assert "taken" not in written.message
    assert log(there, "%s") == ["Keep beside tk-aaaa a body that was not taken", "mine"]


async def test_the_own_earlier_change_is_no_conflict_though_nobody_has_seen_it_yet(
    there: Scene,
) -> None:
    there.stands = True
    async with Running(there) as running:
        for state in ("in_progress", "in_review"):
            written = await running.tickets.update(
                POD, ORG, "tk-aaaa", {"state": state}, expected_revision=1, wait_seconds=0.2
            )
            assert written.pending
        await until(lambda: not running.journal.waiting(UID))
    assert [outcome.conflicts for _, outcome in there.ends] == [(), ()]
    assert "state: in_review" in there.file("tk-aaaa")


async def test_a_pod_does_not_undo_what_a_person_asked_for_and_it_could_not_see(
    there: Scene,
) -> None:
    there.source(suspend=True)
    async with Running(there) as running:
        for by, state in ((ADA, "canceled"), (POD, "in_progress")):
            await running.tickets.update(by, ORG, "tk-aaaa", {"state": state}, wait_seconds=0)
        there.source()
        await until(lambda: len(there.ends) == 2)
    assert [outcome.conflicts for _, outcome in there.ends] == [(), ("state",)]
    assert "state: canceled" in there.file("tk-aaaa")


async def test_a_person_overrules_a_pod(there: Scene) -> None:
    there.source(suspend=True)
    async with Running(there) as running:
        for by, state in ((POD, "in_progress"), (ADA, "canceled")):
            await running.tickets.update(by, ORG, "tk-aaaa", {"state": state}, wait_seconds=0)
        there.source()
        await until(lambda: len(there.ends) == 2)
    assert "state: canceled" in there.file("tk-aaaa")


async def test_what_was_not_as_seen_stays(there: Scene) -> None:
    async with Running(there) as running:
        written = await running.tickets.update(
            POD, ORG, "tk-aaaa", {"state": "in_review"}, seen={"state": "in_progress"}
        )
    assert written.conflicts == ("state",)
    assert log(there) == []


async def test_who_loses_again_and_again_says_so_and_goes_on(there: Scene) -> None:
    there.mirror.before = [partial(there.team.push, {"n.txt": str(number)}) for number in range(9)]
    async with Running(there) as running:
        async with asyncio.TaskGroup() as tasks:
            change = tasks.create_task(
                running.tickets.update(POD, ORG, "tk-aaaa", {"state": "done"})
            )
            await until(lambda: running.write_back.facts(UID).trouble is not None)
            trouble = running.write_back.facts(UID).trouble
            assert trouble is not None
            assert trouble.reason == "Contended"
            assert there.mirror.pushes == QUICK.tries
            assert (await change).commit == there.team.tip()
        assert running.write_back.facts(UID).trouble is None
    assert len(log(there)) == 10


async def test_who_waits_for_their_commit_to_be_applied_sees_it_before_ours(there: Scene) -> None:
    theirs = there.team.push({"docs/new.md": "hello\n"}, "by hand")
    async with Running(there) as running:
        written = await running.tickets.update(POD, ORG, "tk-aaaa", {"state": "done"})
    assert there.applied == [there.begin, theirs, written.commit]


async def test_a_sync_that_fails_keeps_nobody_from_being_heard(there: Scene) -> None:
    there.team.push({"docs/new.md": "hello\n"}, "by hand")
    there.stands = True
    async with Running(there) as running:
        written = await running.tickets.update(
            POD, ORG, "tk-aaaa", {"state": "done"}, wait_seconds=0.1
        )
        assert written.pending
        await until(lambda: not running.journal.waiting(UID))
    assert "state: done" in there.file("tk-aaaa")


# --- files move, break and go ---


async def test_a_change_follows_a_file_that_was_renamed_a_moment_ago(there: Scene) -> None:
    text = (there.team.clone / FIRST).read_text()
    there.team.push({FIRST: None, "done/renamed.md": text})
    async with Running(there) as running:
        written = await running.tickets.update(POD, ORG, "tk-aaaa", {"state": "done"})
    assert written.file is not None
    assert written.file.path == "done/renamed.md"
    assert "state: done" in there.team.show("done/renamed.md")


@pytest.mark.parametrize(
    ("files", "reason", "words"),
    [
        pytest.param({FIRST: None}, "NotFound", "no file", id="the file is gone"),
        pytest.param(
            {FIRST: "---\nid: tk-aaaa\nstate: [\n---\n"}, "Conflict", f"{FIRST}:", id="it is broken"
        ),
        pytest.param(
            {FIRST: None, "a.md": ticket_file("tk-aaaa"), "b.md": ticket_file("tk-aaaa")},
            "Conflict",
            "a.md, b.md",
            id="two files claim the ticket",
        ),
    ],
)
async def test_a_change_that_cannot_be_is_refused_and_harms_no_other(
    there: Scene, files: dict[str, str | None], reason: str, words: str
) -> None:
    there.team.push(files)
    async with Running(there) as running:
        async with asyncio.TaskGroup() as tasks:
            good = tasks.create_task(running.tickets.update(POD, ORG, "tk-bbbb", {"state": "done"}))
            with pytest.raises(ToolError) as caught:
                await running.tickets.update(POD, ORG, "tk-aaaa", {"state": "done"})
        assert (await good).commit
    assert caught.value.reason == reason
    assert words in caught.value.message
    assert "state: done" in there.team.show("tickets/tk-bbbb-second.md")


async def test_a_link_in_the_way_of_a_new_file_refuses_that_one_alone(there: Scene) -> None:
    (there.team.clone / "tickets" / "tk-bad0-x.md").symlink_to("/etc/passwd")
    there.team.push({})
    async with Running(there) as running:
        async with asyncio.TaskGroup() as tasks:
            good = tasks.create_task(running.tickets.update(POD, ORG, "tk-bbbb", {"state": "done"}))
            with pytest.raises(ToolError, match="tk-bad0-x"):
                await running.tickets.create(POD, Place(ORG, "tk-bad0"), {"title": "x"})
        assert (await good).commit


# --- nothing is lost, nothing is done twice (GIT-10) ---


async def test_while_the_repository_is_away_changes_are_kept_and_then_share_one_push(
    there: Scene,
) -> None:
    away = there.team.bare.with_name("away.git")
    there.team.bare.rename(away)
    async with Running(there) as running:
        for number, ticket in enumerate(("tk-aaaa", "tk-bbbb", "tk-aaaa")):
            written = await running.tickets.update(
                POD, ORG, ticket, {"priority": ["low", "medium", "none"][number]}, wait_seconds=0.05
            )
            assert written.pending
            assert "accepted and kept" in written.message
        made = await running.tickets.create(
            POD, Place(ORG, "tk-cccc"), {"title": "New"}, wait_seconds=0.05
        )
        assert made.pending
        assert running.tickets.find(ORG, "TK-CCCC").spec.title == "New"
        await running.tickets.update(POD, ORG, "tk-cccc", {"state": "todo"}, wait_seconds=0)
        facts = running.write_back.facts(UID)
        assert (facts.pending, facts.trouble is not None) == (5, True)
        there.now += 60
        assert running.write_back.ticket(UID, "tk-aaaa").pending == 2
    async with Running(there) as running:  # a controller that was started again
        away.rename(there.team.bare)
        await until(lambda: not running.journal.waiting(UID))
        facts = running.write_back.facts(UID)
        assert (facts.pending, facts.trouble, facts.last_commit) == (0, None, there.team.tip())
        await until(lambda: not running.journal.unapplied(UID))
    assert there.mirror.pushes == 1
    assert log(there, "%s") == ["Change 3 tickets"]
    assert there.ticket("tk-aaaa").spec.priority == "none"
    assert there.ticket("tk-cccc").spec.state == "todo"
    assert (GIT_SOURCE.kind, SOURCE) in {(key.kind, key.name) for key in there.touched}


async def test_what_was_pushed_before_a_death_is_not_pushed_again(there: Scene) -> None:
    async def die() -> None:
        await asyncio.get_running_loop().create_future()  # nobody ever hears of it

    there.mirror.after = [die]
    async with Running(there) as running:
        written = await running.tickets.update(
            POD, ORG, "tk-aaaa", {"state": "done"}, wait_seconds=0.01
        )
        assert written.pending
        made = await running.tickets.create(
            POD, Place(ORG, "tk-cccc"), {"title": "New"}, wait_seconds=0.05
        )
        assert made.pending
        await until(lambda: there.team.tip() != there.begin)
    pushed = there.team.tip()
    there.mirror.after.clear()  # it may have died a little earlier
    async with Running(there) as running:
        await until(lambda: not running.journal.waiting(UID))
        await until(lambda: not running.journal.unapplied(UID))
    ids = git(there.team.bare, "log", "--format=%(trailers:key=Operation-Id,valueonly)", "main")
    said = ids.split()
    assert len(said) == len(set(said))
    assert git(there.team.bare, "merge-base", "--is-ancestor", pushed, "main") == ""
    assert "state: done" in there.file("tk-aaaa")


async def test_a_persons_later_change_is_not_undone_by_a_repeat_after_a_death(
    there: Scene,
) -> None:
    async def die() -> None:
        await asyncio.get_running_loop().create_future()

    there.mirror.after = [die]
    async with Running(there) as running:
        await running.tickets.update(POD, ORG, "tk-aaaa", {"state": "done"}, wait_seconds=0.01)
        await until(lambda: there.team.tip() != there.begin)
    there.mirror.after.clear()
    git(there.team.clone, "pull", "-q", str(there.team.bare), "main")
    text = (there.team.clone / FIRST).read_text()
    there.team.push({FIRST: text.replace("state: done", "state: todo")}, "no, it is not")
    async with Running(there) as running:
        await until(lambda: not running.journal.waiting(UID))
    assert log(there, "%s") == ["no, it is not", "Update tk-aaaa: state done"]
    assert there.ends[-1][1].commit != there.team.tip()


async def test_a_trailer_by_somebody_else_ends_no_change(there: Scene) -> None:
    there.stands = True

    async def lost() -> None:
        raise MirrorError("Unreachable", "the server broke off")

    def forged() -> None:
        (kept,) = running.journal.waiting(UID)
        (there.team.clone / "docs").mkdir(exist_ok=True)
        there.team.push({"docs/x.md": "x"}, f"mine\n\nOperation-Id: {kept.operation.id}")

    there.mirror.before, there.mirror.after = [forged], [lost]
    async with Running(there) as running:
        await running.tickets.update(POD, ORG, "tk-aaaa", {"state": "done"}, wait_seconds=0.01)
        await until(lambda: there.ends)
    assert log(there, "%s") == ["Update tk-aaaa: state done", "mine"]
    assert "state: done" in there.team.show(FIRST)


async def test_changes_wait_while_the_source_stands_still(there: Scene) -> None:
    there.source(suspend=True)
    async with Running(there) as running:
        written = await running.tickets.update(
            POD, ORG, "tk-aaaa", {"state": "done"}, wait_seconds=0.1
        )
        assert written.pending
        assert "suspended" in written.message
        assert there.mirror.pushes == 0
        there.source()
        await until(lambda: not running.journal.waiting(UID))
    assert "state: done" in there.file("tk-aaaa")


async def test_what_is_for_a_source_that_is_gone_is_refused(there: Scene) -> None:
    there.source(suspend=True)
    async with Running(there) as running:
        await running.tickets.update(POD, ORG, "tk-aaaa", {"state": "done"}, wait_seconds=0)
        there.store.remove(GIT_SOURCE.kind, UID)
        await until(lambda: not running.journal.waiting(UID))
    assert there.ends[0][1].end is End.REFUSED
    assert there.ends[0][1].reason == "SourceGone"


async def test_the_same_operation_asked_twice_is_one_change(there: Scene) -> None:
    async with Running(there) as running:
        for _ in range(2):
            written = await running.tickets.update(
                POD, ORG, "tk-aaaa", {"state": "done"}, operation_id="follow-1", summary="Follow"
            )
            assert not written.pending
    assert log(there, "%s") == ["Follow"]


async def test_many_changes_share_commits_by_author(there: Scene) -> None:
    async with Running(replace_timing(there)) as running, asyncio.TaskGroup() as tasks:
        for number in range(30):
            by = (POD, OTHER)[number % 2]
            place = Place(ORG, f"tk-{number:04d}")
            tasks.create_task(running.tickets.create(by, place, {"title": f"T{number}"}))
    assert there.mirror.pushes == 1
    assert sorted(log(there, "%an|%s")) == [
        "claude (apod-x1)|Change 15 tickets",
        "codex (apod-x2)|Change 15 tickets",
    ]
    ids = git(there.team.bare, "log", "--format=%(trailers:key=Operation-Id,valueonly)", "main")
    assert len(set(ids.split())) == 30


async def test_a_controllers_change_is_in_the_name_that_the_source_says(there: Scene) -> None:
    there.source(writeBack={"author": {"name": "Mesh", "email": "mesh@acme.example"}})
    operation = Operation(
        id="op-1",
        kind=OperationKind.UPDATE,
        source_uid=UID,
        namespace=ORG,
        source=SOURCE,
        ticket="tk-aaaa",
        changes={"x-status": {"pod": "apod-x1"}},
        base=None,
        author=Author("Mesh", "mesh@acme.example"),
        person=False,
        summary="Say how tk-aaaa does",
    )
    async with Running(there) as running:
        answer = await running.write_back.submit(operation)
    assert answer.applied
    assert log(there, "%an|%cn") == ["Mesh|Mesh"]
    assert "x-status:" in there.file("tk-aaaa")
    assert "pod: apod-x1" in there.file("tk-aaaa")


def replace_timing(found: Scene) -> Scene:
    """Let changes wait longer for company: the machine may be slow."""
    found.timing = replace(QUICK, company=1.0, longest_company=5.0)
    return found


@pytest.mark.faults
async def test_pods_and_a_person_who_push_all_the_time_lose_nothing(there: Scene) -> None:
    """GIT-09, with nothing arranged: who comes first differs from run to run."""
    clone = there.team.clone
    names = ("tk-aaaa", "tk-bbbb")
    paths = dict(zip(names, (FIRST, "tickets/tk-bbbb-second.md"), strict=True))

    def person() -> None:
        """Push eight times as people do: pull, change, push, and again if somebody was faster."""
        for number in range(8):
            git(clone, "pull", "-q", "--rebase", str(there.team.bare), "main")
            path = clone / paths[names[number % 2]]
            path.write_text(path.read_text() + f"Line {number} of a person.\n")
            git(clone, "commit", "-q", "-am", f"person {number}")
            for _ in range(50):
                try:
                    git(clone, "push", "-q", str(there.team.bare), "HEAD:main")
                    break
                except subprocess.CalledProcessError:
                    git(clone, "pull", "-q", "--rebase", str(there.team.bare), "main")
            else:
                raise AssertionError("a person never gets through")

    async def pod(running: Running, number: int) -> None:
        by = By(ByKind.POD, f"pod-{number}", f"uid-{number}", "claude")
        for step in range(4):
            label = f"pod-{number}-{step}"
            labels = [*there.ticket(names[number % 2]).spec.labels, label]
            written = await running.tickets.update(
                by, ORG, names[number % 2], {"labels": labels}, wait_seconds=60
            )
            assert written.conflicts == ()

    async with Running(there) as running, asyncio.TaskGroup() as tasks:
        tasks.create_task(asyncio.to_thread(person))
        for number in range(4):
            tasks.create_task(pod(running, number))
    for which, name in enumerate(names):
        text = there.team.show(paths[name])
        for number in range(which, 8, 2):
            assert text.count(f"Line {number} of a person.") == 1
        for number in range(which, 4, 2):
            for step in range(4):
                assert text.count(f"pod-{number}-{step}") == 1
        assert "<<<<" not in text
        assert "# who reads this?" in text
    ids = git(there.team.bare, "log", "--format=%(trailers:key=Operation-Id,valueonly)", "main")
    assert len(ids.split()) == len(set(ids.split())) == 16
    said = git(there.team.bare, "log", "--format=%s", "main").splitlines()
    assert [f"person {number}" for number in range(7, -1, -1)] == [
        line for line in said if line.startswith("person")
    ]
