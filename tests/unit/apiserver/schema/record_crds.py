"""Ask a real CRD server about ``data/crds.yaml``; write its answers to ``data/crd_answers.json``.

Run by hand: ``python record_crds.py KUBECONFIG``; nothing is kept on the server.
"""

import copy
import json
import sys
from pathlib import Path
from typing import Any

import yaml
from record_answers import CRDS, Server

DATA = Path(__file__).parent / "data"

SPEC = {
    "type": "object",
    "properties": {
        "s": {"type": "string"},
        "i": {"type": "integer"},
        "b": {"type": "boolean"},
        "o": {"type": "object"},
        "a": {"type": "array", "items": {"type": "string"}},
    },
}
SCHEMA = {"type": "object", "properties": {"spec": SPEC}}


def definition(case: dict[str, Any]) -> dict[str, Any]:
    """Return the CRD that a case describes."""
    schema: Any = copy.deepcopy(case.get("schema", SCHEMA))
    if "props" in case:
        schema["properties"]["spec"]["properties"] = copy.deepcopy(case["props"])
    version = {"name": "v1", "served": True, "storage": True}
    versions = copy.deepcopy(case.get("versions", [version]))
    for one in versions:
        one.setdefault("schema", {"openAPIV3Schema": schema})
    for key, name in (
        ("columns", "additionalPrinterColumns"),
        ("selectable", "selectableFields"),
        ("subresources", "subresources"),
    ):
        if key in case:
            versions[0][name] = case[key]
    crd: dict[str, Any] = {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": "things.example.dev"},
        "spec": {
            "group": "example.dev",
            "scope": "Namespaced",
            "names": {"plural": "things", "kind": "Thing"},
            "versions": versions,
        },
    }
    return merged(crd, case.get("merge", {}))


def merged(target: dict[str, Any], patch: dict[str, Any]) -> dict[str, Any]:
    """Return *target* with the maps of *patch* merged in."""
    result = dict(target)
    for key, value in patch.items():
        inner = isinstance(value, dict) and isinstance(result.get(key), dict)
        result[key] = merged(result[key], value) if inner else value
    return result


def main() -> None:
    """Record all cases."""
    server = Server(sys.argv[1])
    cases = yaml.safe_load((DATA / "crds.yaml").read_text(encoding="utf-8"))
    answers = []
    for case in cases:
        code, body, _ = server.call("POST", f"{CRDS}?dryRun=All", definition(case))
        answer: dict[str, Any] = {"code": code}
        if code == 201:
            answer["spec"] = body["spec"]
        else:
            answer["message"] = body["message"]
            answer["causes"] = body.get("details", {}).get("causes", [])
        answers.append(answer)
    text = json.dumps(answers, indent=1, sort_keys=True, ensure_ascii=False)
    (DATA / "crd_answers.json").write_text(text + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
