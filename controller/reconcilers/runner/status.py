"""The status of a Runner. Pure. Certificates in it are the enrolment service's."""

from typing import Final

from controller.kernel.clock import seconds
from controller.kernel.reconciler import ReconcileError, Report, earliest
from controller.placement.capacity import max_pods
from controller.placement.links import Reach
from controller.reconcilers.conditions import Conditions
from controller.reconcilers.runner import checks
from controller.reconcilers.runner.snapshot import RunnerSnapshot
from schemas.conditions import READY, RECONCILING, STALLED, find, merge
from schemas.names import ANNOTATION_REQUESTED_AT
from schemas.runner import Platform, RunnerPhase, RunnerStatus

ENROLLED: Final = "Enrolled"
"""Normal-true. A machine was given a certificate for it."""
CERTIFICATE_VALID: Final = "CertificateValid"
"""Normal-true. The certificate in force has neither expired nor been revoked."""
CONNECTED: Final = "Connected"
"""Normal-true. It is connected to the controller."""

_NAMED_PODS: Final = 5


def report(snapshot: RunnerSnapshot, error: ReconcileError | None, now: float) -> Report:
    """Return the runner's status; nothing in it changes with a heartbeat."""
    del error  # nothing is done that is told
    item, about = snapshot.subject, snapshot.about
    update: dict[str, object] = {
        "observed_generation": item.metadata.generation,
        "last_handled_request_at": item.metadata.annotations.get(ANNOTATION_REQUESTED_AT),
        "phase": _phase(snapshot),
        "max_pods": max_pods(item, about),
        "running": snapshot.running,
    }
    if about is not None:
        update |= {
            "version": about.version[:64] or None,
            "protocol_version": about.protocol,
            "platform": Platform(
                os=about.os[:64], arch=about.arch[:64], hostname=about.hostname[:253]
            ),
            "isolations": tuple(name[:32] for name in about.isolations[:8]),
            "limits": {name[:32]: keeper[:64] for name, keeper in about.limits[:16]},
        }
    said = _conditions(snapshot, now)
    update["conditions"] = merge(item.status.conditions, said.items)
    return Report(
        item.status.model_copy(update=update), recheck_after_seconds=_expiry(item.status, now)
    )


def _phase(snapshot: RunnerSnapshot) -> RunnerPhase:
    item = snapshot.subject
    if item.spec.suspend:
        return RunnerPhase.BANNED
    if snapshot.reach is Reach.CONNECTED:
        return RunnerPhase.ONLINE
    never = RunnerPhase.PENDING if item.status.certificate is None else RunnerPhase.OFFLINE
    last = item.status.phase
    if snapshot.reach is Reach.WAITING and last is not None and last is not RunnerPhase.BANNED:
        return last
    return never


def _conditions(snapshot: RunnerSnapshot, now: float) -> Conditions:
    item = snapshot.subject
    said = Conditions.of(item, now)
    certificate = checks.certificate_ended(snapshot, now)
    absent = checks.enrolled(snapshot)
    if absent is not None:
        said.false(ENROLLED, absent.reason, absent.message)
    else:
        said.true(ENROLLED, "Enrolled", "it has a certificate")
        if certificate is not None:
            said.false(CERTIFICATE_VALID, certificate.reason, certificate.message)
        else:
            said.true(CERTIFICATE_VALID, "Valid", "its certificate is accepted")
    _connected(said, snapshot)
    _ready(said, snapshot, now)
    return said


def _connected(said: Conditions, snapshot: RunnerSnapshot) -> None:
    last = find(snapshot.subject.status.conditions, CONNECTED)
    if snapshot.reach is Reach.CONNECTED:
        said.true(CONNECTED, "Connected", "it is connected")
    elif snapshot.reach is Reach.WAITING and last is not None:
        said.say(CONNECTED, last.status, last.reason, last.message)
    elif (finding := checks.unreachable(snapshot)) is not None:
        said.false(CONNECTED, finding.reason, finding.message)
    else:
        said.false(CONNECTED, "NotYet", "it has not connected yet")


def _ready(said: Conditions, snapshot: RunnerSnapshot, now: float) -> None:
    item = snapshot.subject
    blocked = (
        checks.banned(snapshot)
        or checks.enrolled(snapshot)
        or checks.certificate_ended(snapshot, now)
    )
    if item.metadata.deleting:
        reason, message = _leaving(snapshot)
        said.false(READY, reason, message)
        said.true(RECONCILING, reason, message)
    elif blocked is not None:
        said.false(READY, blocked.reason, blocked.message)
        said.true(STALLED if blocked.stalled else RECONCILING, blocked.reason, blocked.message)
    elif snapshot.reach is Reach.CONNECTED:
        cordoned = "; cordoned: no new pod is placed on it" if item.spec.cordoned else ""
        said.true(
            READY, "Online", f"it takes pods{cordoned}" if not cordoned else f"online{cordoned}"
        )
    elif (last := find(item.status.conditions, READY)) and snapshot.reach is Reach.WAITING:
        said.say(READY, last.status, last.reason, last.message)
        if stays := find(item.status.conditions, RECONCILING):
            said.say(RECONCILING, stays.status, stays.reason, stays.message)
    else:
        said.unknown(READY, "Disconnected", "it is not connected: start the runner on its machine")


def _leaving(snapshot: RunnerSnapshot) -> tuple[str, str]:
    """Return what a runner that is being deleted waits for, and how to go on."""
    if not snapshot.waiting:
        left = ", ".join(snapshot.left[:_NAMED_PODS])
        return "Deleting", f"it is being deleted; pods that it clears away first: {left}"
    count, names = len(snapshot.waiting), snapshot.waiting[:_NAMED_PODS]
    more = f" and {count - len(names)} more" if count > len(names) else ""
    pods = f"{count} pod{'s' if count != 1 else ''}"
    return "Draining", (
        f"it is being deleted, takes no new pods, and waits for {pods} that have not ended: "
        f"{', '.join(names)}{more}; let them end, or end them: kubectl delete agentpod "
        f"-n {snapshot.subject.metadata.namespace} {' '.join(names)}"
    )


def _expiry(status: RunnerStatus, now: float) -> float | None:
    """Return after how many seconds the certificate ends, None if it has none or it has ended."""
    end = seconds(status.certificate.not_after) if status.certificate else None
    return earliest(end - now + 1 if end is not None and end > now else None)
