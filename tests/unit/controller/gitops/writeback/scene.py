"""A GitSource whose branch is real, tickets in a store, and the write-back between them.

``Sync`` stands in for the sync of manifests: it brings what the branch says into the store.
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from typing_extensions import override

from controller.gitops.committing import Draft
from controller.gitops.facts import Origin
from controller.gitops.files.read import Rules, read_file
from controller.gitops.mirror import Mirror
from controller.gitops.remote import Outcome, Remote
from controller.gitops.values import Declared, Entry, Operation, Problem
from controller.gitops.writeback import values
from controller.gitops.writeback.journal import Journal
from controller.gitops.writeback.reporting import reports_of
from controller.gitops.writeback.timing import Timing
from controller.gitops.writeback.writeback import WriteBack
from controller.kernel.key import Key
from controller.placement.indexes import new_store
from controller.services.ticket_files import TicketFiles
from controller.services.tickets import Tickets
from schemas.gitsource import GitSource
from schemas.names import GIT_SOURCE, TICKET, Resource
from schemas.ticket import Ticket
from tests.unit.controller.gitops.git_scene import Team, local_mirror
from tests.unit.controller.kube_memory import MemoryKube

ORG = "acme"
SOURCE = "fleet"
UID = "uid-1"
QUICK = Timing(
    company=0.01,
    longest_company=0.2,
    first_pause=0.001,
    longest_pause=0.005,
    first_away=0.01,
    longest_away=0.05,
)
RULES = Rules(ORG, frozenset({"Ticket"}))


def ticket_file(name: str, body: str = "Do it.\n", **lines: str) -> str:
    """A ticket's file as a person wrote it, with comments and an order of its own."""
    said = {"title": f"About {name}", "state": "todo", "priority": "high", **lines}
    front = "\n".join(f"{key}: {value}" for key, value in said.items())
    return f"---\n# who reads this?\nid: {name}   # never change\n{front}\n---\n{body}"


class Before:
    """A mirror that lets something happen right before each push, and counts them."""

    def __init__(self, mirror: Mirror) -> None:
        self._mirror = mirror
        self.pushes = 0
        self.before: list[Callable[[], object]] = []
        """What happens before the next pushes, one each."""
        self.after: list[Callable[[], Awaitable[None]]] = []
        """What happens after the next pushes, before anybody hears of their end."""

    def use(self, remote: Remote) -> None:
        self._mirror.use(remote)

    async def remote_tip(self) -> str | None:
        return await self._mirror.remote_tip()

    def has(self, commit: str) -> bool:
        return self._mirror.has(commit)

    async def fetch(self) -> str:
        return await self._mirror.fetch()

    async def entries(self, commit: str, path: str) -> Sequence[Entry]:
        return await self._mirror.entries(commit, path)

    async def blobs(self, ids: Any) -> Mapping[str, bytes]:
        return await self._mirror.blobs(ids)

    async def operations_landed(self, old: str | None, new: str) -> Mapping[str, str]:
        return await self._mirror.operations_landed(old, new)

    async def commit_all(self, parent: str, drafts: Sequence[Draft]) -> Sequence[str]:
        return await self._mirror.commit_all(parent, drafts)

    async def push(self, commit: str, expect: str) -> Outcome:
        self.pushes += 1
        if self.before:
            self.before.pop(0)()
        outcome = await self._mirror.push(commit, expect)
        if self.after:
            await self.after.pop(0)()
        return outcome


@dataclass
class Scene:
    """All of it."""

    folder: Path
    team: Team
    mirror: Before
    timing: Timing = QUICK
    touched: list[Key] = field(default_factory=list)
    ends: list[tuple[str, values.Outcome]] = field(default_factory=list)
    origins: dict[str, Origin] = field(default_factory=dict)
    applied: list[str] = field(default_factory=list)
    """What the source's status said was applied, one after the other."""
    stands: bool = False
    """The sync brings nothing in."""
    problems: dict[str, Problem] = field(default_factory=dict)
    """Why files are not used, by path."""

    def __post_init__(self) -> None:
        self.store = new_store()
        self.begin = self.team.tip()
        self.now = 1_800_000_000.0
        self.version = 0
        self.kube = Api(self)
        self.source(enabled=True)

    # --- what write-back needs of the sync ---

    def source(self, *, enabled: bool = True, **spec: Any) -> GitSource:
        """Put the GitSource into the store."""
        self.version += 1
        write_back = {"enabled": enabled, **spec.pop("writeBack", {})}
        manifest = {
            "metadata": {
                "name": SOURCE,
                "namespace": ORG,
                "uid": UID,
                "resourceVersion": str(self.version),
            },
            "status": {"appliedCommit": self.applied[-1]} if self.applied else {},
            "spec": {"repositoryRef": {"name": "team"}, "writeBack": write_back, **spec},
        }
        self.store.apply(GIT_SOURCE.kind, manifest)
        return GitSource.model_validate(manifest)

    def _mirror(self, namespace: str, name: str) -> Before | None:
        return self.mirror if (namespace, name) == (ORG, SOURCE) else None

    async def remote(self, namespace: str, name: str) -> Remote:
        assert (namespace, name) == (ORG, SOURCE)
        return Remote(str(self.team.bare), "main")

    def of_ticket(self, namespace: str, ticket: str) -> Origin | None:
        return self.origins.get(ticket) if namespace == ORG else None

    def for_new_tickets(self, namespace: str) -> str | None:
        return SOURCE if namespace == ORG else None

    def path_of(self, namespace: str, name: str, ticket: str) -> str | None:
        found = self.of_ticket(namespace, ticket)
        return found.path if found is not None and found.source == name else None

    def problem(self, namespace: str, name: str, path: str) -> Problem | None:
        assert (namespace, name) == (ORG, SOURCE)
        return self.problems.get(path)

    async def sync(self, namespace: str, name: str) -> bool:
        """Bring in what the branch says."""
        assert (namespace, name) == (ORG, SOURCE)
        if self.stands:
            return False
        tip = await self.mirror.fetch()
        entries = [
            each for each in await self.mirror.entries(tip, ".") if "/comments/" not in each.path
        ]
        data = await self.mirror.blobs({entry.blob for entry in entries})
        found = [read_file(e.path, e.blob, data[e.blob], RULES) for e in entries]
        declared = [said for said in found if isinstance(said, Declared)]
        names = [said.identity for said in declared]
        for said in declared:
            if names.count(said.identity) == 1 and said.path not in self.problems:
                self._bring(said, tip)
        if not self.applied or self.applied[-1] != tip:
            self.applied.append(tip)
        source = self.store.of(GitSource).by_uid(UID)
        if source is not None:
            self.version += 1
            manifest = source.manifest()
            manifest["metadata"]["resourceVersion"] = str(self.version)
            manifest["status"]["appliedCommit"] = tip
            self.store.apply(GIT_SOURCE.kind, manifest)
        return True

    def _bring(self, said: Declared, tip: str) -> None:
        name = said.identity.name
        known = self.store.of(Ticket).get(ORG, name)
        self.origins[name] = Origin(SOURCE, UID, said.path, said.blob, tip, said.digest)
        if known is not None and known.spec.manifest() == said.spec:
            return
        self.version += 1
        self.store.apply(
            TICKET.kind,
            {
                "metadata": {
                    "name": name,
                    "namespace": ORG,
                    "uid": f"ticket-{name}",
                    "resourceVersion": str(self.version),
                    "annotations": dict(said.annotations),
                    "generation": (known.metadata.generation if known else 0) + 1,
                },
                "spec": dict(said.spec),
                "status": known.status.manifest() if known else {},
            },
        )

    # --- what tests look at ---

    def ticket(self, name: str) -> Ticket:
        found = self.store.of(Ticket).get(ORG, name)
        assert found is not None
        return found

    def status(self, name: str, **status: Any) -> None:
        """Give the ticket a status."""
        self.version += 1
        manifest = self.ticket(name).manifest()
        manifest["metadata"]["resourceVersion"] = str(self.version)
        manifest["status"] = {**manifest["status"], **status}
        self.store.apply(TICKET.kind, manifest)

    def file(self, name: str) -> str:
        """Return the ticket's file as it is on the branch."""
        return self.team.show(self.origins[name].path)


class Api(MemoryKube):
    """Tickets as the store has them."""

    def __init__(self, of: Scene) -> None:
        super().__init__()
        self._of = of

    @override
    async def get(self, resource: Resource, namespace: str, name: str) -> dict[str, Any]:
        assert (resource, namespace) == (TICKET, ORG)
        return self._of.ticket(name).manifest()


class Syncing:
    """The scene as the write-back sees it."""

    def __init__(self, scene: Scene) -> None:
        self._scene = scene
        self.remote = scene.remote
        self.of_ticket = scene.of_ticket
        self.for_new_tickets = scene.for_new_tickets
        self.path_of = scene.path_of
        self.problem = scene.problem
        self.sync = scene.sync

    def mirror(self, namespace: str, name: str) -> Before | None:
        return self._scene._mirror(namespace, name)  # noqa: SLF001 - the scene's other half


class Running:
    """A controller's write-back: leave it without ``close`` and it died."""

    def __init__(self, scene: Scene) -> None:
        self.scene = scene
        self.journal = Journal(scene.folder / "operations.db")
        syncing = Syncing(scene)
        self.write_back = WriteBack(
            scene.store,
            self.journal,
            syncing,
            reports=reports_of(scene.store),
            touched=scene.touched.append,
            watching=self,
            clock=lambda: scene.now,
            timing=scene.timing,
        )
        self.files = TicketFiles(scene.store, syncing, self.write_back)
        self.tickets = Tickets(scene.store, scene.kube, self.files)
        self._task: asyncio.Task[None] | None = None
        self._group = asyncio.TaskGroup()

    def ended(self, operation: Operation, outcome: values.Outcome) -> None:
        self.scene.ends.append((operation.ticket, outcome))

    async def __aenter__(self) -> "Running":
        await self.journal.open(self.scene.now)
        await self._group.__aenter__()
        self._task = self._group.create_task(self.write_back.run())
        return self

    async def __aexit__(self, *error: object) -> None:
        assert self._task is not None
        self._task.cancel()
        await self._group.__aexit__(None, None, None)
        await self.journal.close()


def scene(folder: Path, files: Mapping[str, str]) -> Scene:
    """Give a scene whose branch has the files."""
    team = Team(folder)
    team.push(files, "begin")
    return Scene(folder, team, Before(local_mirror(folder, team)))
