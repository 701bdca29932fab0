"""The whole main job against a real kube-apiserver: ``agentsmesh up --kubeconfig FILE``."""

import os
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from scripts.realserver import real_server
from tests.e2e.harness import (
    PROGRAM,
    Mesh,
    agent_class,
    agent_pod,
    is_clear,
    make_origin,
    processes_of,
    repository,
    until,
)

pytestmark = [
    pytest.mark.cluster,
    pytest.mark.timeout(300),
    pytest.mark.skipif(
        "KUBEBUILDER_ASSETS" not in os.environ, reason="KUBEBUILDER_ASSETS is unset"
    ),
]

_GROUP = "agentsmesh.io/v1alpha1"
_ASKS = 'echo "prompt: $1"; read x; echo "got $x"; read y'
_READER = """
apiVersion: v1
kind: ServiceAccount
metadata: {name: reader, namespace: default}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: RoleBinding
metadata: {name: reader, namespace: default}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: agentsmesh-viewer}
subjects: [{kind: ServiceAccount, name: reader, namespace: default}]
"""


@pytest.fixture(scope="module")
def mesh() -> Iterator[Mesh]:
    """Start a real API server, the newer one of custom resources behind it, and a mesh on it."""
    with tempfile.TemporaryDirectory(prefix="mesh-cluster-", ignore_cleanup_errors=True) as text:
        folder = Path(text)
        (folder / "cluster").mkdir(mode=0o700)
        with real_server(folder / "cluster", aggregated=(_GROUP,)) as server:
            assert server.custom is not None, "KUBEBUILDER_ASSETS has no apiextensions-apiserver"
            made = Mesh(folder, folder / "data", server.kubeconfig)
            origin = make_origin(folder / "git")
            made.up()
            try:
                made.apply(
                    repository("origin", f"file://{origin}"),
                    agent_class("idle", "exec sleep 100000"),
                    agent_class(
                        "asks", 'echo "prompt: $1"; read x; echo "got $x"; read y', "argument"
                    ),
                )
                yield made
                made.kubectl("delete", "agentpods", "--all", "-n", "default", "--timeout=60s")
            finally:
                made.down()


def test_a_pod_runs_is_seen_typed_into_and_leaves_nothing(mesh: Mesh):
    mesh.apply(agent_pod("fix", "asks", prompt="Fix it.", repositoryRef={"name": "origin"}))
    pod = mesh.ready("fix")
    uid = pod["metadata"]["uid"]
    until(lambda: "prompt: Fix it." in mesh.logs("fix"), what="the prompt is on the terminal")
    argv = [PROGRAM, "attach", "fix", "-n", "default", "--kubeconfig", str(mesh.kubeconfig)]
    with subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as viewer:
        assert viewer.stdin is not None
        viewer.stdin.write(b"yes\n")
        viewer.stdin.flush()
        until(lambda: "got yes" in mesh.logs("fix"), what="what was typed has arrived")
        viewer.kill()
    header, row = mesh.kubectl("get", "agentpods", "fix", "-n", "default").splitlines()
    assert header.split() == ["NAME", "CLASS", "PHASE", "RUNNER", "ACTIVITY", "READY", "AGE"]
    assert row.split()[:4] == ["fix", "asks", "Running", "local"]
    mesh.delete("fix")
    is_clear(mesh, uid)


def test_a_service_account_reads_and_may_not_type(mesh: Mesh):
    mesh.apply(agent_pod("read", "asks", prompt="x"))
    mesh.ready("read")
    mesh.kubectl("apply", "-f", "-", stdin=_READER)
    token = mesh.private("token", mesh.kubectl("create", "token", "reader", "-n", "default"))
    until(lambda: "prompt: x" in mesh.logs("read", "--token-file", str(token)))
    argv = [PROGRAM, "attach", "read", "-n", "default", "--kubeconfig", str(mesh.kubeconfig)]
    done = subprocess.run(
        [*argv, "--token-file", str(token)],
        input="x\n",
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 4, done.stderr
    mesh.delete("read")


def test_what_is_wrong_is_refused_with_the_field(mesh: Mesh):
    mesh.apply(agent_pod("frozen", "idle"))
    mesh.ready("frozen")
    change = '{"spec":{"prompt":"another"}}'
    said = mesh.refused(
        *("patch", "agentpod", "frozen", "-n", "default", "--type=merge", "-p", change)
    )
    assert "prompt" in said
    mesh.delete("frozen")


def test_a_killed_controller_and_runner_come_back_to_the_same_agent(mesh: Mesh):
    mesh.apply(agent_pod("survivor", "idle"))
    pod = mesh.ready("survivor")
    mesh.replace("controller", "runner")
    after = mesh.ready("survivor", 60)
    assert after["metadata"]["uid"] == pod["metadata"]["uid"]
    assert after["status"]["observed"]["pid"] == pod["status"]["observed"]["pid"]
    mesh.delete("survivor")
    until(lambda: not processes_of(pod["metadata"]["uid"]), what="its processes have gone")
