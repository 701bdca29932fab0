"""Ask a real CRD server about ``data/cases.yaml`` and write its answers to ``data/answers.json``.

Run by hand when cases are added: ``python record_answers.py KUBECONFIG`` with the kubeconfig of a
kube-apiserver (or apiextensions-apiserver) that may be written to. Creates and deletes CRDs in the
group ``example.dev``.
"""

import base64
import copy
import json
import ssl
import sys
import tempfile
import time
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

import yaml

DATA = Path(__file__).parent / "data"
VOLATILE = ("uid", "creationTimestamp", "resourceVersion", "managedFields", "generation")


class Server:
    """A few requests to one API server."""

    def __init__(self, kubeconfig: str) -> None:
        config = yaml.safe_load(Path(kubeconfig).read_text(encoding="utf-8"))
        cluster = config["clusters"][0]["cluster"]
        user = config["users"][0]["user"]
        self._url = cluster["server"]
        authority = base64.b64decode(cluster["certificate-authority-data"]).decode()
        self._context = ssl.create_default_context(cadata=authority)
        with tempfile.NamedTemporaryFile() as pem:
            pem.write(base64.b64decode(user["client-certificate-data"]))
            pem.write(base64.b64decode(user["client-key-data"]))
            pem.flush()
            self._context.load_cert_chain(pem.name)

    def call(
        self, method: str, path: str, body: Any = None, media: str = "application/json"
    ) -> tuple[int, Any, list[str]]:
        request = urllib.request.Request(  # noqa: S310 - the URL comes from a kubeconfig
            self._url + path,
            method=method,
            data=None if body is None else json.dumps(body).encode(),
            headers={"Content-Type": media, "Accept": "application/json"},
        )
        try:
            with urllib.request.urlopen(request, context=self._context) as answer:  # noqa: S310
                return answer.status, json.load(answer), answer.headers.get_all("Warning") or []
        except urllib.error.HTTPError as exc:
            with exc:
                text = exc.read().decode()
            return exc.code, json.loads(text) if text.startswith("{") else {"message": text}, []


CRDS = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"


def crd(case: dict[str, Any], spec: dict[str, Any]) -> dict[str, Any]:
    """Return the CRD for one case."""
    name = case["name"]
    schema: dict[str, Any] = {"type": "object", "properties": {"spec": spec}}
    if rules := [rule for rule in case.get("rules", ()) if not rule.get("absent")]:
        schema["x-kubernetes-validations"] = rules
    version = {"name": "v1", "served": True, "storage": True}
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": f"{name}.example.dev"},
        "spec": {
            "group": "example.dev",
            "scope": "Cluster",
            "names": {"plural": name, "kind": name.capitalize()},
            "versions": [{**version, "schema": {"openAPIV3Schema": schema}}],
        },
    }


def manifest(case: dict[str, Any], item: dict[str, Any], number: int) -> dict[str, Any]:
    """Return the object that is sent for one item of a case."""
    obj = {k: copy.deepcopy(v) for k, v in item.items() if k not in {"old", "name"}}
    metadata = obj.setdefault("metadata", {})
    name = item.get("name", f"c{number}")
    if name:
        metadata.setdefault("name", name)
    return {"apiVersion": "example.dev/v1", "kind": case["name"].capitalize(), **obj}


def _strip(obj: dict[str, Any]) -> dict[str, Any]:
    for key in VOLATILE:
        obj.get("metadata", {}).pop(key, None)
    return obj


def _answer(code: int, body: dict[str, Any], warnings: list[str]) -> dict[str, Any]:
    answer: dict[str, Any] = {"code": code}
    if code < 300:
        answer["stored"] = _strip(body)
    else:
        answer["message"] = body.get("message")
        answer["reason"] = body.get("reason")
        answer["causes"] = body.get("details", {}).get("causes", [])
    if warnings:
        answer["warnings"] = warnings
    return answer


def _wait_established(server: Server, name: str) -> None:
    for _ in range(100):
        status = server.call("GET", f"{CRDS}/{name}")[1].get("status") or {}
        for condition in status.get("conditions") or ():
            if condition["type"] == "Established" and condition["status"] == "True":
                return
        time.sleep(0.05)
    sys.exit(f"{name} is not established: {status}")


def _put_over(server: Server, path: str, obj: dict[str, Any]) -> dict[str, Any]:
    name = obj["metadata"]["name"]
    stored = server.call("GET", f"{path}/{name}")[1]
    obj["metadata"]["resourceVersion"] = stored["metadata"]["resourceVersion"]
    return _answer(*server.call("PUT", f"{path}/{name}", obj))


def _create_old(server: Server, case: dict[str, Any], path: str) -> None:
    for _ in range(100):
        if server.call("GET", path)[0] == 200:
            break
        time.sleep(0.05)
    for number, item in enumerate(case["objects"]):
        if "old" in item:
            code, body, _ = server.call("POST", path, manifest(case, item["old"], number))
            if code != 201:
                sys.exit(f"{case['name']}[{number}]: old object refused: {body}")


def _clear_finalizers(server: Server, path: str) -> None:
    for listed in server.call("GET", path)[1].get("items", ()):
        if listed["metadata"].get("finalizers"):
            listed["metadata"]["finalizers"] = []
            server.call("PUT", f"{path}/{listed['metadata']['name']}", listed)


def record(server: Server, case: dict[str, Any]) -> dict[str, Any]:
    """Return what the server makes of one case."""
    name, path = case["name"], f"/apis/example.dev/v1/{case['name']}"
    server.call("DELETE", f"{CRDS}/{name}.example.dev")
    while server.call("GET", f"{CRDS}/{name}.example.dev")[0] == 200:
        time.sleep(0.1)
    first = crd(case, case.get("lax", case["spec"]))
    code, body, warnings = server.call("POST", CRDS, first)
    if code != 201:
        return {"crd": _answer(code, body, warnings)}
    _wait_established(server, f"{name}.example.dev")
    _create_old(server, case, path)
    if "lax" in case:
        body = server.call("GET", f"{CRDS}/{name}.example.dev")[1]
        body["spec"]["versions"] = crd(case, case["spec"])["spec"]["versions"]
        code, body, _ = server.call("PUT", f"{CRDS}/{name}.example.dev", body)
        if code != 200:
            sys.exit(f"{name}: {body}")
        time.sleep(3)  # the handler learns of the new schema through a watch
    answers = []
    for number, item in enumerate(case["objects"]):
        obj = manifest(case, item, number)
        if "old" in item:
            answers.append(_put_over(server, path, obj))
        else:
            answers.append(_answer(*server.call("POST", f"{path}?fieldValidation=Warn", obj)))
    _clear_finalizers(server, path)
    server.call("DELETE", f"{CRDS}/{name}.example.dev")
    return {"objects": answers}


def main() -> None:
    """Record all cases, or those named on the command line."""
    server = Server(sys.argv[1])
    cases = yaml.safe_load((DATA / "cases.yaml").read_text(encoding="utf-8"))
    target = DATA / "answers.json"
    answers = json.loads(target.read_text(encoding="utf-8")) if target.exists() else {}
    for case in cases:
        if len(sys.argv) > 2 and case["name"] not in sys.argv[2:]:
            continue
        answers[case["name"]] = record(server, case)
        text = json.dumps(answers, indent=1, sort_keys=True, ensure_ascii=False)
        target.write_text(text + "\n", encoding="utf-8")
        print(case["name"], "recorded")


if __name__ == "__main__":
    main()
