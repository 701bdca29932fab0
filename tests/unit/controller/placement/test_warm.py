"""Of which Repositories runners keep worktrees ready."""

import hashlib
from typing import Any

import pytest
from meshwire.v1 import link_pb2

from controller.kernel.store import Collection, Store
from controller.placement.warm import Warm
from schemas.names import REPOSITORY
from schemas.repository import Repository

KIND = REPOSITORY.kind


class World:
    """A store, and how often somebody would be told of a change."""

    def __init__(self) -> None:
        self.store = Store([Collection(Repository)])
        self.told = 0
        self.warm = Warm(self.store, self._changed)
        self._version = 0

    def _changed(self) -> None:
        self.told += 1

    def put(self, name: str, url: str, warm: int, namespace: str = "acme", **meta: Any) -> None:
        self._version += 1
        metadata = {"name": name, "namespace": namespace, "uid": f"{namespace}-{name}"}
        metadata |= {"resourceVersion": str(self._version), **meta}
        spec = {"url": url, "warmWorktrees": warm}
        self.store.apply(KIND, {"metadata": metadata, "spec": spec})

    def of(self, namespace: str = "acme") -> dict[bytes, int]:
        return {each.url_sha256: each.worktrees for each in self.list(namespace).repositories}

    def list(self, namespace: str = "acme") -> link_pb2.WarmRepositories:
        return self.warm.of(namespace)


@pytest.fixture
def world() -> World:
    made = World()
    made.put("web", "https://git.example/web", 2)
    made.put("none", "https://git.example/none", 0)
    made.put("other", "https://git.example/web", 9, namespace="other")
    return made


def digest(url: str) -> bytes:
    return hashlib.sha256(url.encode()).digest()


def test_those_of_the_namespace_that_want_any_are_named_by_a_digest(world: World) -> None:
    assert world.of() == {digest("https://git.example/web"): 2}
    assert world.of("other") == {digest("https://git.example/web"): 9}
    assert world.of("empty") == {}


def test_two_repositories_of_one_url_want_what_the_larger_wants(world: World) -> None:
    world.put("again", "https://git.example/web", 4)
    assert world.of() == {digest("https://git.example/web"): 4}


@pytest.mark.parametrize(
    ("changed", "told"),
    [
        pytest.param({"warm": 3}, 1, id="another number"),
        pytest.param({"url": "https://git.example/moved"}, 1, id="another url"),
        pytest.param({"deletionTimestamp": "2027-01-01T00:00:00Z"}, 1, id="it is being deleted"),
        pytest.param({"labels": {"a": "b"}}, 0, id="what nobody asks for"),
    ],
)
def test_a_change_is_told_once_somebody_has_a_list(
    world: World, changed: dict[str, Any], told: int
) -> None:
    before = world.list()
    world.put("web", **{"url": "https://git.example/web", "warm": 2, **changed})
    assert world.told == told
    assert (world.list() != before) == bool(told)


def test_one_that_is_gone_is_named_no_more(world: World) -> None:
    assert world.of()
    world.store.remove(KIND, "acme-web")
    assert (world.of(), world.told) == ({}, 1)
