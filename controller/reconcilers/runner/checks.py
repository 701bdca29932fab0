"""What keeps a Runner from taking pods. Pure."""

from controller.kernel.clock import seconds
from controller.kernel.reconciler import Finding
from controller.placement.links import Reach
from controller.reconcilers.runner.snapshot import RunnerSnapshot


def enrolled(snapshot: RunnerSnapshot) -> Finding | None:
    """It was never given a certificate."""
    if snapshot.subject.status.certificate is not None:
        return None
    message = "no machine has enrolled as this runner yet: agentsmesh enroll create"
    return Finding("NotEnrolled", message)


def banned(snapshot: RunnerSnapshot) -> Finding | None:
    """A person has banned it."""
    if not snapshot.subject.spec.suspend:
        return None
    return Finding("Banned", "spec.suspend is true: its certificate is refused", stalled=True)


def certificate_ended(snapshot: RunnerSnapshot, now: float) -> Finding | None:
    """Its certificate has expired, or all of them were revoked."""
    certificate = snapshot.subject.status.certificate
    if certificate is None:
        return None
    if (seconds(certificate.not_after) or 0.0) <= now:
        message = f"its certificate expired at {certificate.not_after}: enrol it again"
        return Finding("Expired", message, stalled=True)
    revoked = seconds(snapshot.subject.spec.min_issued_at)
    if revoked is not None and (seconds(certificate.issued_at) or 0.0) < revoked:
        message = "its certificate was issued before spec.minIssuedAt: enrol it again"
        return Finding("Revoked", message, stalled=True)
    return None


def unreachable(snapshot: RunnerSnapshot) -> Finding | None:
    """It is not connected."""
    if snapshot.reach is not Reach.UNREACHABLE:
        return None
    return Finding("Disconnected", "it is not connected: start the runner on its machine")
