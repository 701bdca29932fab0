"""Manifests of AgentPods in git: how long one commit of many takes."""

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

from bench import gitfiles
from bench.api import Api
from bench.gitops_watch import API, LONG_SECONDS, applied, events, settle, until, versions
from bench.mesh import Mesh
from bench.report import Row

PUBLISHED_SECONDS: Final = {100: 27.0, 1000: 255.0}
"""A GitOps engine on 2 cores, by what its authors have published."""


def measure(running: Mesh, number: int) -> list[Row]:
    """From one commit of *number* manifests until each has a status of its generation."""
    api = Api(running.kubeconfig)
    name = f"fleet{number}"
    bare = running.origin.parent / f"{name}.git"
    gitfiles.make(bare, {"README.md": "A fleet.\n"})
    meta = {"name": name, "namespace": "default"}
    base = {"apiVersion": "agentsmesh.io/v1alpha1", "metadata": meta}
    spec = {"repositoryRef": {"name": name}, "branch": "main", "prune": True}
    limits = {"pruneLimits": {"maxPercent": 100}}
    running.apply(
        base | {"kind": "Repository", "spec": {"url": f"file://{bare}"}},
        base | {"kind": "GitSource", "spec": spec | limits},
    )
    applied(api, name, gitfiles.tip(bare))
    settle(api)
    files = {
        gitfiles.pod_path(n): gitfiles.pod(n, "{agentClassName: idle, suspend: true}")
        for n in range(number)
    }
    taken = _until_all(api, bare, files, _reconciled)
    rows = [
        Row(f"{number:,} AgentPods in one commit: all reconciled", "s", taken, "published",
            PUBLISHED_SECONDS[number], note="a status of the generation; suspended, so none runs"),
    ]  # fmt: skip
    if number == 100:
        files = {path: text.replace(", suspend: true", "") for path, text in files.items()}
        taken = _until_all(api, bare, files, _runs)
        note = "the same, released by a second commit"
        rows.append(Row(f"{number} AgentPods in one commit: all running", "s", taken, "published",
                        PUBLISHED_SECONDS[number], note=note))  # fmt: skip
    commit = gitfiles.commit(bare, {}, gone=list(files))
    applied(api, name, commit)
    until(lambda: not versions(api, "agentpods"), "the pods are gone")
    return rows


def _until_all(
    api: Api, bare: Path, files: dict[str, str], claim: Callable[[dict[str, Any]], bool]
) -> float:
    open_pods = {Path(path).stem for path in files}
    with events(api, f"{API}/agentpods?watch=true") as seen:
        gitfiles.commit(bare, files)
        start = time.perf_counter()
        at = start
        while open_pods:
            at, event = seen.get(timeout=LONG_SECONDS)
            if claim(event["object"]):
                open_pods.discard(event["object"]["metadata"]["name"])
        return at - start


def _reconciled(pod: dict[str, Any]) -> bool:
    status = pod.get("status", {})
    ready = any(each["type"] == "Ready" for each in status.get("conditions", []))
    return ready and bool(status.get("observedGeneration") == pod["metadata"]["generation"])


def _runs(pod: dict[str, Any]) -> bool:
    return bool(pod.get("status", {}).get("phase") == "Running")
