"""CONV-03, 05, 07 and 08 as the controller sees them. The table of all is in docs/once.md."""

from typing import Any

import pytest
from meshwire.v1 import link_pb2

from schemas.names import AGENT_POD, ANNOTATION_FORCE_TEARDOWN, RUNNER

pytestmark = pytest.mark.anyio


@pytest.fixture
async def ready(mesh: Any) -> Any:
    """Return a mesh with an organization, a class and a connected runner."""
    await mesh.organization()
    await mesh.agent_class()
    runner = await mesh.runner()
    await mesh.settle()
    runner.connect()
    await mesh.settle()
    return mesh


async def test_conv_07_a_pod_that_was_given_up_is_cleared_away_when_its_runner_returns(
    ready: Any,
) -> None:
    uid = await ready.pod()
    await ready.settle()
    runner = ready.runners["r1"]
    runner.disconnect()
    await ready.settle(seconds=30)
    await ready.kube.delete(AGENT_POD, "acme", "fix")
    await ready.settle()
    assert ready.condition("TeardownBlocked")["status"] == "True", "it waits for its runner"
    annotations = {ANNOTATION_FORCE_TEARDOWN: uid}
    await ready.kube.patch(AGENT_POD, "acme", "fix", {"metadata": {"annotations": annotations}})
    await ready.settle()
    assert ("AgentPod", "acme", "fix") not in ready.kube.objects
    successor = await ready.pod()  # of the same name, while the runner is still away
    await ready.settle()
    runner.connect()  # with the agent of the first one still at work
    assert uid in runner.has
    await ready.settle()
    assert set(runner.has) == {successor}
    assert dict(runner.starts) == {(uid, 1): 1, (successor, 1): 1}
    assert ready.status()["phase"] == "Running"


async def test_conv_08_a_runner_that_was_installed_anew_gets_nothing_of_the_old_one(
    ready: Any,
) -> None:
    old_uid = await ready.pod()
    await ready.settle()
    old = ready.runners["r1"]
    old.disconnect()
    await ready.settle(seconds=30)
    await ready.kube.delete(RUNNER, "acme", "r1")
    await ready.settle()
    assert ready.status()["observed"]["reason"] == "RunnerDeleted"
    new = await ready.runner("r1")  # the same name, another uid
    new.has = dict(old.has)  # and perhaps the same machine, with what was left there
    await ready.settle()
    new.connect()
    await ready.settle()
    assert new.key.uid != old.key.uid
    assert old_uid not in new.has, "nobody wants it there: it is removed"
    assert ready.status()["phase"] == "Failed", "what it says of the old pod counts for nothing"
    next_uid = await ready.pod("next")
    await ready.settle()
    assert dict(new.starts) == {(next_uid, 1): 1}
    assert dict(old.starts) == {(old_uid, 1): 1}


async def test_conv_05_a_controller_that_knows_nothing_yet_has_nothing_confirmed(
    ready: Any, make_mesh: Any
) -> None:
    uid = await ready.pod()
    await ready.settle()
    later = make_mesh(ready.kube)  # another controller of the same API server; it saw no event
    runner = ready.runners["r1"]
    assert later.fleet.desired(runner.key) == []
    assert not await later.fleet.confirmed_empty(runner.key), "the API server knows better"
    states = {pod.ref.pod_uid: pod.desired for pod in ready.fleet.desired(runner.key)}
    assert states == {uid: link_pb2.RUN}


async def test_conv_03_a_runner_is_told_for_how_long_a_pod_may_go_on_alone(ready: Any) -> None:
    await ready.pod()
    await ready.settle()
    runner = ready.runners["r1"]
    (told,) = ready.fleet.desired(runner.key)
    assert told.stop_after_seconds == 0
    patch = {"spec": {"disconnect": {"stopAfterSeconds": 60}}}
    await ready.kube.patch(AGENT_POD, "acme", "fix", patch)
    await ready.settle()
    (told,) = ready.fleet.desired(runner.key)
    assert told.stop_after_seconds == 60
    assert sum(runner.starts.values()) == 1
