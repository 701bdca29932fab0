"""CONV-02 to 04, 06, 10 and 12 with a real runner. The table of all is in docs/once.md."""

import asyncio
import re
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from meshwire.v1 import link_pb2

pytestmark = pytest.mark.anyio

LONG = "echo started >> {file}; trap 'exit 0' TERM; while :; do sleep 0.2; done"


@pytest.fixture
def uid() -> Callable[[str], str]:
    """Return uids that no other test has: leftovers are found by them."""
    ours = uuid.uuid4()
    return lambda name: f"pod-{name}-{ours}"


async def connected(controller: Any, daemon: Any) -> None:
    before = len(controller.sessions)
    await daemon.start()
    await controller.until(lambda: len(controller.sessions) > before and controller.live)


def fenced(seconds: int) -> Callable[[link_pb2.PodDesired], None]:
    def more(pod: link_pb2.PodDesired) -> None:
        pod.stop_after_seconds = seconds

    return more


async def test_conv_03_a_runner_that_is_cut_off_stops_those_that_must_not_go_on_alone(
    controller: Any, daemon: Any, pod: Any, tmp_path: Path, living: Any, uid: Any
) -> None:
    file, bound, free = tmp_path / "starts", uid("bound"), uid("free")
    await connected(controller, daemon)
    await controller.want(
        pod(bound, LONG.format(file=file), more=fenced(2)), pod(free, "exec sleep 1000")
    )
    await controller.until_state(bound, link_pb2.RUNNING)
    first = await controller.until_state(free, link_pb2.RUNNING)
    beats = controller.beats
    await controller.until(lambda: controller.beats > beats + 6)
    assert controller.observed[bound].state == link_pb2.RUNNING, "it is heard, so both go on"
    controller.answers = False  # a partition of the worst kind: what is sent comes to nothing
    seen = await controller.until_state(bound, link_pb2.FAILED)
    assert (seen.reason, living(bound)) == ("RunnerDisconnected", [])
    assert "stopAfterSeconds" in seen.message
    assert (controller.observed[free].state, first.pid in living(free)) == (link_pb2.RUNNING, True)
    controller.answers = True
    beats = controller.beats
    await controller.until(lambda: controller.beats > beats + 3)
    assert controller.observed[bound].state == link_pb2.FAILED, "nobody starts it again by itself"
    assert file.read_text() == "started\n"


async def test_conv_03_the_time_without_a_controller_goes_on_over_a_restart(
    controller: Any, daemon: Any, pod: Any, living: Any, uid: Any
) -> None:
    bound = uid("bound")
    await connected(controller, daemon)
    await controller.want(pod(bound, "exec sleep 1000", more=fenced(4)))
    await controller.until_state(bound, link_pb2.RUNNING)
    controller.answers, controller.pods = False, None  # nor is anything wanted any more
    await daemon.kill()
    controller.observed.clear()
    await connected(controller, daemon)
    seen = await controller.until_state(bound, link_pb2.FAILED)
    assert (seen.reason, living(bound)) == ("RunnerDisconnected", [])


@pytest.mark.faults
async def test_conv_04_what_an_overtaken_controller_wants_is_not_done(
    controller: Any, daemon: Any, pod: Any, living: Any, uid: Any
) -> None:
    name = uid("kept")
    controller.epoch = 7
    await connected(controller, daemon)
    await controller.want(pod(name, "exec sleep 1000"))
    first = await controller.until_state(name, link_pb2.RUNNING)
    controller.epoch = 6
    await controller.want(pod(name, "", desired=link_pb2.REMOVE))
    sessions = len(controller.sessions)
    await controller.until(lambda: len(controller.sessions) > sessions)
    assert controller.sessions[-1].hello.last_controller_epoch == 7, "it says whom it follows"
    assert first.pid in living(name)
    await daemon.kill()
    await connected(controller, daemon)  # it remembers
    assert controller.sessions[-1].hello.last_controller_epoch == 7
    assert first.pid in living(name)
    controller.epoch = 7
    await controller.until_state(name, link_pb2.REMOVED, 60)


async def test_conv_06_an_orphan_that_is_wanted_is_adopted_and_any_other_is_ended(
    controller: Any, daemon: Any, pod: Any, tmp_path: Path, living: Any, uid: Any
) -> None:
    file, wanted, other = tmp_path / "said", uid("wanted"), uid("other")

    def prompted(message: link_pb2.PodDesired) -> None:
        message.spec.prompt, message.spec.prompt_position = "once", link_pb2.PROMPT_ARGUMENT
        message.spec.args.append("agent")

    script = f'echo "started $1" >> {file}; exec sleep 1000'
    mine = pod(wanted, script, more=prompted)
    await connected(controller, daemon)
    await controller.want(mine, pod(other, "exec sleep 1000"))
    first = await controller.until_state(wanted, link_pb2.RUNNING)
    await controller.until_state(other, link_pb2.RUNNING)
    await controller.until(file.exists)
    await daemon.kill()
    for path in daemon.data.glob("journal.db*"):
        path.unlink()
    controller.pods = None
    controller.observed.clear()
    await connected(controller, daemon)
    await controller.until(lambda: {wanted, other} <= controller.observed.keys())
    assert all(controller.observed[each].orphan for each in (wanted, other))
    assert first.pid in living(wanted), "before anything is said, nothing is ended"
    await controller.want(mine)
    await controller.until(
        lambda: (
            controller.observed[wanted].state == link_pb2.RUNNING
            and not controller.observed[wanted].orphan
        )
    )
    await gone(lambda: living(other))
    assert controller.observed[wanted].pid == first.pid
    assert controller.observed[wanted].prompt_given
    assert file.read_text() == "started once\n"


async def gone(claim: Callable[[], Any]) -> None:
    """Wait until there is nothing any more."""
    async with asyncio.timeout(30):
        while claim():
            await asyncio.sleep(0.05)


async def test_conv_10_what_a_newer_controller_wants_is_not_guessed(
    controller: Any, daemon: Any, pod: Any, living: Any, uid: Any
) -> None:
    running, unknown, plain = uid("running"), uid("unknown"), uid("plain")
    await connected(controller, daemon)
    await controller.want(pod(running, "exec sleep 1000"))
    first = await controller.until_state(running, link_pb2.RUNNING)
    await controller.want(
        pod(running, "exec sleep 1000", desired=99),
        pod(unknown, "exec sleep 1000", desired=99),
        pod(plain, "exec sleep 1000"),
    )
    await controller.until_state(plain, link_pb2.RUNNING)
    await controller.until(lambda: unknown in controller.observed)
    assert controller.observed[unknown].reason == "Unsupported"
    assert (living(unknown), first.pid in living(running)) == ([], True)


@pytest.mark.faults
async def test_conv_12_a_transcript_has_no_gap_and_no_overlap_over_reconnects(
    controller: Any, daemon: Any, pod: Any, uid: Any
) -> None:
    name, lines = uid("counts"), 3000
    script = f"i=0; while [ $i -lt {lines} ]; do i=$((i+1)); echo line $i; done; exec sleep 1000"
    ref = link_pb2.PodRef(pod_uid=name, epoch=1)
    got, view = bytearray(), 0

    def said(kind: str) -> list[Any]:
        ups = [up for up in controller.terminal_up if up.view == view]
        return [getattr(up, kind) for up in ups if up.WhichOneof("msg") == kind]

    def pieces() -> list[Any]:
        return list(said("output"))

    await connected(controller, daemon)
    await controller.until(lambda: controller.terminals_connected)
    await controller.want(pod(name, script))
    await controller.until_state(name, link_pb2.RUNNING)
    for view in range(1, 6):
        order = link_pb2.OpenView(
            ref=ref, start=link_pb2.VIEW_START_OFFSET, from_offset=len(got), follow=True
        )
        for message in ({"open": order}, {"credit": link_pb2.Credit(bytes=4000)}):
            await controller.terminal_out.put(link_pb2.TerminalDown(view=view, **message))
        await controller.until(lambda: sum(len(each.data) for each in pieces()) >= 2000)
        if view % 2:  # the connection goes, in the middle of it
            connects = controller.terminals_connected
            await daemon.kill()
            await connected(controller, daemon)
            await controller.until(lambda c=connects: controller.terminals_connected > c)
        for piece in pieces():
            assert piece.offset == len(got), "it goes on exactly where it ended"
            got += piece.data
    order = link_pb2.OpenView(ref=ref, start=link_pb2.VIEW_START_OFFSET, from_offset=len(got))
    view = 99
    for message in ({"open": order}, {"credit": link_pb2.Credit(bytes=1 << 20)}):
        await controller.terminal_out.put(link_pb2.TerminalDown(view=view, **message))
    await controller.until(lambda: said("ended"))
    for piece in pieces():
        assert piece.offset == len(got)
        got += piece.data
    numbers = [int(each) for each in re.findall(rb"line (\d+)\r\n", bytes(got))]
    assert numbers == list(range(1, len(numbers) + 1))
    assert len(numbers) > 1000


@pytest.mark.faults
async def test_conv_11_a_viewer_that_does_not_read_delays_no_heartbeat(
    controller: Any, daemon: Any, pod: Any, uid: Any
) -> None:
    loud, order = uid("loud"), link_pb2.VIEW_START_OFFSET
    await connected(controller, daemon)
    await controller.until(lambda: controller.terminals_connected)
    await controller.want(pod(loud, "yes 'all work and no play makes a dull log'"))
    await controller.until_state(loud, link_pb2.RUNNING)
    controller.reads = asyncio.Event()  # not set: the controller reads no terminal any more
    for view in range(1, 9):
        wish = link_pb2.OpenView(
            ref=link_pb2.PodRef(pod_uid=loud, epoch=1), start=order, follow=True
        )
        for message in ({"open": wish}, {"credit": link_pb2.Credit(bytes=1 << 30)}):
            await controller.terminal_out.put(link_pb2.TerminalDown(view=view, **message))
    beats, sessions = controller.beats, len(controller.sessions)
    await controller.until(lambda: controller.beats >= beats + 10, 60)
    assert len(controller.sessions) == sessions, "the session stood all the while"
    quiet = uid("quiet")
    await controller.want(pod(loud, "", desired=link_pb2.REMOVE), pod(quiet, "exec sleep 1000"))
    await controller.until_state(quiet, link_pb2.RUNNING, 60)
    await controller.until_state(loud, link_pb2.REMOVED, 60)
