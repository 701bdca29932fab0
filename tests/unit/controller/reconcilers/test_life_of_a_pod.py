"""What a person sees of a pod, from its making to its end."""

from typing import Any

import pytest
from meshwire.v1 import link_pb2

from schemas.agentpod import AgentPod
from schemas.names import (
    AGENT_CLASS,
    AGENT_POD,
    ANNOTATION_FORCE_TEARDOWN,
    FINALIZER_TEARDOWN,
    RUNNER,
)

pytestmark = pytest.mark.anyio


@pytest.fixture
async def ready(mesh: Any) -> Any:
    """Return a mesh with an organization, a class and a connected runner."""
    await mesh.organization()
    await mesh.agent_class()
    runner = await mesh.runner()
    await mesh.settle()
    runner.connect()
    await mesh.settle()
    return mesh


def pod_writes(mesh: Any) -> list[str]:
    return [kind for _, kind, _ in mesh.kube.writes if kind in {"AgentPod", "Event"}]


async def test_a_pod_runs_and_says_so(ready: Any) -> None:
    await ready.pod()
    await ready.settle()
    status = ready.status()
    assert status["phase"] == "Running"
    assert status["placement"]["runnerName"] == "r1"
    assert status["placement"]["epoch"] == 1
    assert ready.condition("Ready")["status"] == "True"
    assert ready.condition("Reconciling") is None


async def test_a_pod_has_its_finalizer_before_it_has_a_runner(ready: Any) -> None:
    await ready.pod()
    await ready.settle()
    versions = [obj for _, kind, obj in ready.kube.events if kind == "AgentPod"]
    placed = next(i for i, obj in enumerate(versions) if "placement" in obj.get("status", {}))
    assert FINALIZER_TEARDOWN in versions[placed - 1]["metadata"]["finalizers"]


async def test_a_quick_life_costs_seven_writes_and_nothing_while_nothing_changes(
    ready: Any,
) -> None:
    uid = await ready.pod()
    await ready.settle()
    assert len(pod_writes(ready)) == 4  # create, finalizer, placement, running
    await ready.settle(seconds=3600)
    assert len(pod_writes(ready)) == 4
    ready.runners["r1"].end(uid)
    await ready.settle()
    await ready.kube.delete(AGENT_POD, "acme", "fix")
    await ready.settle()
    assert "fix" not in [name for _, _, name in ready.kube.objects]
    assert len(pod_writes(ready)) <= 9
    assert ready.runners["r1"].starts == {(uid, 1): 1}


async def test_a_pod_that_ends_says_how(ready: Any) -> None:
    uid = await ready.pod()
    await ready.settle()
    ready.runners["r1"].end(uid, link_pb2.FAILED)
    await ready.settle()
    status = ready.status()
    assert (status["phase"], status["observed"]["exitCode"]) == ("Failed", 3)
    assert ready.condition("Completed")["reason"] == "Failed"
    assert "exit code 3" in ready.condition("Completed")["message"]
    assert (ready.condition("Ready")["status"], ready.condition("Ready")["reason"]) == (
        "False",
        "Completed",
    )


async def test_an_ended_pod_makes_room_for_the_one_that_came_first(mesh: Any) -> None:
    await mesh.organization()
    await mesh.agent_class()
    runner = await mesh.runner(capacity={"maxPods": 1})
    await mesh.settle()
    runner.connect()
    first = await mesh.pod("first")
    await mesh.settle()
    await mesh.pod("third")
    await mesh.settle()
    later = {"metadata": {"creationTimestamp": "2027-01-15T07:00:00Z"}}
    await mesh.make(AGENT_POD, "second", spec={"agentClassName": "greeter"}, **later)
    await mesh.settle()
    assert mesh.condition("Scheduled", "second")["reason"] == "RunnerFull"
    runner.end(first)
    await mesh.settle()
    assert mesh.status("second")["phase"] == "Running"
    assert mesh.status("third")["phase"] == "Pending"


async def test_a_pod_that_waits_says_why_and_is_placed_when_that_changes(mesh: Any) -> None:
    await mesh.pod()
    await mesh.settle()
    assert mesh.condition("Scheduled")["reason"] == "OrganizationNotFound"
    await mesh.organization()
    await mesh.settle()
    assert mesh.condition("Scheduled")["reason"] == "AgentClassNotFound"
    await mesh.agent_class()
    await mesh.settle()
    assert mesh.condition("Scheduled")["reason"] == "NoRunner"
    runner = await mesh.runner()
    await mesh.settle()
    assert mesh.condition("Scheduled")["reason"] == "RunnerOffline"
    await mesh.kube.patch(RUNNER, "acme", "r1", {"spec": {"cordoned": True}})
    runner.connect()
    await mesh.settle()
    assert mesh.condition("Scheduled")["reason"] == "RunnerCordoned"
    await mesh.kube.patch(RUNNER, "acme", "r1", {"spec": {"cordoned": False}})
    await mesh.settle()
    assert mesh.status()["phase"] == "Running"


async def test_the_quota_of_running_pods_holds(mesh: Any) -> None:
    await mesh.organization(quota={"runningAgentPods": 1})
    await mesh.agent_class()
    (await mesh.runner()).connect()
    await mesh.settle()
    await mesh.pod("a")
    await mesh.pod("b")
    await mesh.settle()
    assert sorted(mesh.status(name)["phase"] for name in ("a", "b")) == ["Pending", "Running"]
    waiting = "a" if mesh.status("a")["phase"] == "Pending" else "b"
    assert mesh.condition("Scheduled", waiting)["reason"] == "QuotaExceeded"


async def test_an_unplaced_pod_is_deleted_at_once(mesh: Any) -> None:
    await mesh.pod()
    await mesh.settle()
    await mesh.kube.delete(AGENT_POD, "acme", "fix")
    assert ("AgentPod", "acme", "fix") not in mesh.kube.objects


async def test_saved_work_is_told_before_the_pod_goes(ready: Any) -> None:
    await ready.pod()
    await ready.settle()
    ready.runners["r1"].saved_ref = "refs/agentsmesh/saved/fix"
    await ready.kube.delete(AGENT_POD, "acme", "fix")
    await ready.settle()
    order = [(event, kind) for event, kind, _ in ready.kube.writes if kind in {"AgentPod", "Event"}]
    assert order[-2:] == [("ADDED", "Event"), ("DELETED", "AgentPod")]
    [event] = [obj for (kind, *_), obj in ready.kube.objects.items() if kind == "Event"]
    assert event["reason"] == "WorkSaved"
    assert "refs/agentsmesh/saved/fix" in event["message"]


async def test_files_that_no_commit_could_hold_are_told_before_the_pod_goes(ready: Any) -> None:
    await ready.pod()
    await ready.settle()
    ready.runners["r1"].kept_files = "/data/kept/fix-1"
    await ready.kube.delete(AGENT_POD, "acme", "fix")
    await ready.settle()
    [event] = [obj for (kind, *_), obj in ready.kube.objects.items() if kind == "Event"]
    assert event["reason"] == "FilesKept"
    assert "/data/kept/fix-1 on runner r1" in event["message"]


async def test_each_commit_is_told_within_seconds(ready: Any) -> None:
    await ready.pod()
    await ready.settle()
    for commit in ("a1", "b2", "c3"):
        ready.runners["r1"].commit = commit
        ready.runners["r1"].report()
        await ready.settle(seconds=5)
        assert ready.status()["worktree"]["commit"] == commit


async def test_a_runner_that_is_away_shortly_is_not_worth_a_write(ready: Any) -> None:
    await ready.pod()
    await ready.settle()
    writes = len(ready.kube.writes)
    ready.runners["r1"].disconnect()
    await ready.settle(seconds=5)
    ready.runners["r1"].connect()
    await ready.settle(seconds=60)
    assert len(ready.kube.writes) == writes


async def test_a_runner_that_stays_away_makes_readiness_unknown_until_it_returns(
    ready: Any,
) -> None:
    await ready.pod()
    await ready.settle()
    ready.runners["r1"].disconnect()
    await ready.settle(seconds=30)
    assert ready.status()["phase"] == "Running"
    assert ready.condition("Ready")["status"] == "Unknown"
    assert ready.condition("RunnerReachable")["status"] == "False"
    ready.runners["r1"].connect()
    await ready.settle()
    assert ready.condition("Ready")["status"] == "True"
    assert sum(ready.runners["r1"].starts.values()) == 1


async def test_a_pod_whose_runner_is_away_cannot_be_cleared_away_and_says_so(ready: Any) -> None:
    uid = await ready.pod()
    await ready.settle()
    ready.runners["r1"].disconnect()
    await ready.settle(seconds=30)
    await ready.kube.delete(AGENT_POD, "acme", "fix")
    await ready.settle()
    assert ready.condition("TeardownBlocked")["reason"] == "RunnerUnreachable"
    assert uid in ready.condition("TeardownBlocked")["message"]
    ready.runners["r1"].connect()
    await ready.settle()
    assert ("AgentPod", "acme", "fix") not in ready.kube.objects
    assert ready.runners["r1"].has == {}


@pytest.mark.parametrize(
    ("value", "gone"),
    [
        pytest.param("{uid}", True, id="its uid releases it"),
        pytest.param("true", False, id="anything else does not"),
    ],
)
async def test_a_person_may_state_that_the_runner_will_not_come_back(
    ready: Any,
    value: str,
    gone: bool,  # noqa: FBT001 - a column of the table
) -> None:
    uid = await ready.pod()
    await ready.settle()
    ready.runners["r1"].disconnect()
    await ready.settle(seconds=30)
    await ready.kube.delete(AGENT_POD, "acme", "fix")
    annotations = {ANNOTATION_FORCE_TEARDOWN: value.format(uid=uid)}
    await ready.kube.patch(AGENT_POD, "acme", "fix", {"metadata": {"annotations": annotations}})
    await ready.settle()
    assert (("AgentPod", "acme", "fix") not in ready.kube.objects) is gone


async def test_deleting_the_runner_releases_its_pods(ready: Any) -> None:
    await ready.pod()
    await ready.settle()
    ready.runners["r1"].disconnect()
    await ready.settle(seconds=30)
    await ready.kube.delete(AGENT_POD, "acme", "fix")
    await ready.kube.delete(RUNNER, "acme", "r1")
    await ready.settle()
    left = [key for key in ready.kube.objects if key[0] in {"AgentPod", "Runner"}]
    assert left == []


async def test_a_pod_on_a_deleted_runner_has_failed(ready: Any) -> None:
    await ready.pod()
    await ready.settle()
    ready.runners["r1"].disconnect()
    await ready.settle(seconds=30)
    await ready.kube.delete(RUNNER, "acme", "r1")
    await ready.settle()
    assert ready.status()["phase"] == "Failed"
    assert ready.status()["observed"]["reason"] == "RunnerDeleted"


async def test_deleting_a_runner_ends_no_agent_and_says_what_it_waits_for(ready: Any) -> None:
    uid = await ready.pod()
    await ready.settle()
    await ready.kube.delete(RUNNER, "acme", "r1")
    await ready.settle(seconds=600)
    assert ready.status()["phase"] == "Running"
    assert ready.runners["r1"].has[uid] == (1, link_pb2.RUNNING)
    conditions = ready.kube.read("Runner", "acme", "r1")["status"]["conditions"]
    [said] = [item for item in conditions if item["type"] == "Ready"]
    assert (said["status"], said["reason"]) == ("False", "Draining")
    assert "kubectl delete agentpod -n acme fix" in said["message"]
    await ready.pod("next")
    await ready.settle()
    assert ready.status("next")["phase"] == "Pending"
    await ready.kube.delete(AGENT_POD, "acme", "fix")
    await ready.settle(seconds=10)
    assert ("Runner", "acme", "r1") not in ready.kube.objects


async def test_a_runner_that_clears_nothing_away_does_not_hold_up_its_deletion(ready: Any) -> None:
    uid = await ready.pod()
    await ready.settle()
    await ready.kube.delete(RUNNER, "acme", "r1")
    await ready.settle(seconds=600)
    ready.runners["r1"].end(uid)
    ready.runners["r1"].step = lambda: None
    await ready.settle(seconds=60)
    assert ("Runner", "acme", "r1") in ready.kube.objects
    await ready.settle(seconds=120)
    assert ("Runner", "acme", "r1") not in ready.kube.objects


@pytest.mark.parametrize(
    ("end", "phase"),
    [
        pytest.param(link_pb2.SUCCEEDED, "Succeeded", id="succeeded"),
        pytest.param(link_pb2.FAILED, "Failed", id="failed"),
    ],
)
@pytest.mark.parametrize(
    "later", [link_pb2.REMOVED, link_pb2.RUNNING, link_pb2.FAILED, link_pb2.SUCCEEDED]
)
async def test_an_ended_pod_stays_as_it_ended_whatever_its_runner_says(
    ready: Any, end: Any, phase: str, later: Any
) -> None:
    uid = await ready.pod()
    await ready.settle()
    runner = ready.runners["r1"]
    runner.end(uid, end)
    await ready.settle()
    before = ready.status()
    assert before["phase"] == phase
    runner.end(uid, later)
    await ready.settle(seconds=60)
    assert ready.status()["phase"] == phase
    assert ready.status()["observed"] == before["observed"]


async def test_a_connected_runner_clears_its_pods_away_before_it_goes(ready: Any) -> None:
    uid = await ready.pod()
    await ready.settle()
    ready.runners["r1"].end(uid)
    await ready.settle()
    await ready.kube.delete(RUNNER, "acme", "r1")
    await ready.settle(seconds=10)
    assert ready.status()["phase"] == "Succeeded"
    assert ("Runner", "acme", "r1") not in ready.kube.objects
    assert all(state == link_pb2.REMOVED for _, state in ready.runners["r1"].has.values())


async def test_a_runner_that_lost_its_data_does_not_start_a_pod_again(ready: Any) -> None:
    await ready.pod()
    await ready.settle()
    runner = ready.runners["r1"]
    runner.disconnect()
    runner.has.clear()
    runner.connect()
    await ready.settle()
    assert sum(runner.starts.values()) == 1
    assert ready.status()["phase"] == "Failed"
    assert ready.status()["observed"]["reason"] == "RunnerRestarted"


async def test_commits_without_end_are_written_now_and_then_and_its_last_state_in_the_end(
    ready: Any,
) -> None:
    uid = await ready.pod()
    await ready.settle(seconds=60)
    runner = ready.runners["r1"]
    runner.step = lambda: None
    writes = len(pod_writes(ready))

    def at_work(number: int) -> link_pb2.PodObserved:
        tree = link_pb2.Worktree(branch="fix", commit=f"{number:040x}", dirty=True)
        return link_pb2.PodObserved(
            ref=link_pb2.PodRef(pod_uid=uid, epoch=1),
            state=link_pb2.RUNNING,
            initialized=True,
            started_unix_ms=1_800_000_001_000,
            worktree=tree,
            terminal_bytes=number,
        )

    for number in range(60):
        runner.fleet.observe(runner.key, [at_work(number)], complete=False)
        await ready.settle(seconds=2)
    assert len(pod_writes(ready)) - writes <= 32  # in two minutes: soon told, no alarm
    await ready.settle(seconds=60)
    assert ready.status()["worktree"] == {"branch": "fix", "commit": f"{59:040x}", "dirty": True}
    assert ready.status()["terminal"]["bytes"] == 59
    writes = len(pod_writes(ready))
    await ready.settle(seconds=3600)
    assert len(pod_writes(ready)) == writes


async def test_waiting_for_a_person_is_told_at_once_and_what_else_it_does_seldom(
    ready: Any,
) -> None:
    uid = await ready.pod()
    await ready.settle(seconds=60)
    runner = ready.runners["r1"]
    runner.step = lambda: None
    writes = len(pod_writes(ready))

    async def does(word: str, since_ms: int) -> None:
        observed = link_pb2.PodObserved(
            ref=link_pb2.PodRef(pod_uid=uid, epoch=1),
            state=link_pb2.RUNNING,
            initialized=True,
            started_unix_ms=1_800_000_001_000,
            activity=word,
            activity_unix_ms=since_ms,
            activity_evidence="its hook",
        )
        runner.fleet.observe(runner.key, [observed], complete=False)
        await ready.settle(seconds=1)

    await does("executing", 1_800_000_002_000)  # long after the last write: told
    await does("waiting", 1_800_000_003_000)
    assert ready.status()["activity"] == "waiting"
    assert ready.status()["activityEvidence"] == "its hook"
    told = pod_writes(ready)[writes:]
    assert told.count("Event") == 1
    for number in range(10):
        await does(("executing", "idle")[number % 2], 1_800_000_004_000 + number)
    assert pod_writes(ready)[writes:] == told
    await ready.settle(seconds=60)
    assert ready.status()["activity"] == "idle"


async def test_a_report_about_another_placement_changes_nothing(ready: Any) -> None:
    uid = await ready.pod()
    await ready.settle()
    runner = ready.runners["r1"]
    late = link_pb2.PodObserved(ref=link_pb2.PodRef(pod_uid=uid, epoch=7), state=link_pb2.FAILED)
    runner.fleet.observe(runner.key, [late], complete=False)
    runner.step = lambda: None  # and it says nothing else
    await ready.settle()
    assert ready.status()["phase"] == "Running"


async def test_a_new_controller_starts_nothing_twice_and_writes_nothing(
    ready: Any, make_mesh: Any
) -> None:
    uid = await ready.pod()
    await ready.settle()
    writes = len(ready.kube.writes)
    successor = make_mesh(ready.kube)
    old = ready.runners["r1"]
    successor.watch()
    await successor.settle(seconds=5)
    assert len(ready.kube.writes) == writes  # its runner has not found it yet
    old.fleet = successor.fleet
    successor.runners["r1"] = old
    old.connect()
    await successor.settle(seconds=60)
    assert len(ready.kube.writes) == writes
    assert old.starts == {(uid, 1): 1}


async def test_a_forged_placement_starts_nothing_on_a_runner_of_others(ready: Any) -> None:
    """Whoever may write the status of their pods must not reach another organization's runner."""
    runner = ready.runners["r1"]
    placement = {
        "runnerName": "r1",
        "runnerUID": runner.key.uid,
        "epoch": 1,
        "placedAt": "2027-01-01T00:00:00Z",
    }
    forged = {
        "metadata": {"name": "thief", "finalizers": ["agentsmesh.io/teardown"]},
        "spec": {"agentClassName": "greeter"},
    }
    await ready.kube.create(AGENT_POD, "others", forged)
    status = {"status": {"phase": "Scheduled", "placement": placement}}
    await ready.kube.patch(AGENT_POD, "others", "thief", status, subresource="status")
    await ready.settle()
    assert ready.store.of(AgentPod).get("others", "thief").status.placement is not None
    assert ready.fleet.desired(runner.key) == []
    assert not runner.starts


async def test_changing_the_class_does_not_reach_a_running_pod(ready: Any) -> None:
    await ready.pod()
    await ready.settle()
    runner = ready.runners["r1"]
    [before] = ready.fleet.desired(runner.key)
    await ready.kube.patch(AGENT_CLASS, "", "greeter", {"spec": {"executable": "other"}})
    await ready.settle()
    [after] = ready.fleet.desired(runner.key)
    assert after.spec_digest == before.spec_digest


async def test_a_finished_pod_is_deleted_when_its_time_is_over(ready: Any) -> None:
    uid = await ready.pod(ttlSecondsAfterFinished=0)
    await ready.settle()
    ready.runners["r1"].end(uid)
    await ready.settle()
    assert ("AgentPod", "acme", "fix") not in ready.kube.objects


async def test_a_stopped_pod_is_told_to_stop_and_keeps_its_place_on_record(ready: Any) -> None:
    await ready.pod()
    await ready.settle()
    await ready.kube.patch(AGENT_POD, "acme", "fix", {"spec": {"desiredState": "Stopped"}})
    await ready.settle()
    [wanted] = ready.fleet.desired(ready.runners["r1"].key)
    assert wanted.desired == link_pb2.STOP


async def test_a_deadline_is_told_once_the_start_is_known(ready: Any) -> None:
    await ready.pod(activeDeadlineSeconds=60)
    await ready.settle()
    [wanted] = ready.fleet.desired(ready.runners["r1"].key)
    assert wanted.deadline_unix_ms == 1_800_000_061_000
