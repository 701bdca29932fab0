"""Where the commit of a plan is found, and that nothing of a repository is run."""

import asyncio
import subprocess
from pathlib import Path

import pytest

from cli.errors import CommandError, NotFound, Unreachable, Usage
from cli.plan.command import unbased_on
from cli.plan.place import Commit, Place, also, found
from controller.gitops.remote import RefusedError
from controller.gitops.values import MAX_FILE_BYTES, EntryType


def git(folder: Path, *args: str) -> str:
    done = subprocess.run(
        ("git", "-c", "user.name=Ada", "-c", "user.email=a@b.c", "-C", str(folder), *args),
        check=True,
        capture_output=True,
        text=True,
    )
    return done.stdout.strip()


@pytest.fixture
def clone(tmp_path: Path) -> Path:
    """A clone with two commits on main, the first also a tag, and a branch of its own."""
    folder = tmp_path / "shop"
    (folder / "fleet").mkdir(parents=True)
    git(tmp_path, "init", "-q", "-b", "main", "shop")
    for number in (1, 2):
        (folder / "fleet" / "a.md").write_text(f"No {number}\n")
        git(folder, "add", "-A")
        git(folder, "commit", "-q", "-m", f"No {number}")
        if number == 1:
            git(folder, "tag", "v1")
            git(folder, "branch", "feat/one")
    git(folder, "remote", "add", "origin", "https://git.example/shop.git")
    return folder


def place(source: str) -> Place:
    with found(source) as place:
        return place


def test_a_folder_is_its_head_or_the_ref_behind_it(clone: Path) -> None:
    head, first = git(clone, "rev-parse", "main"), git(clone, "rev-parse", "v1")
    (clone / "fleet" / "a.md").write_text("Not committed.\n")
    assert place(str(clone)).commit == head
    assert place(str(clone / "fleet")).commit == head
    for ref in ("v1", "feat/one", first, "main~1"):
        assert place(f"{clone}@{ref}").commit == first
    assert place(f"{clone}@feat/one").branch == "feat/one"
    assert place(str(clone)).branch == "main"
    assert place(f"{clone}@{first}").branch == ""


def test_a_repository_is_known_by_its_remotes_and_its_folder(clone: Path) -> None:
    addresses = place(str(clone)).addresses
    assert "https://git.example/shop.git" in addresses
    assert str(clone) in addresses
    assert clone.as_uri() in addresses


def test_a_bare_repository_and_a_folder_with_an_at_sign_work(clone: Path) -> None:
    bare = clone.parent / "shop@home.git"
    git(clone.parent, "clone", "-q", "--bare", str(clone), str(bare))
    assert place(str(bare)).commit == git(clone, "rev-parse", "main")
    assert place(f"{bare}@v1").commit == git(clone, "rev-parse", "v1")


def test_an_address_is_fetched_and_leaves_nothing_behind(clone: Path) -> None:
    first = git(clone, "rev-parse", "v1")
    with found(f"{clone.as_uri()}@feat/one") as far:
        assert (far.commit, far.branch) == (first, "feat/one")
        assert also(far, git(clone, "rev-parse", "main"))
        assert not also(far, "0" * 40)
        folder = far.folder
    assert not folder.exists()
    assert place(clone.as_uri()).commit == git(clone, "rev-parse", "main")


@pytest.mark.parametrize(
    ("source", "error"),
    [
        pytest.param("{}/nowhere", NotFound, id="no such folder"),
        pytest.param("{}@nowhere", NotFound, id="no such ref"),
        pytest.param("{}@-x", Usage, id="an option as ref"),
        pytest.param("{}@--output=canary", Usage, id="a long option as ref"),
        pytest.param("file://{}@nowhere", NotFound, id="no such ref at an address"),
        pytest.param("file://{}@-x", Usage, id="an option as ref of an address"),
        pytest.param("file:///nowhere/at/all@main", Unreachable, id="no repository there"),
        pytest.param("git@git.example:shop.git", Usage, id="the short way of ssh"),
        pytest.param("ext::sh -c 'touch canary'@main", NotFound, id="another protocol"),
        pytest.param("--upload-pack=touch canary", Usage, id="an option"),
        pytest.param("/", Usage, id="no repository"),
        pytest.param("", Usage, id="nothing"),
    ],
)
def test_what_cannot_be_read_is_a_sentence(
    clone: Path, monkeypatch: pytest.MonkeyPatch, source: str, error: type[CommandError]
) -> None:
    monkeypatch.chdir(clone.parent)
    with pytest.raises(error, match="--source"):
        place(source.format(clone))
    assert not list(clone.parent.rglob("canary"))


def test_a_password_in_an_address_is_not_told() -> None:
    with pytest.raises(CommandError) as told:
        place("https://ada:s3cr3t@127.0.0.1:1/shop.git@main")
    assert "s3cr3t" not in str(told.value)


def test_nothing_of_the_repository_is_run(clone: Path) -> None:
    canary = clone.parent / "canary"
    for name in ("core.fsmonitor", "core.hooksPath", "filter.x.smudge", "core.pager"):
        git(clone, "config", name, f"touch {canary}")
    (clone / ".gitattributes").write_text("* filter=x\n")
    commit = Commit(clone, place(str(clone)).commit)

    async def read() -> bytes:
        (entry,) = await commit.entries(await commit.fetch(), "fleet")
        return (await commit.blobs([entry.blob]))[entry.blob]

    assert asyncio.run(read()) == b"No 2\n"
    assert not canary.exists()


def test_trees_are_read_as_mirrors_are(clone: Path) -> None:
    (clone / "fleet" / "big.md").write_bytes(b"x" * (MAX_FILE_BYTES + 1))
    (clone / "fleet" / "link.md").symlink_to("/etc/passwd")
    (clone / "fleet" / "z\n'.md").write_bytes(b"odd")
    git(clone, "add", "-A")
    git(clone, "commit", "-q", "-m", "Odd")
    commit = Commit(clone, git(clone, "rev-parse", "HEAD"))

    async def read() -> None:
        tip = await commit.fetch()
        entries = {each.path: each for each in await commit.entries(tip, "fleet")}
        assert entries["fleet/link.md"].type is EntryType.SYMLINK
        assert entries["fleet/big.md"].size == MAX_FILE_BYTES + 1
        contents = await commit.blobs(each.blob for each in entries.values())
        assert entries["fleet/big.md"].blob not in contents
        assert contents[entries["fleet/z\n'.md"].blob] == b"odd"
        assert len(await commit.entries(tip, ".")) == 4
        assert await commit.path_exists(tip, "fleet")
        assert not await commit.path_exists(tip, "fleet/a.md")
        assert not await commit.path_exists(tip, "nowhere")

    asyncio.run(read())


def test_what_is_too_much_for_a_mirror_is_too_much_for_a_plan(
    clone: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in range(30):
        (clone / "fleet" / f"n{number}.txt").write_text("x")
    git(clone, "add", "-A")
    git(clone, "commit", "-q", "-m", "many")
    commit = Commit(clone, git(clone, "rev-parse", "HEAD"))

    async def count() -> int:
        return len(await commit.entries(await commit.fetch(), "fleet"))

    there = asyncio.run(count())
    monkeypatch.setattr("cli.plan.place.MAX_LISTED", there)
    assert asyncio.run(count()) == there
    monkeypatch.setattr("cli.plan.place.MAX_LISTED", there - 1)
    with pytest.raises(RefusedError, match="more than"):
        asyncio.run(count())


def test_a_place_knows_whether_its_commit_is_based_on_another(clone: Path) -> None:
    first = git(clone, "rev-parse", "HEAD")
    git(clone, "commit", "--quiet", "--allow-empty", "--message=Mine")
    mine = place(str(clone))
    assert mine.is_based_on(first)
    assert mine.is_based_on(mine.commit)
    git(clone, "checkout", "--quiet", "--detach", first)
    git(clone, "commit", "--quiet", "--allow-empty", "--message=Theirs")
    assert not mine.is_based_on(git(clone, "rev-parse", "HEAD"))
    assert not mine.is_based_on("c" * 40)
    notes: list[str] = []
    assert unbased_on(mine, first, notes) == ""
    assert "git fetch and rebase first" in unbased_on(mine, "c" * 40, notes)
    assert notes == []
    with found(clone.as_uri()) as fetched:  # what is before it was not fetched
        assert fetched.is_based_on(first) is None
        assert unbased_on(fetched, first, notes) == ""
        assert len(notes) == 1
        assert fetched.is_based_on(fetched.commit)
