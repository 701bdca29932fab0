"""Looks, texts and keys on real shims."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from meshwire.v1 import link_pb2

from runner.converge.places import Places
from runner.converge.states import Row, State, begun
from runner.drivers.terminal import Launch, Terminals
from runner.terminals.asks import TerminalAsks
from runner.terminals.emulators import Emulators
from tests.process.runner.conftest import Pods, output_until

pytestmark = pytest.mark.anyio

RAW = "import os, sys, tty\ntty.setraw(0)\n"
SLOW_SECONDS = 0.5


class Runner:
    """Pods of one runner, and what the controller may ask of their terminals."""

    def __init__(self, root: Path, pods: Pods, terminals: Terminals) -> None:
        self.places = Places(root)
        self.pods, self.terminals = pods, terminals
        self.rows: dict[str, Row] = {}
        self.emulators = Emulators()
        self.asks = TerminalAsks(
            lambda: self.rows, self.places, terminals, self.emulators, SLOW_SECONDS
        )

    async def start(self, program: str, uid: str = "pod-1", restart: int = 0) -> Launch:
        desired = link_pb2.PodDesired(ref=link_pb2.PodRef(pod_uid=uid, epoch=3))
        self.rows[uid] = begun(desired, State.RUNNING, restart=restart)
        launch = self.pods.python(
            program,
            pod=uid,
            restart=restart,
            run_dir=self.places.run(uid, 3, restart),
            transcript_dir=self.places.transcript(uid),
        )
        await self.terminals.start(launch)
        return launch

    async def ask(self, uid: str = "pod-1", epoch: int = 3, **what: object) -> link_pb2.AskUp:
        ref = link_pb2.PodRef(pod_uid=uid, epoch=epoch)
        return await self.asks.answer(link_pb2.AskDown(number=1, ref=ref, **what))  # type: ignore[arg-type]

    async def look(self, lines: int = 50, **how: bool) -> link_pb2.Looked:
        answer = await self.ask(look=link_pb2.Look(lines=lines, **how))  # type: ignore[arg-type]
        assert answer.HasField("looked"), answer
        return answer.looked

    async def press(self, *keys: str) -> link_pb2.AskUp:
        return await self.ask(keys=link_pb2.PressKeys(keys=keys))

    async def type(self, data: bytes) -> link_pb2.AskUp:
        return await self.ask(text=link_pb2.TypeText(data=data))


@pytest.fixture
async def runner(root: Path, pods: Pods, terminals: Terminals) -> AsyncIterator[Runner]:
    made = Runner(root, pods, terminals)
    yield made
    made.emulators.close()


READ = RAW + "os.write(1, b'raw')\nn = int(sys.argv[1]) if sys.argv[1:] else 9\n"
ECHO = RAW + "os.write(1, b'up\\r\\n')\nwhile True:\n os.write(1, ascii(os.read(0, 99)).encode())"


async def test_a_look_shows_what_was_written_so_far(runner: Runner) -> None:
    launch = await runner.start("for n in range(99): print(n)\nprint('end', end='')\ninput()")
    await output_until(runner.terminals, launch, b"end")
    seen = await runner.look(3, include_screen=True)
    assert (seen.output, seen.total_lines, seen.has_more) == ("97\n98\nend", 100, True)
    assert (seen.cursor_x, seen.cursor_y, len(seen.screen.split("\n"))) == (3, 39, 40)
    await runner.type(b"more")
    await output_until(runner.terminals, launch, b"endmore")
    assert (await runner.look(1)).output == "endmore"
    assert (await runner.look(10_000)).has_more is False


async def test_a_resize_is_seen_where_it_happened(runner: Runner) -> None:
    launch = await runner.start("print('x' * 100)\ninput()\nprint('y' * 100)\ninput()")
    await output_until(runner.terminals, launch, b"x\r\n")
    await runner.terminals.resize(launch.run_dir, 60, 10)
    await runner.type(b"\r")
    await output_until(runner.terminals, launch, b"y\r\n")
    lines = (await runner.look()).output.split("\n")
    assert [len(line) for line in lines if "y" in line] == [60, 40]
    runner.emulators.retain(())
    assert (await runner.look()).output.split("\n") == lines
    assert runner.emulators.live_bytes


async def test_a_restart_goes_on_below_with_an_empty_screen(runner: Runner) -> None:
    await runner.start(r"print('\x1b[?1049h\x1b[?1hfirst')")
    await runner.terminals.watch_exit(runner.places.run("pod-1", 3, 0))
    launch = await runner.start(ECHO, restart=1)
    await output_until(runner.terminals, launch, b"up")
    seen = await runner.look(include_screen=True)
    assert (seen.screen, seen.cursor_y) == ("up", 1)
    assert (await runner.press("up")).HasField("done")
    await output_until(runner.terminals, launch, rb"\x1b[A")


async def test_keys_follow_the_mode_of_cursor_keys(runner: Runner) -> None:
    launch = await runner.start(ECHO)
    await output_until(runner.terminals, launch, b"up")
    await runner.press("up")
    await output_until(runner.terminals, launch, rb"b'\x1b[A'")
    launch_mode = await runner.start(ECHO.replace("up", r"\x1b[?1hup"), uid="pod-2")
    await output_until(runner.terminals, launch_mode, b"up")
    answer = await runner.ask("pod-2", keys=link_pb2.PressKeys(keys=["Up", "x", "enter"]))
    assert answer.HasField("done")
    await output_until(runner.terminals, launch_mode, rb"b'\x1bOAx\r'")


async def test_an_escape_comes_alone(runner: Runner) -> None:
    launch = await runner.start(ECHO)
    await output_until(runner.terminals, launch, b"up")
    await runner.press("escape", ":", "q", "enter")
    await output_until(runner.terminals, launch, rb"b'\x1b'b':q\r'")


async def test_one_unknown_key_and_nothing_is_pressed(runner: Runner) -> None:
    launch = await runner.start(ECHO)
    await output_until(runner.terminals, launch, b"up")
    answer = await runner.press("a", "hyper+x", "enter")
    assert answer.failed.reason == "UnknownKey"
    assert "'hyper+x'" in answer.failed.message
    assert "pagedown" in answer.failed.message
    await runner.press("z")
    said = await output_until(runner.terminals, launch, b"z'")
    assert said == b"up\r\nb'z'"


async def test_a_long_text_is_typed_exactly(runner: Runner) -> None:
    text = ("Grüße, 你好 \x1b[A \x03 \t" * 20_000).encode()[: 256 * 1024]
    program = RAW + (
        "import hashlib, os\nos.write(1, b'raw')\nn, h = 0, hashlib.sha256()\n"
        f"while n < {len(text)}:\n d = os.read(0, 1 << 16)\n n += len(d)\n h.update(d)\n"
        "os.write(1, h.hexdigest().encode() + b'.')\nos.read(0, 1)"
    )
    import hashlib

    launch = await runner.start(
        program.replace("import hashlib, os\n", "").replace(
            "import os, sys, tty", "import os, sys, tty, hashlib"
        )
    )
    await output_until(runner.terminals, launch, b"raw")
    runner.asks._typing_seconds = 20
    assert (await runner.type(text)).HasField("done")
    digest = hashlib.sha256(text).hexdigest().encode()
    await output_until(runner.terminals, launch, digest + b".")


async def test_a_program_that_does_not_read_is_told_and_can_be_looked_at(runner: Runner) -> None:
    launch = await runner.start(RAW + "os.write(1, b'raw')\nimport time\ntime.sleep(60)")
    await output_until(runner.terminals, launch, b"raw")
    async with asyncio.TaskGroup() as tasks:
        typing = tasks.create_task(runner.type(b"x" * 200_000))
        async with asyncio.timeout(SLOW_SECONDS / 2):
            assert (await runner.look()).output == "raw"
    failed = typing.result().failed
    assert failed.reason == "TooSlow"
    taken = int(failed.message.split("at least ")[1].split(" of 200000")[0])
    assert 0 <= taken < 200_000


async def test_how_much_was_taken_is_told(runner: Runner) -> None:
    program = RAW + (
        "import time\nos.write(1, b'raw')\nn = 0\n"
        "while n < 50_000:\n n += len(os.read(0, 4096))\ntime.sleep(60)"
    )
    launch = await runner.start(program)
    await output_until(runner.terminals, launch, b"raw")
    failed = (await runner.type(b"x" * 250_000)).failed
    taken = int(failed.message.split("at least ")[1].split(" of 250000")[0])
    assert 32_768 <= taken <= 50_000 + 16_384


@pytest.mark.parametrize(
    ("state", "epoch", "reason"),
    [
        pytest.param(None, 3, "NoSuchPod", id="never heard of"),
        pytest.param(State.RUNNING, 2, "NoSuchPod", id="an earlier placement"),
        pytest.param(State.RUNNING, 4, "NoSuchPod", id="a later placement"),
        pytest.param(State.REMOVED, 3, "NoSuchPod", id="removed"),
        pytest.param(State.PREPARING, 3, "NotRunning", id="not started yet"),
        pytest.param(State.SUCCEEDED, 3, "NotRunning", id="ended"),
        pytest.param(State.FAILED, 3, "NotRunning", id="failed"),
    ],
)
async def test_a_pod_that_does_not_run_here_is_refused(
    runner: Runner, state: State | None, epoch: int, reason: str
) -> None:
    if state is not None:
        desired = link_pb2.PodDesired(ref=link_pb2.PodRef(pod_uid="pod-1", epoch=3))
        runner.rows["pod-1"] = begun(desired, state)
    for what in (
        {"look": link_pb2.Look(lines=1)},
        {"text": link_pb2.TypeText(data=b"x")},
        {"keys": link_pb2.PressKeys(keys=["x"])},
    ):
        answer = await runner.ask(epoch=epoch, **what)
        assert answer.failed.reason == reason
        assert answer.failed.message.endswith(".")


async def test_typing_at_an_agent_that_just_ended_is_refused(runner: Runner) -> None:
    await runner.start("pass")
    await runner.terminals.watch_exit(runner.places.run("pod-1", 3, 0))
    for answer in (await runner.type(b"x"), await runner.press("x")):
        assert answer.failed.reason == "NotRunning"
