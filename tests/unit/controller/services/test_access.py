"""People: recognised once, asked about again soon, never by somebody else's answer."""

import pytest

from controller.services.access import CACHE_SECONDS, LOOK_ON, TYPE, Access
from tests.unit.controller.kube_memory import MemoryKube, MemoryUser

pytestmark = pytest.mark.anyio


class Ticks:
    now = 100.0

    def __call__(self) -> float:
        return self.now


def _world() -> tuple[MemoryKube, Ticks, Access]:
    kube, ticks = MemoryKube(), Ticks()
    kube.tokens = {"a": MemoryUser("ada"), "b": MemoryUser("bob")}
    kube.allowed = {("ada", "get", "log", "acme", "fix")}
    return kube, ticks, Access(kube, ticks=ticks)


async def test_a_token_is_asked_about_once_in_ten_seconds() -> None:
    kube, ticks, access = _world()
    for _ in range(3):
        assert await access.authenticate("a") == MemoryUser("ada")
    assert kube.reviews == 1
    kube.tokens.clear()
    ticks.now += CACHE_SECONDS - 0.1
    assert await access.authenticate("a") is not None
    assert await access.authenticate("a", fresh=True) is None
    ticks.now += 0.2
    assert await access.authenticate("a") is None


async def test_an_unknown_token_is_never_remembered_as_such() -> None:
    kube, _, access = _world()
    assert await access.authenticate("new") is None
    kube.tokens["new"] = MemoryUser("eve")
    assert await access.authenticate("new") == MemoryUser("eve")


async def test_answers_are_kept_apart_by_person_place_and_right() -> None:
    kube, _, access = _world()
    ada, bob = MemoryUser("ada"), MemoryUser("bob")

    async def may(token: str, user: MemoryUser, pod: str, *, read_only: bool) -> bool:
        right = LOOK_ON if read_only else TYPE
        verdict = await access.may(token, user, right, "acme", pod)
        assert bool(verdict.message) is not verdict.allowed
        return verdict.allowed

    assert await may("a", ada, "fix", read_only=True)
    assert not await may("a", ada, "fix", read_only=False)
    assert not await may("a", ada, "other", read_only=True)
    assert not await may("b", bob, "fix", read_only=True)
    kube.allowed.clear()
    assert await may("a", ada, "fix", read_only=True)  # remembered


async def test_an_answer_in_doubt_is_asked_anew() -> None:
    kube, ticks, access = _world()
    ada = MemoryUser("ada")
    assert (await access.may("a", ada, LOOK_ON, "acme", "fix")).allowed
    kube.allowed.clear()
    ticks.now += CACHE_SECONDS
    verdict = await access.may("a", ada, LOOK_ON, "acme", "fix")
    assert not verdict.allowed
    assert "user ada may not get agentpods/log in namespace acme" in verdict.message


async def test_memory_is_bounded() -> None:
    kube, ticks, access = _world()
    for number in range(6000):
        kube.tokens[str(number)] = MemoryUser(str(number))
        await access.authenticate(str(number))
    assert len(access._users._answers) <= 4096
    ticks.now += CACHE_SECONDS
    await access.authenticate("a")
    assert len(access._users._answers) == 1
