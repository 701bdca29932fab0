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
    await controller.want(pod("pod-a1", f"touch {canary}"))
    seen = await controller.until_state("pod-a1", link_pb2.FAILED)
    assert seen.reason == "SandboxUnavailable"
    assert "sandbox.isolation none" in seen.message
    assert "--allow-no-isolation" in seen.message
    assert not canary.exists()


async def test_a_runner_announces_what_its_operator_allows(controller: Any, daemon: Any) -> None:
    await daemon.start()
    await controller.until(lambda: controller.sessions)
    assert list(controller.sessions[0].hello.info.isolations)[-1] == "none"
