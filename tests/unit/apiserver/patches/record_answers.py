"""Ask a real CRD server about ``cases.py``; write its answers to ``answers.json``.

Run by hand: ``PYTHONPATH=. python tests/unit/apiserver/patches/record_answers.py KUBECONFIG``.
"""

import importlib.util
import json
import sys
import time
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
NAME = "patched.example.dev"
PATH = "/apis/example.dev/v1/patched"


def _load(path: Path) -> Any:
    spec = importlib.util.spec_from_file_location(path.stem, path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def main() -> None:
    """Record all cases."""
    schema = _load(HERE.parent / "schema" / "record_answers.py")
    cases = _load(HERE / "cases.py")
    server = schema.Server(sys.argv[1])
    free = {"type": "object", "x-kubernetes-preserve-unknown-fields": True}
    case = {"name": "patched", "objects": []}
    server.call("POST", schema.CRDS, schema.crd(case, free))
    schema._wait_established(server, NAME)
    while server.call("GET", PATH)[0] != 200:
        time.sleep(0.1)
    answers: dict[str, list[Any]] = {"merge": [], "json": []}
    for kind, patches in (("merge", cases.MERGE), ("json", cases.JSON)):
        for number, patch in enumerate(patches):
            name = f"{kind}{number}"
            obj = schema.manifest(case, {"name": name, "spec": cases.TARGET}, 0)
            server.call("POST", PATH, obj)
            body = {"spec": patch} if kind == "merge" else patch
            media = f"application/{'merge' if kind == 'merge' else 'json'}-patch+json"
            code, answer, _ = server.call("PATCH", f"{PATH}/{name}", body, media)
            kept = answer.get("spec") if code == 200 else answer
            answers[kind].append({"code": code, "answer": kept})
    server.call("DELETE", f"{schema.CRDS}/{NAME}")
    text = json.dumps(answers, indent=1, sort_keys=True)
    (HERE / "answers.json").write_text(text + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
