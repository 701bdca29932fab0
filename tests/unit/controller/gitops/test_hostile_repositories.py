"""Whatever is in a repository: nothing of it runs, and it costs little time, memory and disk."""

import os
import resource
import shutil
import subprocess
from pathlib import Path

import pytest

from controller.gitops.mirror import Mirror
from controller.gitops.remote import (
    PATH_INVALID,
    TOO_MANY_FILES,
    Declined,
    MirrorError,
    Pushed,
    RefusedError,
    Rejected,
)
from controller.gitops.values import MAX_FILE_BYTES, EntryType
from tests.unit.controller.gitops.git_scene import Team, draft, fast_import, local_mirror
from tests.unit.runner.drivers.worktree.scene import git

pytestmark = pytest.mark.anyio

HOOKS = (
    "pre-receive", "update", "post-receive", "post-update", "proc-receive", "push-to-checkout",
    "reference-transaction", "pre-auto-gc", "pre-push", "post-checkout", "fsmonitor-watchman",
)  # fmt: skip


@pytest.fixture
def team(tmp_path: Path) -> Team:
    return Team(tmp_path)


@pytest.fixture
def made(tmp_path: Path, team: Team) -> Mirror:
    return local_mirror(tmp_path / "data", team)


def trap(team: Team, canary: Path) -> None:
    """Plant every way that the git of a repository has of running something."""
    script = team.bare / "trap.sh"
    script.write_text(f"#!/bin/sh\ntouch {canary}\n")
    script.chmod(0o755)
    (team.bare / "hooks").mkdir(exist_ok=True)
    for name in HOOKS:
        shutil.copy(script, team.bare / "hooks" / name)
    (team.bare / "included").write_text(f"[core]\n\tsshCommand = {script}\n")
    with (team.bare / "config").open("a") as file:
        file.write(f"""
[core]
\tfsmonitor = {script}
\thooksPath = {team.bare}/hooks
\tsshCommand = {script}
\tgitProxy = {script}
\tpager = {script}
\talternateRefsCommand = {script}
\trepositoryformatversion = 1
[extensions]
\tpartialClone = origin
[remote "origin"]
\turl = {team.bare}
\tpromisor = true
\tuploadpack = {script}
[uploadpack]
\tpackObjectsHook = {script}
[receive]
\tprocReceiveRefs = refs
\tautogc = true
[gc]
\tauto = 1
[hook "x"]
\tcommand = {script}
\tevent = pre-receive
[filter "evil"]
\tsmudge = {script}
\tclean = {script}
[include]
\tpath = {team.bare}/included
""")
    other = team.bare.parent / "other.git"
    git(team.bare.parent, "clone", "-q", "--bare", str(team.clone), str(other))
    (team.bare / "objects/info/alternates").write_text(f"{other}/objects\n")


async def test_no_hook_and_no_configuration_of_a_repository_runs(
    made: Mirror, team: Team, tmp_path: Path
) -> None:
    canary = tmp_path / "canary"
    tip = team.push(
        {
            ".gitattributes": "* filter=evil diff=evil merge=evil\n",
            ".gitmodules": f'[submodule "x"]\n\tpath = x\n\turl = ext::touch% {canary}\n'
            f"\tupdate = !touch {canary}\n",
            ".lfsconfig": f"[lfs]\n\turl = ext::touch% {canary}\n",
            ".mailmap": "Eve <eve@x> Ada <ada@acme.example>\n",
            "tickets/a.md": "a",
        },
        "Begin\n\nTicket: tk-1",
    )
    trap(team, canary)
    assert await made.remote_tip() == tip
    assert await made.fetch() == tip
    assert len(await made.entries(tip, ".")) == 5
    assert [each.author for each in await made.commits(None, tip)] == ["Ada"]
    (ours,) = await made.commit_all(tip, [draft({"tickets/a.md": b"b"})])
    assert await made.push(ours, tip) == Pushed(ours)
    assert team.tip() == ours
    assert not canary.exists()
    assert not list((team.bare.parent / "data").rglob("x/*"))


async def test_the_trap_is_one(team: Team, tmp_path: Path) -> None:
    team.push({"a.md": "a"})
    trap(team, tmp_path / "canary")
    git(team.clone, "commit", "-q", "--allow-empty", "-m", "x")
    git(team.clone, "push", str(team.bare), "HEAD:refs/heads/main", check=False)
    assert (tmp_path / "canary").exists()


async def test_links_and_submodules_are_told_apart_and_never_followed(
    made: Mirror, team: Team, tmp_path: Path
) -> None:
    secret = tmp_path / "secret.md"
    secret.write_text("canary")
    (team.clone / "tickets").mkdir()
    (team.clone / "tickets/link.md").symlink_to(secret)
    (team.clone / "folder.md").symlink_to(tmp_path)
    git(team.clone, "update-index", "--add", "--cacheinfo", f"160000,{'1' * 40},tickets/sub")
    git(team.clone, "add", "tickets/link.md", "folder.md")
    git(team.clone, "commit", "-q", "-m", "x")
    team.force()
    tip = await made.fetch()
    types = {entry.path: (entry.type, entry.size) for entry in await made.entries(tip, ".")}
    assert types == {
        "folder.md": (EntryType.SYMLINK, 0),
        "tickets/link.md": (EntryType.SYMLINK, 0),
        "tickets/sub": (EntryType.SUBMODULE, 0),
    }
    assert not await made.path_exists(tip, "folder.md")
    for path in ("tickets/link.md", "folder.md/x.md", "tickets/sub", "tickets/sub/x", "tickets"):
        with pytest.raises(RefusedError) as caught:
            await made.commit_all(tip, [draft({path: b"x"})])
        assert caught.value.reason == PATH_INVALID
    assert secret.read_text() == "canary"


async def test_a_path_that_leads_elsewhere_is_refused(made: Mirror, team: Team) -> None:
    tip = team.push({"a.md": "a"})
    await made.fetch()
    for path in ("../x", ".git/config", "a\nb", "\ud800"):
        with pytest.raises(RefusedError) as caught:
            await made.commit_all(tip, [draft({path: b"x"})])
        assert caught.value.reason == PATH_INVALID
        assert caught.value.sentence.isprintable()
        for ask in (made.path_exists, made.entries):
            with pytest.raises(RefusedError) as caught:
                await ask(tip, f"{path}/../..")
            assert caught.value.reason == PATH_INVALID


async def test_names_of_every_kind_come_as_they_are(made: Mirror, team: Team) -> None:
    names = (b"new\nline.md", b'"quoted".md', b"tab\t.md", b"\xff\xfe.md", b"-x.md", b":(top)x.md")
    stream = b"commit refs/heads/main\ncommitter A <a@b.c> 1 +0000\ndata 1\nx\n"
    for name in names:
        escaped = b"".join(b"\\%03o" % byte for byte in name)
        stream += b'M 100644 inline "tickets/' + escaped + b'"\ndata 1\nx\n'
    fast_import(team.bare, stream)
    tip = await made.fetch()
    entries = await made.entries(tip, "tickets")
    assert sorted(os.fsencode(entry.path) for entry in entries) == sorted(
        b"tickets/" + name for name in names
    )
    (ours,) = await made.commit_all(tip, [draft({"tickets/:(top)x.md": b"y", "-y.md": b"y"})])
    assert await made.push(ours, tip) == Pushed(ours)
    assert git(team.bare, "show", "main:tickets/:(top)x.md") == "y"


@pytest.mark.parametrize("name", ["..", ".git", ".GIT", "a/b", "."])
async def test_a_tree_that_could_not_be_checked_out_is_refused(
    made: Mirror, team: Team, name: str, tmp_path: Path
) -> None:
    good = team.push({"a.md": "a"})
    assert await made.fetch() == good
    blob = bytes.fromhex(git(team.bare, "rev-parse", "main:a.md"))
    (tmp_path / "tree").write_bytes(b"100644 " + name.encode() + b"\0" + blob)
    tree = git(team.bare, "hash-object", "-w", "-t", "tree", "--literally", str(tmp_path / "tree"))
    commit = git(team.bare, "commit-tree", "-p", good, "-m", "x", tree)
    git(team.bare, "update-ref", "refs/heads/main", commit)
    for _ in range(2):
        with pytest.raises(RefusedError, match="malformed") as caught:
            await made.fetch()
        assert caught.value.reason == "RepositoryMalformed"
    assert len(await made.entries(good, ".")) == 1  # what was there serves on


async def test_flaws_of_old_histories_harm_nobody(made: Mirror, team: Team, tmp_path: Path) -> None:
    good = team.push({"a.md": "a"})
    assert await made.fetch() == good
    blob = bytes.fromhex(git(team.bare, "rev-parse", "main:a.md"))
    (tmp_path / "tree").write_bytes(b"0100644 a.md\0" + blob)
    tree = git(team.bare, "hash-object", "-w", "-t", "tree", "--literally", str(tmp_path / "tree"))
    (tmp_path / "commit").write_text(
        f"tree {tree}\nparent {good}\nauthor A <> 1 -900000\ncommitter A <a@b> 1 +0000\n\nx\n"
    )
    commit = git(
        team.bare, "hash-object", "-w", "-t", "commit", "--literally", str(tmp_path / "commit")
    )
    git(team.bare, "update-ref", "refs/heads/main", commit)
    assert await made.fetch() == commit
    assert [entry.path for entry in await made.entries(commit, ".")] == ["a.md"]
    (ours,) = await made.commit_all(commit, [draft({"a.md": b"b"})])
    assert await made.push(ours, commit) == Pushed(ours)
    assert await made.fetch() == ours


async def test_a_tree_of_ten_thousand_million_files_is_refused_at_the_limit(
    made: Mirror, team: Team, tmp_path: Path
) -> None:
    team.push({"a.md": "a"})
    mode, kind, below = "100644", "blob", git(team.bare, "rev-parse", "main:a.md")
    for _ in range(10):
        lines = "".join(f"{mode} {kind} {below}\t{n}.md\n" for n in range(10))
        (tmp_path / "lines").write_text(lines)
        with (tmp_path / "lines").open() as file:
            below = shell_mktree(team.bare, file.read())
        mode, kind = "040000", "tree"
    tip = git(team.bare, "commit-tree", "-m", "x", below)
    git(team.bare, "update-ref", "refs/heads/main", tip)
    assert await made.fetch() == tip
    with pytest.raises(RefusedError) as caught:
        await made.entries(tip, ".")
    assert caught.value.reason == TOO_MANY_FILES


def shell_mktree(repository: Path, lines: str) -> str:
    done = subprocess.run(
        ["git", "-C", str(repository), "mktree"],
        input=lines,
        capture_output=True,
        text=True,
        check=True,
    )
    return done.stdout.strip()


async def test_a_blob_that_swells_is_known_by_its_size_and_never_in_memory(
    made: Mirror, team: Team
) -> None:
    tip = team.push({"a.md": "a", "zeros.md": bytes(24 * 1024 * 1024)})
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    await made.fetch()
    small, large = await made.entries(tip, ".")
    assert large.size > MAX_FILE_BYTES
    assert list(await made.blobs((small.blob, large.blob))) == [small.blob]
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 20 * 1024  # KiB


async def test_a_fetch_that_is_too_long_is_ended_and_leaves_nothing(
    team: Team, tmp_path: Path
) -> None:
    made = local_mirror(tmp_path / "data", team, fetch_bytes=300_000)
    good = team.push({"a.md": "a"})
    assert await made.fetch() == good
    large = {f"{n}.md": os.urandom(200_000) for n in range(4)}
    team.push(large)
    with pytest.raises(RefusedError) as caught:
        await made.fetch()
    assert caught.value.reason == "RepositoryTooLarge"
    shutil.rmtree(team.bare / "objects")  # it is not asked for again as long as it is the same
    (team.bare / "objects").mkdir()
    with pytest.raises(RefusedError) as caught:
        await made.fetch()
    assert caught.value.reason == "RepositoryTooLarge"
    assert len(await made.entries(good, ".")) == 1  # what was there serves on
    used = sum(p.stat().st_size for p in (tmp_path / "data").rglob("*") if p.is_file())
    assert used < 1_000_000
    team.rebuild()
    git(team.clone, "reset", "-q", "--hard", good)
    team.force()
    assert await made.fetch() == good


async def test_a_history_that_is_too_long_for_one_fetch_is_begun_anew(
    team: Team, tmp_path: Path
) -> None:
    made = local_mirror(tmp_path / "data", team, fetch_bytes=400_000)
    start = team.push({"a.md": "a"})
    await made.fetch()
    for _ in range(4):  # each alone would do
        team.push({"big.bin": os.urandom(150_000)})
    team.push({"big.bin": None})
    git(team.clone, "checkout", "-q", "--orphan", "fresh")
    tip = team.push({"b.md": "b"})
    assert await made.fetch() == tip
    assert [e.path for e in await made.entries(tip, ".")] == ["a.md", "b.md"]
    assert start != tip


@pytest.mark.parametrize("link", ["objects", "refs", "refs/heads"])
async def test_a_repository_that_is_pieced_together_by_links_is_not_opened(
    made: Mirror, team: Team, tmp_path: Path, link: str
) -> None:
    team.push({"a.md": "a"})
    (team.bare / link).rename(tmp_path / "elsewhere")
    (team.bare / link).symlink_to(tmp_path / "elsewhere")
    with pytest.raises(RefusedError, match="no repository"):
        await made.fetch()


async def test_a_link_in_the_place_of_packed_refs_does_not_show_what_it_leads_to(
    made: Mirror, team: Team, tmp_path: Path
) -> None:
    tip = team.push({"a.md": "a"})
    (tmp_path / "secret").write_text("canary-of-a-secret\n")
    (team.bare / "packed-refs").symlink_to(tmp_path / "secret")
    assert await made.fetch() == tip
    (team.bare / "HEAD").write_text("canary\n")
    assert await made.fetch() == tip
    (ours,) = await made.commit_all(tip, [draft({"a.md": b"b"})])
    assert await made.push(ours, tip) == Pushed(ours)


async def test_packed_branches_are_found_and_pushed_to(made: Mirror, team: Team) -> None:
    tip = team.push({"a.md": "a"})
    git(team.bare, "gc", "-q")
    git(team.bare, "config", "core.sharedRepository", "group")
    assert not (team.bare / "refs/heads/main").exists()
    assert await made.fetch() == tip
    (ours,) = await made.commit_all(tip, [draft({"a.md": b"b"})])
    assert await made.push(ours, tip) == Pushed(ours)
    assert team.tip() == ours
    packed = (team.bare / "packed-refs").read_text()
    assert tip in packed  # it is still the repository's own
    assert not (team.bare / "packed-refs").is_symlink()
    loose = team.bare / "objects" / ours[:2] / ours[2:]
    assert loose.stat().st_mode & 0o040  # others of the group read it, as is configured there


async def test_a_repository_with_a_working_tree_is_read_and_not_pushed_to(
    team: Team, tmp_path: Path
) -> None:
    tip = team.push({"a.md": "a"})
    team.bare = team.clone
    made = local_mirror(tmp_path / "data", team)
    assert await made.fetch() == tip
    (ours,) = await made.commit_all(tip, [draft({"a.md": b"b"})])
    outcome = await made.push(ours, tip)
    assert isinstance(outcome, Declined)
    assert "bare" in outcome.message


async def test_other_formats_and_no_repository_are_said(
    made: Mirror, team: Team, tmp_path: Path
) -> None:
    shutil.rmtree(team.bare)
    with pytest.raises(RefusedError, match="no repository in that folder"):
        await made.fetch()
    git(tmp_path, "init", "-q", "--bare", "--object-format=sha256", str(team.bare))
    with pytest.raises(RefusedError, match="format that is not read"):
        await made.remote_tip()


async def test_a_lock_that_somebody_holds_is_respected_and_one_that_is_left_is_not(
    made: Mirror, team: Team
) -> None:
    tip = team.push({"a.md": "a"})
    await made.fetch()
    (ours,) = await made.commit_all(tip, [draft({"a.md": b"b"})])
    lock = team.bare / "refs/heads/main.lock"
    lock.touch()
    assert isinstance(await made.push(ours, tip), Rejected)
    assert lock.exists()
    os.utime(lock, (1, 1))
    assert await made.push(ours, tip) == Pushed(ours)
    assert not lock.exists()


async def test_novels_in_messages_are_cut_and_hide_no_operation(made: Mirror, team: Team) -> None:
    start = team.push({"a.md": "a"})
    landed = team.push({"a.md": "b"}, "x\n\nTicket: tk-1\nOperation-Id: op-1")
    novel = b"w" * 17_000_000
    head = b"commit refs/heads/main\ncommitter A <a@b.c> 1 +0000\n"
    text = novel[:3_000_000] + b"\n\nTicket: tk-2\nOperation-Id: op-2\n"
    fast_import(team.bare, head + b"data %d\n%b\nfrom %b\n" % (len(text), text, landed.encode()))
    tip = await made.fetch()
    newest, oldest = await made.commits(start, tip)
    assert (newest.tickets, len(newest.subject)) == (("tk-2",), 200)
    assert oldest.tickets == ("tk-1",)
    assert await made.operations_landed(start, tip) == {"op-1": landed, "op-2": tip}
    text = b"x\n\nTicket: " + novel + b"\nOperation-Id: op-3\n"
    fast_import(team.bare, head + b"data %d\n%b\nfrom %b\n" % (len(text), text, tip.encode()))
    tip = await made.fetch()
    assert await made.commits(start, tip) == []
    with pytest.raises(MirrorError):  # which would be made twice, if it were not found
        await made.operations_landed(start, tip)
