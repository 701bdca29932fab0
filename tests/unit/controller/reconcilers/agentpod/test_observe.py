"""What is observed of a pod."""

from typing import Any

import pytest

from controller.kernel.key import Key
from controller.kernel.queue import WorkQueue
from controller.placement.fleet import Fleet
from controller.placement.indexes import new_store
from controller.placement.scheduler import Scheduler
from controller.placement.surroundings import Surroundings
from controller.reconcilers.agentpod.observe import PodObserver
from controller.reconcilers.agentpod.status import report
from schemas.names import AGENT_POD

pytestmark = pytest.mark.anyio


async def test_a_pod_that_was_there_before_the_controller_is_told_at_once(kube: Any) -> None:
    manifest = {"metadata": {"name": "fix"}, "spec": {"agentClassName": "c"}}
    store = new_store()
    fleet = Fleet(store, WorkQueue(), kube)
    store.apply("AgentPod", await kube.create(AGENT_POD, "acme", manifest))
    observer = PodObserver(store, fleet, Scheduler(Surroundings(store, fleet.links)), kube)
    snapshot = await observer.observe(Key("AgentPod", "acme", "fix"))
    assert snapshot is not None
    assert report(snapshot, None, 0.0).hold_seconds == 0.0


async def test_a_pod_that_has_just_come_is_given_a_moment(kube: Any) -> None:
    manifest = {"metadata": {"name": "fix"}, "spec": {"agentClassName": "c"}}
    store = new_store()
    fleet = Fleet(store, WorkQueue(), kube)
    observer = PodObserver(store, fleet, Scheduler(Surroundings(store, fleet.links)), kube)
    store.apply("AgentPod", await kube.create(AGENT_POD, "acme", manifest))
    snapshot = await observer.observe(Key("AgentPod", "acme", "fix"))
    assert snapshot is not None
    assert 0.0 < report(snapshot, None, 0.0).hold_seconds <= 0.5
