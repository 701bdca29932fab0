"""The six binding tools, as pods call them."""

from typing import Any

import pytest

from controller.kube.errors import Conflict
from controller.tools.bindings import BindingTools
from controller.tools.call import ToolError
from schemas.agentpod import AgentPod
from schemas.names import POD_BINDING, Resource, Scope
from schemas.podbinding import PodBinding
from tests.unit.controller.tools.world import ELSEWHERE, World

pytestmark = pytest.mark.anyio

READ, WRITE = "terminal:read", "terminal:write"
BOTH = [READ, WRITE]
DAY = 24 * 3600


@pytest.fixture
def world() -> World:
    world = World()
    world.handlers |= BindingTools(world.authoriser, world.bindings).handlers()
    return world


@pytest.fixture
async def lead(world: World) -> AgentPod:
    return await world.pod("lead")


@pytest.fixture
async def fix(world: World) -> AgentPod:
    return await world.pod("fix")


async def refused(world: World, pod: AgentPod, tool: str, **arguments: Any) -> ToolError:
    with pytest.raises(ToolError) as caught:
        await world.call(pod, tool, **arguments)
    return caught.value


async def declare(world: World, initiator: str, target: str, **spec: Any) -> PodBinding:
    made = await world.make(
        POD_BINDING,
        f"{initiator}-{target}",
        spec={"initiator": initiator, "target": target, "scopes": BOTH, **spec},
    )
    return PodBinding.model_validate(made.manifest())


async def test_a_request_is_pending_until_the_target_accepts(
    world: World, lead: AgentPod, fix: AgentPod
) -> None:
    asked = await world.call(lead, "bind_pod", target_pod="fix", scopes=[READ])
    assert asked["status"] == "pending"
    assert (asked["granted_scopes"], asked["pending_scopes"]) == ([], [READ])
    assert (asked["initiator_pod"], asked["target_pod"]) == ("lead", "fix")
    assert asked["expires_at"] == "2027-01-16T08:00:00Z"
    assert not world.authoriser.scopes(lead, fix)
    done = await world.call(fix, "accept_binding", binding_id=asked["binding_id"])
    assert (done["status"], done["granted_scopes"]) == ("active", [READ])
    assert "expires_at" not in done
    assert world.authoriser.scopes(lead, fix) == {Scope.TERMINAL_READ}
    assert not world.authoriser.scopes(fix, lead), "rights go one way"


async def test_a_rejection_tells_the_initiator_why(
    world: World, lead: AgentPod, fix: AgentPod
) -> None:
    asked = await world.call(lead, "bind_pod", target_pod="fix", scopes=BOTH)
    await world.call(
        fix, "reject_binding", binding_id=asked["binding_id"], reason="I am in the middle of it"
    )
    [seen] = (await world.call(lead, "get_bindings"))["bindings"]
    assert (seen["status"], seen["pending_scopes"]) == ("rejected", [])
    assert seen["reason"].endswith("I am in the middle of it")
    assert not world.authoriser.scopes(lead, fix)


async def test_pods_of_one_creator_are_bound_at_once(world: World, lead: AgentPod) -> None:
    await world.pod("one", creator=lead)
    two = await world.pod("two", creator=lead)
    bound = await world.call(two, "bind_pod", target_pod="one", scopes=BOTH)
    assert (bound["status"], bound["granted_scopes"]) == ("active", BOTH)
    assert (await world.call(lead, "bind_pod", target_pod="one", scopes=[READ]))[
        "status"
    ] == "active", "it made that pod"
    assert (await world.call(two, "bind_pod", target_pod="lead", scopes=[READ]))[
        "status"
    ] == "pending", "who was made asks its maker as any other"


@pytest.mark.usefixtures("lead")
async def test_pods_that_people_made_have_no_creator_in_common(world: World, fix: AgentPod) -> None:
    assert (await world.call(fix, "bind_pod", target_pod="lead", scopes=[READ]))[
        "status"
    ] == "pending"


async def test_asking_again_for_more_keeps_what_is_granted(
    world: World, lead: AgentPod, fix: AgentPod
) -> None:
    first = await world.call(lead, "bind_pod", target_pod="fix", scopes=[READ])
    await world.call(fix, "accept_binding", binding_id=first["binding_id"])
    world.now += 60
    more = await world.call(lead, "bind_pod", target_pod="fix", scopes=BOTH)
    assert more["binding_id"] == first["binding_id"]
    assert (more["status"], more["granted_scopes"], more["pending_scopes"]) == (
        "active",
        [READ],
        [WRITE],
    )
    rejected = await world.call(
        fix, "reject_binding", binding_id=first["binding_id"], reason="only look"
    )
    assert (rejected["status"], rejected["granted_scopes"]) == ("active", [READ])
    assert rejected["reason"].endswith("only look")
    world.now += 60
    again = await world.call(lead, "bind_pod", target_pod="fix", scopes=[WRITE])
    assert (again["granted_scopes"], again["pending_scopes"]) == ([READ], [WRITE])
    done = await world.call(fix, "accept_binding", binding_id=first["binding_id"])
    assert (done["granted_scopes"], done["pending_scopes"]) == (BOTH, [])


async def test_only_what_is_asked_for_is_granted(
    world: World, lead: AgentPod, fix: AgentPod
) -> None:
    first = await world.call(lead, "bind_pod", target_pod="fix", scopes=BOTH)
    await world.call(fix, "reject_binding", binding_id=first["binding_id"])
    again = await world.call(lead, "bind_pod", target_pod="fix", scopes=[READ])
    assert (again["status"], again["pending_scopes"]) == ("pending", [READ])
    assert "decision" not in world.manifest(POD_BINDING, first["binding_id"])["status"]
    done = await world.call(fix, "accept_binding", binding_id=first["binding_id"])
    assert done["granted_scopes"] == [READ]


@pytest.mark.usefixtures("fix")
async def test_a_repeat_changes_nothing_while_it_is_pending(world: World, lead: AgentPod) -> None:
    first = await world.call(lead, "bind_pod", target_pod="fix", scopes=[READ])
    before = world.manifest(POD_BINDING, first["binding_id"])
    world.now += 3600
    assert await world.call(lead, "bind_pod", target_pod="fix", scopes=[READ]) == first
    assert world.manifest(POD_BINDING, first["binding_id"]) == before


async def test_a_request_without_an_answer_expires_and_can_be_made_again(
    world: World, lead: AgentPod, fix: AgentPod
) -> None:
    first = await world.call(lead, "bind_pod", target_pod="fix", scopes=[READ])
    world.now += DAY - 1
    assert (await world.call(fix, "get_bindings", status="pending"))["bindings"]
    world.now += 1
    [expired] = (await world.call(lead, "get_bindings", status="expired"))["bindings"]
    assert expired["pending_scopes"] == []
    late = await refused(world, fix, "accept_binding", binding_id=first["binding_id"])
    assert late.reason == "Conflict"
    again = await world.call(lead, "bind_pod", target_pod="fix", scopes=[READ])
    assert (again["status"], again["binding_id"]) == ("pending", first["binding_id"])
    done = await world.call(fix, "accept_binding", binding_id=first["binding_id"])
    assert done["status"] == "active"


@pytest.mark.parametrize("side", ["initiator", "target"])
async def test_either_side_ends_it_for_the_very_next_call(
    world: World, lead: AgentPod, fix: AgentPod, side: str
) -> None:
    asked = await world.call(lead, "bind_pod", target_pod="fix", scopes=BOTH)
    await world.call(fix, "accept_binding", binding_id=asked["binding_id"])
    world.watching = False  # what counts is the answer to our own write
    caller, other = (lead, "fix") if side == "initiator" else (fix, "lead")
    ended = await world.call(caller, "unbind_pod", target_pod=other)
    assert ended == {"target_pod": other, "ended": 1}
    with pytest.raises(ToolError) as caught:
        world.authoriser.target(world.caller(lead), "fix", Scope.TERMINAL_READ)
    assert caught.value.reason == "Forbidden"
    [left] = (await world.call(lead, "get_bindings"))["bindings"]
    assert left["status"] == "inactive"
    assert (await world.call(caller, "unbind_pod", target_pod=other))["ended"] == 0


async def test_after_unbinding_it_must_be_asked_for_again(
    world: World, lead: AgentPod, fix: AgentPod
) -> None:
    asked = await world.call(lead, "bind_pod", target_pod="fix", scopes=BOTH)
    await world.call(fix, "accept_binding", binding_id=asked["binding_id"])
    await world.call(fix, "unbind_pod", target_pod="lead")
    again = await world.call(lead, "bind_pod", target_pod="fix", scopes=[READ])
    assert (again["status"], again["granted_scopes"]) == ("pending", [])
    done = await world.call(fix, "accept_binding", binding_id=again["binding_id"])
    assert done["granted_scopes"] == [READ], "what it had before is not given back by this"


async def test_unbinding_ends_both_directions_and_declared_ones(
    world: World, lead: AgentPod, fix: AgentPod
) -> None:
    await declare(world, "lead", "fix")
    await declare(world, "fix", "lead")
    assert world.authoriser.scopes(lead, fix) == world.authoriser.scopes(fix, lead) == set(Scope)
    assert (await world.call(lead, "unbind_pod", target_pod="fix"))["ended"] == 2
    assert not world.authoriser.scopes(lead, fix)
    assert not world.authoriser.scopes(fix, lead)


async def test_a_pod_made_anew_is_bound_anew_where_a_person_declared_it(
    world: World, lead: AgentPod, fix: AgentPod
) -> None:
    await declare(world, "lead", "fix")
    await world.call(fix, "unbind_pod", target_pod="lead")
    await world.delete(fix)
    assert not world.authoriser.scopes(lead, fix)
    anew = await world.pod("fix")
    assert world.authoriser.scopes(lead, anew) == set(Scope)
    assert not world.authoriser.scopes(lead, fix), "the old one stays ended"


async def test_a_later_pod_of_the_name_inherits_nothing_that_was_asked_for(
    world: World, lead: AgentPod, fix: AgentPod
) -> None:
    asked = await world.call(lead, "bind_pod", target_pod="fix", scopes=BOTH)
    await world.call(fix, "accept_binding", binding_id=asked["binding_id"])
    await world.delete(fix)
    anew = await world.pod("fix")
    assert not world.authoriser.scopes(lead, anew)
    assert (await world.call(anew, "get_bindings"))["bindings"] == []
    await world.delete(lead)
    stolen = await world.pod("lead")
    assert not world.authoriser.scopes(stolen, anew)
    assert (await world.call(stolen, "get_bindings"))["bindings"] == []


@pytest.mark.parametrize("phase", ["Succeeded", "Failed"])
@pytest.mark.parametrize("who", ["initiator", "target"])
async def test_a_binding_ends_with_either_pod(
    world: World, lead: AgentPod, fix: AgentPod, phase: str, who: str
) -> None:
    asked = await world.call(lead, "bind_pod", target_pod="fix", scopes=BOTH)
    await world.call(fix, "accept_binding", binding_id=asked["binding_id"])
    over, rest = (lead, fix) if who == "initiator" else (fix, lead)
    await world.end(over, phase)
    assert not world.authoriser.scopes(lead, fix)
    [left] = (await world.call(rest, "get_bindings"))["bindings"]
    assert (left["status"], left["reason"]) == ("inactive", f"pod {over.metadata.name} has ended")
    assert (await world.call(rest, "get_bound_pods"))["pods"] == []


async def test_what_is_granted_already_is_not_asked_for(
    world: World, lead: AgentPod, fix: AgentPod
) -> None:
    await declare(world, "lead", "fix", scopes=[READ])
    had = await world.call(lead, "bind_pod", target_pod="fix", scopes=[READ])
    assert (had["binding_id"], had["status"]) == ("lead-fix", "active")
    more = await world.call(lead, "bind_pod", target_pod="fix", scopes=BOTH)
    assert more["pending_scopes"] == [WRITE]
    assert world.authoriser.scopes(lead, fix) == {Scope.TERMINAL_READ}


async def test_a_declared_binding_that_requires_approval_can_be_accepted(
    world: World, lead: AgentPod, fix: AgentPod
) -> None:
    await declare(world, "lead", "fix", approval="Required")
    assert not world.authoriser.scopes(lead, fix)
    done = await world.call(fix, "accept_binding", binding_id="lead-fix")
    assert done["granted_scopes"] == BOTH
    assert world.authoriser.scopes(lead, fix) == set(Scope)


@pytest.mark.usefixtures("fix")
async def test_only_the_target_answers(world: World, lead: AgentPod) -> None:
    other = await world.pod("other")
    asked = await world.call(lead, "bind_pod", target_pod="fix", scopes=[READ])
    for tool in ("accept_binding", "reject_binding"):
        own = await refused(world, lead, tool, binding_id=asked["binding_id"])
        assert own.reason == "Forbidden"
        foreign = await refused(world, other, tool, binding_id=asked["binding_id"])
        none = await refused(world, other, tool, binding_id="pb-none")
        assert foreign.reason == none.reason == "NotFound"
        assert foreign.message.replace(asked["binding_id"], "X") == none.message.replace(
            "pb-none", "X"
        )
    assert (await world.call(other, "get_bindings"))["bindings"] == []


async def test_what_is_not_pending_is_not_answered(
    world: World, lead: AgentPod, fix: AgentPod
) -> None:
    asked = await world.call(lead, "bind_pod", target_pod="fix", scopes=[READ])
    await world.call(fix, "accept_binding", binding_id=asked["binding_id"])
    for tool in ("accept_binding", "reject_binding"):
        again = await refused(world, fix, tool, binding_id=asked["binding_id"])
        assert again.reason == "Conflict"
        assert "active" in again.message
    assert world.authoriser.scopes(lead, fix) == {Scope.TERMINAL_READ}


async def test_another_organization_is_not_there(world: World, lead: AgentPod) -> None:
    foreign = await world.pod("hidden", org=ELSEWHERE)
    for tool, more in (("bind_pod", {"scopes": [READ]}), ("unbind_pod", {})):
        there = await refused(world, lead, tool, target_pod="hidden", **more)
        nowhere = await refused(world, lead, tool, target_pod="nobody", **more)
        assert there.reason == nowhere.reason == "NotFound"
        assert there.message.replace("hidden", "X") == nowhere.message.replace("nobody", "X")
    twin = await world.pod("lead", org=ELSEWHERE)
    await declare(world, "lead", "hidden")
    assert not world.authoriser.scopes(lead, foreign)
    assert not world.authoriser.scopes(twin, foreign), "it was declared in another namespace"


async def test_oneself_needs_no_binding(world: World, lead: AgentPod) -> None:
    for tool, more in (("bind_pod", {"scopes": [READ]}), ("unbind_pod", {})):
        assert (await refused(world, lead, tool, target_pod="lead", **more)).reason == (
            "InvalidArgument"
        )
    assert world.authoriser.scopes(lead, lead) == set(Scope)


async def test_an_ended_pod_is_not_bound(world: World, lead: AgentPod, fix: AgentPod) -> None:
    await world.end(fix)
    said = await refused(world, lead, "bind_pod", target_pod="fix", scopes=[READ])
    assert said.reason == "NotRunning"


async def test_bindings_are_listed_newest_first_and_by_status(
    world: World, lead: AgentPod, fix: AgentPod
) -> None:
    await world.pod("slow")
    one = await world.call(lead, "bind_pod", target_pod="fix", scopes=[READ])
    world.now += 10
    two = await world.call(lead, "bind_pod", target_pod="slow", scopes=[READ])
    listed = (await world.call(lead, "get_bindings"))["bindings"]
    assert [each["binding_id"] for each in listed] == [two["binding_id"], one["binding_id"]]
    world.now += 10
    await world.call(fix, "accept_binding", binding_id=one["binding_id"])
    listed = (await world.call(lead, "get_bindings"))["bindings"]
    assert [each["binding_id"] for each in listed] == [one["binding_id"], two["binding_id"]]
    [active] = (await world.call(lead, "get_bindings", status="active"))["bindings"]
    assert active["binding_id"] == one["binding_id"]
    assert active["created_at"] < active["updated_at"]


async def test_bound_pods_are_listed_in_both_directions_with_the_union_of_scopes(
    world: World, lead: AgentPod, fix: AgentPod
) -> None:
    await declare(world, "lead", "fix", scopes=[READ])
    asked = await world.call(lead, "bind_pod", target_pod="fix", scopes=[WRITE])
    await world.call(fix, "accept_binding", binding_id=asked["binding_id"])
    assert (await world.call(lead, "get_bound_pods"))["pods"] == [
        {"pod_key": "fix", "scopes": BOTH, "direction": "outgoing"}
    ]
    assert (await world.call(fix, "get_bound_pods"))["pods"] == [
        {"pod_key": "lead", "scopes": BOTH, "direction": "incoming"}
    ]


async def test_a_request_survives_others_that_write_at_the_same_time(
    world: World, lead: AgentPod, fix: AgentPod
) -> None:
    asked = await world.call(lead, "bind_pod", target_pod="fix", scopes=[READ])
    lost = 0

    def race(verb: str, resource: Resource, name: str) -> None:
        nonlocal lost
        if verb == "patch" and resource == POD_BINDING and lost < 2:
            lost += 1
            stored = world.kube.objects[POD_BINDING.kind, "acme", name]
            stored["status"]["observedGeneration"] = lost
            stored["metadata"]["resourceVersion"] += "0"

    world.kube.before = race
    done = await world.call(fix, "accept_binding", binding_id=asked["binding_id"])
    assert (done["status"], lost) == ("active", 2)
    assert world.manifest(POD_BINDING, asked["binding_id"])["status"]["observedGeneration"] == 2


async def test_an_answer_that_came_first_is_not_overwritten(
    world: World, lead: AgentPod, fix: AgentPod
) -> None:
    """The target rejects; the store has not heard of the acceptance of a moment ago yet."""
    asked = await world.call(lead, "bind_pod", target_pod="fix", scopes=[READ])
    name = asked["binding_id"]
    world.watching = False
    accepted = {
        "state": "accepted",
        "scopes": [READ],
        "by": "fix",
        "initiatorUID": lead.metadata.uid,
        "targetUID": fix.metadata.uid,
        "at": "2027-01-15T08:00:00Z",
    }
    await world.kube.patch(
        POD_BINDING, "acme", name, {"status": {"decision": accepted}}, subresource="status"
    )
    assert (await refused(world, fix, "reject_binding", binding_id=name)).reason == "Conflict"
    assert world.manifest(POD_BINDING, name)["status"]["decision"] == accepted


async def test_a_binding_that_never_stops_changing_is_given_up(
    world: World, lead: AgentPod, fix: AgentPod
) -> None:
    asked = await world.call(lead, "bind_pod", target_pod="fix", scopes=[READ])

    def never(verb: str, resource: Resource, name: str) -> None:
        if verb == "patch":
            raise Conflict(f"{resource.plural} {name} has been modified")

    world.kube.before = never
    said = await refused(world, fix, "accept_binding", binding_id=asked["binding_id"])
    assert said.reason == "Unavailable"


async def test_a_crash_after_the_request_was_made_leaves_nothing_granted(
    world: World, lead: AgentPod
) -> None:
    one = await world.pod("one", creator=lead)

    def crash(verb: str, resource: Resource, _: str) -> None:
        if verb == "create" and resource == POD_BINDING:
            raise SystemExit

    world.kube.after = crash
    with pytest.raises(SystemExit):
        await world.call(lead, "bind_pod", target_pod="one", scopes=BOTH)
    world.kube.after = lambda *_: None
    assert not world.authoriser.scopes(lead, one)
    [left] = (await world.call(lead, "get_bindings"))["bindings"]
    assert (left["status"], left["pending_scopes"]) == ("pending", BOTH)
    again = await world.call(lead, "bind_pod", target_pod="one", scopes=BOTH)
    assert (again["binding_id"], again["status"]) == (left["binding_id"], "active")


async def test_bindings_go_with_both_pods(world: World, lead: AgentPod, fix: AgentPod) -> None:
    asked = await world.call(lead, "bind_pod", target_pod="fix", scopes=[READ])
    metadata = world.manifest(POD_BINDING, asked["binding_id"])["metadata"]
    owners = {(o["kind"], o["name"], o["uid"]) for o in metadata["ownerReferences"]}
    assert owners == {
        ("AgentPod", "lead", lead.metadata.uid),
        ("AgentPod", "fix", fix.metadata.uid),
    }
    assert not any(owner.get("controller") for owner in metadata["ownerReferences"])
    assert metadata["annotations"]["agentsmesh.io/created-by"] == "lead"


async def test_what_waits_for_an_answer_is_pending_also_beside_what_is_granted(
    world: World, lead: AgentPod, fix: AgentPod
) -> None:
    first = await world.call(lead, "bind_pod", target_pod="fix", scopes=[READ])
    await world.call(fix, "accept_binding", binding_id=first["binding_id"])
    assert (await world.call(fix, "get_bindings", status="pending"))["bindings"] == []
    await world.call(lead, "bind_pod", target_pod="fix", scopes=BOTH)
    waits = (await world.call(fix, "get_bindings", status="pending"))["bindings"]
    assert [(each["status"], each["pending_scopes"]) for each in waits] == [("active", [WRITE])]
