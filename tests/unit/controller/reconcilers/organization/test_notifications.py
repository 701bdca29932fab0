"""What an Organization says of its webhooks."""

from controller.reconcilers.organization.snapshot import OrganizationSnapshot
from controller.reconcilers.organization.status import NOTIFICATIONS_DELIVERED, report
from controller.services.notification_health import Failing
from schemas.base import Condition
from schemas.conditions import FALSE, READY, TRUE, find
from schemas.organization import Organization, OrganizationUsage


def said(webhooks: int, *failing: Failing, kind: str = NOTIFICATIONS_DELIVERED) -> Condition | None:
    hooks = [{"name": f"w{n}", "url": f"https://h.example/TOKEN{n}"} for n in range(webhooks)]
    subject = Organization.model_validate(
        {
            "metadata": {"name": "acme", "uid": "u", "generation": 1},
            "spec": {
                "members": [{"subject": {"kind": "User", "name": "ada"}, "role": "owner"}],
                "notifications": {"webhooks": hooks},
            },
        }
    )
    snapshot = OrganizationSnapshot(
        subject=subject,
        rival=None,
        namespace={"metadata": {"labels": {"agentsmesh.io/organization": "acme"}}},
        empty=True,
        bindings=(),
        cluster_role=None,
        cluster_binding=None,
        bundle=None,
        bundle_data={},
        quota=None,
        pods=(),
        usage=OrganizationUsage(),
        failing=failing,
    )
    return find(report(snapshot, None, 0.0).status.conditions, kind)


def test_without_webhooks_there_is_nothing_to_say() -> None:
    assert said(0) is None


def test_webhooks_that_take_what_they_are_told_are_fine() -> None:
    found = said(2)
    assert found is not None
    assert found.status == TRUE


def test_one_that_keeps_failing_is_named_with_its_reason_and_without_its_url() -> None:
    failing = Failing("w1", "it answers with status 500")
    found = said(2, failing)
    assert found is not None
    assert (found.status, found.reason) == (FALSE, "WebhookFailing")
    assert "w1: it answers with status 500" in found.message
    assert "TOKEN" not in found.message


def test_the_organization_is_ready_all_the_same() -> None:
    found = said(1, Failing("w0", "it cannot be reached"), kind=READY)
    assert found is not None
    assert found.status == TRUE
