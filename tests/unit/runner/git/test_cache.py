"""A cache lasts: fetches that break off are tried again, leavings go, nothing lent is lost."""

from pathlib import Path

import pytest

from gitaccess.command import Call, Git, GitRunError, Limits
from gitaccess.places import Location
from runner.git import cache as cache_module
from runner.git.cache import Cache, CacheError, CacheLimits
from tests.unit.runner.drivers.worktree.scene import Upstream, git

pytestmark = pytest.mark.anyio


class Breaking(Git):
    """A git whose first fetches break off, as the network makes them."""

    breaks = 0
    fetches = 0
    said = "fatal: early EOF"

    async def run(self, call: Call) -> bytes:
        if call.args[0] == "fetch":
            self.fetches += 1
            if self.fetches <= self.breaks:
                raise GitRunError("fetch", 128, self.said)
        return await super().run(call)


@pytest.fixture
def upstream(tmp_path: Path) -> Upstream:
    return Upstream(tmp_path / "upstream")


@pytest.fixture
def broken(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Breaking:
    monkeypatch.setattr(cache_module, "_AGAIN_SECONDS", (0.0, 0.0))
    found = Breaking(tmp_path / "git")
    found.prepare()
    return found


@pytest.fixture
def cache(tmp_path: Path, upstream: Upstream, broken: Breaking) -> Cache:
    limits = CacheLimits(Limits(20.0), Limits(20.0))
    return Cache(tmp_path / "cache", Location(str(upstream.path), local=True), broken, limits)


async def test_a_fetch_that_breaks_off_is_tried_again(cache: Cache, broken: Breaking) -> None:
    broken.breaks = 2
    await cache.fetch(None)
    assert broken.fetches == 3
    assert "refs/remotes/origin/main" in cache.refs()


async def test_it_gives_up_and_keeps_what_is_there(
    cache: Cache, broken: Breaking, upstream: Upstream
) -> None:
    await cache.fetch(None)
    before = cache.refs()
    upstream.commit("a", "a")
    broken.breaks = 100
    with pytest.raises(CacheError) as caught:
        await cache.fetch(None)
    assert (caught.value.unreachable, caught.value.reason) == (True, "RemoteUnreachable")
    assert broken.fetches == 4
    assert cache.refs() == before


async def test_what_will_not_get_better_is_not_tried_again(cache: Cache, broken: Breaking) -> None:
    broken.breaks, broken.said = 100, "fatal: Authentication failed for 'https://x'"
    with pytest.raises(CacheError):
        await cache.fetch(None)
    assert broken.fetches == 1


async def test_leavings_of_a_killed_fetch_go(
    cache: Cache, tmp_path: Path, broken: Breaking, upstream: Upstream
) -> None:
    await cache.fetch(None)
    bare = cache.repository
    left = [
        bare / "packed-refs.lock",
        bare / "refs/remotes/origin/main.lock",
        bare / "objects/pack/tmp_pack_x",
        bare / "objects/pack/pack-1.keep",
        bare / "objects/tmp_objdir-incoming-1",
    ]
    for path in left[:-1]:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    left[-1].mkdir()
    upstream.commit("b", "b")
    limits = CacheLimits(Limits(20.0), Limits(20.0))
    again = Cache(tmp_path / "cache", Location(str(upstream.path), local=True), broken, limits)
    await again.fetch(None)
    assert not [path for path in left if path.exists()]


async def test_many_packs_become_few_and_no_object_goes(
    cache: Cache, upstream: Upstream, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cache_module, "_MANY_PACKS", 5)
    commits = []
    for number in range(8):
        commits.append(upstream.commit(f"f{number}", "x" * 100))
        await cache.fetch(None)
        git(cache.repository, "repack", "-q")
    git(upstream.path, "reset", "-q", "--hard", "HEAD~4")
    await cache.fetch(None)  # upstream was rewritten: nothing leads to some commits any more
    borrower = upstream.path.parent / "borrower"
    git(upstream.path.parent, "init", "-q", str(borrower))
    (borrower / ".git/objects/info/alternates").write_text(f"{cache.repository}/objects\n")
    before = len(list(cache.repository.glob("objects/pack/*.pack")))
    assert before >= 5
    await cache.tidy()
    assert len(list(cache.repository.glob("objects/pack/*.pack"))) < before
    for commit in commits:
        assert git(borrower, "cat-file", "-t", commit) == "commit"
