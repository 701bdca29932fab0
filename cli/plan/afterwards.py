"""What is there once the sync has done its work, and what the API server would refuse. Pure.

Refusals are found as the embedded API server finds them, by the schemas and rules of our CRDs: also
that a pod which is placed can hardly be changed. A quota is what the cluster says that it enforces.
"""

import copy
import functools
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from apiserver import quantities
from apiserver.schema.compiled import CompiledSchema
from cli.plan.cluster import Cluster
from cli.plan.drawn import Drawn
from cli.plan.values import Refusal
from controller.gitops.apply import Change
from controller.gitops.bodies import manifest, patch, release
from controller.gitops.living import RESOURCES
from controller.gitops.values import Identity
from controller.gitops.writing import FIXED, IMMUTABLE, REFUSED
from controller.placement.desired import ENDED, STOPPED
from controller.reconcilers.runner.status import CONNECTED
from schemas.agentpod import DesiredState
from schemas.agentpod_status import PodPhase
from schemas.crdgen import crds
from schemas.names import AGENT_POD, GROUP, RESOURCE_QUOTA, RUNNER
from schemas.ticket import TicketState

QUOTA_EXCEEDED: Final = "QuotaExceeded"
_LATER: Final = "9999-12-31T23:59:59Z"
"""When what would be created is created: after all that is there."""
_STOPPED: Final = {
    "type": STOPPED,
    "status": "True",
    "reason": "Expected",
    "lastTransitionTime": _LATER,
}
"""What is said of a pod that a person stopped: it keeps its ticket."""


@dataclass(frozen=True, slots=True)
class Afterwards:
    """What would be there, and what would be refused."""

    cluster: Cluster
    refusals: Mapping[Identity, Refusal] = field(default_factory=dict)


def afterwards(cluster: Cluster, drawn: Drawn, source: str) -> Afterwards:
    """Return what is there afterwards; what is refused stays as it was."""
    manifests = dict(cluster.manifests)
    refusals: dict[Identity, Refusal] = {}
    for change in drawn.plan.changes:
        old = manifests[change.known.identity]
        new = _changed(change, old, drawn, source)
        if refusal := _refused(change.known.identity.kind, new, old):
            refusals[change.known.identity] = refusal
        else:
            manifests[change.known.identity] = _carried_out(cluster, new, old)
    _without_files(cluster, drawn, manifests)
    created: list[Identity] = []
    for known in drawn.plan.creates:
        new = _created(cluster.namespace, drawn, known.identity, known.path, source)
        if refusal := _refused(known.identity.kind, new, None):
            refusals[known.identity] = refusal
        else:
            manifests[known.identity] = new
            created.append(known.identity)
    refusals |= _over_quota(cluster, manifests, created)
    for identity, refusal in refusals.items():
        if identity in created and refusal.certain:
            del manifests[identity]
    return Afterwards(Cluster(cluster.namespace, manifests, cluster.unread), refusals)


def _without_files(
    cluster: Cluster, drawn: Drawn, manifests: dict[tuple[str, str], dict[str, Any]]
) -> None:
    """Delete, let go or cancel what has no file any more."""
    for gone in drawn.plan.deletes:
        if _lingers(cluster, manifests[gone.identity]):
            manifests[gone.identity] = _deleted(manifests[gone.identity])
        else:
            del manifests[gone.identity]
    for gone in drawn.plan.releases:
        manifests[gone.identity] = _merged(
            manifests[gone.identity], release(gone.identity, gone.uid, drawn.kinds)
        )
    for gone in drawn.plan.cancels:
        canceled = {"spec": {"state": TicketState.CANCELED.value}}
        manifests[gone.identity] = _merged(manifests[gone.identity], canceled)


def _created(
    namespace: str, drawn: Drawn, identity: Identity, path: str, source: str
) -> dict[str, Any]:
    body = manifest(drawn.declared[path], RESOURCES[identity.kind], namespace, source)
    body["metadata"] |= {
        "uid": f"new-{identity.kind}-{identity.name}",
        "resourceVersion": "1",
        "generation": 1,
        "creationTimestamp": _LATER,
    }
    return body


def _changed(change: Change, old: dict[str, Any], drawn: Drawn, source: str) -> dict[str, Any]:
    identity = change.known.identity
    said, live = drawn.declared[change.known.path], drawn.live[identity]
    new: dict[str, Any] = _merged(old, patch(said, live, drawn.applied.get(identity), source))
    return new


def _deleted(item: dict[str, Any]) -> dict[str, Any]:
    metadata = {**item["metadata"], "deletionTimestamp": _LATER}
    return {**item, "metadata": metadata}


def _carried_out(cluster: Cluster, new: dict[str, Any], old: Mapping[str, Any]) -> dict[str, Any]:
    """Return the resource with what its status says once it is as its spec says.

    A Runner's number of pods, if it was its spec's before, is not its machine's: that allows more,
    and nobody here knows how many. A pod that is to be stopped has ended.
    """
    status, spec = dict(new.get("status") or {}), new["spec"]
    before = ((old.get("spec") or {}).get("capacity") or {}).get("maxPods")
    if new["kind"] == RUNNER.kind and before is not None and status.get("maxPods") == before:
        del status["maxPods"]
    stopped = new["kind"] == AGENT_POD.kind and spec.get("desiredState") == DesiredState.STOPPED
    ended = status.get("phase") in ENDED
    if stopped and status.get("placement") and not ended and not _lingers(cluster, new):
        status["phase"] = PodPhase.SUCCEEDED.value
        status["conditions"] = [*(status.get("conditions") or []), _STOPPED]
    return {**new, "status": status}


def _lingers(cluster: Cluster, item: Mapping[str, Any]) -> bool:
    """Whether it stays when it is deleted: a pod whose runner cannot be asked to remove it."""
    placement = (item.get("status") or {}).get("placement") or {}
    runner = cluster.manifests.get((RUNNER.kind, placement.get("runnerName", "")))
    return bool(placement) and runner is not None and not is_connected(runner)


def is_connected(runner: Mapping[str, Any]) -> bool:
    """Whether the Runner says that it is connected."""
    conditions: list[dict[str, Any]] = (runner.get("status") or {}).get("conditions") or []
    return any(c.get("type") == CONNECTED and c.get("status") == "True" for c in conditions)


def _merged(target: Any, change: Any) -> Any:
    """Return *target* with the merge patch. Source: RFC 7386."""
    if not isinstance(change, Mapping):
        return change
    result = dict(target) if isinstance(target, Mapping) else {}
    for key, value in change.items():
        if value is None:
            result.pop(key, None)
        else:
            result[key] = _merged(result.get(key), value)
    return result


@functools.cache
def _schemas() -> dict[str, CompiledSchema]:
    return {
        crd["spec"]["names"]["kind"]: CompiledSchema(
            crd["spec"]["versions"][0]["schema"]["openAPIV3Schema"]
        )
        for crd in crds()
    }


def _refused(kind: str, new: Mapping[str, Any], old: Mapping[str, Any] | None) -> Refusal | None:
    """Return what the API server would say, None if it takes it."""
    schema = _schemas()[kind]
    objects = [copy.deepcopy(dict(each)) for each in (new, old) if each is not None]
    for each in objects:
        schema.prune(each)
        schema.default(each)
    errors = schema.validate(objects[0], objects[1] if old is not None else None)
    if not errors:
        return None
    said = "; ".join(f"{error.field}: {error.detail or error.type_text}" for error in errors[:3])
    return Refusal(IMMUTABLE if FIXED.search(said) else REFUSED, said)


def _over_quota(
    cluster: Cluster, manifests: Mapping[tuple[str, str], dict[str, Any]], created: list[Identity]
) -> Iterable[tuple[Identity, Refusal]]:
    """Give what a quota that the cluster enforces has no room for."""
    for key, limit in _hard(cluster).items():
        plural, _, group = key.removeprefix("count/").partition(".")
        kinds = [r.kind for r in RESOURCES.values() if r.plural == plural and group == GROUP]
        if not kinds or not key.startswith("count/"):
            continue
        asked = [identity for identity in created if identity.kind == kinds[0]]
        there = sum(kind == kinds[0] for kind, _ in manifests)
        over = min(len(asked), there - limit)
        if over <= 0:
            continue
        text = f"a quota of the namespace allows {limit} {plural}, there would be {there}"
        certain = over == len(asked)
        if not certain:
            text += f": {over} of the {len(asked)} new ones are refused"
        for identity in asked:
            yield identity, Refusal(QUOTA_EXCEEDED, text, certain)


def _hard(cluster: Cluster) -> dict[str, int]:
    """Return the limits in force. A cluster that enforces none says none in the status."""
    limits: dict[str, int] = {}
    for (kind, _), item in cluster.manifests.items():
        if kind != RESOURCE_QUOTA.kind:
            continue
        for key, value in ((item.get("status") or {}).get("hard") or {}).items():
            if (limit := quantities.parse(value)) is not None:
                limits[key] = min(int(limit.value), limits.get(key, int(limit.value)))
    return limits
