"""The models read what the API gives."""

import pytest
import yaml

from schemas.agentpod import AgentPod
from schemas.agentpod_status import PodPhase
from schemas.kinds import KINDS

POD = """
apiVersion: agentsmesh.io/v1alpha1
kind: AgentPod
metadata: {name: fix-login, namespace: acme, uid: u-1, generation: 2, resourceVersion: "7"}
spec:
  agentClassName: greeter
  prompt: "Fix the login test."
  repositoryRef: {name: shop, ref: main, worktree: {branch: fix-login}}
  sandbox: {isolation: preferred, network: host}
status:
  phase: Running
  placement: {runnerName: laptop-1, runnerUID: r-1, epoch: 3, placedAt: "2026-01-01T00:00:00Z"}
"""


def test_a_pod_is_read_from_its_manifest():
    pod = AgentPod.model_validate(yaml.safe_load(POD))
    assert pod.metadata.generation == 2
    assert pod.spec.repository_ref is not None
    assert pod.spec.repository_ref.worktree.branch == "fix-login"
    assert pod.status.phase is PodPhase.RUNNING
    assert pod.status.placement is not None
    assert pod.status.placement.runner_uid == "r-1"


def test_a_status_is_written_as_it_was_read():
    manifest = yaml.safe_load(POD)
    pod = AgentPod.model_validate(manifest)
    assert pod.status.manifest()["placement"] == manifest["status"]["placement"]


@pytest.mark.parametrize("kind", KINDS)
def test_a_kind_is_named_as_its_resource_says(kind: str):
    assert KINDS[kind].definition.resource.kind == kind == KINDS[kind].__name__
