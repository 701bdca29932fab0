"""The fake is held to what callers rely on."""

import pytest

from controller.kube.errors import AlreadyExists, Conflict, NotFound
from schemas.names import RUNNER, SECRET
from tests.unit.controller.kube_memory import MemoryKube

pytestmark = pytest.mark.anyio


def _runner(name: str = "r") -> dict:
    return {"metadata": {"name": name}, "spec": {"suspend": False}, "status": {"running": 9}}


async def test_a_stale_version_is_a_conflict_and_changes_nothing() -> None:
    kube = MemoryKube()
    first = await kube.create(RUNNER, "a", _runner())
    await kube.patch(RUNNER, "a", "r", {"spec": {"suspend": True}})
    stale = {"metadata": {"resourceVersion": first["metadata"]["resourceVersion"]}}
    with pytest.raises(Conflict):
        await kube.patch(RUNNER, "a", "r", {**stale, "spec": {"suspend": False}})
    assert (await kube.get(RUNNER, "a", "r"))["spec"] == {"suspend": True}


async def test_creating_twice_and_reading_nothing_are_told() -> None:
    kube = MemoryKube()
    await kube.create(SECRET, "a", {"metadata": {"name": "s"}})
    with pytest.raises(AlreadyExists):
        await kube.create(SECRET, "a", {"metadata": {"name": "s"}})
    with pytest.raises(NotFound):
        await kube.get(SECRET, "b", "s")


async def test_status_changes_only_through_its_subresource() -> None:
    kube = MemoryKube()
    assert "status" not in await kube.create(RUNNER, "a", _runner())
    both = {"spec": {"cordoned": True}, "status": {"running": 1}}
    assert "status" not in await kube.patch(RUNNER, "a", "r", both)
    after = await kube.patch(RUNNER, "a", "r", {**both, "spec": {}}, subresource="status")
    assert after["status"] == {"running": 1}
    assert after["spec"] == {"suspend": False, "cordoned": True}


async def test_an_object_with_a_finalizer_stays_until_it_is_gone() -> None:
    kube = MemoryKube()
    manifest = {"metadata": {"name": "r", "finalizers": ["x/y"]}, "spec": {}}
    await kube.create(RUNNER, "a", manifest)
    await kube.delete(RUNNER, "a", "r")
    assert (await kube.get(RUNNER, "a", "r"))["metadata"]["deletionTimestamp"]
    await kube.patch(RUNNER, "a", "r", {"metadata": {"finalizers": []}})
    with pytest.raises(NotFound):
        await kube.get(RUNNER, "a", "r")


async def test_what_is_handed_out_is_a_copy() -> None:
    kube = MemoryKube()
    (await kube.create(RUNNER, "a", _runner()))["spec"]["suspend"] = True
    assert (await kube.get(RUNNER, "a", "r"))["spec"]["suspend"] is False
