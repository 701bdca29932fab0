"""The plan equals what then happens, whatever the fleet is and whoever did what to it."""

import asyncio
import json
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from meshwire.v1 import link_pb2

from cli.plan.document import document
from cli.plan.pods import WITHDRAWN
from cli.plan.text import text
from cli.plan.values import Action, Fate, Plan
from controller.gitops.apply import spec_of
from controller.gitops.living import RESOURCES
from schemas.kinds import KINDS
from schemas.names import (
    ANNOTATION_PRUNE,
    ANNOTATION_RECONCILE,
    GIT_SOURCE,
    LABEL_SOURCE,
    Resource,
)
from tests.unit.cli.plan.world import Fleet

_ENDED = {"Succeeded", "Failed"}

TICKETS: tuple[dict[str, Any], ...] = (
    {"title": "First"},
    {"title": "First", "state": "todo", "labels": ["a", "b"]},
    {"title": "Second", "priority": "high", "acceptance": [{"id": "a", "text": "t"}]},
    {"title": "Runs", "state": "todo", "autoRun": {"agentClassName": "greeter"}},
)
PODS: tuple[dict[str, Any], ...] = (
    {"agentClassName": "greeter"},
    {"agentClassName": "greeter", "prompt": "Say hello."},
    {"agentClassName": "greeter", "runnerName": "r1"},
    {"agentClassName": "missing"},
    {"agentClassName": "greeter", "suspend": True},
    {"agentClassName": "greeter", "desiredState": "Stopped"},
    {"agentClassName": "mute", "prompt": "Nobody hears it."},
    {"agentClassName": "greeter", "ttlSecondsAfterFinished": 100_000},
    {"agentClassName": "greeter", "runnerSelector": {"matchLabels": {"gpu": "yes"}}},
    {"agentClassName": "greeter", "repositoryRef": {"name": "shop"}},
    {"agentClassName": "greeter", "ticketRef": {"name": "tk-0001"}},
    {"agentClassName": "greeter", "ticketRef": {"name": "tk-0001", "claim": "Required"}},
)
CHANNELS: tuple[dict[str, Any], ...] = ({}, {"description": "Where it is argued."})
REPOSITORIES: tuple[dict[str, Any], ...] = (
    {"url": "https://git.example/shop.git"},
    {"url": "https://git.example/shop.git", "defaultBranch": "next"},
)
RUNNERS: tuple[dict[str, Any], ...] = (
    {},
    {"capacity": {"maxPods": 1}},
    {"capacity": {"maxPods": 3}},
    {"cordoned": True},
)
SPECS = {
    "Ticket": TICKETS,
    "AgentPod": PODS,
    "Channel": CHANNELS,
    "Repository": REPOSITORIES,
    "Runner": RUNNERS,
}
NAMES = {
    "Ticket": ("tk-0001", "tk-0002", "tk-0003", "tk-0004"),
    "AgentPod": ("p1", "p2", "p3", "p4", "p5"),
    "Channel": ("talk",),
    "Repository": ("shop",),
}
EVERY = tuple((kind, name) for kind, names in NAMES.items() for name in names)
MACHINES = ("r1", "r2")
KINDS_ALLOWED = ["AgentPod", "Channel", "PodBinding", "Repository", "Runner", "Ticket"]


@dataclass(frozen=True)
class File:
    """What one file says, or how it is broken."""

    kind: str
    name: str
    variant: int
    folder: str = "fleet"
    flaw: str = ""
    label: str = ""

    @property
    def path(self) -> str:
        return f"{self.folder}/{self.name}{'.md' if self.kind == 'Ticket' else '.yaml'}"

    @property
    def data(self) -> bytes:
        spec = SPECS[self.kind][self.variant % len(SPECS[self.kind])]
        if self.flaw == "nonsense":
            return b"---\nid: [\n" if self.kind == "Ticket" else f"name: {self.name}\na: [".encode()
        if self.flaw == "value":
            spec = spec | {"state": "nowhere", "prompt": 7, "visibility": "odd"}
        if self.kind == "Ticket":
            return f"---\n{json.dumps({'id': self.name, **spec})}\n---\nBody\n".encode()
        metadata: dict[str, Any] = {"name": self.name}
        if self.flaw == "namespace":
            metadata["namespace"] = "elsewhere"
        if self.label:
            named = {"gpu": "yes"} if self.kind == "Runner" else {"team": self.label}
            metadata["labels"] = named
        kind = "Organization" if self.flaw == "kind" else self.kind
        whole = {"apiVersion": "agentsmesh.io/v1alpha1", "kind": kind, "metadata": metadata}
        return json.dumps({**whole, "spec": spec}).encode()


FILES = st.builds(
    File,
    kind=st.just(""),
    name=st.just(""),
    variant=st.integers(0, 11),
    folder=st.sampled_from(["fleet", "fleet", "fleet/more"]),
    flaw=st.sampled_from([""] * 9 + ["nonsense", "value", "namespace", "kind"]),
    label=st.sampled_from(["", "", "red", "blue"]),
)


@dataclass(frozen=True)
class Story:
    """A fleet, a commit, what people did since, and another commit."""

    first: tuple[File, ...]
    second: tuple[File, ...]
    twins: frozenset[tuple[str, str]]
    """What two files of the second commit are about."""
    deeds: tuple[tuple[str, int], ...]
    spec: Mapping[str, Any] = field(default_factory=dict)
    quota: int | None = None
    rooms: tuple[int, int] = (2, 2)
    rewritten: bool = False
    """The second commit does not follow the first."""


@st.composite
def stories(draw: st.DrawFn) -> Story:
    first, second = [], []
    for kind, name in EVERY:
        before = draw(st.none() | FILES)
        change = draw(st.sampled_from(["same", "same", "gone", "other"]))
        after = before if change == "same" else None if change == "gone" else draw(FILES)
        for files, file in ((first, before), (second, after)):
            if file is not None:
                named = {"kind": kind, "name": name}
                files.append(File(**{**file.__dict__, **named}))
    for name in MACHINES:
        if draw(st.booleans()):
            for files in (first, second):
                variant, label = draw(st.integers(0, 3)), draw(st.sampled_from(["", "red"]))
                files.append(File("Runner", name, variant, label=label))
    deeds = st.sampled_from(
        ["edit", "delete", "protect", "leave", "unlabel", "end", "expire", "make", "steal"]
    )
    twins = draw(st.sets(st.sampled_from(EVERY), max_size=1))
    limits = {"maxCount": draw(st.integers(0, 4)), "maxPercent": draw(st.sampled_from([0, 50]))}
    prune = draw(st.sampled_from([True, True, True, False]))
    spec = {"pruneLimits": limits, "prune": prune, "kinds": KINDS_ALLOWED}
    return Story(
        tuple(first),
        tuple(second),
        frozenset(twins),
        tuple(draw(st.lists(st.tuples(deeds, st.integers(0, len(EVERY) - 1)), max_size=5))),
        spec,
        draw(st.none() | st.integers(0, 4)),
        (draw(st.integers(0, 3)), draw(st.integers(0, 3))),
        draw(st.sampled_from([False, False, False, True])),
    )


class Told:
    """Tells a story and compares."""

    def __init__(self, story: Story) -> None:
        self.story = story
        self.fleet = Fleet()

    async def tell(self) -> None:
        story, fleet = self.story, self.fleet
        quota = {} if story.quota is None else {"quota": {"runningAgentPods": story.quota}}
        tickets = {"followPods": False, "maxConcurrentRuns": 2}  # git is not written to here
        await fleet.mesh.organization(**quota, tickets=tickets)
        prompt = {"prompt": {"position": "argument"}}
        await fleet.mesh.agent_class("greeter", **prompt)
        await fleet.mesh.agent_class("mute")
        for name, room in zip(MACHINES, story.rooms, strict=True):
            await fleet.runner(name, **({"capacity": {"maxPods": room}} if room else {}))
        await fleet.source(**story.spec)
        await fleet.mesh.make(GIT_SOURCE, "other", spec={"repositoryRef": {"name": "x"}})
        fleet.branch.push({"fleet/README.md": b"Ours.", **{f.path: f.data for f in story.first}})
        await fleet.settle()
        for deed, number in story.deeds:
            await self._do(deed, *EVERY[number])
        await fleet.mesh.settle()
        files = {file.path: file.data for file in story.second}
        for file in story.second:
            if (file.kind, file.name) in story.twins:
                files[f"fleet/twin/{file.path.rpartition('/')[2]}"] = file.data
        commit = fleet.branch.push(
            {"fleet/README.md": b"Ours.", **files}, rewritten=story.rewritten
        )
        before = self._snapshot()
        plan = await fleet.plan(commit)
        assert await fleet.plan(commit) == plan
        await fleet.settle()
        self._compare(plan, before, self._snapshot())
        text(plan, colour=True)
        json.dumps(document(plan))

    async def _do(self, deed: str, kind: str, name: str) -> None:
        kube, mesh = self.fleet.kube, self.fleet.mesh
        resource, key = RESOURCES[kind], (kind, "acme", name)
        there = kube.objects.get(key)
        if deed == "make" and there is None:
            await mesh.make(resource, name, spec=SPECS[kind][0])
        if there is None:
            return
        phase = there.get("status", {}).get("phase")
        if deed in {"end", "expire"} and kind == "AgentPod" and phase == "Running":
            uid = there["metadata"]["uid"]
            runner = mesh.runners[there["status"]["placement"]["runnerName"]]
            runner.end(uid, link_pb2.SUCCEEDED)
            await mesh.settle()
            if deed == "expire":
                await kube.delete(resource, "acme", name)
        elif deed == "delete" and kind != "AgentPod":
            await kube.delete(resource, "acme", name)
        else:
            await self._write(deed, resource, name)
        await mesh.settle()

    async def _write(self, deed: str, resource: Resource, name: str) -> None:
        edits: dict[str, dict[str, Any]] = {
            "Ticket": {"title": "By hand", "state": "done"},
            "AgentPod": {"activeDeadlineSeconds": 77},
            "Channel": {"archived": True},
            "Repository": {"defaultBranch": "by-hand"},
        }
        bodies: dict[str, dict[str, Any]] = {
            "edit": {"spec": edits[resource.kind]},
            "protect": {"metadata": {"annotations": {ANNOTATION_PRUNE: "disabled"}}},
            "leave": {
                "metadata": {"annotations": {ANNOTATION_RECONCILE: "disabled"}},
                "spec": edits[resource.kind],
            },
            "unlabel": {"metadata": {"labels": {LABEL_SOURCE: None}}},
            "steal": {"metadata": {"labels": {LABEL_SOURCE: "other"}}},
        }
        if deed in bodies:
            await self.fleet.kube.patch(resource, "acme", name, bodies[deed])

    def _snapshot(self) -> dict[tuple[str, str], dict[str, Any]]:
        return {
            (kind, name): item
            for (kind, where, name), item in self.fleet.kube.objects.items()
            if where == "acme" and kind in RESOURCES
            and "deletionTimestamp" not in item["metadata"]
        }  # fmt: skip

    def _compare(
        self,
        plan: Plan,
        before: Mapping[tuple[str, str], dict[str, Any]],
        after: Mapping[tuple[str, str], dict[str, Any]],
    ) -> None:
        happens = {
            action: {(c.kind, c.name) for c in plan.changed if c.action is action and not c.refusal}
            for action in Action
        }
        runs = {("AgentPod", pod.name) for pod in plan.pods if pod.ticket}
        unsure = {("AgentPod", pod.name) for pod in plan.pods if pod.reason == WITHDRAWN}
        made = after.keys() - before.keys()
        assert made <= happens[Action.CREATE] | runs <= made | unsure
        gone = {key for key in before.keys() - after.keys() if "-run-" not in key[1]}
        assert happens[Action.DELETE] <= gone <= happens[Action.DELETE] | happens[Action.CANCEL]
        assert not happens[Action.UNKNOWN]
        facts = self.fleet.sync.facts
        held = facts.held.gone if facts.held is not None else ()
        assert happens[Action.HOLD] == {tuple(gone.identity) for gone in held}
        self._compare_fields(plan, before, after)
        refused = {(each.path, each.reason) for each in plan.files}
        refused |= {(c.path, c.refusal.reason) for c in plan.changed if c.refusal}
        assert refused == {(each.path, each.reason) for each in facts.problems}
        self._compare_pods(plan, before, after)

    def _compare_fields(
        self,
        plan: Plan,
        before: Mapping[tuple[str, str], dict[str, Any]],
        after: Mapping[tuple[str, str], dict[str, Any]],
    ) -> None:
        told = {
            (c.kind, c.name): {f.name: (f.before, f.after) for f in c.fields}
            for c in plan.changed
            if not c.refusal and c.fields
        }
        canceled = {(c.kind, c.name) for c in plan.changed if c.action is Action.CANCEL}
        found = {}
        for key in before.keys() & after.keys():
            was, now = (_flat(objects[key]) for objects in (before, after))
            fields = {n: (was.get(n), now.get(n)) for n in was | now if was.get(n) != now.get(n)}
            if fields and key not in canceled:
                found[key] = fields
            assert key not in canceled or now["state"] == "canceled"
        assert told == found

    def _compare_pods(
        self,
        plan: Plan,
        before: Mapping[tuple[str, str], dict[str, Any]],
        after: Mapping[tuple[str, str], dict[str, Any]],
    ) -> None:
        fates = {pod.name: pod.fate for pod in plan.pods}
        assert len(fates) == len(plan.pods)
        unsure = {pod.name for pod in plan.pods if pod.reason == WITHDRAWN}
        for name in {name for kind, name in before | after if kind == "AgentPod"}:
            was, now = (_stand(objects.get(("AgentPod", name))) for objects in (before, after))
            allowed = {
                None: {was},
                Fate.STARTS: {"active"},
                Fate.CONTESTED: {"active", "unplaced"},
                Fate.WAITS: {"unplaced"},
                Fate.REFUSED: {"unplaced", "absent"},
                Fate.STOPS: {"absent", "ended"},
                Fate.REMOVED: {"absent"},
                Fate.FINISHED: {"absent"},
                Fate.SUSPENDS: {"active"},
                Fate.RESUMES: {"active"},
                Fate.MOVES: set(),
            }[fates.get(name)]
            if name in unsure:
                allowed |= {"absent"}
            assert now in allowed, (name, fates.get(name), was, now)
            if fates.get(name) in {Fate.STOPS, Fate.SUSPENDS, Fate.RESUMES}:
                assert was == "active"
        rivals = {pod.name for pod in plan.pods if pod.reason in {"TicketContested", WITHDRAWN}}
        crowd = [pod for pod in plan.pods if pod.fate is Fate.CONTESTED]
        contested = [pod for pod in crowd if pod.name not in rivals]
        stands = Counter(_stand(after.get(("AgentPod", pod.name))) for pod in contested)
        assert (plan.crowd is None) == (not contested)
        if plan.crowd is not None and plan.crowd.places is not None:
            assert stands["active"] == plan.crowd.places


def _stand(pod: Mapping[str, Any] | None) -> str:
    if pod is None:
        return "absent"
    status = pod.get("status", {})
    if "placement" not in status:
        return "unplaced"
    return "ended" if status.get("phase") in _ENDED else "active"


def _flat(item: Mapping[str, Any]) -> dict[str, Any]:
    """Return what a file can say of an object."""
    found = spec_of(KINDS[item["kind"]].model_validate(item))
    for part in ("labels", "annotations"):
        for key, value in (item["metadata"].get(part) or {}).items():
            if not key.startswith("agentsmesh.io/"):
                found[f"metadata.{part}.{key}"] = value
    return found


def tell(story: Story) -> None:
    asyncio.run(Told(story).tell())


_QUIET = [HealthCheck.too_slow, HealthCheck.data_too_large]


@given(stories())
@settings(
    max_examples=15,
    deadline=None,
    suppress_health_check=_QUIET,
    derandomize=True,
    phases=[Phase.explicit, Phase.generate],
)
def test_the_plan_equals_what_then_happens(story: Story) -> None:
    tell(story)


@pytest.mark.faults
@pytest.mark.timeout(600)
@given(stories())
@settings(
    max_examples=200,
    deadline=None,
    suppress_health_check=_QUIET,
    derandomize=True,
    phases=[Phase.explicit, Phase.generate],
)
def test_the_plan_equals_what_then_happens_in_many_fleets(story: Story) -> None:
    tell(story)
