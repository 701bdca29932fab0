"""A runner from enrolment to its end, as a process, against a scripted controller."""

import asyncio
import signal
from pathlib import Path
from typing import Any

import pytest
from meshwire.v1 import link_pb2

pytestmark = pytest.mark.anyio


async def test_a_pod_is_started_and_its_end_is_told(controller, daemon, pod):
    await daemon.start()
    await controller.until(lambda: controller.live)
    await controller.want(pod("a1", "echo hello; exit 3"))
    seen = await controller.until_state("a1", link_pb2.FAILED)
    assert (seen.reason, seen.exit_code, seen.initialized) == ("Exited", 3, True)
    assert seen.started_unix_ms > 0
    assert seen.finished_unix_ms >= seen.started_unix_ms
    assert b"hello" in b"".join(
        path.read_bytes() for path in (daemon.data / "pods/a1/transcript").rglob("*")
    )
    assert not daemon.token.exists()
