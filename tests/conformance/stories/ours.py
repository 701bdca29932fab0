"""The rules of our own kinds."""

import json
from typing import Any

from tests.conformance.client import Recorder
from tests.conformance.scenario import MERGE, scenario


@scenario
def our_rules_are_kept(api: Recorder, ns: str) -> None:
    pods = f"/apis/agentsmesh.io/v1alpha1/namespaces/{ns}/agentpods"

    def pod(name: str, **spec: Any) -> dict[str, Any]:
        return {
            "apiVersion": "agentsmesh.io/v1alpha1",
            "kind": "AgentPod",
            "metadata": {"name": name},
            "spec": {"agentClassName": "a", **spec},
        }

    api.call("least", "POST", pods, pod("a"))
    for label, spec in {
        "NUL": {"prompt": "a\0b"},
        "bytes": {"prompt": "é" * 20000},
        "branch": {"repositoryRef": {"name": "r", "worktree": {"branch": "--x"}}},
        "mode": {"permissionMode": "reckless"},
        "hosts": {"sandbox": {"network": "allowlist"}},
        "class": {"agentClassName": "Not A Name"},
    }.items():
        api.call(label, "POST", pods, pod("bad", **spec))
    api.call(
        "class changes", "PATCH", f"{pods}/a", {"spec": {"agentClassName": "b"}}, content=MERGE
    )
    api.call(
        "prompt before placement", "PATCH", f"{pods}/a", {"spec": {"prompt": "p"}}, content=MERGE
    )
    placement = {
        "runnerName": "r",
        "runnerUID": "u",
        "epoch": 1,
        "placedAt": "2026-01-01T00:00:00Z",
    }
    placed = {"status": {"placement": placement}}
    api.call("place", "PATCH", f"{pods}/a/status", placed, content=MERGE)
    api.call(
        "prompt after placement", "PATCH", f"{pods}/a", {"spec": {"prompt": "q"}}, content=MERGE
    )
    stop = {"spec": {"desiredState": "Stopped"}}
    api.call("stop after placement", "PATCH", f"{pods}/a", stop, content=MERGE)
    organizations = "/apis/agentsmesh.io/v1alpha1/organizations"
    member = {"subject": {"kind": "User", "name": "ada"}, "role": "member"}
    organization = {
        "apiVersion": "agentsmesh.io/v1alpha1",
        "kind": "Organization",
        "metadata": {"name": "conformance-org"},
        "spec": {"members": [member]},
    }
    api.call("no owner", "POST", organizations, organization)
    for label, url in {
        "https": "https://git.example/x.git",
        "option": "ssh://git@-oProxyCommand/y",
        "ext": "ext::sh -c id",
        "user": "https://user:pass@git.example/x.git",
        "dots": "https://git.example/../x.git",
        "path": "/srv/git/x.git",
    }.items():
        body = {
            "apiVersion": "agentsmesh.io/v1alpha1",
            "kind": "Repository",
            "metadata": {"name": label},
            "spec": {"url": url},
        }
        repositories = f"/apis/agentsmesh.io/v1alpha1/namespaces/{ns}/repositories"
        api.call(f"url {label}", "POST", repositories, body)
    enrollments = f"/apis/agentsmesh.io/v1alpha1/namespaces/{ns}/runnerenrollments"
    enrollment = {
        "apiVersion": "agentsmesh.io/v1alpha1",
        "kind": "RunnerEnrollment",
        "metadata": {"name": "e"},
        "spec": {"runnerName": "r"},
    }
    api.call("enrollment", "POST", enrollments, enrollment)
    api.call("changed", "PATCH", f"{enrollments}/e", {"spec": {"maxUses": 2}}, content=MERGE)
    both = json.loads(json.dumps(enrollment))
    both["metadata"]["name"] = "f"
    both["spec"]["runnerNamePrefix"] = "p"
    api.call("both names", "POST", enrollments, both)
