"""A branch of a real server is mirrored, read, and changed by commits without a checkout."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from controller.gitops.mirror import Mirror
from controller.gitops.reading import batches
from controller.gitops.remote import (
    BRANCH_NOT_FOUND,
    COMMIT_GONE,
    TOO_MANY_FILES,
    GoneError,
    LateError,
    Pushed,
    RefusedError,
    Rejected,
    Remote,
)
from controller.gitops.upstream import MirrorSettings
from controller.gitops.values import MAX_FILE_BYTES, Author, Entry, EntryType
from gitaccess.credentials import Credentials
from tests.unit.controller.gitops.git_scene import (
    LOOPBACK,
    PASSWORD,
    POD,
    US,
    Team,
    draft,
    fast_import,
    local_mirror,
    mirror,
    served,
)
from tests.unit.runner.drivers.worktree.git_server import GitServer
from tests.unit.runner.drivers.worktree.scene import git

pytestmark = pytest.mark.anyio


@pytest.fixture
def team(tmp_path: Path) -> Team:
    return Team(tmp_path)


@pytest.fixture
def server(tmp_path: Path) -> Iterator[tuple[GitServer, Credentials]]:
    with served(tmp_path, tmp_path, PASSWORD) as both:
        yield both


@pytest.fixture
def remote(server: tuple[GitServer, Credentials]) -> Remote:
    return Remote(f"{server[0].url}/team.git", "main", server[1])


@pytest.fixture
def made(tmp_path: Path, remote: Remote) -> Mirror:
    found = mirror(tmp_path / "data", MirrorSettings(networks=LOOPBACK))
    found.use(remote)
    return found


@pytest.fixture
def local(tmp_path: Path, team: Team) -> Mirror:
    return local_mirror(tmp_path / "data", team)


async def test_a_branch_is_fetched_and_its_files_are_read(made: Mirror, team: Team) -> None:
    tip = team.push({"tickets/a.md": "first", "fleet/x.yaml": "second", "README.md": "third"})
    assert await made.remote_tip() == tip
    assert await made.fetch() == tip
    entries = await made.entries(tip, "./tickets//")
    assert [(e.path, e.size, e.type) for e in entries] == [("tickets/a.md", 5, EntryType.FILE)]
    everything = await made.entries(tip, ".")
    assert [e.path for e in everything] == ["README.md", "fleet/x.yaml", "tickets/a.md"]
    found = await made.blobs(e.blob for e in everything)
    assert sorted(found.values()) == [b"first", b"second", b"third"]
    assert await made.path_exists(tip, "fleet")
    assert not await made.path_exists(tip, "README.md")
    assert not await made.path_exists(tip, "nowhere")
    assert await made.entries(tip, "nowhere") == []


async def test_only_what_is_new_is_fetched_and_both_commits_are_here(
    local: Mirror, team: Team
) -> None:
    old = team.push({"a.md": "first"})
    await local.fetch()
    new = team.push({"a.md": "second"})
    assert await local.remote_tip() == new
    assert await local.fetch() == new
    before, after = await local.entries(old, "."), await local.entries(new, ".")
    both = await local.blobs((before[0].blob, after[0].blob))
    assert [both[e[0].blob] for e in (before, after)] == [b"first", b"second"]


async def test_what_we_pushed_is_here_until_something_else_is_fetched(
    local: Mirror, team: Team
) -> None:
    tip = team.push({"a.md": "first"})
    assert await local.fetch() == tip
    (ours,) = await local.commit_all(tip, [draft({"b.md": b"second"})])
    assert not local.has(ours)
    assert isinstance(await local.push(ours, tip), Pushed)
    assert (await local.remote_tip(), local.has(ours), local.has(tip)) == (ours, True, False)
    assert [entry.path for entry in await local.entries(ours, ".")] == ["a.md", "b.md"]
    git(team.clone, "pull", "-q", str(team.bare), "main")
    theirs = team.push({"c.md": "third"})
    assert await local.fetch() == theirs
    assert not local.has(ours)
    await local.remove()
    assert not local.has(theirs)


async def test_a_force_push_is_followed(local: Mirror, team: Team) -> None:
    team.push({"a.md": "first"})
    gone = team.push({"a.md": "second"})
    await local.fetch()
    git(team.clone, "reset", "-q", "--hard", "HEAD~1")
    new = team.push({"a.md": "third"})
    assert await local.fetch() == new
    assert await local.operations_landed(gone, new) == {}
    git(team.clone, "checkout", "-q", "--orphan", "other")
    unrelated = team.push({"a.md": "fourth"})
    assert await local.fetch() == unrelated
    assert [e.path for e in await local.entries(unrelated, ".")] == ["a.md"]


async def test_an_empty_repository_and_a_missing_branch_are_told_apart(
    local: Mirror, team: Team
) -> None:
    assert await local.remote_tip() is None
    assert await local.is_empty()
    team.push({"a.md": "first"})
    local.use(Remote(str(team.bare), "other"))
    assert await local.remote_tip() is None
    assert not await local.is_empty()
    with pytest.raises(RefusedError, match="no branch 'other'") as caught:
        await local.fetch()
    assert caught.value.reason == BRANCH_NOT_FOUND
    local.use(Remote(str(team.bare), "main"))
    assert await local.fetch() == team.tip()


async def test_a_commit_that_is_not_here_is_said(local: Mirror, team: Team) -> None:
    for _ in range(2):  # before and after the first fetch
        with pytest.raises(GoneError) as caught:
            await local.entries("0" * 39 + "1", ".")
        assert caught.value.reason == COMMIT_GONE
        assert not caught.value.stalled
        team.push({"a.md": "first"})
        await local.fetch()


async def test_commits_are_made_without_a_checkout_and_pushed(made: Mirror, team: Team) -> None:
    parent = team.push({"tickets/a.md": "a", "tickets/b.md": "b", "run.sh": "#!"})
    git(team.clone, "update-index", "--chmod=+x", "tickets/b.md")
    git(team.clone, "commit", "-q", "-m", "x")
    team.force()
    parent = await made.fetch()
    odd = 'tickets/"quoted" \u00e4 \U0001f41b.md'
    first, second = await made.commit_all(
        parent,
        [
            draft({"tickets/a.md": b"A\r\n", odd: b""}, "Start a\n\nTicket: a\nOperation-Id: op-1"),
            draft({"tickets/b.md": b"B", "tickets/a.md": None, "new/deep/c.md": b"\0c"}, "b", US),
        ],
    )
    assert await made.push(second, parent) == Pushed(second)
    assert team.tip() == second
    assert git(team.bare, "rev-list", "main").split()[:3] == [second, first, parent]
    names = git(team.bare, "-c", "core.quotePath=false", "ls-tree", "-r", "main").splitlines()
    modes = {line.partition("\t")[2]: line.split()[0] for line in names}
    assert modes == {
        '"' + odd.replace('"', '\\"') + '"': "100644",
        "new/deep/c.md": "100644",
        "run.sh": "100644",
        "tickets/b.md": "100755",
    }
    assert git(team.bare, "show", f"{first}:tickets/a.md") == "A"
    who = git(team.bare, "log", "-1", "--format=%an|%ae|%cn|%ce|%at|%ct|%s", first)
    assert who == f"{POD.name}|{POD.email}|{US.name}|{US.email}|1700000000|1700000000|Start a"
    trailers = git(team.bare, "log", "-1", "--format=%(trailers:only=true)", first)
    assert trailers == "Ticket: a\nOperation-Id: op-1"
    assert git(team.bare, "fsck", "--strict") == ""
    assert await made.fetch() == second


async def test_who_was_faster_wins_and_nothing_is_lost(local: Mirror, team: Team) -> None:
    parent = team.push({"a.md": "a", "b.md": "b"})
    await local.fetch()
    (ours,) = await local.commit_all(parent, [draft({"a.md": b"ours"})])
    theirs = team.push({"b.md": "theirs"})
    assert isinstance(await local.push(ours, parent), Rejected)
    assert isinstance(await local.push(ours, theirs), Rejected)  # it does not descend from it
    assert team.tip() == theirs
    assert await local.fetch() == theirs
    (again,) = await local.commit_all(theirs, [draft({"a.md": b"ours"})])
    assert await local.push(again, theirs) == Pushed(again)
    assert (team.show("a.md"), team.show("b.md")) == ("ours", "theirs")


async def test_what_was_taken_back_or_deleted_is_not_brought_back(
    local: Mirror, team: Team
) -> None:
    first = team.push({"a.md": "a"})
    leaked = team.push({"secret": "leaked"})
    await local.fetch()
    (ours,) = await local.commit_all(leaked, [draft({"a.md": b"ours"})])
    team.force(f"{first}:refs/heads/main")
    assert isinstance(await local.push(ours, leaked), Rejected)
    assert team.tip() == first
    git(team.bare, "update-ref", "-d", "refs/heads/main")
    assert isinstance(await local.push(ours, leaked), Rejected)
    assert git(team.bare, "branch", "--list") == ""


async def test_tickets_and_operations_are_found_in_what_is_new(local: Mirror, team: Team) -> None:
    start = team.push({"a.md": "0"}, "Begin\n\nTicket: tk-0")
    one = team.push({"a.md": "1"}, "Fix a\n\nTicket: tk-1\nTicket: tk-2\nOperation-Id: op-1")
    team.push({"a.md": "2"}, "Nothing of ours\n\nbut Ticket: tk-9 in its text")
    two = team.push({"a.md": "3"}, "Fix b \x1b[31m\n\nText.\n\nOperation-Id: op-2\nTicket: tk-1")
    await local.fetch()
    newest, oldest = await local.commits(start, two)
    assert (newest.commit, newest.tickets, newest.subject) == (two, ("tk-1",), "Fix b  [31m")
    assert (oldest.commit, oldest.tickets, oldest.author) == (one, ("tk-1", "tk-2"), "Ada")
    assert [each.tickets for each in await local.commits(None, start)] == [("tk-0",)]
    assert len(await local.commits("0" * 40, two)) == 3
    assert await local.operations_landed(start, two) == {"op-1": one, "op-2": two}
    assert await local.operations_landed(one, two) == {"op-2": two}
    assert await local.operations_landed(two, two) == {}


async def test_operations_are_found_beyond_what_a_new_mirror_begins_with(
    local: Mirror, team: Team
) -> None:
    start = team.push({"a.md": "0"})
    landed = team.push({"a.md": "1"}, "Ours\n\nOperation-Id: op-1")
    many = "".join(
        f"commit refs/heads/main\ncommitter A <a@b.c> {1700000000 + n} +0000\ndata 1\nx\n"
        + (f"from {landed}\n" if n == 0 else "")
        for n in range(400)
    )
    fast_import(team.bare, many.encode())
    tip = await local.fetch()
    assert await local.commits(None, tip) == []  # it begins later
    assert await local.operations_landed(start, tip) == {"op-1": landed}
    assert await local.fetch() == tip


async def test_many_pushes_leave_a_small_mirror(local: Mirror, team: Team, tmp_path: Path) -> None:
    team.push({"a.md": "0"})
    await local.fetch()
    repository = tmp_path / "data" / "mirrors" / "uid-1" / "repo.git"
    pack = next(repository.glob("objects/pack/*.pack"))
    for number in range(60):  # as many fetches leave
        copy = pack.with_name(f"pack-{number:040x}.pack")
        for suffix in (".pack", ".idx", ".promisor"):
            copy.with_suffix(suffix).write_bytes(pack.with_suffix(suffix).read_bytes())
    tip = team.push({"a.md": "1"})
    assert await local.fetch() == tip
    assert len(list(repository.glob("objects/pack/*.pack"))) <= 2
    assert len(await local.entries(tip, ".")) == 1
    assert git(repository, "fsck") == ""


async def test_a_folder_with_too_many_files_is_refused_as_a_whole(
    local: Mirror, team: Team
) -> None:
    tip = team.push({f"{n}.md": "x" for n in range(11)})
    await local.fetch()
    assert len(await local.entries(tip, ".", 11)) == 11
    with pytest.raises(RefusedError, match="more than 10 files") as caught:
        await local.entries(tip, ".", 10)
    assert caught.value.reason == TOO_MANY_FILES
    assert caught.value.stalled


async def test_a_long_file_is_known_by_its_size_and_never_read(local: Mirror, team: Team) -> None:
    tip = team.push({"a.md": "x" * MAX_FILE_BYTES, "b.md": "x" * (MAX_FILE_BYTES + 1)})
    await local.fetch()
    fits, too_long = await local.entries(tip, ".")
    assert (fits.size, too_long.size) == (MAX_FILE_BYTES, MAX_FILE_BYTES + 1)
    assert list(await local.blobs((fits.blob, too_long.blob))) == [fits.blob]


async def test_what_a_server_can_leave_out_is_left_out(
    local: Mirror, team: Team, tmp_path: Path
) -> None:
    tip = team.push({"a.md": "x", "big.bin": "x" * (MAX_FILE_BYTES + 1), "c.md": "c"})
    await local.fetch()
    small, big, _ = await local.entries(tip, ".")
    assert (small.size, big.size) == (1, MAX_FILE_BYTES + 1)
    repository = tmp_path / "data" / "mirrors" / "uid-1" / "repo.git"
    assert big.blob not in git(repository, "cat-file", "--batch-check", "--batch-all-objects")
    (ours,) = await local.commit_all(tip, [draft({"a.md": b"y"})])
    assert await local.push(ours, tip) == Pushed(ours)
    assert team.show("a.md") == "y"
    newer = team.push({"c.md": "d", "a.md": "y"})
    assert await local.fetch() == newer
    assert git(team.bare, "fsck", "--strict", "--no-dangling") == ""


async def test_names_and_addresses_of_authors_cannot_change_the_commit(
    local: Mirror, team: Team
) -> None:
    parent = team.push({"a.md": "a"})
    await local.fetch()
    evil = Author("x\nfrom 0000\n<y> \0", "a>\n b\ud800@c <d")
    (ours,) = await local.commit_all(
        parent, [draft({"a.md": b"b"}, "one\0\ndata 99\nD a.md\n\nTicket: x", evil)]
    )
    assert await local.push(ours, parent) == Pushed(ours)
    assert git(team.bare, "log", "-1", "--format=%an|%ae") == "xfrom 0000y|ab?@cd"
    assert git(team.bare, "log", "-1", "--format=%B").splitlines()[1] == "data 99"
    assert git(team.bare, "fsck", "--strict") == ""


async def test_the_password_leaves_no_trace(
    made: Mirror,
    team: Team,
    server: tuple[GitServer, Credentials],
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level("DEBUG")
    parent = team.push({"a.md": "a"})
    await made.fetch()
    (ours,) = await made.commit_all(parent, [draft({"a.md": b"b"})])
    assert await made.push(ours, parent) == Pushed(ours)
    spoiled = tmp_path / "data" / "mirrors" / "uid-1" / "repo.git" / "refs/agentsmesh/tip"
    spoiled.write_bytes(bytes(41))
    assert await made.fetch() == ours
    assert "made anew" in caplog.text
    assert PASSWORD not in caplog.text
    assert server[0].scanned > 0  # it was looked for where it could have been
    assert server[0].seen_in_a_process == []
    for path in (tmp_path / "data").rglob("*"):
        if path.is_file():
            assert PASSWORD.encode() not in path.read_bytes()
            assert server[1].basic().encode() not in path.read_bytes()
    assert [path.name for path in (tmp_path / "data" / "home").iterdir()] == ["gitconfig"]


async def test_a_removed_mirror_is_gone_and_comes_back_with_the_next_fetch(
    local: Mirror, team: Team, tmp_path: Path
) -> None:
    tip = team.push({"a.md": "a"})
    await local.remove()
    await local.fetch()
    await local.remove()
    assert list((tmp_path / "data" / "mirrors").iterdir()) == []
    with pytest.raises(GoneError):
        await local.entries(tip, ".")
    assert await local.fetch() == tip


async def test_paths_come_in_the_order_of_their_last_changes(made: Mirror, team: Team) -> None:
    team.push({"a/1.md": "1", "a/ü [x]*.md": "2", "b/3.md": "3", "a/4.md": "4"})
    team.push({"a/ü [x]*.md": "2 again", "b/3.md": "3 again"})
    tip = team.push({"a/4.md": None})
    assert await made.fetch() == tip
    assert await made.newest(tip, "a") == ["a/4.md", "a/ü [x]*.md", "a/1.md"]
    assert (await made.newest(tip, "."))[:3] == ["a/4.md", "a/ü [x]*.md", "b/3.md"]


def test_files_are_cut_into_parts_that_fit_into_memory() -> None:
    entries = [Entry(str(size), "", size, EntryType.FILE) for size in (4, 4, 9, 1, 1)]
    parts = [[entry.size for entry in part] for part in batches(entries, 8)]
    assert parts == [[4, 4], [9], [1, 1]]
    assert list(batches([])) == []


async def test_what_is_not_fetched_in_time_is_not_tried_again_at_once(
    team: Team, tmp_path: Path
) -> None:
    team.push({"a.md": "a"})
    made = local_mirror(tmp_path / "data", team, fetch_seconds=0.001)
    with pytest.raises(LateError, match=r"much to unpack$"):
        await made.fetch()
    shutil.rmtree(team.bare)
    with pytest.raises(LateError, match="again after 1 min"):
        await made.fetch()
