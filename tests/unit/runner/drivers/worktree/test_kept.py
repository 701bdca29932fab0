"""Work of pods that are gone is found again, and packed for whoever wants it back."""

import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from meshwire.v1 import link_pb2

from runner.drivers.worktree import GitWorktrees
from runner.drivers.worktree_kept import Kept
from runner.terminals.restore import RestoreView
from tests.unit.runner.drivers.worktree.scene import Requests, Upstream, cache, git, uid

pytestmark = pytest.mark.anyio


@pytest.fixture
def gone(worktrees: GitWorktrees, request_for: Requests) -> Callable[..., object]:
    """Make a pod, let it work, and remove it."""

    async def leave(number: int, text: str, namespace: str = "acme", pod: str = "ada") -> None:
        made = await worktrees.ensure(request_for(number, namespace=namespace, pod=pod))
        (made.path / "work.txt").write_text(text)
        await worktrees.save(uid(number))
        await worktrees.remove(uid(number))

    return leave


async def test_the_latest_of_a_name_is_found_and_each_by_its_uid(
    worktrees: GitWorktrees, gone: Requests, data_dir: Path
) -> None:
    await gone(1, "first")
    await gone(2, "second")
    found = worktrees.kept.find("acme", "", "ada")
    assert found is not None
    assert found.uid == uid(2)
    assert git(cache(data_dir), "show", f"{found.commit}:work.txt") == "second"
    older = worktrees.kept.find("acme", uid(1), "whatever")
    assert older is not None
    assert git(cache(data_dir), "show", f"{older.ref}:work.txt") == "first"


async def test_nothing_is_found_for_another_namespace(
    worktrees: GitWorktrees, gone: Requests
) -> None:
    await gone(1, "secret")
    assert worktrees.kept.find("other", uid(1), "ada") is None
    assert worktrees.kept.find("", uid(1), "ada") is None


async def test_what_its_owner_dropped_is_not_found(
    worktrees: GitWorktrees, gone: Requests, data_dir: Path
) -> None:
    await gone(1, "first")
    await gone(2, "second")
    git(cache(data_dir), "update-ref", "-d", f"refs/agentsmesh/saved/{uid(2)}")
    found = worktrees.kept.find("acme", "", "ada")
    assert found is not None
    assert found.uid == uid(1)


async def test_files_that_no_commit_holds_are_named(
    worktrees: GitWorktrees, request_for: Requests
) -> None:
    made = await worktrees.ensure(request_for(1, namespace="acme", pod="ada"))
    nested = made.path / "nested"
    nested.mkdir()
    git(nested, "init", "-q")
    (nested / "file").write_text("x")
    await worktrees.save(uid(1))
    kept = await worktrees.remove(uid(1))
    found = worktrees.kept.find("acme", uid(1), "")
    assert found is not None
    assert found.files == str(kept)


class Asked:
    """Who asks a runner for work, and gives credit in small pieces."""

    def __init__(self, worktrees: GitWorktrees) -> None:
        self.works = worktrees.kept
        self.found: link_pb2.WorkFound | None = None
        self.bundle = b""
        self.ended = ""

    async def ask(self, have: list[str]) -> None:
        order = link_pb2.RestoreWork(namespace="acme", pod="ada", have=have)
        view = RestoreView(1, order, self.works, self._take)
        view.credit(100)
        self._view = view
        await view.run()

    async def _take(self, message: link_pb2.TerminalUp | bytes) -> None:
        up = link_pb2.TerminalUp.FromString(message) if isinstance(message, bytes) else message
        match up.WhichOneof("msg"):
            case "work":
                self.found = up.work
            case "output":
                assert up.output.offset == len(self.bundle)
                self.bundle += up.output.data
                self._view.credit(len(up.output.data))
            case "ended":
                self.ended = up.ended.reason


async def test_a_bundle_has_only_what_the_asker_lacks(
    worktrees: GitWorktrees, gone: Requests, upstream: Upstream, tmp_path: Path
) -> None:
    await gone(1, "work")
    clone = tmp_path / "clone"
    git(tmp_path, "clone", "-q", str(upstream.path), str(clone))
    asked = Asked(worktrees)
    await asked.ask([git(clone, "rev-parse", "HEAD"), "f" * 40, "no commit"])
    assert (asked.ended, asked.found is not None) == ("EndOfWork", True)
    path = tmp_path / "work.bundle"
    path.write_bytes(asked.bundle)
    assert "requires this ref" in git(clone, "bundle", "verify", str(path))
    git(clone, "bundle", "unbundle", str(path))
    assert asked.found is not None
    assert git(clone, "show", f"{asked.found.commit}:work.txt") == "work"


async def test_who_has_nothing_gets_all_of_it(
    worktrees: GitWorktrees, gone: Requests, tmp_path: Path
) -> None:
    await gone(1, "work")
    asked = Asked(worktrees)
    await asked.ask([])
    path = tmp_path / "work.bundle"
    path.write_bytes(asked.bundle)
    empty = tmp_path / "empty"
    git(tmp_path, "init", "-q", str(empty))
    git(empty, "bundle", "unbundle", str(path))
    assert asked.found is not None
    assert git(empty, "show", f"{asked.found.commit}:README.md") == "hello"


async def test_who_has_all_of_it_is_told_the_commits(
    worktrees: GitWorktrees, gone: Requests
) -> None:
    await gone(1, "work")
    kept = worktrees.kept.find("acme", "", "ada")
    assert kept is not None
    asked = Asked(worktrees)
    await asked.ask([kept.commit])
    assert asked.found is not None
    assert (asked.bundle, asked.found.bundled, asked.found.commit) == (b"", False, kept.commit)


async def test_a_cache_that_cannot_be_read_is_said(
    worktrees: GitWorktrees, gone: Requests, data_dir: Path
) -> None:
    await gone(1, "work")
    for folder in (cache(data_dir) / "objects").iterdir():
        subprocess.run(["rm", "-rf", str(folder)], check=True)
    asked = Asked(worktrees)
    await asked.ask([])
    assert asked.ended == "Failed"


async def test_nothing_is_left_of_a_bundle(
    worktrees: GitWorktrees, gone: Requests, data_dir: Path
) -> None:
    await gone(1, "work")
    await Asked(worktrees).ask([])
    assert not list((data_dir / "git").glob("once-*"))


def test_a_note_that_is_no_note_is_passed_over(worktrees: GitWorktrees, data_dir: Path) -> None:
    (data_dir / "saved").mkdir()
    (data_dir / "saved/x.json").write_text("{")
    (data_dir / "saved/y.json").write_text("[]")
    assert worktrees.kept.find("acme", "", "ada") is None
    assert Kept("u", "n", "p", "b", "", 0).commit == ""
