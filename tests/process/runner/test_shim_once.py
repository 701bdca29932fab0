"""Input with a key is typed once, whoever is killed on the way."""

import asyncio
import hashlib
import os
import signal
import socket
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from runner.drivers.terminal import Launch, NotRunning, TerminalError, Terminals
from runner.shim.frames import MAX_ONCE, Kind, encode
from tests.process.runner.conftest import Pods, all_output, output_until, until

pytestmark = pytest.mark.anyio

RAW = "import os, sys, tty\ntty.setraw(0)\nos.write(1, b'raw')\n"

SLOW = """
import time
while not os.path.exists(sys.argv[1]): time.sleep(0.01)
got = b''
while not got.endswith(b'END'): got += os.read(0, 65536)
import hashlib
os.write(1, b' %d %s' % (len(got), hashlib.sha256(got).hexdigest().encode()))
"""
"""It reads nothing before a file is there, then all up to the word END."""

WRITER = """
import asyncio, sys
from pathlib import Path
from runner.drivers.terminal import Terminals

async def main():
    async with Terminals() as terminals:
        data = (b"%06d " % 7) * 30_000
        print("asking", flush=True)
        typed = await terminals.write_once(Path(sys.argv[1]), "delivery-1", data)
        print(typed, flush=True)

asyncio.run(main())
"""
"""A daemon reduced to one large delivery."""

LARGE = (b"%06d " % 7) * 30_000


async def test_a_key_types_once(terminals: Terminals, pods: Pods) -> None:
    launch = pods.python(RAW + "while True: os.write(1, os.read(0, 1000))")
    await terminals.start(launch)
    await output_until(terminals, launch, b"raw")
    assert await terminals.write_once(launch.run_dir, "one", b"<1>") is True
    assert await terminals.write_once(launch.run_dir, "one", b"<1>") is False
    assert await terminals.write_once(launch.run_dir, "two", b"<2>") is True
    await terminals.close()
    async with Terminals() as successor:
        assert await successor.write_once(launch.run_dir, "one", b"<1>") is False
        assert await successor.write_once(launch.run_dir, "three", b"<3>") is True
    assert await output_until(terminals, launch, b"<3>") == b"raw<1><2><3>"


async def test_the_last_256_keys_are_known(terminals: Terminals, pods: Pods) -> None:
    launch = pods.python(RAW + "while True: os.read(0, 1000)")
    await terminals.start(launch)
    await output_until(terminals, launch, b"raw")
    for number in range(257):
        assert await terminals.write_once(launch.run_dir, f"key-{number}", b"x")
    assert not await terminals.write_once(launch.run_dir, "key-1", b"x")
    assert await terminals.write_once(launch.run_dir, "key-0", b"x")


@pytest.mark.parametrize("written", [1, 1000, 100_000, None], ids=lambda each: f"{each} bytes")
async def test_a_daemon_killed_in_the_middle_of_a_large_input_types_it_once(
    terminals: Terminals, pods: Pods, written: int | None
) -> None:
    """Killed with so much of the frame sent (None: all of it), then asked again by the next."""
    go = pods.root / "go"
    launch = pods.python(RAW + SLOW, str(go))
    await terminals.start(launch)
    await output_until(terminals, launch, b"raw")
    frame = encode(Kind.INPUT_ONCE, b"\x0adelivery-1" + LARGE)
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    sock.connect(str(launch.run_dir / "shim.sock"))
    sock.sendall(encode(Kind.HELLO, (launch.run_dir / "shim.key").read_bytes()))
    sock.sendall(frame[:written])
    sock.close()  # what a kill -9 does to it
    go.touch()
    typed = await terminals.write_once(launch.run_dir, "delivery-1", LARGE)
    assert typed is (written is not None)
    await terminals.write(launch.run_dir, b"END")
    said, _, _ = await all_output(terminals, launch)
    assert said == b"raw %d %s" % (len(LARGE) + 3, _hash(LARGE + b"END"))


async def test_a_daemon_killed_at_any_moment_types_a_large_input_once(
    terminals: Terminals, pods: Pods
) -> None:
    go = pods.root / "go"
    launch = pods.python(RAW + SLOW, str(go))
    await terminals.start(launch)
    await output_until(terminals, launch, b"raw")
    for _ in range(3):
        process = subprocess.Popen(
            [sys.executable, "-c", WRITER, str(launch.run_dir)],
            stdout=subprocess.PIPE,
            cwd=Path(__file__).parents[3],
        )
        assert process.stdout is not None
        process.stdout.readline()
        os.kill(process.pid, signal.SIGKILL)  # while it sends, or waits: the program reads nothing
        process.wait()
        process.stdout.close()
    go.touch()
    await terminals.write_once(launch.run_dir, "delivery-1", LARGE)
    await terminals.write(launch.run_dir, b"END")
    said, _, _ = await all_output(terminals, launch)
    assert said == b"raw %d %s" % (len(LARGE) + 3, _hash(LARGE + b"END"))


def _hash(data: bytes) -> bytes:
    return hashlib.sha256(data).hexdigest().encode()


async def test_asking_again_waits_until_the_terminal_has_all(
    terminals: Terminals, pods: Pods
) -> None:
    go = pods.root / "go"
    launch = pods.python(RAW + SLOW, str(go))
    await terminals.start(launch)
    await output_until(terminals, launch, b"raw")
    async with Terminals() as other, asyncio.TaskGroup() as tasks:
        first = tasks.create_task(terminals.write_once(launch.run_dir, "one", LARGE))
        await _until_typing(terminals, launch, first)
        again = tasks.create_task(other.write_once(launch.run_dir, "one", LARGE))
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.2):
                await asyncio.shield(again)
        assert (await terminals.state(launch.run_dir)).stopping is False  # it serves others
        go.touch()
    assert (first.result(), again.result()) == (True, False)


async def _until_typing(terminals: Terminals, launch: Launch, task: "asyncio.Task[bool]") -> None:
    """Wait until the shim has taken a request: another one on its own connection is answered."""
    for _ in range(50):
        await terminals.state(launch.run_dir)
    assert not task.done()


async def test_input_with_a_key_is_not_mixed_with_that_of_others(
    terminals: Terminals, pods: Pods
) -> None:
    size = 50_000
    program = f"{RAW}n = 0\nwhile n < {3 * size}:\n data = os.read(0, 65536)\n n += len(data)\n"
    launch = pods.python(f"{program} os.write(1, data)")
    await terminals.start(launch)
    await output_until(terminals, launch, b"raw")
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(terminals.write(launch.run_dir, b"a" * size))
        tasks.create_task(terminals.write_once(launch.run_dir, "b", b"b" * size))
        tasks.create_task(terminals.write(launch.run_dir, b"c" * size))
    said, _, _ = await all_output(terminals, launch)
    assert said == b"raw" + b"a" * size + b"b" * size + b"c" * size


async def test_a_program_that_never_reads_does_not_fill_the_shim(
    terminals: Terminals, pods: Pods
) -> None:
    go = pods.root / "go"
    launch = pods.python(RAW + SLOW, str(go))
    started = await terminals.start(launch)
    await output_until(terminals, launch, b"raw")
    before = psutil.Process(started.pid).memory_info().rss
    refusals: list[str] = []
    for number in range(12):
        try:
            async with asyncio.timeout(0.3):
                await terminals.write_once(launch.run_dir, f"key-{number}", b"x" * MAX_ONCE)
        except TimeoutError:
            continue
        except TerminalError as exc:
            refusals.append(str(exc))
    assert set(refusals) == {"the program does not read its input"}
    assert len(refusals) >= 6
    assert psutil.Process(started.pid).memory_info().rss - before < 4 * 1024 * 1024
    go.touch()
    assert await terminals.write_once(launch.run_dir, "key-11", b"END") is True
    said, _, _ = await all_output(terminals, launch)
    typed = int(said.split()[1])
    assert typed == (12 - len(refusals)) * MAX_ONCE + 3


async def test_what_cannot_be_typed_once_is_refused_before(
    terminals: Terminals, pods: Pods
) -> None:
    launch = pods.launch("sleep", "60")
    await terminals.start(launch)
    for key, data in (("", b"x"), ("ä" * 128, b"x"), ("key", b"x" * (MAX_ONCE + 1))):
        with pytest.raises(ValueError, match="bytes"):
            await terminals.write_once(launch.run_dir, key, data)
    assert await terminals.write_once(launch.run_dir, "k" * 255, b"x") is True
    with pytest.raises(NotRunning):
        await terminals.write_once(launch.run_dir.with_name("9-9"), "key", b"x")


async def test_who_has_not_shown_the_key_cannot_send_large_requests(
    terminals: Terminals, pods: Pods
) -> None:
    launch = pods.launch("sleep", "60")
    await terminals.start(launch)
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    sock.connect(str(launch.run_dir / "shim.sock"))
    sock.setblocking(False)
    sock.send(encode(Kind.HELLO, b"x" * 70_000)[:100])
    await until(lambda: _closed(sock), "the shim hangs up on the length alone")
    sock.close()


def _closed(sock: socket.socket) -> bool:
    try:
        return sock.recv(1) == b""
    except BlockingIOError:
        return False
    except ConnectionResetError:
        return True


async def test_the_shim_tells_what_is_unread_and_what_it_typed_last(
    terminals: Terminals, pods: Pods
) -> None:
    go = pods.root / "go"
    wait = "import time\nwhile not os.path.exists(sys.argv[1]): time.sleep(0.01)\n"
    launch = pods.python(RAW + wait + "while True: os.read(0, 65536)", str(go))
    await terminals.start(launch)
    await output_until(terminals, launch, b"raw")
    state = await terminals.state(launch.run_dir)
    assert (state.unread, state.last_key) == (0, "")
    await terminals.write_once(launch.run_dir, "one", b"1234")
    await terminals.write_once(launch.run_dir, "two/grüße", b"567")
    await _until_unread(terminals, launch, 7, 7)
    assert (await terminals.state(launch.run_dir)).last_key == "two/grüße"
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(terminals.write_once(launch.run_dir, "three", LARGE))
        await _until_unread(terminals, launch, len(LARGE) // 2, len(LARGE) + 7)
        go.touch()
    await _until_unread(terminals, launch, 0, 0)


async def _until_unread(terminals: Terminals, launch: Launch, least: int, most: int) -> None:
    async with asyncio.timeout(20):
        while not least <= ((await terminals.state(launch.run_dir)).unread or 0) <= most:
            await asyncio.sleep(0.01)
