"""A pass that looks only at what differs does what one does that looks at everything."""

import asyncio
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from controller.gitops.apply import Applied
from controller.gitops.desired import Seen
from controller.gitops.ledger import Ledger, Marks
from controller.gitops.passes import Around, Ending
from controller.gitops.reading import TicketCommit
from controller.gitops.remembered import Memory
from controller.gitops.remote import Remote
from controller.gitops.sync import Sync
from controller.gitops.values import Declared, Entry, EntryType, Identity
from controller.gitops.writing import Turn
from controller.kernel.events import Recorder
from controller.kernel.store import Change
from controller.placement.indexes import new_store
from schemas.gitsource import GitSource
from schemas.names import GIT_SOURCE, OURS, TICKET, Resource
from schemas.ticket import Ticket
from tests.unit.controller.kube_memory import MemoryKube

PATHS = ("one.md", "two.md", "three.md", "four.md", "Four.md", "b", "b/a.md", "c.md", "e.yaml")
NAMES = ("one", "two", "three", "four")
Files = dict[str, tuple[str, EntryType]]


def said(name: str, title: str) -> str:
    return f"---\nid: {name}\ntitle: {title}\n---\nBody.\n"


GOOD = st.builds(said, st.sampled_from((*NAMES, "five")), st.sampled_from(("A", "B")))
BAD = ("---\nid: one\n---\n", "---\nid: [\n---\n", "No front matter.\n", "---\ntitle: x\n---\n")
CONTENTS = st.one_of(GOOD, GOOD, GOOD, st.sampled_from(BAD))
FILES = st.tuples(
    CONTENTS, st.sampled_from((EntryType.FILE, EntryType.FILE, EntryType.FILE, EntryType.SYMLINK))
)
CHANGES = st.dictionaries(st.sampled_from(PATHS), st.one_of(st.none(), FILES), max_size=3)
ACTS = st.one_of(
    st.none(),
    st.tuples(
        st.sampled_from(("edit", "leave", "protect", "delete", "other", "plan")),
        st.sampled_from((*NAMES, "five")),
    ),
)


@dataclass
class Repository:
    """Commits, and which one the branch is at."""

    trees: list[Files] = field(default_factory=lambda: [{}])

    def change(self, changes: Mapping[str, tuple[str, EntryType] | None]) -> None:
        """Commit them; None deletes."""
        files = {
            path: file for path, file in {**self.trees[-1], **changes}.items() if file is not None
        }
        if "b" in files:
            files.pop("b/a.md", None)
        self.trees.append(files)

    def use(self, remote: Remote) -> None:
        pass

    async def remote_tip(self) -> str | None:
        return f"{len(self.trees) - 1:040x}"

    async def is_empty(self) -> bool:
        return False

    def has(self, _commit: str) -> bool:
        return False

    async def fetch(self) -> str:
        return f"{len(self.trees) - 1:040x}"

    async def path_exists(self, _commit: str, path: str) -> bool:
        return path == "."

    async def descends(self, new: str, old: str) -> bool | None:
        return int(old, 16) <= int(new, 16)

    async def entries(self, commit: str, _path: str) -> list[Entry]:
        files = self.trees[int(commit, 16)]
        return [Entry(path, text, len(text), kind) for path, (text, kind) in sorted(files.items())]

    async def blobs(self, ids: Iterable[str]) -> dict[str, bytes]:
        return {text: text.encode() for text in ids}

    async def commits(self, _old: str | None, _new: str) -> list[TicketCommit]:
        return []


class Known:
    """What a ledger finds again: here for as long as the test."""

    def __init__(self) -> None:
        self.said: dict[str, Declared] = {}

    async def load(self, _source: str) -> Memory:
        return Memory()

    async def declared(self, _source: str, paths: Iterable[str]) -> dict[str, Declared]:
        return {path: self.said[path] for path in paths if path in self.said}

    async def read(
        self,
        _source: str,
        seen: Mapping[str, Seen],
        declared: Mapping[str, Declared],
        gone: Iterable[str],
    ) -> None:
        for path in gone:
            self.said.pop(path, None)
        for path, one in seen.items():
            if one.known is None:
                self.said.pop(path, None)
        self.said.update(declared)

    async def wrote(
        self, _source: str, applied: Iterable[Applied], gone: Iterable[Identity]
    ) -> None:
        pass

    async def mark(self, _source: str, marks: Marks) -> None:
        pass

    async def forget(self, _source: str) -> None:
        pass


class Side:
    """One source with all that it writes to."""

    def __init__(self, repository: Repository, *, whole: bool) -> None:
        self.whole = whole
        self.dirty = True
        self.passes = 0
        self.kube = MemoryKube(watchers=[self._see])
        self.store = new_store()
        self.around = Around(
            self.store, self.kube, Recorder(self.kube), lambda: 0.0, lambda: float(self.passes)
        )
        self.repository = repository

    async def begin(self) -> None:
        spec = {"repositoryRef": {"name": "shop"}, "pruneLimits": {"maxCount": 1, "maxPercent": 40}}
        for name in ("plan", "other"):
            body = {"metadata": {"name": name}, "spec": spec}
            await self.kube.create(GIT_SOURCE, "acme", body)
        ledger = Ledger(Known(), "uid")
        self.sync = Sync(self.around, self.item, self.repository, ledger, lambda _: None)
        await self.sync.load(current=True)
        self.store.listen(Ticket, self._drifted)

    @property
    def item(self) -> GitSource:
        found = self.store.of(GitSource).get("acme", "plan")
        assert found is not None
        return found

    def _see(self, resource: Resource, item: dict[str, Any]) -> None:
        if resource in OURS:
            meta = item["metadata"]
            if (resource.kind, meta["namespace"], meta["name"]) in self.kube.objects:
                self.store.apply(resource.kind, item)
            else:
                self.store.remove(resource.kind, meta["uid"])

    def _drifted(self, change: Change[Ticket]) -> None:
        """Do what Sources does."""
        name = change.subject.metadata.name
        self.dirty |= self.sync.standing.drifted(Identity(TICKET.kind, name))

    async def act(self, what: str, name: str) -> None:
        """Do something on the API, as a person would."""
        if (TICKET.kind, "acme", name) not in self.kube.objects:
            if what in {"other", "plan"}:
                labels = {"agentsmesh.io/source": what}
                annotations = {"agentsmesh.io/source-path": "gone.md"}
                meta = {"name": name, "labels": labels, "annotations": annotations}
                body = {"metadata": meta, "spec": {"title": "Theirs"}}
                await self.kube.create(TICKET, "acme", body)
            return
        patch: dict[str, Any] = {"spec": {"title": "Drifted"}}
        if what == "delete":
            await self.kube.delete(TICKET, "acme", name)
            return
        if what == "leave":
            patch = {"metadata": {"annotations": {"agentsmesh.io/reconcile": "disabled"}}}
        if what == "protect":
            patch = {"metadata": {"annotations": {"agentsmesh.io/prune": "disabled"}}}
        await self.kube.patch(TICKET, "acme", name, patch)

    async def settle(self) -> None:
        """Run passes until nothing is to be done, as a keeper does."""
        for _ in range(6):
            dirty, self.dirty = self.dirty or self.whole, False
            self.passes += 1
            turn = Turn(lambda: False, lambda: False)
            ending = await self.sync.run(self.item, Remote("x", "main"), turn, dirty=dirty)
            assert ending is not Ending.FAILED
            if ending is Ending.WHOLE and not self.dirty:
                return
            self.dirty |= dirty or ending is Ending.AGAIN

    def state(self) -> object:
        """Return all that can be seen of it, without what differs by chance."""
        tickets = {
            name: (
                item["spec"],
                item["metadata"].get("labels"),
                item["metadata"].get("annotations"),
            )
            for (kind, _, name), item in self.kube.objects.items()
            if kind == TICKET.kind
        }
        rows = {
            identity: (row.digest, row.path, row.blob, row.ended, row.labels, row.annotations)
            for identity, row in self.sync.ledger.applied.items()
        }
        facts = self.sync.facts
        held = [one.identity for one in facts.held.gone] if facts.held is not None else None
        shown = facts.counts, facts.problems, facts.resources, facts.digest, facts.syncing
        return tickets, rows, shown, held, facts.applied_commit, self.sync.waiting


@settings(
    max_examples=150,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)
@given(st.lists(st.tuples(CHANGES, ACTS), max_size=7))
def test_a_pass_that_looks_at_what_differs_does_what_one_does_that_looks_at_all(
    history: list[tuple[dict[str, tuple[str, EntryType] | None], tuple[str, str] | None]],
) -> None:
    asyncio.run(compared(history))


async def compared(
    history: list[tuple[dict[str, tuple[str, EntryType] | None], tuple[str, str] | None]],
) -> None:
    repositories = Repository(), Repository()
    sides = [Side(repositories[0], whole=False), Side(repositories[1], whole=True)]
    first = {f"{name}.md": (said(name, "A"), EntryType.FILE) for name in NAMES}
    for side in sides:
        side.repository.change(first)
        await side.begin()
        await side.settle()
    for changes, act in history:
        for side in sides:
            side.repository.change(changes)
            if act is not None:
                await side.act(*act)
            await side.settle()
        assert sides[0].state() == sides[1].state()
