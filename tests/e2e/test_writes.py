"""KOPF-02: a pod's life costs few writes, and doing nothing costs none."""

import time

import pytest

from tests.e2e.harness import Mesh, agent_pod
from tests.e2e.watching import AGENT_PODS, EVENTS, Watch

pytestmark = pytest.mark.timeout(240)


def _about(watch: Watch, name: str) -> list[str]:
    """Return what was told of the pod, or of Events about it."""
    told = []
    for event in watch.seen:
        item = event["object"]
        if name in {item["metadata"]["name"], item.get("involvedObject", {}).get("name")}:
            told.append(f"{event['type']} {item['kind']} {item['metadata']['resourceVersion']}")
    return told


def test_a_life_costs_nine_writes_at_most(mesh: Mesh):
    with Watch(mesh.kubeconfig, AGENT_PODS) as pods, Watch(mesh.kubeconfig, EVENTS) as events:
        mesh.apply(agent_pod("thrifty", "idle", repositoryRef={"name": "origin"}))
        mesh.ready("thrifty")
        mesh.delete("thrifty")
        gone = "DELETED"
        pods.wait_event(
            lambda e: e["type"] == gone and e["object"]["metadata"]["name"] == "thrifty"
        )
        told = _about(pods, "thrifty") + _about(events, "thrifty")
    assert len(told) <= 9, told


def test_five_pods_that_do_nothing_cost_nothing(mesh: Mesh):
    names = [f"still-{number}" for number in range(5)]
    mesh.apply(*(agent_pod(name, "idle") for name in names))
    for name in names:
        mesh.ready(name)
    with Watch(mesh.kubeconfig, AGENT_PODS) as pods, Watch(mesh.kubeconfig, EVENTS) as events:
        time.sleep(20)  # nothing happens: that is what is measured
        assert [told for name in names for told in _about(pods, name) + _about(events, name)] == []
    for name in names:
        mesh.delete(name)
