"""An unmodified kubectl, and the Python clients, at work on a real server process."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import textwrap
from pathlib import Path
from typing import Any

import pytest

CRD = """
apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata: {name: widgets.example.com}
spec:
  group: example.com
  scope: Namespaced
  names: {plural: widgets, kind: Widget, shortNames: [wd], categories: [all]}
  versions:
  - name: v1
    served: true
    storage: true
    subresources:
      status: {}
      scale: {specReplicasPath: .spec.replicas, statusReplicasPath: .status.replicas}
    selectableFields: [{jsonPath: .spec.color}]
    additionalPrinterColumns:
    - {name: Color, type: string, jsonPath: .spec.color}
    - {name: Size, type: integer, jsonPath: .spec.size, priority: 1}
    schema:
      openAPIV3Schema:
        type: object
        description: A widget.
        properties:
          spec:
            type: object
            required: [color]
            properties:
              color: {type: string, description: Which colour it has., enum: [red, green, blue]}
              size: {type: integer, default: 3, minimum: 1}
              replicas: {type: integer}
            x-kubernetes-validations:
            - {rule: "self.size < 100", message: "size must be below 100"}
          status:
            type: object
            x-kubernetes-preserve-unknown-fields: true
"""

WIDGET = """
apiVersion: example.com/v1
kind: Widget
metadata: {name: w, labels: {app: shop}}
spec: {color: red}
"""


@pytest.fixture
def shop(apiserver_process: Any) -> Any:
    """Return a server that serves widgets, one of which exists."""
    apiserver_process.kubectl("apply", "-f", "-", stdin=CRD)
    apiserver_process.kubectl("wait", "--for=condition=Established", "crd/widgets.example.com")
    apiserver_process.kubectl("apply", "-f", "-", stdin=WIDGET)
    return apiserver_process


def read(server: Any, *what: str) -> Any:
    return json.loads(server.kubectl("get", *what, "-o", "json").stdout)


def test_applying_again_changes_nothing_and_a_change_is_seen(shop: Any) -> None:
    assert shop.kubectl("apply", "-f", "-", stdin=WIDGET).stdout.endswith("unchanged\n")
    changed = WIDGET.replace("red", "blue")
    difference = shop.kubectl("diff", "-f", "-", stdin=changed, check=False)
    assert difference.returncode == 1
    assert "-  color: red\n+  color: blue\n" in difference.stdout
    assert shop.kubectl("apply", "-f", "-", stdin=changed).stdout.endswith("configured\n")
    assert read(shop, "wd", "w")["spec"] == {"color": "blue", "size": 3}


def test_a_wrong_manifest_is_refused_with_the_field(shop: Any) -> None:
    for wrong, why in (
        ("{color: pink}", 'spec.color: Unsupported value: "pink"'),
        ("{color: red, size: 200}", "size must be below 100"),
        ("{color: red, sise: 2}", 'unknown field "spec.sise"'),
        ("{}", "spec.color: Required value"),
    ):
        manifest = WIDGET.replace("{color: red}", wrong).replace("name: w,", "name: wrong,")
        done = shop.kubectl("apply", "-f", "-", stdin=manifest, check=False)
        assert done.returncode == 1
        assert why in done.stderr


def test_tables_show_the_printer_columns(shop: Any) -> None:
    lines = shop.kubectl("get", "wd").stdout.splitlines()
    assert [line.split() for line in lines] == [["NAME", "COLOR"], ["w", "red"]]
    assert "SIZE" in shop.kubectl("get", "widgets", "-o", "wide").stdout
    assert "widget.example.com/w" in shop.kubectl("get", "all", "-o", "name").stdout
    assert "w" in shop.kubectl("get", "wd", "-A", "--sort-by=.metadata.name").stdout
    found = shop.kubectl("get", "wd", "-l", "app=shop", "--field-selector", "spec.color=red")
    assert found.stdout == shop.kubectl("get", "wd").stdout
    assert "No resources" in shop.kubectl("get", "wd", "-l", "app!=shop").stderr


def test_explain_and_describe_tell_what_is_known(shop: Any) -> None:
    assert "Which colour it has." in shop.kubectl("explain", "widget.spec.color").stdout
    assert "FIELD: data" in shop.kubectl("explain", "secret.data").stdout
    shop.kubectl("patch", "wd", "w", "--subresource=status", "--type=merge", "-p", STATUS)
    uid = read(shop, "wd", "w")["metadata"]["uid"]
    shop.kubectl("create", "-f", "-", stdin=EVENT.replace("UID", uid))
    told = shop.kubectl("describe", "wd", "w").stdout
    assert "Color:  red" in told
    assert "It is painted." in told
    assert "Painted" in shop.kubectl("events", "--for", "widget.example.com/w").stdout


STATUS = '{"status":{"conditions":[{"type":"Ready","status":"True"}]}}'

EVENT = """
apiVersion: v1
kind: Event
metadata: {generateName: w-, namespace: default}
involvedObject: {kind: Widget, apiVersion: example.com/v1, name: w, namespace: default, uid: UID}
reason: Painted
message: It is painted.
type: Normal
source: {component: painter}
firstTimestamp: "2030-01-01T00:00:00Z"
lastTimestamp: "2030-01-01T00:00:00Z"
count: 1
"""


def test_patches_labels_and_edits_arrive(
    shop: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shop.kubectl("patch", "wd", "w", "--type=merge", "-p", '{"spec":{"size":5}}')
    operation = '[{"op":"replace","path":"/spec/color","value":"green"}]'
    shop.kubectl("patch", "wd", "w", "--type=json", "-p", operation)
    shop.kubectl("label", "wd", "w", "tier=front", "app-")
    shop.kubectl("annotate", "wd", "w", "note=hello")
    shop.kubectl("scale", "wd/w", "--replicas=4")
    editor = tmp_path / "editor"
    editor.write_text('#!/bin/sh\nsed -i "s/size: 5/size: 6/" "$1"\n')
    editor.chmod(0o700)
    monkeypatch.setenv("KUBE_EDITOR", str(editor))
    shop.kubectl("edit", "wd", "w")
    found = read(shop, "wd", "w")
    assert found["spec"] == {"color": "green", "size": 6, "replicas": 4}
    assert found["metadata"]["labels"] == {"tier": "front"}
    assert found["metadata"]["annotations"]["note"] == "hello"
    assert found["metadata"]["generation"] == 5


def test_waiting_and_watching_end_when_it_is_so(shop: Any) -> None:
    watcher = subprocess.Popen(
        ["kubectl", "get", "wd", "w", "-w", "-o", "jsonpath={.metadata.name} {.spec.color}\n"],
        stdout=subprocess.PIPE,
        text=True,
        env=os.environ | {"KUBECONFIG": str(shop.kubeconfig), "HOME": str(shop.data_dir)},
    )
    assert watcher.stdout is not None
    assert watcher.stdout.readline() == "w red\n"
    shop.kubectl("patch", "wd", "w", "--type=merge", "-p", '{"spec":{"color":"blue"}}')
    assert watcher.stdout.readline() == "w blue\n"
    watcher.terminate()
    watcher.wait(10)
    watcher.stdout.close()
    shop.kubectl("patch", "wd", "w", "--subresource=status", "--type=merge", "-p", STATUS)
    shop.kubectl("wait", "wd/w", "--for=condition=Ready", "--timeout=10s")
    shop.kubectl("delete", "wd", "w", "--timeout=10s")
    shop.kubectl("wait", "wd/w", "--for=delete", "--timeout=10s")


def test_typed_commands_create_built_in_kinds(apiserver_process: Any) -> None:
    kubectl = apiserver_process.kubectl
    kubectl("create", "namespace", "team")
    kubectl("create", "configmap", "c", "-n", "team", "--from-literal=a=b")
    kubectl("create", "secret", "generic", "s", "-n", "team", "--from-literal=k=v")
    kubectl("create", "serviceaccount", "bot", "-n", "team")
    kubectl("create", "role", "reader", "-n", "team", "--verb=get,list", "--resource=configmaps")
    account = "--serviceaccount=team:bot"
    kubectl("create", "rolebinding", "bot", "-n", "team", "--role=reader", account)
    token = kubectl("create", "token", "bot", "-n", "team").stdout.strip()
    assert token.count(".") == 2
    assert read(apiserver_process, "cm", "c", "-n", "team")["data"] == {"a": "b"}
    assert read(apiserver_process, "secret", "s", "-n", "team")["data"] == {"k": "dg=="}
    bot = "--as=system:serviceaccount:team:bot"
    can = ("auth", "can-i", "-n", "team", bot)
    assert kubectl(*can, "list", "configmaps").stdout == "yes\n"
    assert kubectl(*can, "list", "secrets", check=False).stdout == "no\n"
    assert "configmaps" in kubectl("auth", "can-i", "--list", "-n", "team", bot).stdout
    assert "agentsmesh-admin" in kubectl("auth", "whoami").stdout
    denied = kubectl("get", "secrets", "-n", "team", bot, check=False)
    assert 'cannot list resource "secrets"' in denied.stderr
    kubectl("delete", "namespace", "team", "--timeout=20s")
    assert kubectl("get", "namespace", "team", check=False).returncode == 1


def test_built_in_kinds_are_applied_again(apiserver_process: Any) -> None:
    manifest = "{apiVersion: v1, kind: ConfigMap, metadata: {name: c}, data: {a: '1', b: '2'}}"
    apiserver_process.kubectl("apply", "-f", "-", stdin=manifest)
    fewer = manifest.replace("a: '1', ", "")
    assert "configured" in apiserver_process.kubectl("apply", "-f", "-", stdin=fewer).stdout
    assert read(apiserver_process, "cm", "c")["data"] == {"b": "2"}


def test_what_is_served_is_discovered(shop: Any) -> None:
    lines = shop.kubectl("api-resources", "--no-headers").stdout.splitlines()
    assert ["widgets", "wd", "example.com/v1", "true", "Widget"] in [x.split() for x in lines]
    assert "example.com/v1" in shop.kubectl("api-versions").stdout.split()
    assert shop.kubectl("get", "--raw", "/readyz").stdout == "ok"
    assert json.loads(shop.kubectl("version", "-o", "json").stdout)["serverVersion"]["major"] == "1"
    shop.kubectl("delete", "crd", "widgets.example.com", "--timeout=20s")
    assert shop.kubectl("get", "wd", check=False).returncode == 1


def test_owned_objects_go_with_their_owner(shop: Any) -> None:
    uid = read(shop, "wd", "w")["metadata"]["uid"]
    owner = f"{{apiVersion: example.com/v1, kind: Widget, name: w, uid: {uid}}}"
    for name in ("one", "two"):
        child = WIDGET.replace("name: w,", f"name: {name}, ownerReferences: [{owner}],")
        shop.kubectl("create", "-f", "-", stdin=child)
    shop.kubectl("delete", "wd", "w", "--cascade=orphan")
    assert len(read(shop, "wd")["items"]) == 2
    uid = read(shop, "wd", "one")["metadata"]["uid"]
    patch = {"metadata": {"ownerReferences": [_owner("one", uid)]}}
    shop.kubectl("patch", "wd", "two", "--type=merge", "-p", json.dumps(patch))
    shop.kubectl("delete", "wd", "one", "--cascade=foreground", "--timeout=20s")
    assert read(shop, "wd")["items"] == []


def _owner(name: str, uid: str) -> dict[str, Any]:
    return {
        "apiVersion": "example.com/v1",
        "kind": "Widget",
        "name": name,
        "uid": uid,
        "blockOwnerDeletion": True,
    }


def test_what_is_read_can_be_written_back(shop: Any, tmp_path: Path) -> None:
    manifest = tmp_path / "widget.yaml"
    manifest.write_text(shop.kubectl("get", "wd", "w", "-o", "yaml").stdout)
    text = manifest.read_text()
    assert text.startswith("apiVersion: example.com/v1\nkind: Widget\n")
    manifest.write_text(text.replace("color: red", "color: green"))
    shop.kubectl("replace", "-f", str(manifest))
    stale = shop.kubectl("replace", "-f", str(manifest), check=False)
    assert "the object has been modified" in stale.stderr
    assert read(shop, "wd", "w")["spec"]["color"] == "green"


def test_a_list_is_applied_item_by_item_and_each_is_validated(shop: Any) -> None:
    item = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "of-a-list"}}
    listed = {"apiVersion": "v1", "kind": "List", "items": [item | {"data": {"a": "1"}}]}
    assert "created" in shop.kubectl("apply", "-f", "-", stdin=json.dumps(listed)).stdout
    listed["items"] = [item | {"dota": {}}]
    said = shop.kubectl("apply", "-f", "-", stdin=json.dumps(listed), check=False)
    assert "dota" in said.stderr


def test_server_side_apply_is_refused_in_words(shop: Any) -> None:
    done = shop.kubectl("apply", "--server-side", "-f", "-", stdin=WIDGET, check=False)
    assert done.returncode == 1
    assert "server-side apply is not served here" in done.stderr


def test_dry_runs_change_nothing(shop: Any) -> None:
    changed = WIDGET.replace("red", "blue")
    done = shop.kubectl("apply", "--dry-run=server", "-f", "-", stdin=changed)
    assert done.stdout.endswith("configured (server dry run)\n")
    shop.kubectl("delete", "wd", "w", "--dry-run=server")
    assert read(shop, "wd", "w")["spec"]["color"] == "red"


def test_built_in_kinds_are_patched_in_every_way(apiserver_process: Any) -> None:
    kubectl = apiserver_process.kubectl
    kubectl("create", "configmap", "c", "--from-literal=a=1")
    for kind, patch in {
        "strategic": '{"data":{"b":"2"}}',
        "merge": '{"data":{"c":"3"}}',
        "json": '[{"op":"remove","path":"/data/a"}]',
    }.items():
        kubectl("patch", "cm", "c", f"--type={kind}", "-p", patch)
    assert read(apiserver_process, "cm", "c")["data"] == {"b": "2", "c": "3"}
    assert kubectl("get", "cm", "c", "--no-headers").stdout.split()[:2] == ["c", "2"]


def test_our_own_kinds_are_explained_applied_and_listed_together(apiserver_process: Any) -> None:
    kubectl = apiserver_process.kubectl
    root = Path(__file__).parents[3]
    kubectl("apply", "-f", str(root / "crds"))
    kubectl("wait", "--for=condition=Established", "crd", "--all", "--timeout=20s")
    told = kubectl("explain", "agentpods", "--recursive").stdout
    assert "permissionMode" in told
    assert "desiredState" in told
    assert "DESCRIPTION" in kubectl("explain", "agentpod.spec.agentClassName").stdout
    for name in ("organization", "agentclass", "pods"):
        path = str(root / "examples" / "quickstart" / f"{name}.yaml")
        kubectl("apply", "-f", path)
        assert "unchanged" in kubectl("apply", "-f", path).stdout
    found = kubectl("get", "mesh", "-A", "-o", "name").stdout
    for kind in ("agentpod", "agentclass", "organization"):
        assert f"{kind}.agentsmesh.io/" in found
    assert "AGE" in kubectl("get", "agentpods", "-o", "wide").stdout
    served = kubectl("api-resources", "--api-group=agentsmesh.io", "-o", "name").stdout.split()
    assert "agentpods.agentsmesh.io" in served
    kubectl("delete", "-f", str(root / "crds"), "--timeout=20s")
    assert kubectl("get", "agentpods", check=False).returncode == 1


KOPF = """
import kopf

@kopf.on.create("example.com", "v1", "widgets")
def made(patch, **_):
    patch.status["seen"] = True

@kopf.on.delete("example.com", "v1", "widgets")
def gone(**_):
    print("GONE", flush=True)
"""


def test_kopf_sees_creates_and_deletes(shop: Any, tmp_path: Path) -> None:
    handlers = tmp_path / "handlers.py"
    handlers.write_text(textwrap.dedent(KOPF))
    kopf = subprocess.Popen(
        [sys.executable, "-m", "kopf", "run", "-n", "default", "-q", str(handlers)],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        env=os.environ | {"KUBECONFIG": str(shop.kubeconfig)},
    )
    try:
        shop.kubectl("wait", "wd/w", "--for=jsonpath={.status.seen}=true", "--timeout=25s")
        shop.kubectl("delete", "wd", "w", "--timeout=20s")
        assert kopf.stdout is not None
        assert kopf.stdout.readline() == b"GONE\n"
    finally:
        kopf.terminate()
        kopf.communicate(timeout=20)


CLIENT = """
import asyncio, sys
from kubernetes.aio import client, config, watch

async def main():
    await config.load_kube_config(sys.argv[1])
    async with client.ApiClient() as api:
        core, custom = client.CoreV1Api(api), client.CustomObjectsApi(api)
        where = ("example.com", "v1", "default", "widgets")
        found = await custom.list_namespaced_custom_object(*where)
        version = found["metadata"]["resourceVersion"]
        secret = client.V1Secret(metadata=client.V1ObjectMeta(generate_name="s-"),
                                 string_data={"a": "b"})
        made = await core.create_namespaced_secret("default", secret)
        assert made.data == {"a": "Yg=="}
        body = {"metadata": {"labels": {"seen": "yes"}}}
        await custom.patch_namespaced_custom_object(*where, "w", body,
            _content_type="application/merge-patch+json")
        async with watch.Watch() as stream:
            async for event in stream.stream(custom.list_namespaced_custom_object, *where,
                                             resource_version=version):
                print(event["type"], event["object"]["metadata"]["labels"]["seen"])
                break
        try:
            await core.read_namespaced_secret("none", "default")
        except client.ApiException as error:
            print(error.status)

asyncio.run(main())
"""


def test_the_python_client_works(shop: Any) -> None:
    done = subprocess.run(
        [sys.executable, "-c", CLIENT, str(shop.kubeconfig)],
        capture_output=True,
        text=True,
        timeout=40,
        check=False,
    )
    assert done.stdout.splitlines() == ["MODIFIED yes", "404"], done.stderr
