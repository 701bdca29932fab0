"""All reconcilers, each made of its four parts."""

import time
from collections.abc import AsyncIterator, Callable, Mapping
from typing import Any, Protocol

from controller.kernel.reconciler import Reconciler
from controller.kernel.store import Store
from controller.placement.fleet import Fleet
from controller.placement.scheduler import Scheduler
from controller.reconcilers.agentclass import plan as class_plan
from controller.reconcilers.agentclass import status as class_status
from controller.reconcilers.agentclass.observe import ClassObserver
from controller.reconcilers.agentpod.observe import PodObserver
from controller.reconcilers.enrollment import plan as enrollment_plan
from controller.reconcilers.enrollment import status as enrollment_status
from controller.reconcilers.enrollment.observe import EnrollmentObserver
from controller.reconcilers.gitsource import plan as source_plan
from controller.reconcilers.gitsource import status as source_status
from controller.reconcilers.gitsource.observe import Commits, GitSourceObserver, Passes
from controller.reconcilers.organization import plan as organization_plan
from controller.reconcilers.organization import status as organization_status
from controller.reconcilers.organization.observe import OrganizationObserver
from controller.reconcilers.podbinding import plan as binding_plan
from controller.reconcilers.podbinding import status as binding_status
from controller.reconcilers.podbinding.observe import BindingObserver
from controller.reconcilers.repository import plan as repository_plan
from controller.reconcilers.repository import status as repository_status
from controller.reconcilers.repository.observe import RepositoryObserver
from controller.reconcilers.runner import plan as runner_plan
from controller.reconcilers.runner import status as runner_status
from controller.reconcilers.runner.observe import RunnerObserver
from controller.services.notification_health import Failing
from schemas.names import (
    AGENT_CLASS,
    GIT_SOURCE,
    ORGANIZATION,
    POD_BINDING,
    REPOSITORY,
    RUNNER,
    RUNNER_ENROLLMENT,
    Resource,
)


class Reader(Protocol):
    """What the observers need of the API client."""

    async def get(self, resource: Resource, namespace: str, name: str) -> dict[str, Any]:
        """Return the object."""
        ...

    def pages(
        self, resource: Resource, namespace: str = "", *, limit: int = 500
    ) -> AsyncIterator[list[dict[str, Any]]]:
        """Give all objects page by page."""
        ...


def reconcilers(  # noqa: PLR0913 - what they share, by name
    *,
    kube: Reader,
    store: Store,
    fleet: Fleet,
    scheduler: Scheduler,
    bundle: Callable[[], Mapping[str, str]],
    local_repositories: bool,
    sources: Passes | None = None,
    commits: Commits | None = None,
    failing: Callable[[str], tuple[Failing, ...]] = lambda _: (),
    clock: Callable[[], float] = time.monotonic,
) -> list[Reconciler]:
    """Return how each kind is reconciled. *bundle* gives the data of the trust bundle.

    *failing* gives the webhooks of an Organization that cannot be told anything. Without *sources*
    GitSources are left alone, without *commits* nothing is written back to git.
    """
    repositories = RepositoryObserver(store, kube, local_allowed=local_repositories)
    runners = RunnerObserver(store, fleet, clock=clock)
    return [
        Reconciler(
            ORGANIZATION.kind,
            OrganizationObserver(store, kube, bundle, failing).observe,
            organization_plan.plan,
            organization_status.report,
        ),
        Reconciler(
            AGENT_CLASS.kind, ClassObserver(store).observe, class_plan.plan, class_status.report
        ),
        Reconciler(
            REPOSITORY.kind, repositories.observe, repository_plan.plan, repository_status.report
        ),
        Reconciler(
            RUNNER.kind,
            runners.observe,
            runner_plan.plan,
            runner_status.report,
        ),
        Reconciler(
            RUNNER_ENROLLMENT.kind,
            EnrollmentObserver(store).observe,
            enrollment_plan.plan,
            enrollment_status.report,
        ),
        PodObserver(store, fleet, scheduler, kube, clock=clock).reconciler(),
        Reconciler(
            POD_BINDING.kind,
            BindingObserver(store).observe,
            binding_plan.plan,
            binding_status.report,
        ),
        *_git(kube, store, sources, commits),
    ]


def _git(
    kube: Reader, store: Store, sources: Passes | None, commits: Commits | None
) -> list[Reconciler]:
    if sources is None:
        return []
    observer = GitSourceObserver(store, sources, commits, kube=kube)
    return [Reconciler(GIT_SOURCE.kind, observer.observe, source_plan.plan, source_status.report)]
