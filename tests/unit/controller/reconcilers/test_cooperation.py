"""Channels and tickets over an API server in memory: what their status says, and what wakes it."""

import asyncio
import random
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from controller.kernel.events import Recorder
from controller.kernel.key import Key
from controller.kernel.queue import WorkQueue
from controller.kernel.worker import Kernel
from controller.placement.indexes import new_store
from controller.reconcilers.cooperation import NUMBERS_SECONDS, Cooperation
from controller.store.open import StoreSettings, opened
from controller.store.records import ChannelRef, NewMessage, Query, Sender, SenderKind
from schemas.channel import Channel
from schemas.kinds import KINDS
from schemas.names import AGENT_POD, CHANNEL, FINALIZER_MESSAGES, REPOSITORY, TICKET

pytestmark = pytest.mark.anyio

LEAD = Sender(SenderKind.POD, "lead", "uid-of-lead")


class Mesh:
    """Queue, store, kernel and message store; time moves only when told."""

    def __init__(self, kube: Any, messages: Any) -> None:
        self.kube = kube
        self.messages = messages
        self.now = 1000.0
        self.store = new_store()
        self.queue = WorkQueue(clock=lambda: self.now, jitter=lambda low, _: low)
        self.cooperation = Cooperation(self.store, self.queue, ticks=lambda: self.now)
        self.kernel = Kernel(
            kube=kube,
            store=self.store,
            queue=self.queue,
            recorder=Recorder(kube),
            reconcilers=self.cooperation.reconcilers(messages),
        )
        self._told = 0

    async def make(self, resource: Any, name: str, **parts: Any) -> dict[str, Any]:
        metadata = {"name": name} | parts.pop("metadata", {})
        made: dict[str, Any] = await self.kube.create(
            resource, "acme", {"metadata": metadata, **parts}
        )
        return made

    async def ticket(self, name: str, **spec: Any) -> None:
        await self.make(TICKET, name, spec={"title": name, **spec})

    async def change(self, resource: Any, name: str, **spec: Any) -> None:
        await self.kube.patch(resource, "acme", name, {"spec": spec})

    async def say(self, channel: str, text: str = "hello") -> None:
        await self.messages.append(self.ref(channel), NewMessage(LEAD, text))
        self.cooperation.touched(self.channel(channel))

    def channel(self, name: str) -> Channel:
        return Channel.model_validate(self.kube.read("Channel", "acme", name))

    def ref(self, name: str) -> ChannelRef:
        return ChannelRef(self.channel(name).metadata.uid, "acme")

    def status(self, kind: str, name: str) -> dict[str, Any]:
        found: dict[str, Any] = self.kube.read(kind, "acme", name).get("status", {})
        return found

    def condition(self, kind: str, name: str, of: str = "Ready") -> tuple[str, str] | None:
        for item in self.status(kind, name).get("conditions", ()):
            if item["type"] == of:
                return item["status"], item["reason"]
        return None

    def message(self, kind: str, name: str) -> str:
        conditions = self.status(kind, name)["conditions"]
        return next(str(i["message"]) for i in conditions if i["type"] == "Ready")

    def writes(self, kind: str) -> int:
        return sum(found == kind for _, found, _ in self.kube.writes)

    async def settle(self, seconds: float = 0.0) -> None:
        """Let the kernel work until nothing is left to do, then again after *seconds*."""
        gate = asyncio.Event()
        gate.set()
        async with asyncio.timeout(20), asyncio.TaskGroup() as tasks:
            running = tasks.create_task(self.kernel.run(2, gate))
            await self._quiet()
            self.now += seconds
            self.queue.add(Key(TICKET.kind, "acme", "none"))  # wakes the queue: time has passed
            await self._quiet()
            running.cancel()

    async def _quiet(self) -> None:
        calm = 0
        while calm < 3:
            before = (len(self.kube.events), self.queue.metrics.done)
            self._watch()
            for _ in range(10):
                await asyncio.sleep(0.0002)  # the message store works in threads of its own
            after = (len(self.kube.events), self.queue.metrics.done)
            calm = calm + 1 if before == after and self.queue.idle else 0

    def _watch(self) -> None:
        for event, kind, obj in self.kube.events[self._told :]:
            if kind in KINDS and event == "DELETED":
                self.store.remove(kind, obj["metadata"]["uid"])
            elif kind in KINDS:
                self.store.apply(kind, obj)
        self._told = len(self.kube.events)


@pytest.fixture
async def mesh(kube: Any, tmp_path: Path) -> AsyncIterator[Mesh]:
    messages = await opened(StoreSettings(path=tmp_path / "messages.db"))
    yield Mesh(kube, messages)
    await messages.close()


# --- channels -------------------------------------------------------------------------------------


async def test_a_channel_is_ready_and_counts(mesh: Mesh) -> None:
    await mesh.make(CHANNEL, "design", spec={"members": [{"name": "lead"}]})
    await mesh.settle()
    assert mesh.condition("Channel", "design") == ("True", "Ready")
    status = mesh.status("Channel", "design")
    assert (status["messageCount"], status["lastSequence"], status["memberCount"]) == (0, 0, 1)
    assert "lastMessageAt" not in status
    assert status["observedGeneration"] == 1


async def test_numbers_are_written_once_a_minute_whatever_is_said(mesh: Mesh) -> None:
    await mesh.make(CHANNEL, "design", spec={})
    await mesh.settle()
    before = mesh.writes("Channel")
    await mesh.say("design")
    await mesh.settle(1)
    assert mesh.writes("Channel") == before + 1  # soon, after a quiet time
    for _ in range(8):
        await mesh.say("design")
        await mesh.settle(1)
    assert mesh.writes("Channel") == before + 1
    await mesh.settle(NUMBERS_SECONDS)
    assert mesh.writes("Channel") == before + 2
    status = mesh.status("Channel", "design")
    assert (status["messageCount"], status["lastSequence"]) == (9, 9)
    assert status["lastMessageAt"].endswith("Z")
    await mesh.settle(NUMBERS_SECONDS)
    assert mesh.writes("Channel") == before + 2


async def test_a_pod_that_names_a_channel_is_counted_while_it_works(mesh: Mesh) -> None:
    await mesh.make(CHANNEL, "design", spec={})
    await mesh.settle()
    spec = {"agentClassName": "c", "channelRefs": [{"name": "design"}]}
    await mesh.make(AGENT_POD, "fix", spec=spec)
    await mesh.settle(NUMBERS_SECONDS)
    assert mesh.status("Channel", "design")["memberCount"] == 1
    over = {"status": {"phase": "Succeeded"}}
    await mesh.kube.patch(AGENT_POD, "acme", "fix", over, subresource="status")
    await mesh.settle(NUMBERS_SECONDS)
    assert mesh.status("Channel", "design")["memberCount"] == 0


async def test_a_channel_says_what_it_refers_to_in_vain(mesh: Mesh) -> None:
    spec = {"repositoryRef": {"name": "shop"}, "ticketRef": {"name": "am-1"}}
    await mesh.make(CHANNEL, "design", spec=spec)
    await mesh.settle()
    assert mesh.condition("Channel", "design", "ReferencesResolved") == (
        "False",
        "ReferenceNotFound",
    )
    assert mesh.condition("Channel", "design") == ("False", "ReferenceNotFound")
    said = mesh.message("Channel", "design")
    assert "Repository shop" in said
    assert "Ticket am-1" in said
    await mesh.make(REPOSITORY, "shop", spec={"url": "https://git.example/shop.git"})
    await mesh.ticket("am-1")
    await mesh.settle()
    assert mesh.condition("Channel", "design", "ReferencesResolved") == ("True", "Resolved")
    assert mesh.condition("Channel", "design") == ("True", "Ready")


async def test_of_two_channels_of_one_name_the_younger_says_so(mesh: Mesh) -> None:
    await mesh.make(CHANNEL, "old", spec={"displayName": "Design"})
    later = {"creationTimestamp": "2027-01-15T09:00:00Z"}
    await mesh.make(CHANNEL, "new", spec={"displayName": "DESIGN"}, metadata=later)
    await mesh.settle()
    assert mesh.condition("Channel", "old") == ("True", "Ready")
    assert mesh.condition("Channel", "new") == ("False", "NameTaken")
    assert mesh.condition("Channel", "new", "Stalled") == ("True", "NameTaken")
    assert "channel old" in mesh.message("Channel", "new")
    await mesh.change(CHANNEL, "old", displayName="Other")
    await mesh.settle()
    assert mesh.condition("Channel", "new") == ("True", "Ready")


async def test_a_deleted_channel_takes_its_messages_along(mesh: Mesh) -> None:
    held = {"finalizers": [FINALIZER_MESSAGES, "other.example/hold"]}
    await mesh.make(CHANNEL, "design", spec={}, metadata=held)
    await mesh.say("design")
    old = mesh.ref("design")
    await mesh.settle()
    await mesh.kube.delete(CHANNEL, "acme", "design")
    await mesh.settle()
    assert mesh.channel("design").metadata.finalizers == ("other.example/hold",)
    assert await mesh.messages.read(old.uid, Query()) == ()
    await mesh.kube.patch(CHANNEL, "acme", "design", {"metadata": {"finalizers": []}})
    await mesh.make(CHANNEL, "design", spec={})
    await mesh.settle()
    assert mesh.status("Channel", "design")["messageCount"] == 0


# --- tickets --------------------------------------------------------------------------------------


async def test_a_ticket_says_how_far_it_is_and_who_works_on_it(mesh: Mesh) -> None:
    acceptance = [{"id": "a", "text": "green", "done": True}, {"id": "b", "text": "fast"}]
    await mesh.ticket("epic", acceptance=acceptance)
    await mesh.ticket("part-1", parent="epic")
    await mesh.ticket("part-2", parent="epic", state="canceled")
    spec = {"agentClassName": "c", "ticketRef": {"name": "epic"}}
    for name, at in (("old", "2027-01-15T08:00:00Z"), ("new", "2027-01-15T09:00:00Z")):
        await mesh.make(AGENT_POD, name, spec=spec, metadata={"creationTimestamp": at})
    await mesh.settle()
    status = mesh.status("Ticket", "epic")
    assert status["progress"] == {"done": 2, "total": 4}
    assert status["children"] == ["part-1", "part-2"]
    assert [pod["name"] for pod in status["agentPods"]] == ["new", "old"]
    assert mesh.condition("Ticket", "epic") == ("True", "Ready")

    tree = {"status": {"worktree": {"branch": "fix", "commit": "c0ffee"}}}
    await mesh.kube.patch(AGENT_POD, "acme", "new", tree, subresource="status")
    await mesh.change(TICKET, "part-1", state="done")
    await mesh.settle()
    status = mesh.status("Ticket", "epic")
    assert status["progress"] == {"done": 3, "total": 4}
    assert (status["agentPods"][0]["branch"], status["agentPods"][0]["commit"]) == ("fix", "c0ffee")

    await mesh.kube.delete(AGENT_POD, "acme", "new")
    await mesh.kube.delete(TICKET, "acme", "part-2")
    await mesh.settle()
    status = mesh.status("Ticket", "epic")
    assert status["children"] == ["part-1"]
    assert [pod["name"] for pod in status["agentPods"]] == ["old", "new"]
    assert status["agentPods"][1]["commit"] == "c0ffee"  # its work is not forgotten


async def test_a_ticket_says_why_its_pod_does_not_begin(mesh: Mesh) -> None:
    await mesh.ticket("tk-1")
    spec = {"agentClassName": "c", "ticketRef": {"name": "tk-1", "claim": "Required"}}
    for name in ("first", "second"):
        await mesh.make(AGENT_POD, name, spec=spec)

    async def scheduled(name: str, status: str, reason: str, message: str, **more: Any) -> None:
        said = {"type": "Scheduled", "status": status, "reason": reason, "message": message}
        said["lastTransitionTime"] = "2027-01-15T08:00:00Z"
        patch = {"status": {"conditions": [said], **more}}
        await mesh.kube.patch(AGENT_POD, "acme", name, patch, subresource="status")
        await mesh.settle()

    first = mesh.kube.read("AgentPod", "acme", "first")["metadata"]
    claim = {"podName": "first", "podUID": first["uid"], "claimedAt": "2027-01-15T08:00:00Z"}
    status = {"status": {"claim": claim}}
    await mesh.kube.patch(TICKET, "acme", "tk-1", status, subresource="status")
    await scheduled("second", "False", "TicketClaimed", "another pod has it")
    await scheduled("first", "False", "TicketUnclaimed", "soon")
    assert mesh.condition("Ticket", "tk-1", "PodWaiting") is None
    await scheduled("first", "False", "NoRunner", "the organization has no runner")
    assert mesh.condition("Ticket", "tk-1", "PodWaiting") == ("True", "NoRunner")
    said = mesh.status("Ticket", "tk-1")["conditions"]
    told = next(each["message"] for each in said if each["type"] == "PodWaiting")
    assert told == "pod first is on no runner: the organization has no runner"
    assert mesh.condition("Ticket", "tk-1") == ("True", "Ready")
    await scheduled("first", "False", "RunnerFull", "1 runner is full")
    assert mesh.condition("Ticket", "tk-1", "PodWaiting") == ("True", "RunnerFull")
    where = {"runnerName": "r", "runnerUID": "u", "epoch": 1, "placedAt": "2027-01-15T08:00:00Z"}
    await scheduled("first", "True", "Scheduled", "on r", placement=where)
    assert mesh.condition("Ticket", "tk-1", "PodWaiting") is None


async def test_at_most_twenty_pods_are_named(mesh: Mesh) -> None:
    await mesh.ticket("epic")
    for number in range(25):
        spec = {"agentClassName": "c", "ticketRef": {"name": "epic"}}
        at = f"2027-01-15T08:00:{number:02}Z"
        await mesh.make(AGENT_POD, f"p{number}", spec=spec, metadata={"creationTimestamp": at})
    await mesh.settle()
    names = [pod["name"] for pod in mesh.status("Ticket", "epic")["agentPods"]]
    assert names == [f"p{number}" for number in range(24, 4, -1)]


async def test_a_ticket_says_what_it_refers_to_in_vain(mesh: Mesh) -> None:
    await mesh.ticket("am-1", parent="epic", dependsOn=["am-0"], repositoryRef={"name": "shop"})
    await mesh.settle()
    unresolved = ("False", "ReferenceNotFound")
    assert mesh.condition("Ticket", "am-1", "ReferencesResolved") == unresolved
    said = mesh.message("Ticket", "am-1")
    for word in ("parent: Ticket epic", "dependsOn: Ticket am-0", "Repository shop"):
        assert word in said
    await mesh.ticket("epic")
    await mesh.ticket("am-0")
    await mesh.make(REPOSITORY, "shop", spec={"url": "https://git.example/shop.git"})
    await mesh.settle()
    assert mesh.condition("Ticket", "am-1", "ReferencesResolved") == ("True", "Resolved")
    await mesh.kube.delete(TICKET, "acme", "epic")
    await mesh.settle()
    assert mesh.condition("Ticket", "am-1") == unresolved


@pytest.mark.parametrize(
    ("field", "specs", "said"),
    [
        pytest.param("parent", {"a": "a"}, "a → a", id="itself"),
        pytest.param("parent", {"a": "b", "b": "c", "c": "a"}, "a → b → c → a", id="parents"),
        pytest.param(
            "dependsOn",
            {"a": ["b", "x"], "b": ["c"], "c": ["d"], "d": ["a"], "x": []},
            "a → b → c → d → a",
            id="dependencies",
        ),
    ],
)
async def test_a_cycle_is_named_and_ends(
    mesh: Mesh, field: str, specs: dict[str, Any], said: str
) -> None:
    for name in specs:
        await mesh.ticket(name)
    await mesh.settle()
    for name, value in specs.items():
        await mesh.change(TICKET, name, **{field: value})
        await mesh.settle()
    assert said in mesh.message("Ticket", "a")
    ring = said.split(" → ")
    for name in specs:
        is_part = name in ring
        assert (mesh.condition("Ticket", name, "Stalled") == ("True", "Cycle")) is is_part
        assert (mesh.condition("Ticket", name) == ("False", "Cycle")) is is_part
    await mesh.change(TICKET, ring[-2], **{field: None})
    await mesh.settle()
    assert {mesh.condition("Ticket", name) for name in specs} == {("True", "Ready")}


async def test_tickets_that_point_anywhere_settle(mesh: Mesh) -> None:
    chance = random.Random(7)  # noqa: S311 - a test that can be repeated
    names = [f"t{number}" for number in range(30)]
    for name in names:
        needs = chance.sample(names, 3)
        await mesh.ticket(name, dependsOn=needs, parent=chance.choice(names))
    await mesh.settle()
    writes = mesh.writes("Ticket")
    for name in names:
        mesh.queue.add(Key(TICKET.kind, "acme", name))
    await mesh.settle()
    assert mesh.writes("Ticket") == writes  # nothing goes round and round
    assert all(mesh.condition("Ticket", name) is not None for name in names)
