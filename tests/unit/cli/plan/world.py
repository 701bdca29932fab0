"""A fleet in memory: the controller's reconcilers, its sync with git, obedient runners, and plans.

The API server in memory refuses what the embedded one refuses by the schemas and rules of our CRDs.
"""

import copy
import hashlib
import json
from collections.abc import Iterable, Mapping
from typing import Any

from meshwire.v1 import link_pb2

from apiserver.schema.compiled import CompiledSchema
from cli.plan.cluster import read
from cli.plan.drawn import Memory, draw
from cli.plan.made import make
from cli.plan.values import Origin, Plan
from controller.gitops.facts import SourceFacts
from controller.gitops.ledger import Ledger
from controller.gitops.passes import Around, Ending
from controller.gitops.reading import TicketCommit
from controller.gitops.remote import Remote
from controller.gitops.sync import Sync
from controller.gitops.values import Entry, EntryType, Identity
from controller.gitops.writing import Turn
from controller.kernel.key import Key
from controller.kernel.reconciler import Reconciler
from controller.kernel.store import Change
from controller.kube.errors import Refused
from controller.placement.desired import ended
from controller.reconcilers.ticket import plan as ticket_plan
from controller.reconcilers.ticket import status as ticket_status
from controller.reconcilers.ticket.observe import TicketObserver
from controller.services.claims import Claims
from controller.services.ticket_runs import TicketRuns
from controller.services.ticket_work import TicketWork
from controller.services.tickets import Tickets
from schemas.agentpod import AgentPod
from schemas.crdgen import crds
from schemas.gitsource import GitSource
from schemas.names import AGENT_POD, GIT_SOURCE, LABEL_SOURCE, RUNNER, TICKET, Resource
from schemas.ticket import Ticket
from tests.unit.controller.conftest import MemoryKube
from tests.unit.controller.reconcilers.conftest import Mesh, ObedientRunner

Files = Mapping[str, bytes]

SCHEMAS = {
    crd["spec"]["names"]["kind"]: CompiledSchema(
        crd["spec"]["versions"][0]["schema"]["openAPIV3Schema"]
    )
    for crd in crds()
}


class StrictKube(MemoryKube):
    """Refuses what our CRDs refuse, and fills in their defaults."""

    async def create(
        self, resource: Resource, namespace: str, manifest: dict[str, Any]
    ) -> dict[str, Any]:
        if resource.kind in SCHEMAS:
            manifest = self._checked(resource, manifest, None)
        return await super().create(resource, namespace, manifest)

    def _store(self, event: str, key: tuple[str, str, str], obj: dict[str, Any]) -> None:
        if event == "MODIFIED" and key[0] in SCHEMAS:
            kind = next(r for r in _OURS if r.kind == key[0])
            obj = self._checked(kind, obj, self.objects[key])
        super()._store(event, key, obj)

    def _checked(
        self, resource: Resource, new: dict[str, Any], old: dict[str, Any] | None
    ) -> dict[str, Any]:
        schema = SCHEMAS[resource.kind]
        whole = {"apiVersion": resource.api_version, "kind": resource.kind, **copy.deepcopy(new)}
        schema.default(whole)
        errors = schema.validate(whole, old)
        if errors:
            said = "; ".join(f"{error.field}: {error.body()}" for error in errors)
            raise Refused(f"{resource.kind} is invalid: {said}", status=422, reason="Invalid")
        return whole


class Branch:
    """A branch in memory, as the sync reads mirrors."""

    def __init__(self) -> None:
        self._commits: dict[str, Files] = {}
        self._blobs: dict[str, bytes] = {}
        self._parents: dict[str, str] = {}
        self.tip = ""

    def push(self, files: Files, *, rewritten: bool = False) -> str:
        """Make a commit of exactly these files and return it; *rewritten*: on no other."""
        before = "" if rewritten else self.tip
        text = json.dumps([[path, data.hex()] for path, data in sorted(files.items())])
        self.tip = hashlib.sha1(f"{len(self._commits)} {text}".encode()).hexdigest()  # noqa: S324
        self._commits[self.tip] = dict(files)
        self._parents[self.tip] = before
        return self.tip

    def at(self, commit: str) -> "Branch":
        """Return the same, as it was at that commit."""
        then = Branch()
        then._commits, then._blobs, then.tip = self._commits, self._blobs, commit  # noqa: SLF001
        then._parents = self._parents  # noqa: SLF001
        return then

    def use(self, remote: Remote) -> None:
        """Do nothing: there is one branch."""

    async def remote_tip(self) -> str | None:
        return self.tip

    async def is_empty(self) -> bool:
        return False

    def has(self, commit: str) -> bool:
        return commit == self.tip

    async def fetch(self) -> str:
        return self.tip

    async def path_exists(self, commit: str, path: str) -> bool:
        return any(file.startswith(f"{path}/") for file in self._commits[commit])

    async def entries(self, commit: str, path: str) -> list[Entry]:
        found = []
        for file, data in sorted(self._commits[commit].items()):
            blob = hashlib.sha1(data).hexdigest()  # noqa: S324
            self._blobs[blob] = data
            if file.startswith(f"{path}/"):
                found.append(Entry(file, blob, len(data), EntryType.FILE))
        return found

    async def blobs(self, ids: Iterable[str]) -> dict[str, bytes]:
        return {each: self._blobs[each] for each in ids}

    async def newest(self, commit: str, path: str) -> list[str]:
        del commit, path
        return []

    async def descends(self, new: str, old: str) -> bool | None:
        while new and new != old:
            new = self._parents[new]
        return new == old

    async def commits(self, old: str | None, new: str, most: int = 300) -> list[TicketCommit]:
        del old, new, most
        return []


class Reader:
    """The API, as a person who may read everything sees it."""

    def __init__(self, kube: MemoryKube) -> None:
        self._kube = kube

    def list(self, resource: Resource, namespace: str) -> list[dict[str, Any]]:
        return [
            copy.deepcopy(item)
            for (kind, where, _), item in self._kube.objects.items()
            if kind == resource.kind and where == namespace
        ]

    def get(self, resource: Resource, namespace: str, name: str) -> dict[str, Any]:
        return copy.deepcopy(self._kube.objects[resource.kind, namespace, name])


class StoppingRunner(ObedientRunner):
    """Ends agents when it is told to, too."""

    def _converge(self, uid: str, pod: link_pb2.PodDesired) -> None:
        super()._converge(uid, pod)
        row = self.has.get(uid)
        if pod.desired == link_pb2.STOP and row is not None and row[1] == link_pb2.RUNNING:
            self.has[uid] = (row[0], link_pb2.SUCCEEDED)


class FleetMesh(Mesh):
    """Has tickets, too: claims of pods, and pods that tickets start."""

    def more(self, sources: Any) -> list[Reconciler]:
        claims = Claims(self.store, self.kube)
        tickets = Tickets(self.store, self.kube)
        work = TicketWork(self.store, self.queue, claims, tickets, self.recorder)
        runs = TicketRuns(self.store, self.queue, self.kube, claims, self.recorder)
        observer = TicketObserver(self.store, sources, runs)
        self.store.listen(Ticket, self._ticket)
        seen = Reconciler(TICKET.kind, observer.observe, ticket_plan.plan, ticket_status.report)
        return [work.reconciler(), runs.reconciler(), seen]

    def _ticket(self, change: Change[Ticket]) -> None:
        self.queue.add(Key(TICKET.kind, "acme", change.subject.metadata.name))


class Fleet:
    """A mesh with one GitSource ``plan`` of the folder ``fleet``."""

    def __init__(self) -> None:
        self.kube = StrictKube()
        self.mesh = FleetMesh(self.kube, sources=self)
        self.branch = Branch()
        self._sync: Sync | None = None
        self.mesh.store.listen(AgentPod, self._pod)

    async def source(self, **spec: Any) -> None:
        """Make the GitSource, whose Repository nobody needs."""
        spec = {"repositoryRef": {"name": "fleet"}, "path": "fleet", **spec}
        await self.mesh.make(GIT_SOURCE, "plan", spec=spec)
        self.mesh.watch()
        around = Around(
            self.mesh.store, self.kube, self.mesh.recorder, lambda: 0.0, lambda: self.mesh.now
        )
        ledger = Ledger(Memory(), "plan")
        self._sync = Sync(around, self.item, self.branch, ledger, self._changed)
        await self._sync.load(current=True)

    async def runner(self, name: str, **spec: Any) -> None:
        """Make a runner that is connected."""
        made = await self.mesh.make(RUNNER, name, spec=spec)
        self.mesh.watch()
        runner = StoppingRunner(self.mesh.fleet, name, made["metadata"]["uid"])
        self.mesh.runners[name] = runner
        runner.connect()

    @property
    def item(self) -> GitSource:
        """Return the source as it is now."""
        found = self.mesh.store.of(GitSource).get("acme", "plan")
        assert found is not None
        return found

    @property
    def sync(self) -> Sync:
        assert self._sync is not None
        return self._sync

    async def settle(self) -> None:
        """Let the sync and everybody else work until nothing is left to do."""
        for _ in range(6):
            self.mesh.watch()
            before = len(self.kube.writes)
            turn = Turn(late=lambda: False, stale=lambda: False)
            ending = await self.sync.run(self.item, Remote("memory", "main"), turn, dirty=True)
            await self.mesh.settle()
            if ending is Ending.WHOLE and len(self.kube.writes) == before:
                break
        else:
            raise AssertionError("the fleet does not settle")

    def facts(self, namespace: str, name: str) -> SourceFacts:
        """Return what is known of the source: its reconciler says so in the status."""
        ours = self._sync is not None and (namespace, name) == ("acme", "plan")
        return self.sync.facts if ours else SourceFacts()

    async def plan(self, commit: str) -> Plan:
        """Return what ``agentsmesh plan`` would say of the commit."""
        cluster = read(Reader(self.kube), "acme")
        source = cluster.store().of(GitSource).get("acme", "plan")
        assert source is not None
        applied = source.status.applied_commit
        before = self.branch.at(applied) if applied else None
        follows = not applied or await self.branch.descends(commit, applied)
        after = self.branch.at(commit)
        drawn = await draw(cluster, cluster.store(), source, after, before, rewritten=not follows)
        origin = Origin("acme", "plan", "fleet", "memory", "main", commit, applied)
        return make(origin, cluster, drawn, ()).plan

    def of_ticket(self, namespace: str, ticket: str) -> Any:
        """Return where the ticket lies in git."""
        del namespace
        identity = Identity(TICKET.kind, ticket)
        return self.sync.origin(self.item, identity) if self._sync is not None else None

    def sure(self, namespace: str) -> bool:
        """Whether that is known."""
        return bool(namespace)

    def commits(self, namespace: str, ticket: str) -> tuple[Any, ...]:
        """Return none."""
        del namespace, ticket
        return ()

    def _changed(self, _: Iterable[str]) -> None:
        self.mesh.queue.add(Key(GIT_SOURCE.kind, "acme", "plan"))

    def _pod(self, change: Change[AgentPod]) -> None:
        """Tell the sync of pods that have ended, as ``controller.gitops.sources`` does."""
        pod = change.new
        if pod is not None and ended(pod) and pod.metadata.labels.get(LABEL_SOURCE) == "plan":
            self.sync.ledger.end(Identity(AGENT_POD.kind, pod.metadata.name), pod.metadata.uid)


_OURS = tuple(
    Resource(
        crd["spec"]["group"],
        crd["spec"]["versions"][0]["name"],
        crd["spec"]["names"]["kind"],
        crd["spec"]["names"]["plural"],
        namespaced=crd["spec"]["scope"] == "Namespaced",
    )
    for crd in crds()
)
