"""A namespace's runners and allowance, as placement sees them."""

from controller.kernel.store import Store
from controller.placement.assign import Allowance, Candidate
from controller.placement.capacity import max_pods
from controller.placement.indexes import ACTIVE_IN, ACTIVE_ON, BY_NAMESPACE
from controller.placement.links import SILENCE_SECONDS, Links
from schemas.agentpod import AgentPod
from schemas.organization import Organization
from schemas.runner import Runner


class Surroundings:
    """Reads runners, pods and quotas from the store and connections from the links."""

    def __init__(self, store: Store, links: Links) -> None:
        self._store = store
        self._links = links

    def __call__(self, namespace: str) -> tuple[list[Candidate], Allowance]:
        """Return what is there, without promises that the API does not know yet."""
        pods = self._store.of(AgentPod)
        runners = self._store.of(Runner).indexed(BY_NAMESPACE, namespace)
        homes = self._store.of(Organization).indexed(BY_NAMESPACE, namespace)
        quotas = [home.spec.quota for home in homes if home.spec.quota is not None]
        limits = [q.running_agent_pods for q in quotas if q.running_agent_pods is not None]
        allowance = Allowance(pods.count(ACTIVE_IN, namespace), min(limits, default=None))
        return [self._candidate(runner) for runner in runners], allowance

    def _candidate(self, runner: Runner) -> Candidate:
        uid = runner.metadata.uid
        about = self._links.about(uid)
        return Candidate(
            name=runner.metadata.name,
            uid=uid,
            labels=runner.metadata.labels,
            connected=self._links.alive(uid, SILENCE_SECONDS),
            cordoned=runner.spec.cordoned,
            banned=runner.spec.suspend or runner.metadata.deleting,
            max_pods=max_pods(runner, about),
            used=self._store.of(AgentPod).count(ACTIVE_ON, uid),
            isolations=about.isolations if about else runner.status.isolations,
            problems=about.programs.problems if about and about.looks else None,
        )
