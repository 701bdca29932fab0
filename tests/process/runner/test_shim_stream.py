"""Bytes into and out of terminals, while daemons, viewers and disks misbehave."""

import asyncio
import contextlib
import hashlib
import os
import resource
import signal
import socket
import stat
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from runner.drivers.terminal import (
    Alive,
    Chunk,
    Ended,
    Exited,
    Gap,
    Launch,
    NotRunning,
    Terminals,
)
from runner.shim.frames import OFFSET, Kind, encode
from tests.process.runner.conftest import Pods, all_output, output_until, until

pytestmark = pytest.mark.anyio

LINES = 100_000

DAEMON = """
import asyncio, sys
from pathlib import Path
from runner.drivers.terminal import Launch, Terminals

async def main():
    data, program = Path(sys.argv[1]), sys.argv[2]
    async with Terminals() as terminals:
        launch = Launch(
            uid=data.name, epoch=3, restart=0, run_dir=data / "run" / "3-0",
            transcript_dir=data / "transcript", argv=("sh", "-c", program),
            environment={"PATH": "/usr/bin:/bin"}, cwd=data.parent,
        )
        print((await terminals.start(launch)).child_pid, flush=True)
        async for _ in terminals.follow(launch.transcript_dir, launch.run_dir, 0):
            pass
        await asyncio.sleep(60)

asyncio.run(main())
"""
"""A daemon reduced to what matters here: it starts a run, follows it, and is killed."""

RAW = "import os, sys, tty\ntty.setraw(0)\nos.write(1, b'raw\\n')\n"
"""Beginning of a program that takes every byte as it is."""


def daemon(data: Path, program: str) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        [sys.executable, "-c", DAEMON, str(data), program],
        stdout=subprocess.PIPE,
        cwd=Path(__file__).parents[3],
    )


async def test_a_killed_daemon_costs_no_line_and_no_process(
    terminals: Terminals, pods: Pods
) -> None:
    launch = pods.launch(pod="pod")
    data = launch.run_dir.parents[1]
    data.mkdir(parents=True)
    go = pods.root / "go"
    wait = f"while [ ! -e {go} ]; do sleep 0.05; done"
    program = f"seq 1 {LINES // 2}; {wait}; seq {LINES // 2 + 1} {LINES}; sleep 60"
    process = daemon(data, program)
    assert process.stdout is not None
    child_pid = int(process.stdout.readline())
    await until(lambda: terminals.size(launch.transcript_dir) > 10_000, "some output")
    process.kill()
    process.wait()
    process.stdout.close()
    go.touch()
    said = await output_until(terminals, launch, b"\r\n%d\r\n" % LINES)
    assert said.split() == [b"%d" % number for number in range(1, LINES + 1)]
    observed = await terminals.observe(launch.run_dir)
    assert isinstance(observed, Alive)
    assert observed.child_pid == child_pid
    assert psutil.pid_exists(child_pid)


async def test_a_new_daemon_learns_of_an_exit_at_once(terminals: Terminals, pods: Pods) -> None:
    launch = pods.launch("sh", "-c", "read x; date +%s%N; exit 9")
    await terminals.start(launch)
    await terminals.close()
    async with Terminals() as successor:
        async with asyncio.TaskGroup() as tasks:
            watching = tasks.create_task(successor.watch_exit(launch.run_dir))
            await successor.write(launch.run_dir, b"\r")
        learned = time.time_ns()
        exited = watching.result()
        assert isinstance(exited, Exited)
        assert exited.exit_code == 9
        said = successor.read(launch.transcript_dir, 0, 1000)
        assert isinstance(said, Chunk)
        ended = int(said.data.split()[-1])
        assert (learned - ended) / 1e9 < 0.5


async def test_a_killed_zygote_is_replaced_and_its_shims_live_on(
    terminals: Terminals, pods: Pods
) -> None:
    first = pods.launch("sh", "-c", "read line; echo got $line", pod="first")
    await terminals.start(first)
    zygote = terminals.zygote_pid
    assert zygote is not None
    os.kill(zygote, signal.SIGKILL)
    second = pods.launch("echo", "second", pod="second")
    await terminals.start(second)
    assert terminals.zygote_pid != zygote
    assert (await all_output(terminals, second))[0] == b"second\r\n"
    await terminals.write(first.run_dir, b"it\r")
    assert b"got it" in (await all_output(terminals, first))[0]


async def test_a_zygote_killed_while_many_start_loses_none_and_doubles_none(
    terminals: Terminals, pods: Pods
) -> None:
    launches = [pods.launch("sh", "-c", "echo $$; sleep 60", pod=f"p{n}") for n in range(12)]
    await terminals.start(pods.launch("sleep", "60", pod="first"))

    async def kill_zygote() -> None:
        for _ in range(3):
            with contextlib.suppress(ProcessLookupError):
                os.kill(terminals.zygote_pid or 0, signal.SIGKILL)
            await asyncio.sleep(0.02)

    async with asyncio.TaskGroup() as tasks:
        starts = [tasks.create_task(terminals.start(launch)) for launch in launches[:6]]
        await kill_zygote()
        starts += [tasks.create_task(terminals.start(launch)) for launch in launches[6:]]
    for launch, start in zip(launches, starts, strict=True):
        said = await output_until(terminals, launch, b"\n")
        assert said == b"%d\r\n" % start.result().child_pid


async def test_the_zygote_ends_with_its_daemon(pods: Pods) -> None:
    async with Terminals() as terminals:
        await terminals.start(pods.launch("sleep", "60"))
        zygote = terminals.zygote_pid
        assert zygote is not None
    assert not psutil.pid_exists(zygote)


async def test_long_input_arrives_whole_and_in_order(terminals: Terminals, pods: Pods) -> None:
    text = b"".join(
        b"%06d quotes'\" $(touch /tmp/x) \\ ;\x00\x03\x04\xc3\xa9" % n for n in range(4000)
    )
    program = RAW + f"got = b''\nwhile len(got) < {len(text)}: got += os.read(0, 700)\n"
    program += "import hashlib\nos.write(1, hashlib.sha256(got).hexdigest().encode())"
    launch = pods.python(program)
    await terminals.start(launch)
    await output_until(terminals, launch, b"raw")
    assert len(text) > 128 * 1024
    await terminals.write(launch.run_dir, text)
    said, _, _ = await all_output(terminals, launch)
    assert said.endswith(hashlib.sha256(text).hexdigest().encode())


async def test_input_waits_for_a_program_that_does_not_read_and_nothing_else_does(
    terminals: Terminals, pods: Pods
) -> None:
    go = pods.root / "go"
    program = RAW + f"import time\nwhile not os.path.exists({str(go)!r}): time.sleep(0.02)\n"
    program += "n = 0\nwhile n < 300_000: n += len(os.read(0, 65536))\nos.write(1, b'all read')"
    launch = pods.python(program)
    started = await terminals.start(launch)
    await output_until(terminals, launch, b"raw")
    before = psutil.Process(started.pid).memory_info().rss
    async with asyncio.TaskGroup() as tasks:
        writing = tasks.create_task(terminals.write(launch.run_dir, b"x" * 300_000))
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.3):
                await asyncio.shield(writing)
        assert (await terminals.state(launch.run_dir)).stopping is False
        await terminals.resize(launch.run_dir, 99, 9)
        assert psutil.Process(started.pid).memory_info().rss - before < 2 * 1024 * 1024
        go.touch()
    assert b"all read" in (await all_output(terminals, launch))[0]


async def test_two_writers_do_not_mix_their_inputs(terminals: Terminals, pods: Pods) -> None:
    size = 50_000
    program = (
        RAW
        + f"n = 0\nwhile n < {2 * size}:\n"
        + " data = os.read(0, 65536)\n n += len(data)\n os.write(1, data)"
    )
    launch = pods.python(program)
    await terminals.start(launch)
    await output_until(terminals, launch, b"raw")
    async with asyncio.TaskGroup() as tasks:
        for letter in (b"a", b"b"):
            tasks.create_task(terminals.write(launch.run_dir, letter * size))
    said, _, _ = await all_output(terminals, launch)
    typed = said.removeprefix(b"raw\r\n").removeprefix(b"raw\n")
    assert typed in (b"a" * size + b"b" * size, b"b" * size + b"a" * size)


async def test_writing_to_a_program_that_ends_is_told(terminals: Terminals, pods: Pods) -> None:
    launch = pods.python(RAW + "import time\ntime.sleep(0.3)")
    await terminals.start(launch)
    await output_until(terminals, launch, b"raw")
    with pytest.raises(NotRunning):
        await terminals.write(launch.run_dir, b"x" * 300_000)


async def test_a_resize_reaches_the_program(terminals: Terminals, pods: Pods) -> None:
    script = "trap 'stty size; exit' WINCH; stty size; while :; do sleep 0.05; done"
    launch = pods.launch("bash", "-c", script, cols=91, rows=17)
    await terminals.start(launch)
    await output_until(terminals, launch, b"17 91")
    await terminals.resize(launch.run_dir, 133, 44)
    state = await terminals.state(launch.run_dir)
    assert (state.cols, state.rows) == (133, 44)
    assert (await all_output(terminals, launch))[0] == b"17 91\r\n44 133\r\n"


async def test_a_signal_reaches_the_program(terminals: Terminals, pods: Pods) -> None:
    launch = pods.launch("bash", "-c", "trap 'exit 6' USR1; echo up; while :; do sleep 0.05; done")
    await terminals.start(launch)
    await output_until(terminals, launch, b"up")
    await terminals.signal(launch.run_dir, signal.SIGUSR1)
    exited = await terminals.watch_exit(launch.run_dir)
    assert isinstance(exited, Exited)
    assert exited.exit_code == 6


async def test_a_program_may_close_its_terminal_and_open_it_again(
    terminals: Terminals, pods: Pods
) -> None:
    launch = pods.launch("bash", "-c", "exec 0<&- 1>&- 2>&-; sleep 0.3; echo back >/dev/tty")
    started = await terminals.start(launch)
    busy = psutil.Process(started.pid).cpu_times()
    said, _, _ = await all_output(terminals, launch)
    assert said == b"back\r\n"
    assert busy.user + busy.system < 0.2


async def test_a_viewer_that_does_not_read_stalls_nobody(terminals: Terminals, pods: Pods) -> None:
    launch = pods.launch("sh", "-c", "stty -echo; echo 0; read x; seq 1 300000")
    started = await terminals.start(launch)
    rude = []
    for _ in range(20):
        rude.append(await raw_connection(launch))
        rude[-1].sendall(encode(Kind.SUBSCRIBE, b"\0" * 8))
    slow = terminals.follow(launch.transcript_dir, launch.run_dir, 0)
    first = await anext(slow)
    await terminals.write(launch.run_dir, b"\r")
    said, gaps, _ = await all_output(terminals, launch)
    assert said.split() == [b"%d" % n for n in range(300_001)]
    assert gaps == []
    assert isinstance(first, Chunk)
    late = bytearray(first.data)
    async for item in slow:
        late += item.data if isinstance(item, Chunk) else b""
    assert late == said
    for sock in rude:
        assert len(sock.recv(65536)) < 1000  # one head, the end: nothing piled up
        sock.close()
    await until(lambda: not psutil.pid_exists(started.pid), "the shim is gone")


async def raw_connection(launch: Launch) -> socket.socket:
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    sock.connect(str(launch.run_dir / "shim.sock"))
    with contextlib.suppress(OSError):  # turned away at the door
        sock.sendall(encode(Kind.HELLO, (launch.run_dir / "shim.key").read_bytes()))
    return sock


@pytest.mark.parametrize(
    "greeting",
    [
        pytest.param(b"", id="none"),
        pytest.param(encode(Kind.HELLO, b""), id="an empty key"),
        pytest.param(encode(Kind.HELLO, b"\0" * 32), id="a wrong key"),
        pytest.param(encode(Kind.STATE), id="another request first"),
    ],
)
async def test_who_does_not_know_the_runs_key_types_nothing(
    terminals: Terminals, pods: Pods, greeting: bytes
) -> None:
    """A pod under Landlock has the account of the shims, and may reach their sockets."""
    launch = pods.launch("sh", "-c", "read line; echo got $line")
    await terminals.start(launch)
    key = launch.run_dir / "shim.key"
    assert stat.S_IMODE(key.stat().st_mode) == 0o600
    assert len(key.read_bytes()) == 32
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as sock:
        sock.connect(str(launch.run_dir / "shim.sock"))
        with contextlib.suppress(OSError):
            sock.sendall(greeting + encode(Kind.INPUT, OFFSET.pack(1) + b"planted\r"))
        await until(lambda: is_closed(sock), "the stranger is turned away")
    await terminals.write(launch.run_dir, b"mine\r")
    assert b"got mine" in (await all_output(terminals, launch))[0]


async def test_many_viewers_of_many_pods_see_the_same(terminals: Terminals, pods: Pods) -> None:
    launches = [pods.launch("sh", "-c", f"seq {n} 5000", pod=f"p{n}") for n in range(1, 5)]
    for launch in launches:
        await terminals.start(launch)
    async with asyncio.TaskGroup() as tasks:
        viewers = [
            (n, tasks.create_task(all_output(terminals, launch)))
            for n, launch in enumerate(launches, 1)
            for _ in range(8)
        ]
    for n, viewer in viewers:
        assert viewer.result()[0].split() == [b"%d" % k for k in range(n, 5001)]


async def test_the_offsets_of_a_pod_go_on_over_its_restarts(
    terminals: Terminals, pods: Pods
) -> None:
    offset = 0
    for restart in range(3):
        launch = pods.launch("echo", f"run {restart}", restart=restart)
        await terminals.start(launch)
        said, _, ended = await all_output(terminals, launch, offset)
        assert said == b"run %d\r\n" % restart
        offset = ended.offset
    items = [item async for item in terminals.follow(launch.transcript_dir, None, 0)]
    assert items == [
        Chunk(0, b"run 0\r\n"),
        Chunk(7, b"run 1\r\n"),
        Chunk(14, b"run 2\r\n"),
        Ended(21, None),
    ]


async def test_old_output_is_dropped_and_told_as_a_gap(terminals: Terminals, pods: Pods) -> None:
    launch = pods.launch("seq", "1", "100000", segment_bytes=50_000, transcript_bytes=200_000)
    await terminals.start(launch)
    exited = await terminals.watch_exit(launch.run_dir)
    assert isinstance(exited, Exited)
    assert sum(file.stat().st_size for file in launch.transcript_dir.iterdir()) <= 200_000
    said, gaps, ended = await all_output(terminals, launch)
    assert gaps == [Gap(0, ended.offset - len(said))]
    assert said.endswith(b"\r\n99999\r\n100000\r\n")


async def test_a_full_disk_stops_no_agent_and_hides_no_exit(
    terminals: Terminals, pods: Pods
) -> None:
    script = "echo before; read x; seq 1 1000; read x; echo after; read x; echo unseen; exit 5"
    launch = pods.launch("bash", "-c", f"stty -echo; {script}")
    started = await terminals.start(launch)
    unlimited = resource.prlimit(started.pid, resource.RLIMIT_FSIZE)
    await output_until(terminals, launch, b"before\r\n")
    head = (await terminals.state(launch.run_dir)).head

    # no file of the shim can grow, whoever runs this test
    resource.prlimit(started.pid, resource.RLIMIT_FSIZE, (0, unlimited[1]))
    await terminals.write(launch.run_dir, b"\r")
    async with asyncio.timeout(10):
        while not (state := await terminals.state(launch.run_dir)).lost_bytes > 4000:
            await asyncio.sleep(0.01)
    resource.prlimit(started.pid, resource.RLIMIT_FSIZE, unlimited)
    await asyncio.sleep(0.3)  # the shim tries again four times a second
    lost = (await terminals.state(launch.run_dir)).lost_bytes
    assert state.head == head + state.lost_bytes
    await terminals.write(launch.run_dir, b"\r")
    said = await output_until(terminals, launch, b"after\r\n", head + lost)
    assert said == b"after\r\n"

    # the record of the exit has its space already
    resource.prlimit(started.pid, resource.RLIMIT_FSIZE, (1024, unlimited[1]))
    await terminals.write(launch.run_dir, b"\r")
    exited = await terminals.watch_exit(launch.run_dir)
    assert isinstance(exited, Exited)
    assert exited.exit_code == 5
    assert exited.lost_bytes == lost
    said, gaps, ended = await all_output(terminals, launch)
    assert said == b"before\r\nafter\r\nunseen\r\n"
    assert gaps == [Gap(head, head + lost)]
    assert ended.offset == len(said) + lost


async def test_an_exit_that_cannot_be_recorded_is_recorded_later(
    terminals: Terminals, pods: Pods
) -> None:
    launch = pods.launch("sh", "-c", "read x; exit 4")
    started = await terminals.start(launch)
    unlimited = resource.prlimit(started.pid, resource.RLIMIT_FSIZE)
    resource.prlimit(started.pid, resource.RLIMIT_FSIZE, (0, unlimited[1]))
    await terminals.write(launch.run_dir, b"\r")
    await until(lambda: not psutil.pid_exists(started.child_pid), "the program is gone")
    assert isinstance(await terminals.observe(launch.run_dir), Alive)
    assert (await terminals.state(launch.run_dir)).stopping
    resource.prlimit(started.pid, resource.RLIMIT_FSIZE, unlimited)
    exited = await terminals.watch_exit(launch.run_dir)
    assert isinstance(exited, Exited)
    assert exited.exit_code == 4


@pytest.mark.parametrize(
    "garbage",
    [
        pytest.param(b"GET / HTTP/1.1\r\n\r\n", id="HTTP"),
        pytest.param(os.urandom(4096), id="noise"),
        pytest.param(b"\x01\xff\xff\xff\xff", id="a huge frame"),
        pytest.param(encode(Kind.RESIZE, b"\0"), id="a short resize"),
        pytest.param(encode(Kind.STOP, b""), id="a stop without grace"),
        pytest.param(encode(Kind.INPUT, b"\0" * 40_000), id="too much input in one piece"),
        pytest.param(encode(Kind.SIGNAL, b"\xff"), id="no such signal"),
        pytest.param(encode(Kind.EXITED, b"{}"), id="an answer instead of a request"),
        pytest.param(encode(Kind.LAUNCH, b"{}"), id="a launch"),
        pytest.param(encode(Kind.STATE) * 5000, id="requests whose answers are not read"),
        pytest.param(b"\x03", id="a piece of a frame"),
    ],
)
async def test_garbage_on_the_socket_harms_nobody(
    terminals: Terminals, pods: Pods, garbage: bytes
) -> None:
    launch = pods.launch("sh", "-c", "read line; echo got $line")
    await terminals.start(launch)
    sock = await raw_connection(launch)
    sock.setblocking(False)
    with contextlib.suppress(OSError):
        sock.send(garbage)
    assert (await terminals.state(launch.run_dir)).stopping is False
    sock.close()
    assert (await terminals.state(launch.run_dir)).stopping is False
    await terminals.write(launch.run_dir, b"it\r")
    assert b"got it" in (await all_output(terminals, launch))[0]
    assert not (launch.run_dir / "shim.log").exists()


async def test_too_many_clients_are_turned_away_and_the_rest_served(
    terminals: Terminals, pods: Pods
) -> None:
    launch = pods.launch("sh", "-c", "read line; echo got $line")
    await terminals.start(launch)
    crowd: list[socket.socket] = []
    try:
        for _ in range(300):
            crowd.append(await raw_connection(launch))  # noqa: PERF401 - closed even if one fails
        await until(lambda: any(is_closed(sock) for sock in crowd), "some are turned away")
    finally:
        for sock in crowd:
            sock.close()
    await terminals.write(launch.run_dir, b"it\r")
    assert b"got it" in (await all_output(terminals, launch))[0]


def is_closed(sock: socket.socket) -> bool:
    sock.setblocking(False)
    try:
        return sock.recv(1) == b""
    except BlockingIOError:
        return False
    except ConnectionResetError:  # closed with what we had sent still unread
        return True


async def test_a_screen_is_rebuilt_from_a_transcript(terminals: Terminals, pods: Pods) -> None:
    script = "seq 1 5000; printf '\\033[2J\\033[3;5Hhello'; sleep 60"
    launch = pods.launch("bash", "-c", script)
    await terminals.start(launch)
    await output_until(terminals, launch, b"hello")
    screen, offset = await terminals.screen(launch.transcript_dir, 120, 40)
    assert screen.text() == "\n\n    hello"
    assert offset == terminals.size(launch.transcript_dir)
    screen.close()


async def test_fifty_idle_pods_cost_three_mebibytes_each_at_most(
    terminals: Terminals, pods: Pods
) -> None:
    async with asyncio.TaskGroup() as tasks:
        starts = [
            tasks.create_task(terminals.start(pods.launch("sleep", "60", pod=f"p{n}")))
            for n in range(50)
        ]
    used = []
    for start in starts:
        used.append(psutil.Process(start.result().pid).memory_full_info().pss)
        assert psutil.Process(start.result().pid).num_threads() == 1
    assert sum(used) / len(used) < 3 * 1024 * 1024
