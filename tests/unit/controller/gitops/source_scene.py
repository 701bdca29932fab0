"""Sources over an API server in memory and a repository that is really pushed to."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from controller.gitops.database import Database
from controller.gitops.index import SCHEMA, Index
from controller.gitops.mirror import Mirror
from controller.gitops.remembered import Remembered
from controller.gitops.shares import Shares
from controller.gitops.sources import Sources
from controller.gitops.upstream import MirrorSettings
from controller.kernel.events import Recorder
from controller.kernel.key import Key
from controller.kernel.queue import WorkQueue
from controller.kernel.reconciler import Reconciler
from controller.kernel.worker import Kernel
from controller.placement.indexes import new_store
from controller.reconcilers.gitsource import plan as source_plan
from controller.reconcilers.gitsource import status as source_status
from controller.reconcilers.gitsource.observe import GitSourceObserver
from controller.reconcilers.ticket import plan as ticket_plan
from controller.reconcilers.ticket import status as ticket_status
from controller.reconcilers.ticket.observe import TicketObserver
from gitaccess.command import Git
from schemas.gitsource import GitSource
from schemas.names import (
    AGENT_POD,
    CHANNEL,
    EVENT,
    GIT_SOURCE,
    ORGANIZATION,
    OURS,
    POD_BINDING,
    REPOSITORY,
    TICKET,
    Resource,
)
from tests.unit.controller.gitops.git_scene import LOOPBACK, Team
from tests.unit.controller.kube_memory import MemoryKube

SECONDS = 20.0
"""Longer than anything here takes, however busy the machine is."""


def ticket(name: str, title: str = "Do it", **front: str) -> str:
    """Return a ticket's file."""
    more = "".join(f"{key}: {value}\n" for key, value in front.items())
    return f"---\nid: {name}\ntitle: {title}\n{more}---\nWhat there is to do.\n"


def manifest(kind: str, name: str, spec: str) -> str:
    """Return a manifest's file; *spec* is one line of YAML."""
    return (
        f"apiVersion: agentsmesh.io/v1alpha1\nkind: {kind}\n"
        f"metadata: {{name: {name}}}\nspec: {spec}\n"
    )


class Scene:
    """A team's repository, an API server, and the controller's part that joins them."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.team = Team(folder)
        self.kube = MemoryKube()
        self.kube.before = self._count
        self.requests: list[tuple[str, str, str]] = []
        """(verb, kind, name) of every request."""
        self.current = True
        """Whether no other controller has led since."""
        self.refuse: Callable[[str, Resource, str], None] = lambda *_: None
        """Called before every request: raise to let it fail."""

    def _count(self, verb: str, resource: Resource, name: str) -> None:
        self.requests.append((verb, resource.kind, name))
        self.refuse(verb, resource, name)

    @property
    def writes(self) -> list[tuple[str, str, str]]:
        """Return the requests that write, but for Events."""
        reads = {"get", "list"}
        return [one for one in self.requests if one[0] not in reads and one[1] != EVENT.kind]

    @asynccontextmanager
    async def controller(self) -> AsyncIterator["Controller"]:
        """Run a controller; it is ended as if it were killed."""
        database = Database(self.folder / "gitops.db", SCHEMA)
        await database.open()
        controller = Controller(self, database)
        self.kube.watchers.append(controller.see)
        try:
            await controller.begin()
            async with asyncio.TaskGroup() as tasks:
                running = [
                    tasks.create_task(controller.sources.run()),
                    tasks.create_task(controller.recorder.run()),
                    tasks.create_task(controller.work()),
                ]
                yield controller
                for task in running:
                    task.cancel()
        finally:
            self.kube.watchers.remove(controller.see)
            await database.close()

    async def make(self, **spec: Any) -> None:
        """Make the Repository and the GitSource ``plan``."""
        url = str(self.team.bare)
        await self._create(REPOSITORY, "shop", {"url": url, "defaultBranch": "main"})
        await self._create(
            GIT_SOURCE, "plan", {"repositoryRef": {"name": "shop"}, "interval": "1h", **spec}
        )

    async def _create(self, resource: Resource, name: str, spec: dict[str, Any]) -> None:
        body = {"metadata": {"name": name}, "spec": spec}
        await self.kube.create(resource, "acme", body)

    async def change(self, resource: Resource, name: str, **patch: Any) -> None:
        """Change an object as a person does."""
        await self.kube.patch(resource, "acme", name, patch)

    async def annotate(self, resource: Resource, name: str, key: str, value: str) -> None:
        await self.change(resource, name, metadata={"annotations": {key: value}})

    async def delete(self, resource: Resource, name: str) -> None:
        await self.kube.delete(resource, "acme", name)

    def find(self, resource: Resource, name: str) -> dict[str, Any] | None:
        return self.kube.objects.get((resource.kind, "acme", name))

    def spec(self, resource: Resource, name: str) -> dict[str, Any]:
        found = self.find(resource, name)
        return dict(found["spec"]) if found is not None else {}

    def names(self, resource: Resource) -> set[str]:
        return {name for kind, _, name in self.kube.objects if kind == resource.kind}

    def uids(self, resource: Resource) -> dict[str, str]:
        return {
            name: item["metadata"]["uid"]
            for (kind, _, name), item in self.kube.objects.items()
            if kind == resource.kind
        }

    @property
    def status(self) -> dict[str, Any]:
        found = self.find(GIT_SOURCE, "plan")
        return dict((found or {}).get("status") or {})

    def condition(self, kind: str, resource: Resource = GIT_SOURCE, name: str = "plan") -> Any:
        found = self.find(resource, name) or {}
        said = (found.get("status") or {}).get("conditions") or []
        return next((one for one in said if one["type"] == kind), {})

    async def fetched(self, reason: str) -> None:
        """Wait until the condition says so."""
        await until(lambda: self.condition("Fetched").get("reason") == reason)

    def events(self, reason: str) -> list[str]:
        """Return what Events of that reason say."""
        return [
            each["message"]
            for (kind, _, _), each in self.kube.objects.items()
            if kind == EVENT.kind and each["reason"] == reason
        ]


class Controller:
    """One life of the controller."""

    def __init__(self, scene: Scene, database: Database) -> None:
        self.scene = scene
        self.store = new_store()
        self.queue = WorkQueue()
        self.recorder = Recorder(scene.kube)
        git = Git(scene.folder / "home")
        git.prepare()
        limits, servers = MirrorSettings((scene.folder,), LOOPBACK), Shares()
        self.sources = Sources(
            store=self.store,
            kube=scene.kube,
            recorder=self.recorder,
            remembered=Remembered(Index(database)),
            mirrors=lambda uid: Mirror(scene.folder / "mirrors" / uid, git, limits, servers),
            touch=self.queue.add,
            folders=(scene.folder,),
        )
        self._kernel = Kernel(
            kube=scene.kube,
            store=self.store,
            queue=self.queue,
            recorder=self.recorder,
            reconcilers=[
                Reconciler(
                    GIT_SOURCE.kind,
                    GitSourceObserver(self.store, self.sources).observe,
                    source_plan.plan,
                    source_status.report,
                ),
                Reconciler(
                    TICKET.kind,
                    TicketObserver(self.store, self.sources).observe,
                    ticket_plan.plan,
                    ticket_status.report,
                ),
            ],
        )

    async def begin(self) -> None:
        """See what is there, and remember what was."""
        for resource in _OURS.values():
            async for page in self.scene.kube.pages(resource):
                for item in page:
                    self.see(resource, item)
        await self.sources.load(current=self.scene.current, settled=self._settled)

    def see(self, resource: Resource, item: dict[str, Any]) -> None:
        """Hear of a write, as from a watch."""
        if resource.kind not in _OURS:
            return
        meta = item["metadata"]
        if (resource.kind, meta.get("namespace", ""), meta["name"]) in self.scene.kube.objects:
            self.store.apply(resource.kind, item)
        else:
            self.store.remove(resource.kind, meta["uid"])
        if resource.kind in {GIT_SOURCE.kind, TICKET.kind}:
            self.queue.add(Key(resource.kind, meta.get("namespace", ""), meta["name"]))

    def _settled(self) -> None:
        self.scene.current = True

    async def work(self) -> None:
        sure = asyncio.Event()
        sure.set()
        await self._kernel.run(4, sure)

    async def synced(self) -> bool:
        """Have a pass made; tell whether it applied everything."""
        async with asyncio.timeout(SECONDS):
            return await self.sources.sync("acme", "plan")

    async def applied(self, commit: str) -> None:
        """Have it applied now, and wait until the status says so."""
        await until(lambda: self.store.of(GitSource).get("acme", "plan") is not None)
        assert await self.synced()
        await until(lambda: self.scene.status.get("appliedCommit") == commit)

    async def quiet(self) -> None:
        """Wait until nothing is left to do."""
        calm = 0
        async with asyncio.timeout(SECONDS):
            while calm < 5:
                before = len(self.scene.requests)
                await asyncio.sleep(0.02)
                same = before == len(self.scene.requests)
                calm = calm + 1 if same and self.queue.idle else 0


_OURS = {
    resource.kind: resource
    for resource in OURS
    if resource in {AGENT_POD, CHANNEL, GIT_SOURCE, ORGANIZATION, POD_BINDING, REPOSITORY, TICKET}
}


async def until(claim: Callable[[], object]) -> None:
    """Wait for *claim*."""
    async with asyncio.timeout(SECONDS):
        while not claim():  # noqa: ASYNC110 - it is about what others do
            await asyncio.sleep(0.01)
