"""A runner whose operator has not allowed pods to do without a sandbox."""

from typing import Any

import pytest
from meshwire.v1 import link_pb2

pytestmark = pytest.mark.anyio


async def test_a_pod_without_a_sandbox_is_refused_by_default(
    controller: Any, daemon: Any, pod: Any
) -> None:
    daemon.no_isolation = False
    await daemon.start()
    await controller.until(lambda: controller.sessions)
    assert "none" not in controller.sessions[0].hello.info.isolations
    canary = daemon.directory / "canary"
    await controller.want(pod("pod-isolated", f"touch {canary}"))
    seen = await controller.until_state("pod-isolated", link_pb2.FAILED)
    assert seen.reason == "SandboxUnavailable"
    assert "sandbox.isolation none" in seen.message
    assert "--allow-no-isolation" in seen.message
    assert not canary.exists()


async def test_a_runner_announces_what_its_operator_allows(controller: Any, daemon: Any) -> None:
    await daemon.start()
    await controller.until(lambda: controller.sessions)
    assert list(controller.sessions[0].hello.info.isolations)[-1] == "none"


async def test_what_up_keeps_beside_the_runner_is_no_pods_to_write(
    controller: Any, daemon: Any, pod: Any
) -> None:
    """The data directory of `agentsmesh up` holds the CA's key and the administrator's token."""
    daemon.no_isolation = False
    (daemon.directory / "up.pid").touch()
    beside = daemon.directory / "apiserver"
    beside.mkdir()

    def sandboxed(message: link_pb2.PodDesired) -> None:
        sandbox = link_pb2.Sandbox(
            isolation="preferred", network="host", writable_paths=[str(beside)]
        )
        message.spec.sandbox.CopyFrom(sandbox)

    await daemon.start("--allow-writable", str(beside))
    await controller.until(lambda: controller.sessions)
    await controller.want(pod("pod-isolated", "exit 0", more=sandboxed))
    seen = await controller.until_state("pod-isolated", link_pb2.FAILED)
    assert seen.reason == "SandboxUnavailable"
    assert "within the runner's own data" in seen.message
