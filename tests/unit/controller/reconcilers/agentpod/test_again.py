"""Stopped, frozen and started again: what a person sees, and what the runner is told."""

from typing import Any

import pytest
from meshwire.v1 import link_pb2

from schemas.names import AGENT_POD, ORGANIZATION, RUNNER

pytestmark = pytest.mark.anyio

STARTED = {"started_unix_ms": 1_800_000_001_000, "initialized": True}
ENDED = {**STARTED, "finished_unix_ms": 1_800_000_002_000, "signal": 15, "reason": "Stopped"}


class Talker:
    """A mesh with one pod, whose runner says just what it is told to say."""

    def __init__(self, mesh: Any, name: str = "fix") -> None:
        self.mesh = mesh
        self.name = name
        self.uid = ""

    async def make(self, **spec: Any) -> None:
        self.uid = await self.mesh.pod(self.name, **spec)
        await self.mesh.settle()

    async def say(self, state: Any, **fields: Any) -> None:
        ref = link_pb2.PodRef(pod_uid=self.uid, epoch=1)
        said = link_pb2.PodObserved(ref=ref, state=state, **fields)
        self.mesh.fleet.observe(self.mesh.runners["r1"].key, [said], complete=False)
        await self.mesh.settle()

    async def want(self, **spec: Any) -> None:
        await self.mesh.kube.patch(AGENT_POD, "acme", self.name, {"spec": spec})
        await self.mesh.settle()

    def told(self) -> link_pb2.PodDesired:
        desired = self.mesh.fleet.desired(self.mesh.runners["r1"].key)
        return next(pod for pod in desired if pod.ref.pod_uid == self.uid)

    def ready(self) -> tuple[str, str]:
        found = self.mesh.condition("Ready", self.name)
        return found["status"], found["reason"]

    def phase(self) -> str:
        return str(self.mesh.status(self.name)["phase"])

    def condition(self, kind: str) -> tuple[str, str] | None:
        found = self.mesh.condition(kind, self.name)
        return (found["status"], found["reason"]) if found else None

    def events(self) -> list[str]:
        return [obj["reason"] for _, kind, obj in self.mesh.kube.events if kind == "Event"]


@pytest.fixture
async def pod(mesh: Any) -> Talker:
    """Return a running pod on a runner that takes one."""
    await mesh.organization()
    await mesh.agent_class()
    runner = await mesh.runner(capacity={"maxPods": 1})
    runner.connect()
    await mesh.settle()
    runner.step = lambda: None
    talker = Talker(mesh)
    await talker.make()
    await talker.say(link_pb2.RUNNING, **STARTED)
    assert talker.phase() == "Running"
    return talker


async def stop(pod: Talker) -> None:
    await pod.want(desiredState="Stopped")
    assert (pod.told().desired, pod.told().keep_stopped) == (link_pb2.STOP, True)
    await pod.say(link_pb2.FAILED, stopped=True, **ENDED)


async def test_a_stopped_pod_says_so_and_is_no_failure(pod: Talker) -> None:
    await stop(pod)
    assert pod.ready() == ("False", "Stopped")
    assert pod.condition("Stopped") == ("True", "Stopped")
    assert pod.events() == []


async def test_wanted_again_it_gets_its_place_and_then_is_told_to_run(pod: Talker) -> None:
    await stop(pod)
    await pod.want(desiredState="Running")
    assert (pod.phase(), pod.told().desired) == ("Starting", link_pb2.RUN)
    await pod.say(link_pb2.FAILED, stopped=True, **ENDED)  # it has not begun yet
    assert (pod.phase(), pod.told().desired) == ("Starting", link_pb2.RUN)
    await pod.say(link_pb2.RUNNING, restarts=1, **STARTED)
    assert (pod.phase(), pod.ready()) == ("Running", ("True", "Running"))
    assert pod.mesh.status()["placement"]["epoch"] == 1
    assert pod.condition("Stopped") is None
    assert pod.condition("Completed") is None


async def test_it_waits_for_room_on_its_own_runner(pod: Talker) -> None:
    await stop(pod)
    other = Talker(pod.mesh, "other")
    await other.make()
    await other.say(link_pb2.RUNNING, **STARTED)
    second = await pod.mesh.runner("r2")  # another one has room: its worktree is not there
    second.connect()
    await pod.mesh.settle()
    await pod.want(desiredState="Running")
    assert (pod.told().desired, pod.told().keep_stopped) == (link_pb2.STOP, False)
    assert pod.ready() == ("False", "RunnerFull")
    assert pod.condition("Stopped") == ("True", "Stopped")
    await other.say(link_pb2.SUCCEEDED, finished_unix_ms=1_800_000_002_000, **STARTED)
    assert (pod.phase(), pod.told().desired) == ("Starting", link_pb2.RUN)
    assert pod.mesh.status()["placement"]["runnerName"] == "r1"


async def test_it_waits_for_the_quota_and_for_its_organization(pod: Talker) -> None:
    await stop(pod)
    quota = {"spec": {"quota": {"runningAgentPods": 0}}}
    await pod.mesh.kube.patch(ORGANIZATION, "", "acme", quota)
    await pod.mesh.settle()
    await pod.want(desiredState="Running")
    assert pod.ready() == ("False", "QuotaExceeded")
    spec = {"spec": {"quota": {"runningAgentPods": 9}, "suspend": True}}
    await pod.mesh.kube.patch(ORGANIZATION, "", "acme", spec)
    await pod.mesh.settle()
    assert pod.ready() == ("False", "Suspended")
    await pod.mesh.kube.patch(ORGANIZATION, "", "acme", {"spec": {"suspend": False}})
    await pod.mesh.settle()
    assert pod.phase() == "Starting"


async def test_it_waits_for_a_cordoned_runner_and_forever_for_one_that_is_gone(
    pod: Talker,
) -> None:
    await stop(pod)
    await pod.mesh.kube.patch(RUNNER, "acme", "r1", {"spec": {"cordoned": True}})
    await pod.mesh.settle()
    await pod.want(desiredState="Running")
    assert pod.ready() == ("False", "RunnerCordoned")
    assert pod.told().desired == link_pb2.STOP


async def test_a_pod_that_ended_by_itself_does_not_start_again_by_itself(pod: Talker) -> None:
    done = {**STARTED, "finished_unix_ms": 1_800_000_002_000, "reason": "Exited"}
    await pod.say(link_pb2.SUCCEEDED, **done)
    await pod.want(idleTimeoutSeconds=60)  # whatever changes
    assert (pod.phase(), pod.told().desired) == ("Succeeded", link_pb2.STOP)
    assert not pod.told().keep_stopped
    await pod.want(desiredState="Stopped")
    assert pod.told().keep_stopped
    await pod.say(link_pb2.SUCCEEDED, stopped=True, **done)
    await pod.want(desiredState="Running")
    assert (pod.phase(), pod.told().desired) == ("Starting", link_pb2.RUN)


async def test_a_runner_that_lost_its_data_is_never_told_to_start_it_again(pod: Talker) -> None:
    """It would start it as if for the first time, with its prompt and without its work."""
    await stop(pod)
    forgot = {"reason": "Stopped", "finished_unix_ms": 1_800_000_009_000, "stopped": True}
    await pod.say(link_pb2.FAILED, **forgot)
    await pod.want(desiredState="Running")
    assert pod.told().desired == link_pb2.STOP
    assert pod.phase() == "Failed"


async def test_a_new_controller_knows_that_it_waits(pod: Talker, make_mesh: Any) -> None:
    await stop(pod)
    await pod.mesh.kube.patch(RUNNER, "acme", "r1", {"spec": {"cordoned": True}})
    await pod.want(desiredState="Running")
    successor = make_mesh(pod.mesh.kube)
    successor.watch()
    await successor.settle(seconds=60)
    found = successor.condition("Stopped")
    assert (found["status"], found["reason"]) == ("True", "Stopped")


async def test_a_stopped_pod_is_kept_whatever_its_ttl(pod: Talker) -> None:
    await pod.want(ttlSecondsAfterFinished=0)
    await stop(pod)
    await pod.mesh.settle(seconds=3600)
    assert ("AgentPod", "acme", "fix") in pod.mesh.kube.objects


async def test_a_suspended_pod_runs_and_is_not_ready(pod: Talker) -> None:
    await pod.want(suspend=True)
    assert pod.told().desired == link_pb2.SUSPEND
    assert pod.ready() == ("True", "Running")  # as long as it is not so
    await pod.say(link_pb2.RUNNING, suspended=True, activity="executing", **STARTED)
    assert (pod.phase(), pod.ready()) == ("Running", ("False", "Suspended"))
    assert pod.condition("Suspended") == ("True", "Suspended")
    assert "activity" not in pod.mesh.status()
    await pod.want(suspend=False)
    assert pod.told().desired == link_pb2.RUN
    await pod.say(link_pb2.RUNNING, **STARTED)
    assert pod.ready() == ("True", "Running")
    assert pod.condition("Suspended") is None


async def test_a_pod_that_will_be_restarted_keeps_its_place_and_says_when(mesh: Any) -> None:
    await mesh.organization()
    await mesh.agent_class()
    runner = await mesh.runner(capacity={"maxPods": 1})
    runner.connect()
    await mesh.settle()
    runner.step = lambda: None
    pod, other = Talker(mesh), Talker(mesh, "other")
    await pod.make(restartPolicy="OnFailure")
    await pod.say(link_pb2.RUNNING, **STARTED)
    await other.make()
    again = link_pb2.PodCondition(
        type="Restarting", status=True, reason="BackOff", message="it failed: again at nine"
    )
    failed = {**STARTED, "finished_unix_ms": 1_800_000_002_000, "exit_code": 3, "reason": "Exited"}
    await pod.say(link_pb2.FAILED, conditions=[again], **failed)
    assert (pod.phase(), pod.ready()) == ("Starting", ("False", "Restarting"))
    assert mesh.condition("Restarting")["message"] == "it failed: again at nine"
    assert pod.condition("Completed") is None
    assert other.phase() == "Pending"
    assert pod.told().desired == link_pb2.RUN
    assert pod.events() == ["Restarting"]


async def test_what_its_runner_alone_can_tell_becomes_conditions_and_stays_while_it_is_silent(
    pod: Talker, make_mesh: Any
) -> None:
    def said(kind: str, reason: str = "Why") -> link_pb2.PodCondition:
        return link_pb2.PodCondition(type=kind, status=True, reason=reason, message="token=abc")

    many = [said("TranscriptComplete"), said("Ready"), said("bad type"), said("Fine", "no reason")]
    many += [said(f"More{number}") for number in range(30)]
    await pod.say(link_pb2.RUNNING, conditions=many, **STARTED)
    conditions = pod.mesh.status()["conditions"]
    types = [each["type"] for each in conditions]
    assert len(types) == len(set(types)) == 16
    assert pod.condition("TranscriptComplete") == ("True", "Why")
    assert pod.ready() == ("True", "Running")
    assert "abc" not in pod.mesh.condition("TranscriptComplete")["message"]
    successor = make_mesh(pod.mesh.kube)
    successor.watch()
    await successor.settle(seconds=5)
    assert [each["type"] for each in successor.status()["conditions"]] == types
    await pod.say(link_pb2.RUNNING, **STARTED)
    assert pod.condition("TranscriptComplete") is None


async def test_deadlines_and_idle_limits_are_the_runners_to_keep(pod: Talker) -> None:
    await pod.want(activeDeadlineSeconds=60, idleTimeoutSeconds=90)
    assert pod.told().active_deadline_seconds == 60
    assert pod.told().idle_timeout_seconds == 90


async def test_a_pod_that_was_stopped_before_it_ran_says_how_to_go_on(mesh: Any) -> None:
    await mesh.organization()
    await mesh.agent_class()
    runner = await mesh.runner()
    runner.connect()
    await mesh.settle()
    runner.step = lambda: None
    pod = Talker(mesh)
    await pod.make()
    await pod.want(desiredState="Stopped")
    text = "It was stopped before it was started."
    at = 1_800_000_002_000
    await pod.say(
        link_pb2.FAILED, reason="Stopped", message=text, stopped=True, finished_unix_ms=at
    )
    assert pod.ready() == ("False", "Stopped")
    assert mesh.condition("Ready")["message"] == (
        "It was stopped before it was started; setting spec.desiredState to Running starts it again"
    )
    assert pod.condition("Stalled") is None
    await pod.want(desiredState="Running")
    assert (pod.phase(), pod.told().desired) == ("Starting", link_pb2.RUN)
