"""Unmodified kubectl on our kinds: edit, patch, label, wait, describe, explain, diff."""

import json
import os
import subprocess
from typing import Any

import pytest
import yaml

from tests.e2e.harness import Mesh, agent_class, agent_pod, until

pytestmark = pytest.mark.timeout(180)

_POD = ("agentpod", "-n", "default")


def test_every_verb_that_people_use_works_on_a_pod(mesh: Mesh):
    mesh.apply(agent_pod("verbs", "idle"))
    mesh.ready("verbs")
    mesh.kubectl("label", *_POD, "verbs", "team=blue")
    mesh.kubectl("annotate", *_POD, "verbs", "note=look here")
    assert mesh.kubectl("get", *_POD, "-l", "team=blue", "-o", "name").strip().endswith("/verbs")
    change = '{"spec":{"activeDeadlineSeconds":7200}}'
    mesh.kubectl("patch", *_POD, "verbs", "--type=merge", "-p", change)
    assert mesh.get("verbs")["spec"]["activeDeadlineSeconds"] == 7200
    _edit(mesh, "verbs", "s/activeDeadlineSeconds: 7200/activeDeadlineSeconds: 9000/")
    assert mesh.get("verbs")["spec"]["activeDeadlineSeconds"] == 9000
    described = mesh.kubectl("describe", *_POD, "verbs")
    assert "Scheduled" in described
    assert "Ready" in described
    assert "agentClassName" in mesh.kubectl("explain", "agentpod.spec")
    assert "KIND:" in mesh.kubectl("explain", "agentpod.status.observed", "--recursive")
    assert "verbs" in mesh.kubectl("get", "apod", "-n", "default", "-o", "wide")
    assert "verbs" in mesh.kubectl("get", "mesh", "-n", "default")
    generation = mesh.get("verbs")["metadata"]["generation"]
    claim = f"--for=jsonpath={{.status.observedGeneration}}={generation}"
    mesh.kubectl("wait", *_POD[:1], "verbs", "-n", "default", claim, "--timeout=20s")
    mesh.delete("verbs")


def _edit(mesh: Mesh, name: str, expression: str) -> None:
    argv = ["kubectl", "--kubeconfig", str(mesh.kubeconfig), "edit", *_POD, name]
    editor = {**os.environ, "KUBE_EDITOR": f"sed -i -e '{expression}'"}
    done = subprocess.run(argv, env=editor, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_diff_shows_what_apply_would_change_and_nothing_afterwards(mesh: Mesh):
    manifest = agent_class("differs", "exec sleep 100000")
    mesh.apply(manifest)
    assert _diff(mesh, manifest) == (0, "")
    manifest["spec"]["executable"] = "bash"
    code, said = _diff(mesh, manifest)
    assert code == 1, said
    assert "+  executable: bash" in said
    mesh.apply(manifest)
    assert _diff(mesh, manifest) == (0, "")


def _diff(mesh: Mesh, manifest: dict[str, Any]) -> tuple[int, str]:
    argv = ["kubectl", "--kubeconfig", str(mesh.kubeconfig), "diff", "-f", "-"]
    text = yaml.safe_dump(manifest)
    done = subprocess.run(argv, input=text, capture_output=True, text=True, check=False)
    return done.returncode, done.stdout


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"prompt": "another"}, "prompt"),
        ({"agentClassName": "another"}, "agentClassName"),
        ({"repositoryRef": {"name": "origin"}}, "repositoryRef"),
        ({"environment": [{"name": "A", "value": "b"}]}, "environment"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_what_a_placed_pod_was_made_from_cannot_be_changed(
    mesh: Mesh, change: dict[str, Any], field: str
):
    if not mesh.exists("frozen"):
        mesh.apply(agent_pod("frozen", "idle"))
    mesh.ready("frozen")
    patch = json.dumps({"spec": change})
    said = mesh.refused("patch", *_POD, "frozen", "--type=merge", "-p", patch)
    assert f"spec.{field}" in said or f"{field}:" in said or f"{field} is immutable" in said
    assert mesh.get("frozen")["metadata"]["generation"] == 1


def test_a_class_that_changes_does_not_touch_pods_that_run(mesh: Mesh):
    mesh.apply(agent_class("evolves", "echo one; exec sleep 100000"))
    mesh.apply(agent_pod("older", "evolves"))
    pid = mesh.ready("older")["status"]["observed"]["pid"]
    mesh.apply(agent_class("evolves", "echo two; exec sleep 100000"))
    mesh.apply(agent_pod("newer", "evolves"))
    mesh.ready("newer")
    until(lambda: mesh.logs("newer").split() == ["two"])
    assert mesh.logs("older").split() == ["one"]
    assert mesh.get("older")["status"]["observed"]["pid"] == pid
    mesh.delete("older")
    mesh.delete("newer")
