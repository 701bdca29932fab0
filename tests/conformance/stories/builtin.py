"""Built-in kinds: their rules, and their tables."""

import base64
from typing import Any

from tests.conformance.client import Recorder
from tests.conformance.scenario import (
    CONFIG_MAPS,
    MERGE,
    STRATEGIC,
    TABLE,
    config_map,
    scenario,
)

SECRETS = "/api/v1/namespaces/{ns}/secrets"
EVENTS = "/api/v1/namespaces/{ns}/events"
LEASES = "/apis/coordination.k8s.io/v1/namespaces/{ns}/leases"
ACCOUNTS = "/api/v1/namespaces/{ns}/serviceaccounts"


def secret(name: str, **fields: Any) -> dict[str, Any]:
    return {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": name}} | fields


def encoded(text: str) -> str:
    return base64.b64encode(text.encode()).decode()


@scenario
def config_maps(api: Recorder, ns: str) -> None:
    path = CONFIG_MAPS.format(ns=ns)
    api.call("create", "POST", path, config_map("a", k="v"))
    binary = config_map("b", k="v") | {"binaryData": {"bin": encoded("x")}}
    api.call("binary", "POST", path, binary)
    both = config_map("c", k="v") | {"binaryData": {"k": encoded("x")}}
    api.call("key in both", "POST", path, both)
    api.call("bad key", "POST", path, config_map("d", **{"a b": "c"}))
    api.call("key of dots", "POST", path, config_map("d", **{"..": "c"}))
    api.call("too large", "POST", path, config_map("e", k="x" * (1 << 20) + "y"))
    answer = api.call(
        "bad base64", "POST", path, config_map("f") | {"binaryData": {"k": "?"}}, keep=False
    )
    api.note("bad base64", [answer["code"], answer["reason"]])
    number: dict[str, Any] = config_map("g") | {"data": {"k": 1}}
    answer = api.call("number", "POST", path, number, keep=False)
    api.note("number", [answer["code"], answer["reason"]])
    api.call("merge", "PATCH", f"{path}/a", {"data": {"k": None, "l": "w"}}, content=MERGE)
    api.call("put", "PUT", f"{path}/a", config_map("a", z="y"))
    api.call("put nothing", "PUT", f"{path}/a", {"metadata": {"name": "a"}})
    api.call("put absent", "PUT", f"{path}/zz", config_map("zz"), keep=False)
    api.call("no name", "POST", path, {"metadata": {}, "data": {}})
    api.call("bad name", "POST", path, config_map("A_b"))
    api.call("bad label", "POST", path, {"metadata": {"name": "l", "labels": {"a b": "c d"}}})
    api.call("delete", "DELETE", f"{path}/a")
    api.call("absent", "GET", f"{path}/a")


@scenario
def immutable_config_maps_and_secrets(api: Recorder, ns: str) -> None:
    for path, body in (
        (CONFIG_MAPS.format(ns=ns), config_map("a", k="v") | {"immutable": True}),
        (SECRETS.format(ns=ns), secret("a", data={"k": encoded("v")}, immutable=True)),
    ):
        kind = body["kind"]
        api.call(f"{kind} create", "POST", path, body)
        change = {"data": {"k": encoded("w")}}
        api.call(f"{kind} change", "PATCH", f"{path}/a", change, content=MERGE)
        soften = {"immutable": False}
        api.call(f"{kind} soften", "PATCH", f"{path}/a", soften, content=MERGE)
        label = {"metadata": {"labels": {"l": "v"}}}
        api.call(f"{kind} label", "PATCH", f"{path}/a", label, content=MERGE)


@scenario
def secrets(api: Recorder, ns: str) -> None:
    path = SECRETS.format(ns=ns)
    api.call("strings", "POST", path, secret("a", stringData={"k": "v"}))
    mixed = secret("b", stringData={"k": "v"}, data={"k": encoded("w"), "l": encoded("x")})
    api.call("strings win", "POST", path, mixed)
    api.call("nothing", "POST", path, secret("c"))
    patch = {"stringData": {"m": "n"}}
    api.call("patch strings", "PATCH", f"{path}/a", patch, content=STRATEGIC)
    api.call("type stays", "PATCH", f"{path}/a", {"type": "other"}, content=MERGE)
    answer = api.call("no base64", "POST", path, secret("d", data={"k": "?"}), keep=False)
    api.note("no base64", [answer["code"], answer["reason"]])
    api.call("bad key", "POST", path, secret("d", data={"a b": ""}))
    for kind in ("tls", "dockerconfigjson", "ssh-auth", "basic-auth", "service-account-token"):
        made = secret(kind, type=f"kubernetes.io/{kind}", data={"x": encoded("y")})
        api.call(kind, "POST", path, made)
    broken = secret("j", type="kubernetes.io/dockerconfigjson")
    broken["data"] = {".dockerconfigjson": encoded("{")}
    answer = api.call("no JSON", "POST", path, broken, keep=False)
    api.note("no JSON", [answer["code"], answer["reason"]])
    selected = api.call("by type", "GET", f"{path}?fieldSelector=type%3DOpaque", keep=False)
    api.note("by type", [item["metadata"]["name"] for item in selected["items"]])


@scenario
def namespaces(api: Recorder, ns: str) -> None:
    path = "/api/v1/namespaces"
    api.call("get", "GET", f"{path}/{ns}", keep=False)
    api.call("bad name", "POST", path, {"metadata": {"name": "a.b"}})
    api.call("again", "POST", path, {"metadata": {"name": ns}})
    api.call("default may not go", "DELETE", f"{path}/default")
    api.call("all may not go", "DELETE", path, keep=False)
    status = f"{path}/{ns}/status"
    label = {"metadata": {"labels": {"l": "v"}}, "status": {"phase": "Odd"}}
    answer = api.call("label", "PATCH", f"{path}/{ns}", label, content=MERGE, keep=False)
    api.note("label", [answer["metadata"]["labels"].get("l"), answer["status"]])
    answer = api.call("status", "GET", status, keep=False)
    api.note("status", [answer["spec"], answer["status"]])
    found = api.call("by phase", "GET", f"{path}?fieldSelector=status.phase%3DActive", keep=False)
    api.note("by phase", ns in [item["metadata"]["name"] for item in found["items"]])


@scenario
def events(api: Recorder, ns: str) -> None:
    path = EVENTS.format(ns=ns)
    about = {"kind": "ConfigMap", "namespace": ns, "name": "x", "uid": "u", "apiVersion": "v1"}
    event = {
        "apiVersion": "v1",
        "kind": "Event",
        "metadata": {"name": "a"},
        "involvedObject": about,
        "reason": "Tested",
        "message": "It was tested.",
        "type": "Normal",
        "count": 1,
        "firstTimestamp": "2026-01-01T00:00:00Z",
        "lastTimestamp": "2026-01-01T00:00:00Z",
        "source": {"component": "test"},
    }
    api.call("create", "POST", path, event)
    api.call("again", "POST", path, event)
    elsewhere = event | {"metadata": {"name": "b"}, "involvedObject": about | {"namespace": "o"}}
    api.call("about another namespace", "POST", path, elsewhere)
    api.call("count", "PATCH", f"{path}/a", {"count": 2}, content=STRATEGIC)
    for field in (
        "involvedObject.name=x",
        "involvedObject.uid=u",
        "involvedObject.kind=Secret",
        "reason=Tested",
        "type!=Normal",
        "source=test",
    ):
        query = f"fieldSelector={field.replace('=', '%3D')}"
        found = api.call(field, "GET", f"{path}?{query}", keep=False)
        api.note(field, [item["metadata"]["name"] for item in found["items"]])
    api.call("unknown field", "GET", f"{path}?fieldSelector=message%3Dx")
    newer = path.replace("/api/v1", "/apis/events.k8s.io/v1")
    api.call("newer form", "GET", f"{newer}/a")
    body = {"metadata": {"name": "n"}, "regarding": about}
    answer = api.call("newer form without time", "POST", newer, body, keep=False)
    api.note(
        "newer form without time", [answer["code"], answer["reason"], answer["details"]["causes"]]
    )
    api.call(
        "least", "POST", path, {"metadata": {"name": "l"}, "involvedObject": {"namespace": ns}}
    )
    api.call("least, newer form", "GET", f"{newer}/l")
    timed: dict[str, Any] = {"metadata": {"name": "t"}, "involvedObject": {"namespace": ns}}
    timed |= {"eventTime": "2026-01-01T00:00:00.000000Z"}
    api.call("with a time", "POST", path, timed)


@scenario
def leases(api: Recorder, ns: str) -> None:
    path = LEASES.format(ns=ns)
    time = "2026-01-01T00:00:00.123456Z"
    spec: dict[str, Any] = {"holderIdentity": "me", "leaseDurationSeconds": 15, "renewTime": time}
    lease = {
        "apiVersion": "coordination.k8s.io/v1",
        "kind": "Lease",
        "metadata": {"name": "a"},
        "spec": spec,
    }
    api.call("create", "POST", path, lease)
    for label, change in {
        "duration": {"leaseDurationSeconds": 0},
        "transitions": {"leaseTransitions": -1},
    }.items():
        bad = lease | {"metadata": {"name": "b"}, "spec": spec | change}
        api.call(label, "POST", path, bad)
    for label, change in {"time": {"renewTime": "now"}, "type": {"holderIdentity": 1}}.items():
        bad = lease | {"metadata": {"name": "b"}, "spec": spec | change}
        answer = api.call(label, "POST", path, bad, keep=False)
        api.note(label, [answer["code"], answer["reason"]])
    later = {"spec": {"renewTime": "2026-01-01T00:00:10.000000Z"}}
    api.call("renew", "PATCH", f"{path}/a", later, content=MERGE)
    short = {"spec": {"renewTime": "2026-01-01T00:00:10Z"}}
    answer = api.call("no fraction", "PATCH", f"{path}/a", short, content=MERGE, keep=False)
    api.note("no fraction", [answer.get("code"), answer.get("reason")])


@scenario
def service_accounts(api: Recorder, ns: str) -> None:
    path = ACCOUNTS.format(ns=ns)
    account = {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "robot"}}
    api.call("create", "POST", path, account)
    request = {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": {}}
    answer = api.call("token", "POST", f"{path}/robot/token", request, keep=False)
    fields = sorted(answer.get("status", {}))
    api.note("token", [answer["kind"], fields, answer["spec"]["expirationSeconds"]])
    short = request | {"spec": {"expirationSeconds": 60}}
    api.call("too short", "POST", f"{path}/robot/token", short)
    api.call("of nobody", "POST", f"{path}/nobody/token", request)


@scenario
def tables_of_built_in_kinds(api: Recorder, ns: str) -> None:
    api.call(
        "secret", "POST", SECRETS.format(ns=ns), secret("s", stringData={"a": "b"}), keep=False
    )
    api.call("map", "POST", CONFIG_MAPS.format(ns=ns), config_map("m", a="b", c="d"), keep=False)
    account = {"metadata": {"name": "robot"}}
    api.call("account", "POST", ACCOUNTS.format(ns=ns), account, keep=False)
    lease = {"metadata": {"name": "l"}, "spec": {"holderIdentity": "me"}}
    api.call("lease", "POST", LEASES.format(ns=ns), lease, keep=False)
    roles = f"/apis/rbac.authorization.k8s.io/v1/namespaces/{ns}"
    role = {"metadata": {"name": "r"}, "rules": []}
    api.call("role", "POST", f"{roles}/roles", role, keep=False)
    group = "rbac.authorization.k8s.io"
    binding = {
        "metadata": {"name": "rb"},
        "roleRef": {"apiGroup": group, "kind": "Role", "name": "r"},
        "subjects": [
            {"kind": "User", "name": "ada", "apiGroup": group},
            {"kind": "Group", "name": "all", "apiGroup": group},
            {"kind": "ServiceAccount", "name": "robot", "namespace": ns},
        ],
    }
    api.call("binding", "POST", f"{roles}/rolebindings", binding, keep=False)
    for path in (
        f"{SECRETS.format(ns=ns)}/s",
        f"{CONFIG_MAPS.format(ns=ns)}/m",
        f"{ACCOUNTS.format(ns=ns)}/robot",
        f"{LEASES.format(ns=ns)}/l",
        f"{roles}/roles/r",
        f"{roles}/rolebindings/rb",
        f"/api/v1/namespaces/{ns}",
        "/apis/rbac.authorization.k8s.io/v1/clusterrolebindings/cluster-admin",
    ):
        table = api.call("table", "GET", path, accept=TABLE, keep=False)
        columns = [
            [column[name] for name in ("name", "type", "format", "priority")]
            for column in table["columnDefinitions"]
        ]
        ages = {"Age", "Created At"}
        cells = [
            "…" if column[0] in ages else cell
            for column, cell in zip(columns, table["rows"][0]["cells"], strict=True)
        ]
        api.note(path.rpartition("/")[0].rpartition("/")[2], {"columns": columns, "cells": cells})
