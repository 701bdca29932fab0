"""A listing that is brought from commit to commit is what a whole one says."""

import random
from pathlib import Path

import pytest

from controller.gitops.reading import Reader
from controller.gitops.remote import GoneError, RefusedError
from controller.gitops.trees import Trees
from controller.gitops.values import MAX_FILE_BYTES, MAX_FILES, Entry, EntryType
from gitaccess.command import Git, Limits
from tests.unit.controller.gitops.git_scene import Team, fast_import
from tests.unit.runner.drivers.worktree.scene import git

pytestmark = pytest.mark.anyio

COMMITS = 40
PATHS = (
    "a.md",
    "b",
    "b/a.md",
    "b/c/d.yaml",
    "t/a.md",
    "t/é.md",
    "t/b",
    "t/b/x.md",
    "t.md",
    "z z.md",
)
MODES = ("100644", "100644", "100644", "100755", "120000", "160000")


@pytest.fixture
def team(tmp_path: Path) -> Team:
    return Team(tmp_path)


@pytest.fixture
def reader(tmp_path: Path, team: Team) -> Reader:
    ours = Git(tmp_path / "home")
    ours.prepare()
    return Reader(team.bare, ours, Limits(60))


def history(chance: random.Random) -> bytes:
    """Return commits that add, change, delete and rename, and turn files into folders and back."""
    parts: list[bytes] = []
    for number in range(COMMITS):
        parts.append(b"commit refs/heads/main\ncommitter A <a@x.invalid> 1 +0000\ndata 1\nx\n")
        if number and chance.random() < 0.1:
            parts.append(b"deleteall\n")
        for path in chance.sample(PATHS, chance.randrange(4)):
            mode = chance.choice(MODES)
            if chance.random() < 0.3:
                parts.append(f"D {path}\n".encode())
            elif mode == "160000":
                parts.append(f"M {mode} {chance.randrange(1, 9):040x} {path}\n".encode())
            else:
                data = b"%d" % chance.randrange(9) * chance.choice((1, 100))
                parts.append(f"M {mode} inline {path}\ndata {len(data)}\n".encode() + data + b"\n")
    return b"".join(parts)


async def whole(reader: Reader, commit: str, path: str) -> list[Entry]:
    tree = await reader.tree(commit, path)
    return await reader.entries(tree, path, MAX_FILES, {}) if tree else []


@pytest.mark.parametrize("seed", range(2))
async def test_step_by_step_is_the_same_as_at_once(reader: Reader, team: Team, seed: int) -> None:
    chance = random.Random(seed)  # noqa: S311 - histories to be tried
    fast_import(team.bare, history(chance))
    commits = git(team.bare, "rev-list", "--reverse", "main").split()
    commits += chance.sample(commits, 5)  # back, too
    for path in (".", "t"):
        trees = Trees()
        for commit in commits:
            found = await trees.entries(reader, (commit, path, 0), MAX_FILES)
            assert found == await whole(reader, commit, path), commit


async def test_sizes_are_of_what_is_new_and_too_long_files_are_not_among_them(
    reader: Reader, team: Team
) -> None:
    trees = Trees()
    old = team.push({"a.md": "first", "b.md": "second"})
    await trees.entries(reader, (old, ".", 0), MAX_FILES)
    new = team.push({"a.md": "third!", "c.md": "x" * (MAX_FILE_BYTES + 1), "b.md": None})
    assert [entry.size for entry in await trees.entries(reader, (new, ".", 0), MAX_FILES)] == [
        6,
        MAX_FILE_BYTES + 1,
    ]
    assert list(trees.sizes.values()) == [6]
    assert list((await reader.blobs(trees.sizes, trees.sizes)).values()) == [b"third!"]


async def test_a_folder_that_becomes_a_file_or_goes_has_nothing(reader: Reader, team: Team) -> None:
    trees = Trees()
    commits = [
        team.push({"t/a.md": "first"}),
        team.push({"t/a.md": None, "t.md": "second"}),
        team.push({"t/b.md": "third"}),
    ]
    counts = [len(await trees.entries(reader, (commit, "t", 0), MAX_FILES)) for commit in commits]
    assert counts == [1, 0, 1]


async def test_more_files_than_may_be_are_refused_until_there_are_fewer(
    reader: Reader, team: Team
) -> None:
    trees = Trees()
    few = team.push({"a.md": "1", "b.md": "2"})
    many = team.push({"c.md": "3"})
    assert len(await trees.entries(reader, (few, ".", 0), 2)) == 2
    with pytest.raises(RefusedError):
        await trees.entries(reader, (many, ".", 0), 2)
    assert len(await trees.entries(reader, (few, ".", 0), 2)) == 2


async def test_a_commit_that_is_not_here_and_a_new_mirror_are_noticed(
    reader: Reader, team: Team
) -> None:
    trees = Trees()
    tip = team.push({"a.md": "first"})
    await trees.entries(reader, (tip, ".", 0), MAX_FILES)
    with pytest.raises(GoneError):
        await trees.entries(reader, ("0" * 39 + "1", ".", 0), MAX_FILES)
    again = await trees.entries(reader, (tip, ".", 1), MAX_FILES)
    assert [(entry.path, entry.type) for entry in again] == [("a.md", EntryType.FILE)]
