"""Commits become resources, and nothing else does: sources against real git."""

import sqlite3
from pathlib import Path
from typing import Any

import pytest

from controller.kube.errors import Refused, Unavailable, from_status
from schemas.names import (
    AGENT_POD,
    ANNOTATION_ALLOW_PRUNE,
    ANNOTATION_RECONCILE,
    ANNOTATION_REQUESTED_AT,
    ANNOTATION_SOURCE_PATH,
    CHANNEL,
    GIT_SOURCE,
    LABEL_SOURCE,
    ORGANIZATION,
    REPOSITORY,
    TICKET,
    Resource,
)
from tests.unit.controller.gitops.git_scene import git
from tests.unit.controller.gitops.source_scene import Scene, manifest, ticket, until

pytestmark = pytest.mark.anyio


@pytest.fixture
def scene(tmp_path: Path) -> Scene:
    return Scene(tmp_path)


def tickets(count: int, first: int = 0) -> dict[str, str | bytes | None]:
    return {
        f"fleet/tickets/tk-{number:04}.md": ticket(f"tk-{number:04}", f"Ticket {number}")
        for number in range(first, first + count)
    }


async def test_a_commit_becomes_resources_that_say_where_they_are_from(scene: Scene) -> None:
    channel = manifest("Channel", "design", "{description: Where designs are argued}")
    commit = scene.team.push({**tickets(1), "fleet/design.yaml": channel, "README.md": "hello"})
    async with scene.controller() as controller:
        await scene.make(path="fleet")
        await controller.applied(commit)
        made = scene.find(TICKET, "tk-0000")
        assert made is not None
        assert made["metadata"]["labels"] == {LABEL_SOURCE: "plan"}
        path = "fleet/tickets/tk-0000.md"
        assert made["metadata"]["annotations"] == {ANNOTATION_SOURCE_PATH: path}
        assert made["spec"]["title"] == "Ticket 0"
        assert made["spec"]["body"] == "What there is to do.\n"
        assert scene.spec(CHANNEL, "design")["description"] == "Where designs are argued"
        assert scene.status["files"] == {
            "total": 2, "synced": 2, "invalid": 0, "duplicate": 0, "pending": 0,
        }  # fmt: skip
        assert scene.status["inventory"]["count"] == 2
        assert scene.condition("Ready")["status"] == "True"
        await until(lambda: (scene.find(TICKET, "tk-0000") or {}).get("status"))
        status = scene.find(TICKET, "tk-0000")["status"]  # type: ignore[index]
        assert status["source"]["path"] == path
        assert status["source"]["commit"] == commit
        assert status["source"]["name"] == "plan"
        assert status["observedDigest"].startswith("sha256:")


async def test_a_pass_without_news_writes_nothing(scene: Scene) -> None:
    commit = scene.team.push(tickets(30))
    async with scene.controller() as controller:
        await scene.make(path="fleet")
        await controller.applied(commit)
        await controller.quiet()
        writes = len(scene.writes)
        for _ in range(10):
            assert await controller.synced()
        await controller.quiet()
        assert len(scene.writes) == writes
    assert scene.team.tip() == commit


async def test_what_was_changed_last_is_applied_first_when_much_is_new(scene: Scene) -> None:
    scene.team.push(tickets(250))
    for name in ("tk-0100", "tk-0200"):
        commit = scene.team.push({f"fleet/tickets/{name}.md": ticket(name, "Later")})
    async with scene.controller() as controller:
        await scene.make(path="fleet")
        await controller.applied(commit)
        made = [
            name for verb, kind, name in scene.writes if (verb, kind) == ("create", TICKET.kind)
        ]
    assert set(made[:2]) == {"tk-0200", "tk-0100"}
    assert len(made) == 250


async def test_each_resource_costs_one_write_and_one_status(scene: Scene) -> None:
    commit = scene.team.push(tickets(20))
    async with scene.controller() as controller:
        await scene.make(path="fleet")
        await controller.applied(commit)
        await controller.quiet()
        of_tickets = [one for one in scene.writes if one[1] == TICKET.kind]
        assert len(of_tickets) == 40


async def test_a_controller_that_starts_again_writes_nothing(scene: Scene) -> None:
    commit = scene.team.push(tickets(20))
    async with scene.controller() as controller:
        await scene.make(path="fleet")
        await controller.applied(commit)
        await controller.quiet()
    writes = len(scene.writes)
    async with scene.controller() as controller:
        assert await controller.synced()
        await controller.quiet()
        assert scene.writes[writes:] == []


async def test_without_its_memory_it_finds_again_what_is_its_own(scene: Scene) -> None:
    commit = scene.team.push(tickets(20))
    async with scene.controller() as controller:
        await scene.make(path="fleet")
        await controller.applied(commit)
        await controller.quiet()
    (scene.folder / "gitops.db").unlink()
    writes = len(scene.writes)
    async with scene.controller() as controller:
        assert await controller.synced()
        await controller.quiet()
        assert [one for one in scene.writes[writes:] if one[1] == TICKET.kind] == []
        commit = scene.team.push({"fleet/tickets/tk-0003.md": None})
        assert await controller.synced()
        assert len(scene.names(TICKET)) == 19


async def test_a_killed_controller_goes_on_where_it_was(scene: Scene) -> None:
    scene.team.push(tickets(40))
    made = 0

    def dies(verb: str, resource: Resource, name: str) -> None:
        nonlocal made
        made += (verb, resource) == ("create", TICKET)
        if made > 15 and resource == TICKET:
            raise Unavailable(f"{name}: no answer")

    scene.refuse = dies
    async with scene.controller() as controller:
        await scene.make(path="fleet")
        assert not await controller.synced()
        before = scene.uids(TICKET)
        assert 0 < len(before) < 40
    scene.refuse = lambda *_: None
    async with scene.controller() as controller:
        assert await controller.synced()
        after = scene.uids(TICKET)
        assert len(after) == 40
        assert before.items() <= after.items()


async def test_a_bad_file_harms_itself_alone_and_is_named_with_its_line(scene: Scene) -> None:
    files = tickets(100)
    files["fleet/tickets/tk-0042.md"] = "---\nid: tk-0042\ntitle: [\n---\n"
    commit = scene.team.push(files)
    async with scene.controller() as controller:
        await scene.make(path="fleet")
        await controller.applied(commit)
        assert len(scene.names(TICKET)) == 99
        assert scene.status["files"]["invalid"] == 1
        assert scene.status["files"]["synced"] == 99
        (error,) = scene.status["errors"]
        assert error["path"] == "fleet/tickets/tk-0042.md"
        assert error["line"] >= 3
        assert scene.condition("FilesValid")["status"] == "False"
        assert scene.condition("Ready")["reason"] == "InvalidFiles"
        assert "tk-0042.md" in scene.condition("Ready")["message"]


async def test_the_last_good_version_stays_and_is_no_deletion(scene: Scene) -> None:
    commit = scene.team.push(tickets(3))
    async with scene.controller() as controller:
        await scene.make(path="fleet")
        await controller.applied(commit)
        uid = scene.find(TICKET, "tk-0001")["metadata"]["uid"]  # type: ignore[index]
        commit = scene.team.push({"fleet/tickets/tk-0001.md": "---\nid: tk-0001\n"})
        await controller.applied(commit)
        assert scene.spec(TICKET, "tk-0001")["title"] == "Ticket 1"
        await until(lambda: scene.condition("Synced", TICKET, "tk-0001")["status"] == "False")
        assert scene.condition("Synced", TICKET, "tk-0001")["reason"] == "InvalidFile"
        # what it said before still holds
        await scene.change(TICKET, "tk-0001", spec={"title": "Mine"})
        await until(lambda: scene.spec(TICKET, "tk-0001")["title"] == "Ticket 1")
        commit = scene.team.push({"fleet/tickets/tk-0001.md": ticket("tk-0001", "Mended")})
        await controller.applied(commit)
        assert scene.spec(TICKET, "tk-0001")["title"] == "Mended"
        assert scene.find(TICKET, "tk-0001")["metadata"]["uid"] == uid  # type: ignore[index]
        await until(lambda: scene.condition("Synced", TICKET, "tk-0001")["status"] == "True")


@pytest.mark.parametrize(
    "broken",
    [
        pytest.param("---\nid: tk-0001\n  title: x\n---\n", id="not YAML"),
        pytest.param("no front matter at all\n", id="not a ticket any more"),
        pytest.param(b"\x00\xff\xfe", id="no text"),
    ],
)
async def test_a_file_that_stops_parsing_is_never_a_deletion(
    scene: Scene, broken: str | bytes
) -> None:
    commit = scene.team.push(tickets(3))
    async with scene.controller() as controller:
        await scene.make(path="fleet")
        await controller.applied(commit)
        commit = scene.team.push({"fleet/tickets/tk-0001.md": broken})
        await controller.applied(commit)
        assert scene.names(TICKET) == {"tk-0000", "tk-0001", "tk-0002"}
        assert scene.status["files"]["invalid"] == 1


async def test_a_file_that_is_renamed_and_broken_at_once_is_no_deletion(scene: Scene) -> None:
    commit = scene.team.push(tickets(3))
    async with scene.controller() as controller:
        await scene.make(path="fleet")
        await controller.applied(commit)
        commit = scene.team.push(
            {
                "fleet/tickets/tk-0001.md": None,
                "fleet/tickets/elsewhere.md": "---\nid: tk-0001\ntitle: [\n---\n",
            }
        )
        await controller.applied(commit)
        assert "tk-0001" in scene.names(TICKET)
        commit = scene.team.push({"fleet/tickets/elsewhere.md": None})
        await controller.applied(commit)
        await until(lambda: "tk-0001" not in scene.names(TICKET))


@pytest.mark.parametrize("line", ["id: [tk-0001", "id tk-0001", "id: TK 1", "di: 7"])
async def test_a_file_that_is_renamed_and_loses_its_id_is_no_deletion(
    scene: Scene, line: str
) -> None:
    body = "".join(f"{word} is to be done, and soon.\n" for word in ("This", "That", "More"))
    text = ticket("tk-0001", "Ticket 1") + body
    commit = scene.team.push({**tickets(3), "fleet/tickets/tk-0001.md": text})
    async with scene.controller() as controller:
        await scene.make(path="fleet")
        await controller.applied(commit)
        gone: dict[str, str | bytes | None] = {"fleet/tickets/tk-0001.md": None}
        other = text.replace("id: tk-0001", line, 1)
        await controller.applied(scene.team.push({**gone, "fleet/tickets/other.md": other}))
        assert await controller.synced()
        assert "tk-0001" in scene.names(TICKET)
        (said,) = scene.status["errors"]
        assert "Ticket tk-0001 is kept" in said["message"]
        # so it is still when it is changed and broken still, and to another controller
        other = f"---\n{line}\ntitle: Another one\n---\nAnd more.\n"
        await controller.applied(scene.team.push({"fleet/tickets/other.md": other}))
        assert "tk-0001" in scene.names(TICKET)
    async with scene.controller() as controller:
        assert await controller.synced()
        assert "tk-0001" in scene.names(TICKET)
        # what is like it and goes later goes all the same
        await controller.applied(scene.team.push({"fleet/tickets/tk-0002.md": None}))
        await until(lambda: scene.names(TICKET) == {"tk-0000", "tk-0001"})
        await controller.applied(scene.team.push({"fleet/tickets/other.md": text}))
        uid = scene.uids(TICKET)["tk-0001"]
        await until(lambda: scene.status["errors"] == [])
        assert scene.uids(TICKET)["tk-0001"] == uid
        await controller.applied(scene.team.push({"fleet/tickets/other.md": None}))
        await until(lambda: scene.names(TICKET) == {"tk-0000"})


async def test_a_broken_file_that_was_there_before_keeps_nothing_that_is_like_it(
    scene: Scene,
) -> None:
    files = tickets(3)
    broken = ticket("tk-0009", "Ticket 9", state="nowhere")
    commit = scene.team.push({**files, "fleet/tickets/tk-0009.md": broken})
    async with scene.controller() as controller:
        await scene.make(path="fleet")
        await controller.applied(commit)
        await controller.applied(scene.team.push({"fleet/tickets/tk-0001.md": None}))
        await until(lambda: scene.names(TICKET) == {"tk-0000", "tk-0002"})


async def test_who_had_an_id_keeps_it_and_both_paths_are_named(scene: Scene) -> None:
    commit = scene.team.push(tickets(2))
    async with scene.controller() as controller:
        await scene.make(path="fleet")
        await controller.applied(commit)
        commit = scene.team.push({"fleet/tickets/aaa.md": ticket("tk-0001", "Usurper")})
        await controller.applied(commit)
        assert scene.spec(TICKET, "tk-0001")["title"] == "Ticket 1"
        (error,) = scene.status["errors"]
        assert error["reason"] == "DuplicateId"
        assert error["path"] == "fleet/tickets/aaa.md"
        assert "fleet/tickets/tk-0001.md" in error["message"]
        assert scene.status["files"]["duplicate"] == 1


async def test_where_nobody_had_an_id_nobody_gets_it(scene: Scene) -> None:
    files: dict[str, str | bytes | None] = {
        "fleet/one.md": ticket("tk-same", "One"),
        "fleet/two.md": ticket("tk-same", "Two"),
        "fleet/three.md": ticket("tk-three", "Three"),
    }
    commit = scene.team.push(files)
    async with scene.controller() as controller:
        await scene.make(path="fleet")
        await controller.applied(commit)
        assert scene.names(TICKET) == {"tk-three"}
        assert [error["path"] for error in scene.status["errors"]] == [
            "fleet/one.md",
            "fleet/two.md",
        ]
        assert "fleet/two.md" in scene.status["errors"][0]["message"]
        commit = scene.team.push({"fleet/one.md": None})
        await controller.applied(commit)
        assert scene.spec(TICKET, "tk-same")["title"] == "Two"
        assert "errors" not in scene.status or scene.status["errors"] == []


async def test_a_mass_deletion_is_held_until_a_person_allows_that_commit(scene: Scene) -> None:
    commit = scene.team.push(tickets(30))
    async with scene.controller() as controller:
        await scene.make(path="fleet")
        await controller.applied(commit)
        gone: dict[str, str | bytes | None] = dict.fromkeys(tickets(20))
        commit = scene.team.push(gone)
        await controller.applied(commit)
        assert len(scene.names(TICKET)) == 30
        said = scene.condition("PruneHeld")
        assert said["status"] == "True"
        assert f"{ANNOTATION_ALLOW_PRUNE}={commit}" in said["message"]
        assert "Ticket tk-0000" in said["message"]
        assert scene.condition("Ready")["reason"] == "PruneHeld"
        await scene.annotate(GIT_SOURCE, "plan", ANNOTATION_ALLOW_PRUNE, "0" * 40)
        assert await controller.synced()
        assert len(scene.names(TICKET)) == 30
        await until(
            lambda: "is '000000000000', and allows" in scene.condition("PruneHeld")["message"]
        )
        await scene.annotate(GIT_SOURCE, "plan", ANNOTATION_ALLOW_PRUNE, commit)
        await until(lambda: len(scene.names(TICKET)) == 10)
        await until(lambda: scene.condition("PruneHeld") == {})
        # the word holds for that commit alone
        scene.team.push(tickets(25, 100))
        assert await controller.synced()
        scene.team.push(dict.fromkeys(tickets(25, 100)))
        assert await controller.synced()
        assert len(scene.names(TICKET)) == 35


async def test_a_persons_word_holds_for_later_commits_that_lack_no_more(scene: Scene) -> None:
    commit = scene.team.push(tickets(30))
    async with scene.controller() as controller:
        await scene.make(path="fleet")
        await controller.applied(commit)
        shown = scene.team.push(dict.fromkeys(tickets(20)))
        await controller.applied(shown)
        # an agent writes while the person reads
        changed = {"fleet/tickets/tk-0025.md": ticket("tk-0025", "By an agent")}
        await controller.applied(scene.team.push(changed))
        more = scene.team.push({"fleet/tickets/tk-0026.md": None})
        await controller.applied(more)
        await scene.annotate(GIT_SOURCE, "plan", ANNOTATION_ALLOW_PRUNE, shown)
        assert await controller.synced()
        assert len(scene.names(TICKET)) == 30  # of one more file nobody has said anything
        back = {"fleet/tickets/tk-0026.md": ticket("tk-0026", "Back")}
        await controller.applied(scene.team.push(back))
        await until(lambda: len(scene.names(TICKET)) == 10)


async def test_a_few_deletions_are_carried_out(scene: Scene) -> None:
    commit = scene.team.push(tickets(12))
    async with scene.controller() as controller:
        await scene.make(path="fleet")
        await controller.applied(commit)
        commit = scene.team.push(dict.fromkeys(tickets(3)))
        await controller.applied(commit)
        await until(lambda: len(scene.names(TICKET)) == 9)
        await until(lambda: scene.events("Pruned"))
        assert "Ticket tk-0000" in scene.events("Pruned")[0]


async def test_what_is_protected_or_not_pruned_stays(scene: Scene) -> None:
    commit = scene.team.push(tickets(4))
    async with scene.controller() as controller:
        await scene.make(path="fleet")
        await controller.applied(commit)
        await scene.annotate(TICKET, "tk-0000", "agentsmesh.io/prune", "disabled")
        commit = scene.team.push(dict.fromkeys(tickets(2)))
        await controller.applied(commit)
        await until(lambda: "tk-0001" not in scene.names(TICKET))
        assert "tk-0000" in scene.names(TICKET)
        # there is no file any more that could be changed instead of it
        assert controller.sources.of_ticket("acme", "tk-0000") is None
        await scene.change(TICKET, "tk-0000", spec={"title": "Mine"})
        await scene.change(GIT_SOURCE, "plan", spec={"prune": False})
        commit = scene.team.push({"fleet/tickets/tk-0002.md": None})
        await controller.applied(commit)
        assert await controller.synced()
        assert "tk-0002" in scene.names(TICKET)
        kept = await scene.kube.get(TICKET, "acme", "tk-0000")
        assert kept["spec"]["title"] == "Mine"
        assert LABEL_SOURCE not in kept["metadata"]["labels"]


@pytest.mark.parametrize("kinds", [["Ticket"], ["Ticket", "AgentPod"]])
@pytest.mark.parametrize("way", ["kept", "orphaned"])
async def test_a_ticket_that_is_let_go_starts_what_its_source_might_start(
    scene: Scene, way: str, kinds: list[str]
) -> None:
    text = ticket("tk-0001", "Runs", autoRun="{agentClassName: any}")
    commit = scene.team.push({**tickets(1), "fleet/tickets/tk-0001.md": text})
    async with scene.controller() as controller:
        await scene.make(path="fleet", kinds=kinds)
        await controller.applied(commit)
        assert "autoRun" in scene.spec(TICKET, "tk-0001")
        if way == "kept":
            await scene.annotate(TICKET, "tk-0001", "agentsmesh.io/prune", "disabled")
            await controller.applied(scene.team.push({"fleet/tickets/tk-0001.md": None}))
        else:
            await scene.delete(GIT_SOURCE, "plan")
            await until(lambda: scene.find(GIT_SOURCE, "plan") is None)
        await until(
            lambda: LABEL_SOURCE not in (scene.find(TICKET, "tk-0001") or {})["metadata"]["labels"]
        )
        assert ("autoRun" in scene.spec(TICKET, "tk-0001")) == ("AgentPod" in kinds)


async def test_neither_branch_nor_folder_nor_repository_that_is_gone_deletes(
    scene: Scene,
) -> None:
    commit = scene.team.push({**tickets(3), "README.md": "here"})
    async with scene.controller() as controller:
        await scene.make(path="fleet")
        await controller.applied(commit)
        for spec, reason in (
            ({"path": "elsewhere"}, "PathNotFound"),
            ({"path": "fleet", "branch": "nobody"}, "BranchNotFound"),
        ):
            await scene.change(GIT_SOURCE, "plan", spec=spec)
            await scene.fetched(reason)
            assert scene.condition("Ready")["status"] == "False"
            assert scene.condition("Stalled")["status"] == "True"
            assert len(scene.names(TICKET)) == 3
        await scene.change(GIT_SOURCE, "plan", spec={"branch": "main"})
        await until(lambda: scene.condition("Ready")["status"] == "True")
        # the whole folder goes in a commit
        scene.team.push(dict.fromkeys(tickets(3)))
        assert not await controller.synced()
        await until(lambda: scene.condition("Fetched")["reason"] == "PathNotFound")
        assert len(scene.names(TICKET)) == 3


@pytest.mark.parametrize("path", ["./fleet", "fleet/", "fleet/.", ".//fleet"])
async def test_another_way_to_write_the_folder_changes_nothing(scene: Scene, path: str) -> None:
    commit = scene.team.push(tickets(3))
    async with scene.controller() as controller:
        await scene.make(path="fleet")
        await controller.applied(commit)
        await scene.change(GIT_SOURCE, "plan", spec={"path": path})
        assert await controller.synced()
        assert scene.status["files"]["total"] == 3
        assert scene.names(TICKET) == {"tk-0000", "tk-0001", "tk-0002"}


async def test_an_empty_repository_is_no_deletion(scene: Scene) -> None:
    async with scene.controller() as controller:
        await scene.make(path="fleet")
        assert not await controller.synced()
        await until(lambda: scene.condition("Fetched").get("reason") == "EmptyRepository")
        commit = scene.team.push(tickets(2))
        await controller.applied(commit)
        assert len(scene.names(TICKET)) == 2


async def test_a_branch_that_was_forced_is_followed(scene: Scene) -> None:
    first = scene.team.push(tickets(3))
    scene.team.push({"fleet/tickets/tk-0000.md": ticket("tk-0000", "Later")})
    async with scene.controller() as controller:
        await scene.make(path="fleet")
        assert await controller.synced()
        assert scene.spec(TICKET, "tk-0000")["title"] == "Later"
        scene.team.force(f"{first}:refs/heads/main")
        await controller.applied(first)
        assert scene.spec(TICKET, "tk-0000")["title"] == "Ticket 0"


async def test_what_a_rewritten_branch_lacks_is_held_until_a_person_allows_it(
    scene: Scene,
) -> None:
    old = scene.team.push(tickets(1))
    before = scene.team.push(tickets(5))
    async with scene.controller() as controller:
        await scene.make(path="fleet")
        await controller.applied(before)
        git(scene.team.clone, "reset", "-q", "--hard", old)
        scene.team.force()
        await controller.applied(old)
        said = scene.condition("PruneHeld")
        assert (said["status"], said["reason"]) == ("True", "Rewritten")
        assert f"{ANNOTATION_ALLOW_PRUNE}={old}" in said["message"]
        assert await controller.synced()
    async with scene.controller() as controller:  # it is not forgotten
        later = scene.team.push({"fleet/tickets/tk-0009.md": ticket("tk-0009", "New")})
        await controller.applied(later)
        assert len(scene.names(TICKET)) == 6
        await until(lambda: scene.condition("PruneHeld").get("reason") == "Rewritten")
        await scene.annotate(GIT_SOURCE, "plan", ANNOTATION_ALLOW_PRUNE, later)
        await until(lambda: scene.names(TICKET) == {"tk-0000", "tk-0009"})
        await until(lambda: scene.condition("PruneHeld") == {})
        # from here on it is an ordinary history again
        await controller.applied(scene.team.push({"fleet/tickets/tk-0009.md": None}))
        await until(lambda: scene.names(TICKET) == {"tk-0000"})


async def test_a_rewritten_branch_to_which_its_files_come_back_deletes_again(scene: Scene) -> None:
    old = scene.team.push(tickets(1))
    before = scene.team.push(tickets(5))
    async with scene.controller() as controller:
        await scene.make(path="fleet")
        await controller.applied(before)
        scene.team.force(f"{old}:refs/heads/main")
        await controller.applied(old)
        assert len(scene.names(TICKET)) == 5
        scene.team.force(f"{before}:refs/heads/main")
        await controller.applied(before)
        await until(lambda: scene.condition("PruneHeld") == {})
        await controller.applied(scene.team.push({"fleet/tickets/tk-0004.md": None}))
        await until(lambda: len(scene.names(TICKET)) == 4)


async def test_another_branch_deletes_nothing_by_itself(scene: Scene) -> None:
    old = scene.team.push(tickets(2))
    scene.team.force(f"{old}:refs/heads/old")
    before = scene.team.push(tickets(5))
    async with scene.controller() as controller:
        await scene.make(path="fleet")
        await controller.applied(before)
        await scene.change(GIT_SOURCE, "plan", spec={"branch": "old"})
        await controller.applied(old)
        assert len(scene.names(TICKET)) == 5
        assert scene.condition("PruneHeld")["reason"] == "Rewritten"


async def test_a_renamed_file_keeps_its_ticket(scene: Scene) -> None:
    commit = scene.team.push(tickets(2))
    async with scene.controller() as controller:
        await scene.make(path="fleet")
        await controller.applied(commit)
        uid = scene.find(TICKET, "tk-0001")["metadata"]["uid"]  # type: ignore[index]
        new = "fleet/tickets/tk-0001-with-words.md"
        commit = scene.team.push({"fleet/tickets/tk-0001.md": None, new: ticket("tk-0001", "New")})
        await controller.applied(commit)
        found = scene.find(TICKET, "tk-0001")
        assert found is not None
        assert found["metadata"]["uid"] == uid
        assert found["metadata"]["annotations"][ANNOTATION_SOURCE_PATH] == new
        assert found["spec"]["title"] == "New"
        assert controller.sources.path_of("acme", "plan", "tk-0001") == new


async def test_what_drifts_is_put_back_with_a_word(scene: Scene) -> None:
    commit = scene.team.push(tickets(2))
    async with scene.controller() as controller:
        await scene.make(path="fleet")
        await controller.applied(commit)
        await scene.change(TICKET, "tk-0001", spec={"title": "Mine"})
        await until(lambda: scene.spec(TICKET, "tk-0001")["title"] == "Ticket 1")
        await until(lambda: scene.events("DriftReverted"))
        (said,) = scene.events("DriftReverted")
        assert "spec.title" in said
        assert "fleet/tickets/tk-0001.md" in said
        await scene.change(TICKET, "tk-0001", metadata={"labels": {LABEL_SOURCE: None}})
        await until(
            lambda: (scene.find(TICKET, "tk-0001") or {})["metadata"]["labels"].get(LABEL_SOURCE)
        )
        await scene.delete(TICKET, "tk-0000")
        await until(lambda: "tk-0000" in scene.names(TICKET))
        # what is nobody's business stays
        await scene.change(TICKET, "tk-0001", metadata={"labels": {"team": "red"}})
        assert await controller.synced()
        assert scene.find(TICKET, "tk-0001")["metadata"]["labels"]["team"] == "red"  # type: ignore[index]


async def test_what_is_not_remembered_is_read_again(scene: Scene) -> None:
    commit = scene.team.push(tickets(2))
    async with scene.controller() as controller:
        await scene.make(path="fleet")
        await controller.applied(commit)
        with sqlite3.connect(scene.folder / "gitops.db") as database:
            database.execute("UPDATE files SET declared = NULL")
        database.close()
        await scene.change(TICKET, "tk-0001", spec={"title": "Mine"})
        await until(lambda: scene.spec(TICKET, "tk-0001")["title"] == "Ticket 1")


async def test_what_is_to_be_left_alone_is(scene: Scene) -> None:
    commit = scene.team.push(tickets(2))
    async with scene.controller() as controller:
        await scene.make(path="fleet")
        await controller.applied(commit)
        await scene.annotate(TICKET, "tk-0001", ANNOTATION_RECONCILE, "disabled")
        await scene.change(TICKET, "tk-0001", spec={"title": "Mine"})
        commit = scene.team.push({"fleet/tickets/tk-0001.md": ticket("tk-0001", "Theirs")})
        await controller.applied(commit)
        assert scene.spec(TICKET, "tk-0001")["title"] == "Mine"
        await scene.annotate(TICKET, "tk-0001", ANNOTATION_RECONCILE, "enabled")
        await until(lambda: scene.spec(TICKET, "tk-0001")["title"] == "Theirs")


async def test_a_suspended_source_does_nothing_until_it_is_resumed(scene: Scene) -> None:
    commit = scene.team.push(tickets(1))
    async with scene.controller() as controller:
        await scene.make(path="fleet")
        await controller.applied(commit)
        await scene.change(GIT_SOURCE, "plan", spec={"suspend": True})
        await until(lambda: scene.condition("Ready")["reason"] == "Suspended")
        later = scene.team.push(tickets(1, 1))
        await scene.change(TICKET, "tk-0000", spec={"title": "Mine"})
        assert not await controller.synced()
        assert scene.names(TICKET) == {"tk-0000"}
        assert scene.spec(TICKET, "tk-0000")["title"] == "Mine"
        await scene.change(GIT_SOURCE, "plan", spec={"suspend": False})
        await controller.applied(later)
        assert scene.names(TICKET) == {"tk-0000", "tk-0001"}
        assert scene.spec(TICKET, "tk-0000")["title"] == "Ticket 0"


@pytest.mark.parametrize("policy", ["Orphan", "Delete"])
async def test_a_deleted_source_lets_go_or_deletes_as_it_says(scene: Scene, policy: str) -> None:
    commit = scene.team.push(tickets(3))
    async with scene.controller() as controller:
        await scene.make(path="fleet", deletionPolicy=policy)
        await controller.applied(commit)
        await scene.delete(GIT_SOURCE, "plan")
        await until(lambda: scene.find(GIT_SOURCE, "plan") is None)
        if policy == "Delete":
            assert scene.names(TICKET) == set()
            return
        assert len(scene.names(TICKET)) == 3
        for name in scene.names(TICKET):
            metadata = scene.find(TICKET, name)["metadata"]  # type: ignore[index]
            assert LABEL_SOURCE not in metadata["labels"]
            assert ANNOTATION_SOURCE_PATH not in metadata["annotations"]
        await until(
            lambda: all(
                "source" not in (scene.find(TICKET, name) or {}).get("status", {})
                for name in scene.names(TICKET)
            )
        )


async def test_a_deleted_source_names_what_it_waits_for(scene: Scene) -> None:
    commit = scene.team.push(tickets(2))
    async with scene.controller() as controller:
        await scene.make(path="fleet", deletionPolicy="Delete")
        await controller.applied(commit)
        await scene.change(TICKET, "tk-0001", metadata={"finalizers": ["example.com/keep"]})
        await scene.delete(GIT_SOURCE, "plan")
        await until(lambda: "Ticket tk-0001" in scene.condition("Ready").get("message", ""))
        await until(lambda: scene.names(TICKET) == {"tk-0001"})
        assert scene.condition("Ready")["reason"] == "Deleting"
        assert scene.condition("Ready")["status"] == "False"
        assert scene.status["appliedCommit"] == commit
        await scene.change(TICKET, "tk-0001", metadata={"finalizers": None})
        await until(lambda: scene.find(GIT_SOURCE, "plan") is None)


async def test_what_nobody_owns_is_adopted_and_what_another_source_has_is_not(
    scene: Scene,
) -> None:
    commit = scene.team.push({**tickets(2), "other/tk-0000.md": ticket("tk-0000", "Theirs")})
    async with scene.controller() as controller:
        body: dict[str, Any] = {"metadata": {"name": "tk-0001"}, "spec": {"title": "By hand"}}
        uid = (await scene.kube.create(TICKET, "acme", body))["metadata"]["uid"]
        await scene.make(path="fleet")
        await controller.applied(commit)
        assert scene.spec(TICKET, "tk-0001")["title"] == "Ticket 1"
        assert scene.find(TICKET, "tk-0001")["metadata"]["uid"] == uid  # type: ignore[index]
        spec = {"repositoryRef": {"name": "shop"}, "interval": "1h", "path": "other"}
        await scene.kube.create(GIT_SOURCE, "acme", {"metadata": {"name": "second"}, "spec": spec})
        await until(lambda: scene.condition("Ready", name="second").get("reason") == "InvalidFiles")
        assert "GitSource plan" in scene.condition("Ready", name="second")["message"]
        assert scene.spec(TICKET, "tk-0000")["title"] == "Ticket 0"


async def test_what_the_api_server_refuses_is_the_files_problem_alone(scene: Scene) -> None:
    commit = scene.team.push(tickets(3))

    def no(verb: str, resource: Resource, name: str) -> None:
        if (verb, resource, name) == ("create", TICKET, "tk-0001"):
            raise Refused("spec.title: it must not be so")

    scene.refuse = no
    async with scene.controller() as controller:
        await scene.make(path="fleet")
        await controller.applied(commit)
        assert scene.names(TICKET) == {"tk-0000", "tk-0002"}
        (error,) = scene.status["errors"]
        assert (error["reason"], error["line"]) == ("Refused", 3)
        problem = controller.sources.problem("acme", "plan", "fleet/tickets/tk-0001.md")
        assert problem is not None
        assert problem.reason == "Refused"
        tried = len(scene.writes)
        assert await controller.synced()
        assert [one for one in scene.writes[tried:] if one[0] == "create"] == []
        scene.refuse = lambda *_: None
        commit = scene.team.push({"fleet/tickets/tk-0001.md": ticket("tk-0001", "Better")})
        await controller.applied(commit)
        assert len(scene.names(TICKET)) == 3


async def test_what_a_quota_has_no_room_for_is_said_so(scene: Scene) -> None:
    commit = scene.team.push(tickets(2))

    def full(verb: str, resource: Resource, name: str) -> None:
        if (verb, resource, name) == ("create", TICKET, "tk-0001"):
            said = f'tickets.agentsmesh.io "{name}" is forbidden: exceeded quota: q, requested: …'
            raise from_status(403, {"reason": "Forbidden", "message": said})

    scene.refuse = full
    async with scene.controller() as controller:
        await scene.make(path="fleet")
        await controller.applied(commit)
        (error,) = scene.status["errors"]
        assert (error["reason"], error["path"]) == ("QuotaExceeded", "fleet/tickets/tk-0001.md")
        assert "exceeded quota: q" in error["message"]
        assert scene.names(TICKET) == {"tk-0000"}


async def test_a_request_is_answered_once_its_pass_has_ended(scene: Scene) -> None:
    scene.team.push(tickets(1))
    async with scene.controller() as controller:
        await scene.make(path="fleet")
        assert await controller.synced()
        later = scene.team.push(tickets(1, 1))
        await scene.annotate(GIT_SOURCE, "plan", ANNOTATION_REQUESTED_AT, "now")
        await until(lambda: scene.status.get("lastHandledRequestAt") == "now")
        assert scene.status["appliedCommit"] == later


async def test_a_branch_on_this_machine_that_moves_is_seen_without_a_word(scene: Scene) -> None:
    scene.team.push(tickets(1))
    async with scene.controller() as controller:
        await scene.make(path="fleet")
        assert await controller.synced()
        later = scene.team.push(tickets(1, 1))
        await controller.applied(later)


async def test_which_source_takes_new_tickets(scene: Scene) -> None:
    scene.team.push(tickets(1))
    async with scene.controller() as controller:
        await scene.make(path="fleet")
        assert await controller.synced()
        assert controller.sources.for_new_tickets("acme") is None
        await scene.change(GIT_SOURCE, "plan", spec={"writeBack": {"enabled": True}})
        assert controller.sources.for_new_tickets("acme") == "plan"


POD = manifest("AgentPod", "fix", "{agentClassName: greeter, ttlSecondsAfterFinished: 0}")


async def ends(scene: Scene) -> None:
    """Have the pod come to its end."""
    status = {"status": {"phase": "Succeeded"}}
    await scene.kube.patch(AGENT_POD, "acme", "fix", status, subresource="status")


async def test_a_pod_that_has_ended_and_is_gone_is_not_started_again(scene: Scene) -> None:
    commit = scene.team.push({"fleet/fix.yaml": POD, "fleet/tickets/a.md": ticket("tk-aaaa")})
    async with scene.controller() as controller:
        await scene.make(path="fleet")
        await controller.applied(commit)
        await scene.delete(AGENT_POD, "fix")  # by a person, while it works: it comes again
        await until(lambda: "fix" in scene.names(AGENT_POD))
        await ends(scene)
        await scene.delete(AGENT_POD, "fix")
        await controller.quiet()
        assert await controller.synced()
        assert "fix" not in scene.names(AGENT_POD)
        assert scene.status["files"]["synced"] == 2
    async with scene.controller() as controller:
        assert await controller.synced()
        scene.team.push({"fleet/renamed.yaml": POD, "fleet/fix.yaml": None})
        assert await controller.synced()
        assert "fix" not in scene.names(AGENT_POD)
        scene.team.push({"fleet/renamed.yaml": POD.replace("greeter", "greeter, prompt: Again")})
        assert await controller.synced()
        assert scene.spec(AGENT_POD, "fix")["prompt"] == "Again"


async def test_a_pod_that_ended_unseen_and_is_gone_is_not_started_again(scene: Scene) -> None:
    commit = scene.team.push({"fleet/fix.yaml": POD})
    async with scene.controller() as controller:
        await scene.make(path="fleet")
        await controller.applied(commit)
    await ends(scene)
    async with scene.controller() as controller:
        await scene.delete(AGENT_POD, "fix")
        assert await controller.synced()
    async with scene.controller() as controller:
        assert await controller.synced()
        assert "fix" not in scene.names(AGENT_POD)


async def test_a_pod_whose_making_was_not_answered_is_not_started_again(scene: Scene) -> None:
    lost = False

    def loses(verb: str, resource: Resource, name: str) -> None:
        nonlocal lost
        if (verb, resource) == ("create", AGENT_POD) and not lost:
            lost = True
            pod = scene.kube.objects[(AGENT_POD.kind, "acme", name)]
            pod["status"] = {"phase": "Succeeded"}
            pod["metadata"]["resourceVersion"] = "9999"
            for watcher in list(scene.kube.watchers):
                watcher(resource, pod)
            raise Unavailable("the answer is lost")

    scene.kube.after = loses
    scene.team.push({"fleet/fix.yaml": POD})
    async with scene.controller() as controller:
        await scene.make(path="fleet")
        await until(lambda: lost)
        await scene.delete(AGENT_POD, "fix")
        await until(lambda: scene.condition("Synced").get("status") == "True")
        assert await controller.synced()
        assert scene.names(AGENT_POD) == set()


async def test_a_changed_pod_that_has_ended_still_has_ended(scene: Scene) -> None:
    commit = scene.team.push({"fleet/fix.yaml": POD})
    async with scene.controller() as controller:
        await scene.make(path="fleet")
        await controller.applied(commit)
        await ends(scene)
        changed = POD.replace("Finished: 0", "Finished: 9")
        commit = scene.team.push({"fleet/fix.yaml": changed})
        await controller.applied(commit)
        assert scene.spec(AGENT_POD, "fix")["ttlSecondsAfterFinished"] == 9
        await scene.delete(AGENT_POD, "fix")
        assert await controller.synced()
        assert "fix" not in scene.names(AGENT_POD)


async def test_a_pod_that_cannot_be_changed_is_made_anew_as_soon_as_it_is_deleted(
    scene: Scene,
) -> None:
    commit = scene.team.push({"fleet/fix.yaml": POD})
    async with scene.controller() as controller:
        await scene.make(path="fleet")
        await controller.applied(commit)
        await ends(scene)
        await controller.quiet()

        def fixed(verb: str, resource: Resource, name: str) -> None:  # noqa: ARG001 - the hook's
            if (verb, resource) == ("patch", AGENT_POD):
                raise Refused("spec.prompt: cannot be changed once the pod is placed")

        scene.refuse = fixed
        commit = scene.team.push({"fleet/fix.yaml": POD.replace("greeter", "greeter, prompt: B")})
        await controller.applied(commit)
        (error,) = scene.status["errors"]
        assert error["reason"] == "Immutable"
        assert "delete the resource, and it is made anew" in error["message"]
        assert error["message"].endswith("or give it another metadata.name")
        await scene.delete(AGENT_POD, "fix")  # nobody pushes, and nobody asks
        await until(lambda: scene.spec(AGENT_POD, "fix").get("prompt") == "B")
        await until(lambda: not scene.status.get("errors"))


async def test_without_its_memory_no_pod_is_started_that_may_have_run(scene: Scene) -> None:
    commit = scene.team.push({"fleet/fix.yaml": POD})
    async with scene.controller() as controller:
        await scene.make(path="fleet")
        await controller.applied(commit)
        await until(lambda: scene.status.get("appliedCommit") == commit)
        await ends(scene)
        await scene.delete(AGENT_POD, "fix")
        await controller.quiet()
    (scene.folder / "gitops.db").unlink()
    scene.team.push({"fleet/new.yaml": POD.replace("name: fix", "name: new")})
    async with scene.controller() as controller:
        assert await controller.synced()
        assert scene.names(AGENT_POD) == {"new"}


async def test_after_another_controller_no_pod_is_started_that_may_have_run(scene: Scene) -> None:
    commit = scene.team.push({"fleet/fix.yaml": POD})
    async with scene.controller() as controller:
        await scene.make(path="fleet")
        await controller.applied(commit)
    await ends(scene)
    await scene.delete(AGENT_POD, "fix")  # the other one has seen it, we have not
    scene.current = False
    async with scene.controller():
        pass  # it dies before it has looked
    assert not scene.current
    async with scene.controller() as controller:
        assert await controller.synced()
        assert scene.names(AGENT_POD) == set()
    assert scene.current
    async with scene.controller() as controller:
        assert await controller.synced()
        assert scene.names(AGENT_POD) == set()


async def test_nothing_is_made_anew_while_its_organization_goes(scene: Scene) -> None:
    commit = scene.team.push(tickets(2))
    async with scene.controller() as controller:
        metadata = {"name": "acme", "finalizers": ["agentsmesh.io/organization"]}
        spec = {"members": [{"subject": {"kind": "User", "name": "ada"}, "role": "owner"}]}
        await scene.kube.create(ORGANIZATION, "", {"metadata": metadata, "spec": spec})
        await scene.make(path="fleet")
        await controller.applied(commit)
        await scene.kube.delete(ORGANIZATION, "", "acme")
        await scene.delete(TICKET, "tk-0000")
        assert not await controller.synced()
        assert scene.names(TICKET) == {"tk-0001"}


async def test_a_ticket_at_work_is_canceled_first_and_goes_when_its_pod_has_ended(
    scene: Scene,
) -> None:
    commit = scene.team.push({**tickets(2), "fleet/fix.yaml": POD})
    async with scene.controller() as controller:
        await scene.make(path="fleet")
        await controller.applied(commit)
        pod = scene.find(AGENT_POD, "fix")
        assert pod is not None
        claim = {
            "podName": "fix",
            "podUID": pod["metadata"]["uid"],
            "claimedAt": "2026-11-22T00:00:00Z",
        }
        await scene.kube.patch(
            TICKET, "acme", "tk-0001", {"status": {"claim": claim}}, subresource="status"
        )
        scene.team.push({"fleet/tickets/tk-0001.md": None})
        assert await controller.synced()
        assert scene.spec(TICKET, "tk-0001")["state"] == "canceled"
        await until(lambda: scene.condition("Synced").get("reason") == "WaitingForDeletion")
        await ends(scene)
        await until(lambda: "tk-0001" not in scene.names(TICKET))
        await until(lambda: scene.condition("Synced")["status"] == "True")


async def test_repository_and_secret_that_are_missing_are_told(scene: Scene) -> None:
    scene.team.push(tickets(1))
    async with scene.controller() as controller:
        spec = {"repositoryRef": {"name": "shop"}, "interval": "1h", "path": "fleet"}
        await scene.kube.create(GIT_SOURCE, "acme", {"metadata": {"name": "plan"}, "spec": spec})
        await scene.fetched("RepositoryNotFound")
        body = {"url": "/elsewhere/shop.git", "defaultBranch": "main"}
        await scene.kube.create(REPOSITORY, "acme", {"metadata": {"name": "shop"}, "spec": body})
        await scene.fetched("UrlNotAllowed")
        await scene.change(REPOSITORY, "shop", spec={"url": str(scene.team.bare)})
        await until(lambda: scene.condition("Ready").get("status") == "True")
        assert await controller.synced()


async def test_kinds_that_are_not_allowed_any_more_are_left_as_they_are(scene: Scene) -> None:
    commit = scene.team.push({**tickets(2), "fleet/fix.yaml": POD})
    async with scene.controller() as controller:
        await scene.make(path="fleet")
        await controller.applied(commit)
        await scene.change(GIT_SOURCE, "plan", spec={"kinds": ["AgentPod"]})
        await until(lambda: scene.status["files"]["invalid"] == 2)
        assert scene.names(TICKET) == {"tk-0000", "tk-0001"}
        await scene.change(TICKET, "tk-0000", spec={"title": "Mine"})
        assert await controller.synced()
        assert scene.spec(TICKET, "tk-0000")["title"] == "Mine"


async def test_commits_that_name_what_is_no_ticket_are_not_kept(scene: Scene) -> None:
    named = "".join(f"Ticket: nobody-{number}\n" for number in range(2000))
    scene.team.push(tickets(1), f"Begin\n\nTicket: tk-0000\n{named}")
    async with scene.controller() as controller:
        await scene.make(path="fleet")
        assert await controller.synced()
        (found,) = controller.sources.commits("acme", "tk-0000")
        assert found.subject == "Begin"
        assert controller.sources.commits("acme", "nobody-1") == ()


async def test_commits_that_name_a_ticket_are_found(scene: Scene) -> None:
    scene.team.push(tickets(2), "Begin\n\nTicket: tk-0001")
    async with scene.controller() as controller:
        await scene.make(path="fleet")
        assert await controller.synced()
        later = scene.team.push({"code.py": "pass\n"}, "Mend it\n\nTicket: tk-0001")
        assert await controller.synced()
        found = controller.sources.commits("acme", "tk-0001")
        assert [one.subject for one in found] == ["Mend it", "Begin"]
        assert found[0].sha == later
        await until(
            lambda: (
                (scene.find(TICKET, "tk-0001") or {})["status"].get("commits", [{}])[0].get("sha")
                == later
            )
        )
