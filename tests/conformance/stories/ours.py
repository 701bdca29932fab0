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
    _bindings(api, ns)
    _channels(api, ns)
    _tickets(api, ns)


def _object(kind: str, name: str, **spec: Any) -> dict[str, Any]:
    return {
        "apiVersion": "agentsmesh.io/v1alpha1",
        "kind": kind,
        "metadata": {"name": name},
        "spec": spec,
    }


def _bindings(api: Recorder, ns: str) -> None:
    bindings = f"/apis/agentsmesh.io/v1alpha1/namespaces/{ns}/podbindings"
    read, write = "terminal:read", "terminal:write"

    def binding(name: str, **spec: Any) -> dict[str, Any]:
        given = {"initiator": "lead", "target": "fix", "scopes": [read]} | spec
        return _object("PodBinding", name, **given)

    api.call("binding", "POST", bindings, binding("b", initiatorUID="u"))
    for label, spec in {
        "itself": {"target": "lead"},
        "no scope": {"scopes": []},
        "scope twice": {"scopes": [read, read]},
        "unknown scope": {"scopes": ["terminal:own"]},
        "approval": {"approval": "Perhaps"},
        "expiry": {"expiresAt": "tomorrow"},
    }.items():
        api.call(f"binding {label}", "POST", bindings, binding("bad", **spec))
    for label, spec in {
        "grows": {"scopes": [read, write]},
        "shrinks": {"scopes": [write]},
        "initiator": {"initiator": "other"},
        "target": {"target": "other"},
        "approval": {"approval": "Required"},
        "uid changed": {"initiatorUID": "v"},
        "uid removed": {"initiatorUID": None},
        "uid added": {"targetUID": "v"},
        "expires": {"expiresAt": "2030-01-01T00:00:00Z"},
        "reason": {"reason": "for the release"},
    }.items():
        api.call(f"binding: {label}", "PATCH", f"{bindings}/b", {"spec": spec}, content=MERGE)


def _channels(api: Recorder, ns: str) -> None:
    channels = f"/apis/agentsmesh.io/v1alpha1/namespaces/{ns}/channels"
    pod, person = {"name": "lead"}, {"kind": "User", "name": "lead"}
    for label, spec in {
        "least": {},
        "blank": {"displayName": "  \t"},
        "named": {"displayName": "Design review", "visibility": "private"},
        "visibility": {"visibility": "secret"},
        "members": {"members": [pod, person]},
        "member twice": {"members": [pod, pod]},
        "retention": {"retention": {"days": 30}},
        "no retention": {"retention": {"days": 0}},
    }.items():
        name = f"c-{label.replace(' ', '-')}"
        api.call(f"channel {label}", "POST", channels, _object("Channel", name, **spec))
    archive = {"spec": {"archived": True}}
    api.call("channel archived", "PATCH", f"{channels}/c-least", archive, content=MERGE)


def _tickets(api: Recorder, ns: str) -> None:
    tickets = f"/apis/agentsmesh.io/v1alpha1/namespaces/{ns}/tickets"
    item = {"id": "a1", "text": "it works"}
    for label, spec in {
        "least": {},
        "no title": {"title": ""},
        "bytes": {"body": "\u00e9" * 40_000},
        "words": {"body": "a  \r\n\tb \u00e9\n"},
        "own parent": {"parent": "p", "dependsOn": ["q", "p"]},
        "parent": {"parent": "p", "dependsOn": ["q"]},
        "state": {"state": "started"},
        "type": {"type": "chore"},
        "priority": {"priority": "asap"},
        "acceptance": {"acceptance": [item]},
        "acceptance twice": {"acceptance": [item, item]},
        "assignee twice": {"assignees": ["ada", "ada"]},
        "csi": {"title": "a\u009b2Jb"},
        "bidi": {"labels": ["a\u202eb"]},
        "bell": {"assignees": ["a\ab"]},
        "two lines": {"acceptance": [{"id": "a1", "text": "a\nb"}]},
    }.items():
        body = _object("Ticket", f"t-{label.replace(' ', '-')}", **({"title": "Do it"} | spec))
        api.call(f"ticket {label}", "POST", tickets, body)
    api.call(
        "ticket moves", "PATCH", f"{tickets}/t-least", {"spec": {"state": "todo"}}, content=MERGE
    )
