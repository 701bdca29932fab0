"""Where a binding stands, and what its status says of it."""

from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from controller.bindings.rules import depth, related, standing
from controller.kernel.clock import stamp
from controller.reconcilers.podbinding.plan import plan
from controller.reconcilers.podbinding.snapshot import BindingSnapshot
from controller.reconcilers.podbinding.status import report
from schemas.agentpod import AgentPod
from schemas.names import API_VERSION, POD_BINDING, BindingState
from schemas.podbinding import PodBinding

NOW = 1_800_000_000.0
DAY = 24 * 3600.0
READ, WRITE = "terminal:read", "terminal:write"

Build = Callable[..., Any]


def pod(name: str, *, uid: str = "", phase: str = "Running", **metadata: Any) -> AgentPod:
    return AgentPod.model_validate(
        {
            "apiVersion": API_VERSION,
            "kind": "AgentPod",
            "metadata": {"name": name, "namespace": "acme", "uid": uid or f"uid-{name}"} | metadata,
            "spec": {"agentClassName": "greeter"},
            "status": {"phase": phase},
        }
    )


def binding(status: dict[str, Any] | None = None, *, tool: bool = False, **spec: Any) -> PodBinding:
    annotations = {"agentsmesh.io/created-by-uid": "uid-lead"} if tool else {}
    return PodBinding.model_validate(
        {
            "apiVersion": API_VERSION,
            "kind": "PodBinding",
            "metadata": {
                "name": "b",
                "namespace": "acme",
                "uid": "uid-b",
                "generation": 1,
                "creationTimestamp": stamp(NOW),
                "annotations": annotations,
            },
            "spec": {"initiator": "lead", "target": "fix", "scopes": [READ, WRITE]} | spec,
            "status": status or {},
        }
    )


def decided(state: str, *scopes: str, lead: str = "uid-lead", fix: str = "uid-fix") -> Any:
    return {
        "state": state,
        "scopes": list(scopes),
        "by": "fix",
        "initiatorUID": lead,
        "targetUID": fix,
        "at": stamp(NOW),
    }


def asked(*scopes: str, at: float = NOW, lead: str = "uid-lead", fix: str = "uid-fix") -> Any:
    return {
        "requestedAt": stamp(at),
        "requestedScopes": list(scopes),
        "initiatorUID": lead,
        "targetUID": fix,
    }


REQUIRED = {"approval": "Required"}
PINNED = {"approval": "Required", "initiatorUID": "uid-lead", "targetUID": "uid-fix"}


@pytest.mark.parametrize(
    ("item", "state", "granted", "pending"),
    [
        pytest.param(binding(), "active", [READ, WRITE], [], id="declared: at once"),
        pytest.param(binding(scopes=[WRITE]), "active", [WRITE], [], id="only what it says"),
        pytest.param(
            binding(initiatorUID="uid-other"),
            "inactive",
            [],
            [],
            id="declared for another pod of that name",
        ),
        pytest.param(
            binding(expiresAt=stamp(NOW)), "expired", [], [], id="its time is over this second"
        ),
        pytest.param(
            binding(expiresAt=stamp(NOW + 1)), "active", [READ, WRITE], [], id="not quite over"
        ),
        pytest.param(
            binding({"decision": decided("ended")}), "inactive", [], [], id="ended by a pod"
        ),
        pytest.param(
            binding({"decision": decided("ended", fix="uid-before")}),
            "active",
            [READ, WRITE],
            [],
            id="ended with an earlier pod of that name",
        ),
        pytest.param(
            binding(**REQUIRED), "pending", [], [READ, WRITE], id="required, never looked at"
        ),
        pytest.param(
            binding(asked(READ), tool=True, **PINNED),
            "pending",
            [],
            [READ],
            id="a pod asks for less than the spec allows",
        ),
        pytest.param(
            binding(asked(READ, WRITE, at=NOW - DAY), tool=True, **PINNED),
            "expired",
            [],
            [],
            id="not answered in 24 hours",
        ),
        pytest.param(
            binding(asked(READ, WRITE, at=NOW - DAY + 1), tool=True, **PINNED),
            "pending",
            [],
            [READ, WRITE],
            id="not answered in nearly 24 hours",
        ),
        pytest.param(
            binding(
                asked(WRITE, at=NOW - DAY) | {"decision": decided("accepted", READ)},
                tool=True,
                **PINNED,
            ),
            "active",
            [READ],
            [],
            id="more was asked for and not answered: what was granted stays",
        ),
        pytest.param(
            binding(asked(WRITE) | {"decision": decided("accepted", READ)}, tool=True, **PINNED),
            "active",
            [READ],
            [WRITE],
            id="more is asked for",
        ),
        pytest.param(
            binding(asked(READ) | {"decision": decided("rejected")}, tool=True, **PINNED),
            "rejected",
            [],
            [],
            id="rejected",
        ),
        pytest.param(
            binding(
                {"decision": decided("accepted", READ, WRITE)},
                scopes=[READ],
                **REQUIRED,
            ),
            "active",
            [READ],
            [],
            id="a decision grants no more than the spec allows",
        ),
        pytest.param(
            binding({"decision": decided("accepted", READ, fix="uid-before")}, **REQUIRED),
            "pending",
            [],
            [READ, WRITE],
            id="accepted by an earlier pod of that name",
        ),
        pytest.param(
            binding(asked(READ, WRITE, at=NOW - DAY, fix="uid-before"), **REQUIRED),
            "pending",
            [],
            [READ, WRITE],
            id="asked of an earlier pod of that name: it counts from now on",
        ),
        pytest.param(
            binding(asked(READ, at=NOW - DAY), **REQUIRED),
            "pending",
            [],
            [READ, WRITE],
            id="a person added a scope: it is asked for anew",
        ),
    ],
)
def test_a_binding_stands_where_pods_decisions_and_time_put_it(
    item: PodBinding, state: str, granted: list[str], pending: list[str]
) -> None:
    found = standing(item, pod("lead"), pod("fix"), NOW)
    assert (found.state, list(found.granted), list(found.pending)) == (state, granted, pending)


@pytest.mark.parametrize("who", ["lead", "fix"])
@pytest.mark.parametrize(
    "gone",
    [
        pytest.param(lambda _: None, id="gone"),
        pytest.param(lambda name: pod(name, phase="Failed"), id="failed"),
        pytest.param(lambda name: pod(name, phase="Succeeded"), id="done"),
        pytest.param(lambda name: pod(name, deletionTimestamp=stamp(NOW)), id="being deleted"),
    ],
)
@pytest.mark.parametrize(
    "item",
    [
        pytest.param(binding(), id="declared"),
        pytest.param(binding({"decision": decided("accepted", READ)}, **PINNED), id="accepted"),
        pytest.param(binding(asked(READ), tool=True, **PINNED), id="pending"),
    ],
)
def test_a_binding_ends_with_either_pod(who: str, gone: Build, item: PodBinding) -> None:
    pods = {"lead": pod("lead"), "fix": pod("fix")} | {who: gone(who)}
    found = standing(item, pods["lead"], pods["fix"], NOW)
    assert (found.state, found.granted, found.pending) == (BindingState.INACTIVE, (), ())


def test_pods_are_related_by_creation_alone() -> None:
    made_by_lead = {"annotations": {"agentsmesh.io/created-by-uid": "uid-lead"}}
    lead, one, two = pod("lead"), pod("one", **made_by_lead), pod("two", **made_by_lead)
    assert related(one, two)
    assert related(lead, one)
    assert not related(one, lead), "who was made has no rights on its maker"
    assert not related(pod("ann"), pod("ben")), "no creator is none in common"
    assert not related(pod("lead", uid="uid-later"), one), "a later pod of the creator's name"


@pytest.mark.parametrize(
    ("annotations", "expected"),
    [
        pytest.param({}, 0, id="a person's"),
        pytest.param({"depth": "2", "created-by-uid": "u"}, 2, id="as it says"),
        pytest.param({"created-by-uid": "u"}, 1, id="at least one, where a pod made it"),
        pytest.param({"depth": "0", "created-by-uid": "u"}, 1, id="whatever it says"),
        pytest.param({"depth": "-1"}, 0, id="no number"),
        pytest.param({"depth": "²"}, 0, id="a digit that is no number"),
    ],
)
def test_depth_is_read_with_care(annotations: dict[str, str], expected: int) -> None:
    named = {f"agentsmesh.io/{key}": value for key, value in annotations.items()}
    assert depth(pod("fix", annotations=named)) == expected


def settled(item: PodBinding, one: Any, other: Any, now: float) -> PodBinding:
    """Return the binding once its status was published."""
    status = report(BindingSnapshot(item, one, other), None, now).status
    return item.model_copy(update={"status": status})


_scopes = st.sampled_from([[], [READ], [WRITE], [READ, WRITE]])
_times = st.sampled_from([NOW - 2 * DAY, NOW - DAY, NOW - 60, NOW])
_uids = st.sampled_from(["uid-lead", "uid-fix", "uid-before"])


@settings(deadline=None)
@given(
    status=st.fixed_dictionaries(
        {},
        optional={
            "requestedAt": _times.map(stamp),
            "requestedScopes": _scopes,
            "initiatorUID": _uids,
            "targetUID": _uids,
            "decision": st.builds(
                lambda state, scopes, fix: decided(state, *scopes, fix=fix),
                st.sampled_from(["accepted", "rejected", "ended"]),
                _scopes,
                _uids,
            ),
        },
    ),
    spec=st.sampled_from([{}, REQUIRED, PINNED, {"expiresAt": stamp(NOW - 1)}]),
    scopes=_scopes.filter(bool),
    tool=st.booleans(),
    ends=st.sampled_from([None, "Running", "Succeeded"]),
)
def test_publishing_settles_and_grants_no_more_than_was_asked_and_allowed(
    status: Any, spec: Any, scopes: Any, tool: Any, ends: Any
) -> None:
    item = binding(status, tool=tool, **(spec | {"scopes": scopes}))
    one, other = pod("lead"), pod("fix", phase=ends) if ends else None
    once = settled(item, one, other, NOW)
    assert settled(once, one, other, NOW).status == once.status
    found = standing(item, one, other, NOW)
    assert set(found.granted) <= set(scopes)
    assert not set(found.granted) & set(found.pending)
    assert bool(found.granted) == (found.state is BindingState.ACTIVE)
    assert once.status.decision == item.status.decision, "never computed, never erased"
    if item.status.requested_at is not None and not found.unrecorded:
        assert once.status.requested_at == item.status.requested_at


def test_it_is_looked_at_again_when_it_expires() -> None:
    item = binding(asked(READ), tool=True, **PINNED)
    snapshot = BindingSnapshot(item, pod("lead"), pod("fix"))
    delay = plan(snapshot, NOW + 10).recheck_after_seconds
    assert delay is not None
    assert DAY - 10 <= delay <= DAY - 9
    assert report(snapshot, None, NOW + 10 + delay).status.state is BindingState.EXPIRED  # type: ignore[attr-defined]


def test_the_service_has_a_moment_to_say_what_a_new_binding_is_for() -> None:
    made = BindingSnapshot(binding(tool=True, **PINNED), pod("lead"), pod("fix"))
    assert report(made, None, NOW + 1).hold_seconds > 0
    assert report(made, None, NOW + 60).hold_seconds == 0
    assert report(made, None, NOW + 60).status.requested_at == stamp(NOW + 60)  # type: ignore[attr-defined]


async def _story(mesh: Any) -> None:
    await mesh.organization()
    await mesh.agent_class()
    runner = await mesh.runner()
    runner.connect()
    await mesh.settle()


def _binding(mesh: Any) -> tuple[str, dict[str, str], list[str]]:
    status = mesh.kube.read("PodBinding", "acme", "b").get("status", {})
    said = {each["type"]: each["status"] for each in status.get("conditions", ())}
    return status.get("state", ""), said, status.get("grantedScopes", [])


@pytest.mark.anyio
async def test_a_declared_binding_waits_for_its_pods_holds_ends_and_holds_again(mesh: Any) -> None:
    await _story(mesh)
    await mesh.make(POD_BINDING, "b", spec={"initiator": "lead", "target": "fix", "scopes": [READ]})
    await mesh.settle()
    assert _binding(mesh) == (
        "inactive",
        {"Active": "False", "Ready": "False", "Reconciling": "True"},
        [],
    )
    await mesh.pod("lead")
    first = await mesh.pod("fix")
    await mesh.settle()
    assert _binding(mesh) == ("active", {"Active": "True", "Ready": "True"}, [READ])
    assert mesh.kube.read("PodBinding", "acme", "b")["status"]["targetUID"] == first
    mesh.runners["r1"].end(first)
    await mesh.settle()
    assert _binding(mesh)[0] == "inactive"
    await mesh.kube.delete(AgentPod.definition.resource, "acme", "fix")
    await mesh.settle()
    second = await mesh.pod("fix")
    await mesh.settle()
    assert _binding(mesh)[0] == "active"
    assert mesh.kube.read("PodBinding", "acme", "b")["status"]["targetUID"] == second
    reasons = [
        (event["reason"], event.get("count", 1))
        for (kind, _, _), event in mesh.kube.objects.items()
        if kind == "Event" and event["involvedObject"]["kind"] == "PodBinding"
    ]
    assert sorted(reasons) == [("BindingActive", 2), ("BindingEnded", 1)]


@pytest.mark.anyio
async def test_a_declared_request_counts_from_the_first_look_on(mesh: Any) -> None:
    await _story(mesh)
    spec = {"initiator": "lead", "target": "fix", "scopes": [READ], "approval": "Required"}
    await mesh.pod("lead")
    await mesh.pod("fix")
    await mesh.make(POD_BINDING, "b", spec=spec)
    await mesh.settle()
    status = mesh.kube.read("PodBinding", "acme", "b")["status"]
    assert (status["state"], status["requestedScopes"]) == ("pending", [READ])
    assert status["requestedAt"]
    assert _binding(mesh)[1] == {"Active": "False", "Ready": "False", "Reconciling": "True"}
