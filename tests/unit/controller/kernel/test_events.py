"""Events are counted, limited and clean."""

import asyncio
from typing import Any

import pytest

from controller.kernel.events import About, Recorder
from schemas.names import AGENT_CLASS, AGENT_POD

pytestmark = pytest.mark.anyio

POD = About(AGENT_POD, "acme", "fix", "u1")


def events(kube: Any) -> list[dict[str, Any]]:
    return [obj for (kind, *_), obj in kube.objects.items() if kind == "Event"]


async def written(recorder: Recorder) -> None:
    async with asyncio.TaskGroup() as tasks:
        running = tasks.create_task(recorder.run())
        await recorder.drain(5)
        running.cancel()


async def test_an_event_names_its_object_and_stands_in_its_namespace(kube: Any) -> None:
    recorder = Recorder(kube)
    recorder.event(POD, warning=True, reason="Failed", message="it failed")
    await written(recorder)
    [event] = events(kube)
    assert event["involvedObject"] == {
        "apiVersion": "agentsmesh.io/v1alpha1",
        "kind": "AgentPod",
        "namespace": "acme",
        "name": "fix",
        "uid": "u1",
    }
    assert (event["type"], event["reason"], event["message"]) == ("Warning", "Failed", "it failed")
    assert event["metadata"]["namespace"] == "acme"


async def test_an_event_about_a_cluster_scoped_object_stands_in_default(kube: Any) -> None:
    recorder = Recorder(kube)
    about = About(AGENT_CLASS, "", "greeter", "u2")
    recorder.event(about, warning=False, reason="Fine", message="fine")
    await written(recorder)
    assert events(kube)[0]["metadata"]["namespace"] == "default"


async def test_the_same_reason_again_is_counted_and_not_repeated(kube: Any) -> None:
    recorder = Recorder(kube)
    for number in range(3):
        recorder.event(POD, warning=True, reason="Failed", message=f"attempt {number}")
    await written(recorder)
    [event] = events(kube)
    assert (event["count"], event["message"]) == (3, "attempt 2")


async def test_after_ten_minutes_it_is_a_new_event(kube: Any) -> None:
    now = [0.0]
    recorder = Recorder(kube, clock=lambda: now[0])
    recorder.event(POD, warning=True, reason="Failed", message="first")
    await written(recorder)
    now[0] = 601.0
    recorder.event(POD, warning=True, reason="Failed", message="second")
    await written(recorder)
    assert len(events(kube)) == 2


async def test_a_flood_about_one_object_is_cut_to_one_a_second(kube: Any) -> None:
    now = [0.0]
    recorder = Recorder(kube, clock=lambda: now[0])
    for number in range(100):
        recorder.event(POD, warning=True, reason=f"R{number}", message="x")
    now[0] = 2.0
    for number in range(100, 200):
        recorder.event(POD, warning=True, reason=f"R{number}", message="x")
    await written(recorder)
    assert len(events(kube)) == 12
    assert recorder.dropped == 188


async def test_secrets_do_not_get_into_events(kube: Any) -> None:
    recorder = Recorder(kube)
    recorder.event(POD, warning=True, reason="Failed", message="https://a:geheim@git.example")
    await written(recorder)
    assert "geheim" not in events(kube)[0]["message"]


async def test_an_api_server_that_is_away_stops_nobody(kube: Any) -> None:
    recorder = Recorder(kube)
    kube.down = True
    recorder.event(POD, warning=True, reason="Failed", message="lost")
    await written(recorder)
    kube.down = False
    recorder.event(POD, warning=True, reason="Other", message="written")
    await written(recorder)
    assert [event["reason"] for event in events(kube)] == ["Other"]
