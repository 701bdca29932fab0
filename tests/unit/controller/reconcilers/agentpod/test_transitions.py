"""What goes wrong with a pod is among its Events, once; what goes well costs nothing."""

from typing import Any

import pytest
from meshwire.v1 import link_pb2

from controller.kernel.clock import stamp, wall
from schemas.names import AGENT_POD

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


def events(mesh: Any) -> list[tuple[str, str, int, str]]:
    """Return the Events about the pod: type, reason, count, message."""
    found = [obj for (kind, *_), obj in mesh.kube.objects.items() if kind == "Event"]
    assert {obj["involvedObject"]["name"] for obj in found} <= {"fix"}
    return [(obj["type"], obj["reason"], obj["count"], obj["message"]) for obj in found]


def says(mesh: Any, state: Any, **fields: Any) -> None:
    """Have the runner say this of every pod from now on."""
    runner = mesh.runners["r1"]

    def said(uid: str, epoch: int, _: Any) -> link_pb2.PodObserved:
        ref = link_pb2.PodRef(pod_uid=uid, epoch=epoch)
        return link_pb2.PodObserved(ref=ref, state=state, **fields)

    runner._said = said


async def test_a_good_life_has_no_event(ready: Any) -> None:
    uid = await ready.pod()
    await ready.settle()
    ready.runners["r1"].end(uid)
    await ready.settle()
    await ready.kube.delete(AGENT_POD, "acme", "fix")
    await ready.settle(seconds=60)
    assert events(ready) == []


async def test_an_agent_that_fails_is_told_once_with_its_exit_code(ready: Any) -> None:
    uid = await ready.pod()
    await ready.settle()
    ready.runners["r1"].end(uid, link_pb2.FAILED)
    await ready.settle(seconds=600)
    assert events(ready) == [("Warning", "Failed", 1, "the agent ended with exit code 3")]


async def test_a_pod_that_cannot_be_started_is_told_with_the_runners_reason(ready: Any) -> None:
    text = "The executable 'greet' was not found on this runner."
    says(
        ready,
        link_pb2.FAILED,
        reason="ExecutableNotFound",
        message=text,
        finished_unix_ms=1_800_000_002_000,
    )
    await ready.pod()
    await ready.settle(seconds=60)
    final = "It was not started, and this is final: delete the pod and apply it again"
    assert events(ready) == [("Warning", "Failed", 1, f"ExecutableNotFound: {text} {final}")]


async def test_a_start_that_is_tried_again_is_told_once(ready: Any) -> None:
    says(ready, link_pb2.PREPARING, reason="CloneFailed", message="The remote does not answer.")
    await ready.pod()
    await ready.settle(seconds=120)
    [(kind, reason, count, message)] = events(ready)
    assert (kind, reason, count) == ("Warning", "CloneFailed", 1)
    assert message == "The remote does not answer. The runner tries again."


async def test_what_only_a_person_can_mend_is_told_and_waiting_is_not(ready: Any) -> None:
    await ready.pod(model="big")
    await ready.settle(seconds=60)
    assert [event[:3] for event in events(ready)] == [("Warning", "ModelNotSupported", 1)]
    await ready.kube.delete(AGENT_POD, "acme", "fix")
    ready.kube.objects = {key: obj for key, obj in ready.kube.objects.items() if key[0] != "Event"}
    await ready.pod(runnerName="elsewhere")
    await ready.settle(seconds=60)
    assert ready.condition("Scheduled")["reason"] == "RunnerNotFound"
    assert events(ready) == []


async def pass_wall_time(mesh: Any) -> None:
    """Have all conditions be an hour old: what counts as lost goes by the times on record."""
    at = {"lastTransitionTime": stamp(wall() - 3600)}
    conditions = [condition | at for condition in mesh.status()["conditions"]]
    status = {"status": {"conditions": conditions}}
    await mesh.kube.patch(AGENT_POD, "acme", "fix", status, subresource="status")


async def test_a_lost_pod_is_told_once_each_time(ready: Any) -> None:
    await ready.pod(disconnect={"lostAfterSeconds": 60})
    await ready.settle()
    runner = ready.runners["r1"]
    for times in (1, 2):
        runner.disconnect()
        await ready.settle(seconds=60)
        await pass_wall_time(ready)
        await ready.settle(seconds=120)
        assert ready.status()["phase"] == "Lost"
        told = ("Warning", "Lost", times, "its runner has been away for too long")
        assert events(ready) == [told]
        runner.connect()
        await ready.settle(seconds=10)
        assert ready.status()["phase"] == "Running"


async def test_a_blocked_teardown_is_told_with_what_to_do(ready: Any) -> None:
    await ready.pod()
    await ready.settle()
    ready.runners["r1"].disconnect()
    await ready.settle(seconds=60)
    await ready.kube.delete(AGENT_POD, "acme", "fix")
    await ready.settle(seconds=60)
    [(kind, reason, count, message)] = events(ready)
    assert (kind, reason, count) == ("Warning", "TeardownBlocked", 1)
    assert message.startswith("RunnerUnreachable: ")
    assert "agentsmesh.io/force-teardown=" in message


async def test_a_new_controller_tells_nothing_again(ready: Any, make_mesh: Any) -> None:
    uid = await ready.pod()
    await ready.settle()
    ready.runners["r1"].end(uid, link_pb2.FAILED)
    await ready.settle()
    before = events(ready)
    successor = make_mesh(ready.kube)
    successor.watch()
    await successor.settle(seconds=60)
    assert events(ready) == before


async def test_a_transition_that_was_not_written_is_not_told(ready: Any) -> None:
    """The Event follows the status: whoever reads one finds the other."""
    uid = await ready.pod()
    await ready.settle()
    ready.kube.down = True
    ready.runners["r1"].end(uid, link_pb2.FAILED)
    await ready.settle()
    assert events(ready) == []
    ready.kube.down = False
    await ready.settle(seconds=60)
    assert [event[1:3] for event in events(ready)] == [("Failed", 1)]


async def test_output_that_was_lost_is_told_once_however_much_it_becomes(ready: Any) -> None:
    await ready.pod()
    await ready.settle()
    for text in ("10 bytes are lost.", "20 bytes are lost."):
        lost = link_pb2.PodCondition(type="TranscriptComplete", reason="OutputLost", message=text)
        says(ready, link_pb2.RUNNING, conditions=[lost])
        ready.runners["r1"].connect()
        await ready.settle()
    assert events(ready) == [("Warning", "OutputLost", 1, "10 bytes are lost.")]
