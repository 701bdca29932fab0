"""A pod that is over says by which cause, how, and how to go on."""

from typing import Any

import pytest
from meshwire.v1 import link_pb2

pytestmark = pytest.mark.anyio


@pytest.fixture
async def ready(mesh: Any) -> Any:
    """Return a mesh with a running pod."""
    await mesh.organization()
    await mesh.agent_class()
    (await mesh.runner()).connect()
    await mesh.settle()
    return mesh


async def _ended(mesh: Any, **fields: Any) -> dict[str, Any]:
    """Have the runner say that the pod failed; return its condition Ready."""
    uid = await mesh.pod()
    await mesh.settle()
    runner = mesh.runners["r1"]
    runner.step = lambda: None
    said = link_pb2.PodObserved(
        ref=link_pb2.PodRef(pod_uid=uid, epoch=1),
        state=link_pb2.FAILED,
        finished_unix_ms=1_800_000_002_000,
        **fields,
    )
    mesh.fleet.observe(runner.key, [said], complete=False)
    await mesh.settle()
    assert mesh.status()["phase"] == "Failed"
    found: dict[str, Any] = mesh.condition("Ready")
    completed = mesh.condition("Completed")
    assert completed["message"] == found["message"]
    assert completed["reason"] == ("Failed" if found["reason"] == "Completed" else found["reason"])
    return found


STARTED = {"started_unix_ms": 1_800_000_001_000, "initialized": True}


@pytest.mark.parametrize(
    ("fields", "reason", "message"),
    [
        pytest.param(
            {"exit_code": 1, "reason": "Exited", "message": "The agent ended with exit code 1."},
            "Completed",
            "the agent ended with exit code 1",
            id="nothing is said twice",
        ),
        pytest.param(
            {"signal": 9, "reason": "Signaled", "message": "The agent ended by signal 9."},
            "Completed",
            "the agent was ended by signal 9",
            id="a signal",
        ),
        pytest.param(
            {"signal": 15, "reason": "Stopped", "message": "The agent was stopped as asked for."},
            "Stopped",
            "the agent was stopped as asked for (ended by signal 15); setting spec.desiredState "
            "to Running starts it again",
            id="a stop that was asked for",
        ),
        pytest.param(
            {"signal": 15, "reason": "DeadlineExceeded", "message": "It passed."},
            "DeadlineExceeded",
            "spec.activeDeadlineSeconds passed, so the agent was stopped (ended by signal 15)",
            id="a deadline",
        ),
        pytest.param(
            {"reason": "RunnerRestarted", "message": "The run was lost."},
            "RunnerRestarted",
            "The run was lost",
            id="nobody saw the end",
        ),
    ],
)
async def test_a_pod_that_ran_says_why_it_is_over(
    ready: Any, fields: Any, reason: str, message: str
) -> None:
    said = await _ended(ready, **STARTED, **fields)
    assert (said["reason"], said["message"]) == (reason, message)
    assert ready.condition("Stalled") is None


@pytest.mark.parametrize("reason", ["RefNotFound", "ExecutableNotFound", "NotAllowed"])
async def test_a_pod_that_never_ran_says_so_and_that_it_is_final(mesh: Any, reason: str) -> None:
    await mesh.organization()
    await mesh.agent_class()
    runner = await mesh.runner()
    runner.connect()
    await mesh.settle()
    runner.step = lambda: None  # it has not begun
    said = await _ended(mesh, reason=reason, message="There is no 'x'.")
    again = "It was not started, and this is final: delete the pod and apply it again"
    assert (said["reason"], said["message"]) == (reason, f"There is no 'x'. {again}")
    stalled = mesh.condition("Stalled")
    assert (stalled["reason"], stalled["message"]) == (said["reason"], said["message"])
