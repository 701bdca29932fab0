"""The status of an Organization. Pure."""

from typing import Final

from controller.kernel.reconciler import ReconcileError, Report
from controller.reconcilers.conditions import Conditions
from controller.reconcilers.organization import checks
from controller.reconcilers.organization.snapshot import OrganizationSnapshot
from schemas.conditions import READY, RECONCILING, merge
from schemas.names import ANNOTATION_REQUESTED_AT
from schemas.organization import OrganizationStatus

NAMESPACE_READY: Final = "NamespaceReady"
"""Normal-true. The namespace is there and ours."""
MEMBERS_SYNCED: Final = "MembersSynced"
"""Normal-true. The members have the rights of their roles, and nobody else has."""
QUOTA_APPLIED: Final = "QuotaApplied"
"""Normal-true. Absent where there is no quota."""

NOTIFICATIONS_DELIVERED: Final = "NotificationsDelivered"
"""Normal-true. Absent where there are no webhooks."""


def report(snapshot: OrganizationSnapshot, error: ReconcileError | None, now: float) -> Report:
    """Return the organization's status, from what is observed, never from what was ordered."""
    del error  # nothing is done that is told
    item = snapshot.subject
    said = Conditions.of(item, now)
    if item.metadata.deleting:
        _leaving(said, snapshot)
    else:
        _present(said, snapshot)
    status = OrganizationStatus(
        observed_generation=item.metadata.generation,
        last_handled_request_at=item.metadata.annotations.get(ANNOTATION_REQUESTED_AT),
        conditions=merge(item.status.conditions, said.items),
        namespace=item.namespace if checks.marked(snapshot) else item.status.namespace,
        usage=snapshot.usage,
    )
    return Report(status)


def _present(said: Conditions, snapshot: OrganizationSnapshot) -> None:
    finding = checks.first(snapshot)
    name = snapshot.subject.namespace
    if finding is not None:
        said.false(NAMESPACE_READY, finding.reason, finding.message)
        said.ready(finding, "")
        return
    if snapshot.namespace is None:
        said.false(NAMESPACE_READY, "Creating", f"namespace {name} is being made")
        _working(said, "Creating", f"namespace {name} is being made")
        return
    said.true(NAMESPACE_READY, "Ready", f"namespace {name} is there")
    count = len(snapshot.subject.spec.members)
    said.true(MEMBERS_SYNCED, "Synced", f"{count} member{'s' if count != 1 else ''}")
    if snapshot.subject.spec.quota is not None:
        said.true(QUOTA_APPLIED, "Applied", "limits are in force")
    _notifications(said, snapshot)
    suspended = "; suspended: no pod is placed" if snapshot.subject.spec.suspend else ""
    said.true(READY, "Ready", f"namespace {name} can be used{suspended}")


def _notifications(said: Conditions, snapshot: OrganizationSnapshot) -> None:
    """Say whether webhooks are told what they ask for."""
    count = len(snapshot.subject.spec.notifications.webhooks)
    if snapshot.failing:
        which = "; ".join(f"{one.webhook}: {one.why}" for one in snapshot.failing)
        message = f"{len(snapshot.failing)} of {count} webhooks cannot be told: {which}"
        said.false(NOTIFICATIONS_DELIVERED, "WebhookFailing", message)
    elif count:
        what = "no webhook fails" if count > 1 else "the webhook does not fail"
        said.true(NOTIFICATIONS_DELIVERED, "Delivered", what)


def _working(said: Conditions, reason: str, message: str) -> None:
    said.false(READY, reason, message)
    said.true(RECONCILING, reason, message)


def _leaving(said: Conditions, snapshot: OrganizationSnapshot) -> None:
    if snapshot.pods:
        names = ", ".join(sorted(pod.name for pod in snapshot.pods)[:5])
        message = f"waiting for {len(snapshot.pods)} pods to be cleared away: {names}"
    else:
        what = "is being deleted" if checks.made(snapshot) else "is given back"
        message = f"namespace {snapshot.subject.namespace} {what}"
    _working(said, "Deleting", message)
