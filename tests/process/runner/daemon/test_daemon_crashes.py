"""A runner that dies at every step of a pod's life, and is started again."""

import asyncio
import uuid
from pathlib import Path
from typing import Any

import pytest
from meshwire.v1 import link_pb2

pytestmark = pytest.mark.anyio

ENTRY = Path(__file__).with_name("crashing_runner.py")
SCRIPT = "echo started >> {file}; trap 'exit 0' TERM; while :; do sleep 0.2; done"
UID = f"pod-{uuid.uuid4()}"
"""No other run of these tests has it: leftovers are found by it."""


def entry(step: str, directory: Path) -> tuple[str, ...]:
    return (str(ENTRY), step, str(directory), "--")


async def start_and_crash(controller: Any, daemon: Any, step: str, tmp_path: Path) -> None:
    """Start a runner that kills itself at the step; wait for its end; start it again."""
    await daemon.start(entry=entry(step, tmp_path))
    assert await daemon.ended(30) == -9
    controller.observed.clear()
    controller.history.clear()
    await daemon.start(entry=entry(step, tmp_path))


@pytest.mark.parametrize(
    "step",
    [
        "before-preparing",
        "after-preparing",
        "before-starting",
        "after-starting",
        "asked",
        "spawned",
        "before-running",
        "after-running",
    ],
)
async def test_a_crash_while_starting_starts_exactly_once(
    controller: Any, daemon: Any, pod: Any, tmp_path: Path, living: Any, step: Any
) -> None:
    file = tmp_path / "starts"
    controller.pods = [pod(UID, SCRIPT.format(file=file))]
    await start_and_crash(controller, daemon, step, tmp_path)
    seen = await controller.until_state(UID, link_pb2.RUNNING)
    assert seen.pid in living(UID)
    async with asyncio.timeout(10):
        while not file.exists():
            await asyncio.sleep(0.02)
    assert file.read_text() == "started\n"
    assert seen.restarts == 0


@pytest.mark.parametrize(
    "step",
    [
        "before-stopping",
        "after-stopping",
        "before-removed",
        "after-removed",
        "before-forgotten",
        "after-forgotten",
    ],
)
async def test_a_crash_while_removing_leaves_nothing_in_the_end(
    controller: Any, daemon: Any, pod: Any, tmp_path: Path, living: Any, step: Any
) -> None:
    file = tmp_path / "starts"
    await daemon.start()
    controller.pods = [pod(UID, SCRIPT.format(file=file))]
    await controller.until(lambda: controller.live)
    await controller.want(*controller.pods)
    await controller.until_state(UID, link_pb2.RUNNING)
    await daemon.kill()
    unwanted = step.endswith("forgotten")
    controller.pods = [] if unwanted else [pod(UID, "", desired=link_pb2.REMOVE)]
    await start_and_crash(controller, daemon, step, tmp_path)
    if unwanted:
        await controller.until(lambda: controller.beats > 2)
    else:
        await controller.until_state(UID, link_pb2.REMOVED)
    assert (living(UID), daemon.pods()) == ([], [])
    assert file.read_text() == "started\n"


async def test_a_crash_while_an_end_is_written_down_tells_the_end(
    controller: Any, daemon: Any, pod: Any, tmp_path: Path
) -> None:
    controller.pods = [pod(UID, "exit 7")]
    await start_and_crash(controller, daemon, "before-failed", tmp_path)
    seen = await controller.until_state(UID, link_pb2.FAILED)
    assert (seen.reason, seen.exit_code) == ("Exited", 7)
