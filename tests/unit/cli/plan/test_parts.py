"""Pods, tickets and quotas in plans, settings, what may not be read, and how a plan is shown."""

import asyncio
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from typing_extensions import override

from cli.errors import CommandError, NotAllowed, NotFound, Usage
from cli.main import parser
from cli.plan.afterwards import QUOTA_EXCEEDED
from cli.plan.cluster import Cluster, Unread, check_namespace, read
from cli.plan.command import FAILS
from cli.plan.document import document
from cli.plan.drawn import draw
from cli.plan.made import make
from cli.plan.settings import choose
from cli.plan.text import text
from cli.plan.values import Action, Crowd, Fate, Origin, Plan
from cli.plan_arguments import FAIL_ON
from schemas.gitsource import GitSource
from schemas.names import AGENT_POD, ORGANIZATION, RESOURCE_QUOTA, TICKET, Resource
from tests.unit.cli.plan.world import Branch

CREATED = "2027-01-15T08:00:00Z"
TRUE = {"status": "True", "reason": "X", "lastTransitionTime": CREATED}


def thing(kind: str, name: str, spec: dict[str, Any], **parts: Any) -> dict[str, Any]:
    cluster = kind in {"Organization", "AgentClass"}
    metadata = {
        "name": name,
        "namespace": "" if cluster else "acme",
        "uid": f"uid-{name}",
        "resourceVersion": "1",
        "generation": 1,
        "creationTimestamp": CREATED,
    } | parts.pop("metadata", {})
    version = "v1" if kind == "ResourceQuota" else "agentsmesh.io/v1alpha1"
    return {"apiVersion": version, "kind": kind, "metadata": metadata, "spec": spec, **parts}


def runner(name: str, room: int | None = None) -> dict[str, Any]:
    status: dict[str, Any] = {
        "isolations": ["bubblewrap"],
        "conditions": [{"type": "Connected", **TRUE}],
    }
    return thing("Runner", name, {}, status=status | ({"maxPods": room} if room else {}))


def organization(**spec: Any) -> dict[str, Any]:
    member = {"subject": {"kind": "User", "name": "ada"}, "role": "owner"}
    return thing("Organization", "acme", {"members": [member], **spec})


def source(name: str = "plan", repository: str = "shop", **spec: Any) -> dict[str, Any]:
    return thing("GitSource", name, {"repositoryRef": {"name": repository}, "path": "f", **spec})


def repository(name: str, url: str) -> dict[str, Any]:
    return thing("Repository", name, {"url": url})


WORLD = (
    organization(),
    thing("AgentClass", "greeter", {"executable": "greet", "prompt": {"position": "argument"}}),
    runner("r1"),
)


def file(kind: str, name: str, **spec: Any) -> tuple[str, bytes]:
    whole = {"apiVersion": "agentsmesh.io/v1alpha1", "kind": kind, "metadata": {"name": name}}
    return f"f/{name}.yaml", json.dumps({**whole, "spec": spec}).encode()


def pod(name: str, **spec: Any) -> tuple[str, bytes]:
    return file("AgentPod", name, agentClassName="greeter", **spec)


def cluster_of(*things: dict[str, Any], unread: tuple[Unread, ...] = ()) -> Cluster:
    return Cluster("acme", {(t["kind"], t["metadata"]["name"]): t for t in things}, unread)


def planned(
    files: dict[str, bytes],
    *things: dict[str, Any],
    unread: tuple[Unread, ...] = (),
    before: dict[str, bytes] | None = None,
) -> Plan:
    """Return the plan for the files in a world of *things*."""
    if not any(each["kind"] == "GitSource" for each in things):
        things = (*things, source())
    cluster = cluster_of(*things, unread=unread)
    item = cluster.store().of(GitSource).get("acme", "plan")
    assert item is not None
    branch = Branch()
    old = branch.at(branch.push(before)) if before is not None else None
    new = branch.at(branch.push({"f/README.md": b"Ours.", **files}))
    drawn = asyncio.run(draw(cluster, cluster.store(), item, new, old))
    origin = Origin("acme", "plan", "f", "here", "main", new.tip, None)
    return make(origin, cluster, drawn, ()).plan


def fates(plan: Plan) -> dict[str, str]:
    return {each.name: str(each.fate) for each in plan.pods}


def test_pods_for_which_there_is_room_in_every_order_start() -> None:
    plan = planned(dict([pod("a"), pod("b")]), *WORLD)
    assert fates(plan) == {"a": "starts", "b": "starts"}
    assert plan.pods[0].runners == ("r1",)
    assert plan.crowd is None


def test_pods_for_which_there_is_room_for_some_are_contested() -> None:
    world = (*WORLD[:2], runner("r1", 2))
    plan = planned(dict(pod(name) for name in "abc"), *world)
    assert set(fates(plan).values()) == {"contested"}
    assert plan.crowd == Crowd(3, 2)
    mixed = planned(dict([pod("a"), pod("b", runnerName="r1"), pod("c")]), *world)
    assert mixed.crowd == Crowd(3, None)


def test_a_quota_makes_pods_wait_and_says_which() -> None:
    world = (organization(quota={"runningAgentPods": 0}), *WORLD[1:])
    plan = planned(dict([pod("a")]), *world)
    assert (plan.pods[0].fate, plan.pods[0].reason) == (Fate.WAITS, "QuotaExceeded")
    assert FAILS["wait"](plan)
    assert not FAILS["refused"](plan)


def test_a_quota_that_the_cluster_enforces_refuses_pods() -> None:
    key = f"count/{AGENT_POD.plural}.agentsmesh.io"
    for limit, certain in ((0, True), (1, False)):
        quota = thing("ResourceQuota", "q", {}, status={"hard": {key: str(limit)}})
        plan = planned(dict([pod("a"), pod("b")]), *WORLD, quota)
        refusals = [each.refusal for each in plan.changed if each.refusal is not None]
        assert [(each.reason, each.certain) for each in refusals] == [(QUOTA_EXCEEDED, certain)] * 2
        assert plan.refused
        assert set(fates(plan).values()) == {"refused" if certain else "starts"}
    roomy = thing("ResourceQuota", "q", {}, status={"hard": {key: "1k"}})
    small = thing("ResourceQuota", "r", {}, status={"hard": {key: "0"}})
    assert not planned(dict([pod("a")]), *WORLD, roomy).refused
    assert planned(dict([pod("a")]), *WORLD, roomy, small).refused
    unenforced = thing("ResourceQuota", "q", {"hard": {key: "0"}})
    assert not planned(dict([pod("a")]), *WORLD, unenforced).refused


def test_a_pod_whose_wishes_do_not_fit_its_class_is_refused() -> None:
    plan = planned(dict([pod("a", model="large")]), *WORLD)
    assert (plan.pods[0].fate, plan.pods[0].reason) == (Fate.REFUSED, "ModelNotSupported")
    assert plan.refused


def test_pods_that_insist_on_one_ticket_contest_it_and_others_start() -> None:
    insist = {"name": "tk-1", "claim": "Required"}
    files = dict([pod("a", ticketRef=insist), pod("b", ticketRef=insist)])
    files |= dict([pod("c", ticketRef={"name": "tk-1"}), pod("d", ticketRef={"name": "tk-2"})])
    plan = planned(files, *WORLD, thing("Ticket", "tk-1", {"title": "T"}))
    assert fates(plan) == {"a": "contested", "b": "contested", "c": "starts", "d": "waits"}
    reasons = {each.name: each.reason for each in plan.pods}
    assert (reasons["a"], reasons["d"]) == ("TicketContested", "TicketNotFound")


def test_a_pod_that_insists_on_a_ticket_of_another_waits() -> None:
    claim = {"podName": "x", "podUID": "uid-x", "claimedAt": CREATED}
    ticket = thing("Ticket", "tk-1", {"title": "T"}, status={"claim": claim})
    placement = {"runnerName": "r1", "runnerUID": "uid-r1", "epoch": 1, "placedAt": CREATED}
    owner = thing(
        "AgentPod",
        "x",
        {"agentClassName": "greeter", "ticketRef": {"name": "tk-1"}},
        status={"phase": "Running", "placement": placement},
    )
    insist = {"name": "tk-1", "claim": "Required"}
    plan = planned(dict([pod("a", ticketRef=insist)]), *WORLD, ticket, owner)
    assert [(each.name, each.reason) for each in plan.pods] == [("a", "TicketClaimed")]


def test_tickets_that_start_pods_by_themselves_do_so_in_the_plan() -> None:
    rule = {"name": "bugs", "labels": ["bug"], "agentClassName": "greeter", "maxConcurrent": 1}
    files = dict(
        file("Ticket", name, title="T", state="todo", labels=["bug"], priority=priority)
        for name, priority in (("tk-1", "low"), ("tk-2", "urgent"))
    )
    plan = planned(files, *WORLD, source(autoRun=[rule]))
    assert [(p.name, p.fate, p.ticket) for p in plan.pods] == [("tk-2-run-1", Fate.STARTS, "tk-2")]
    assert any("Ticket tk-1 starts no pod yet" in note for note in plan.notes)


def claimed(**status: Any) -> dict[str, Any]:
    """Return a ticket in git that starts pods, and that a pod had which is gone."""
    claim = {"podName": "x", "podUID": "uid-x", "claimedAt": CREATED, "followed": "in_progress"}
    spec = {"title": "T", "state": "in_progress", "autoRun": {"agentClassName": "greeter"}}
    return thing("Ticket", "tk-1", spec, status={"claim": claim, **status})


def test_a_ticket_that_its_pod_leaves_follows_it_and_starts_its_own() -> None:
    plan = planned({}, *WORLD, claimed())
    assert fates(plan) == {"tk-1-run-1": "starts"}
    assert "Ticket tk-1 follows pod x into todo, unless that leaves other commits" in plan.notes


def test_a_ticket_that_goes_too_deep_starts_no_pod_in_the_plan_either() -> None:
    plan = planned({}, *WORLD, claimed(runs={"depth": 3, "state": "in_progress"}))
    assert fates(plan) == {}
    assert any("to a depth of 2 (spec.podDepth)" in note for note in plan.notes)


def test_what_may_not_be_read_is_said_and_not_guessed() -> None:
    files = dict([file("Ticket", "tk-1", title="T"), pod("a")])
    plan = planned(files, *WORLD, unread=(Unread(TICKET.kind, "viewers may not"),))
    actions = {each.name: each.action for each in plan.changed}
    assert actions == {"tk-1": Action.UNKNOWN, "a": Action.CREATE}
    assert any("kind Ticket" in note and "viewers may not" in note for note in plan.notes)
    assert any("cannot be said without reading Ticket" in note for note in plan.notes)
    assert plan.pods == ()
    assert FAILS["unread"](plan)


def test_a_pod_that_is_gone_has_finished_if_its_file_was_applied() -> None:
    files = dict([pod("a")])
    assert fates(planned(files, *WORLD, before=files)) == {"a": "finished"}
    assert not planned(files, *WORLD, before=files).changes
    changed = dict([pod("a", prompt="Anew.")])
    assert fates(planned(changed, *WORLD, before=files)) == {"a": "starts"}


def test_what_is_kept_for_a_file_that_was_renamed_and_broken_is_kept_in_the_plan_too() -> None:
    origin = {
        "labels": {"agentsmesh.io/source": "plan"},
        "annotations": {"agentsmesh.io/source-path": "f/tk-1.md"},
    }
    kept = thing("Ticket", "tk-1", {"title": "One"}, metadata=origin)
    broken = {"f/new.md": b"---\nid: [\n---\n"}
    assert planned(broken, *WORLD, kept, before=broken).changed == ()
    still = {"f/new.md": b"---\nid: [ and more\n---\n"}
    assert planned(still, *WORLD, kept, before=broken).changed == ()
    mended = {"f/new.md": b"---\nid: tk-2\ntitle: Two\n---\n"}
    told = [
        (each.action, each.name) for each in planned(mended, *WORLD, kept, before=broken).changed
    ]
    assert sorted(told) == [(Action.CREATE, "tk-2"), (Action.DELETE, "tk-1")]


def test_a_folder_that_is_not_there_is_a_sentence() -> None:
    with pytest.raises(CommandError, match="has no folder 'g'"):
        planned({}, *WORLD, source(path="g"))


class Api:
    """An API that lets only some kinds be read."""

    def __init__(self, *things: dict[str, Any], forbidden: tuple[str, ...] = ()) -> None:
        self._things = things
        self._forbidden = forbidden

    def list(self, resource: Resource, namespace: str) -> list[dict[str, Any]]:
        if resource.kind in self._forbidden:
            raise NotAllowed(f"may not list {resource.plural} in {namespace}")
        return [each for each in self._things if each["kind"] == resource.kind]

    def get(self, resource: Resource, namespace: str, name: str) -> dict[str, Any]:
        for each in self._things:
            if each["kind"] == resource.kind and each["metadata"]["name"] == name:
                return each
        raise NotAllowed(f"may not get {resource.plural} {name} in {namespace}")


def test_members_read_their_own_organization_by_the_name_in_their_bundle() -> None:
    bundle = thing(
        "ConfigMap", "agentsmesh-trust-bundle", {},
        metadata={"labels": {"agentsmesh.io/organization": "the-acme"}},
    )  # fmt: skip
    own = organization(namespaceName="acme")
    own["metadata"]["name"] = "the-acme"
    forbidden = (ORGANIZATION.kind, RESOURCE_QUOTA.kind)
    cluster = read(Api(own, bundle, forbidden=forbidden), "acme")
    assert cluster.readable(ORGANIZATION)
    assert [each.kind for each in cluster.unread] == [RESOURCE_QUOTA.kind]


class Elsewhere(Api):
    """Knows of no namespace."""

    @override
    def get(self, resource: Resource, namespace: str, name: str) -> dict[str, Any]:
        raise NotFound(f"there is no {resource.plural} {name}")


def test_nothing_is_planned_for_a_namespace_that_does_not_exist() -> None:
    with pytest.raises(NotFound, match="there is no namespace 'acne': name one with -n"):
        check_namespace(Elsewhere(), "acne")
    check_namespace(Api(), "acme")  # who may not see namespaces may see what is in theirs


def test_who_may_read_nothing_is_not_allowed() -> None:
    class Closed(Api):
        def list(self, resource: Resource, namespace: str) -> list[dict[str, Any]]:
            raise NotAllowed(f"nothing of {resource.plural} in {namespace}")

    with pytest.raises(NotAllowed):
        read(Closed(), "acme")


SHOPS = (
    repository("shop", "https://git.example/shop.git"),
    repository("here", "file:///srv/git/here.git"),
    source("plan"),
    source("local", "here", branch="main"),
    source("trial", "here", branch="trial"),
)


@pytest.mark.parametrize(
    ("address", "branch", "expected"),
    [
        pytest.param("ssh://git@GIT.example/shop", "", "plan", id="another protocol"),
        pytest.param("https://ada@git.example/shop.git/", "", "plan", id="with a user"),
        pytest.param("/srv/git/here.git", "trial", "trial", id="a path, by its branch"),
        pytest.param("/srv/git/other", "main", None, id="a repository that nobody reads"),
    ],
)
def test_the_source_that_reads_the_repository_counts(
    address: str, branch: str, expected: str | None
) -> None:
    found = choose(cluster_of(*SHOPS).store(), "acme", None, [address], branch)
    assert (found.source.metadata.name if found.exists else None) == expected


def test_several_sources_of_a_repository_are_named_and_one_that_is_not_there_is_said() -> None:
    store = cluster_of(*SHOPS).store()
    with pytest.raises(Usage, match="--name: local, trial"):
        choose(store, "acme", None, ["/srv/git/here"], "")
    assert choose(store, "acme", "trial", [], "").source.metadata.name == "trial"
    with pytest.raises(NotFound, match="no GitSource nobody"):
        choose(store, "acme", "nobody", [], "")


def test_the_words_of_fail_on_are_those_that_are_known() -> None:
    assert set(FAIL_ON) == set(FAILS)
    words = ["plan", "--source", ".", "--fail-on", "change,wait"]
    assert parser().parse_args(words).fail_on == ("change", "wait")
    assert parser().parse_args([*words[:3], "--fail-on", "none"]).fail_on == ()
    with pytest.raises(SystemExit):
        parser().parse_args([*words[:3], "--fail-on", "nonsense"])


def test_the_text_says_everything_and_moves_no_cursor() -> None:
    live = thing(
        "Ticket",
        "tk-1",
        {"title": "Old", "body": "B"},
        metadata={
            "labels": {"agentsmesh.io/source": "plan"},
            "annotations": {"agentsmesh.io/source-path": "f/was.yaml"},
        },
    )
    gone = [
        thing("Channel", f"c{number}", {}, metadata=live["metadata"] | {"name": f"c{number}",
              "uid": f"c{number}"})
        for number in range(3)
    ]  # fmt: skip
    files = dict([file("Ticket", "tk-1", title="New \x1b[31m"), pod("a")])
    files = {path: data.replace(b"\\u001b", b"!") for path, data in files.items()}
    files["f/\x1b[2Jbad.yaml"] = b"kind: ["
    limits = {"maxCount": 1, "maxPercent": 0}
    plan = planned(files, *WORLD, source(pruneLimits=limits), live, *gone)
    said = text(plan, colour=False)
    for part in (
        "~ Ticket tk-1  f/tk-1.yaml: was f/was.yaml",
        'title: "Old" -> "New ![31m"',
        '"B" -> ""',
        "+ AgentPod a",
        "a starts on r1",
        "= Channel c0",
        "3 resources have no file any more, and at most 1",
        f"annotate --overwrite gitsource plan agentsmesh.io/allow-prune={plan.origin.commit}",
        "1 file refused",
    ):
        assert part in said
    assert "\x1b" not in said
    assert "\x1b[32m" in text(plan, colour=True)
    assert FAILS["held"](plan)
    assert not FAILS["drift"](plan)
    shown = json.dumps(document(plan), ensure_ascii=False)
    assert "\x1b" not in shown


def test_what_is_refused_is_counted_as_refused_and_not_as_done() -> None:
    key = f"count/{AGENT_POD.plural}.agentsmesh.io"
    quota = thing("ResourceQuota", "q", {}, status={"hard": {key: "0"}})
    plan = planned(dict([pod("a"), pod("b")]), *WORLD, quota)
    assert text(plan, colour=False).endswith("\n\nPlan: 2 refused, 0 unchanged.")
    assert not plan.changes
    assert not FAILS["change"](plan)
    assert document(plan)["summary"]["resources"] == {}
    assert document(plan)["summary"]["resourcesRefused"] == 2
    quota["status"]["hard"][key] = "1"  # one of them is made
    perhaps = planned(dict([pod("a"), pod("b")]), *WORLD, quota)
    assert text(perhaps, colour=False).endswith(
        "\n\nPlan: 2 created, 2 perhaps refused, 0 unchanged."
    )
    assert perhaps.changes


def test_a_commit_that_is_not_based_on_what_is_applied_is_told_first() -> None:
    plan = replace(planned(dict([pod("a")]), *WORLD), unbased="fetch first")
    said = text(plan, colour=False)
    assert said.index("fetch first") < said.index("Resources:")
    assert document(plan)["unbased"] == "fetch first"


def test_the_document_has_the_shape_that_its_page_states() -> None:
    plan = planned(dict([pod("a")]), *WORLD)
    whole = document(replace(plan, crowd=Crowd(2, 1)))
    page = (Path(__file__).parents[4] / "docs" / "plan.md").read_text(encoding="utf-8")
    for name in (*whole, *whole["summary"], *whole["resources"][0], *whole["pods"][0]):
        assert f"`{name}`" in page, name
    for word in (*Action, *Fate, *FAIL_ON):
        assert f"`{word}`" in page, word


def test_an_object_of_a_newer_mesh_makes_its_kind_unread() -> None:
    newer = thing("Ticket", "tk-9", {"title": "T", "state": "a new state"})
    cluster = read(Api(*WORLD, newer), "acme")
    assert cluster.unread == (
        Unread("Ticket", "tk-9 is not as this program knows the kind: use the version of the mesh"),
    )
