"""Runs begin, are observed, end: on real processes."""

import errno
import os
import re
import signal
import sys
from pathlib import Path

import psutil
import pytest

from runner.drivers.terminal import (
    Absent,
    Alive,
    Chunk,
    Exited,
    LaunchError,
    NotRunning,
    Terminals,
)
from tests.process.runner.conftest import (
    Pods,
    all_output,
    gone,
    marked,
    output_until,
    until,
)

pytestmark = pytest.mark.anyio

IGNORES = "import signal; [signal.signal(s, signal.SIG_IGN) for s in (1, 2, 15)]\n"
"""Beginning of a program that cannot be asked to end."""

DAEMONISES = """
import os, signal, sys, time
def daemon(*ignored):
    if os.fork(): return
    os.setsid()
    if os.fork(): os._exit(0)
    for signum in ignored: signal.signal(signum, signal.SIG_IGN)
    for fd in range(3): os.close(fd)
    while True: time.sleep(60)
daemon()
daemon(signal.SIGTERM, signal.SIGHUP)
"""


async def test_output_and_exit_code_are_kept(terminals: Terminals, pods: Pods) -> None:
    launch = pods.launch("sh", "-c", "echo out; echo err >&2; exit 3")
    started = await terminals.start(launch)
    said, gaps, ended = await all_output(terminals, launch)
    assert said == b"out\r\nerr\r\n"
    assert gaps == []
    assert isinstance(ended.observed, Exited)
    assert (ended.observed.exit_code, ended.observed.signal) == (3, None)
    assert (
        ended.offset == ended.observed.offset == len(said) == terminals.size(launch.transcript_dir)
    )
    assert (started.uid, started.epoch, started.restart) == (launch.uid, 3, 0)


async def test_a_signal_that_ended_it_is_told(terminals: Terminals, pods: Pods) -> None:
    launch = pods.launch("sh", "-c", "kill -9 $$")
    await terminals.start(launch)
    exited = await terminals.watch_exit(launch.run_dir)
    assert isinstance(exited, Exited)
    assert (exited.exit_code, exited.signal) == (None, 9)


async def test_the_last_words_of_a_program_are_never_lost(terminals: Terminals, pods: Pods) -> None:
    for restart in range(20):
        launch = pods.launch("sh", "-c", f"seq {restart} 3000", restart=restart)
        offset = terminals.size(launch.transcript_dir)
        await terminals.start(launch)
        said, _, _ = await all_output(terminals, launch, offset)
        assert said.split() == [b"%d" % n for n in range(restart, 3001)]


async def test_the_program_gets_just_the_given_environment(
    terminals: Terminals, pods: Pods
) -> None:
    launch = pods.launch("/usr/bin/env", environment={"A": "1", "PATH": "/usr/bin", "Ü": "\udcff"})
    await terminals.start(launch)
    said, _, _ = await all_output(terminals, launch)
    assert set(said.split(b"\r\n")) == {
        b"A=1",
        b"PATH=/usr/bin",
        "Ü=".encode() + b"\xff",
        b"AGENTSMESH_POD_UID=" + launch.uid.encode(),
        b"",
    }


async def test_secrets_are_in_no_file_no_argument_and_no_repr(
    terminals: Terminals, pods: Pods
) -> None:
    secret = "s3cr3t-0123456789"
    launch = pods.launch("sleep", "60", environment={"PATH": "/usr/bin:/bin", "KEY": secret})
    started = await terminals.start(launch)
    assert secret not in repr(launch)
    assert terminals.zygote_pid is not None
    for pid in (started.pid, terminals.zygote_pid):
        process = psutil.Process(pid)
        assert process.environ() == {}
        assert secret not in " ".join(process.cmdline())
    for path in pods.root.rglob("*"):
        assert path.is_dir() or path.is_socket() or secret.encode() not in path.read_bytes()


async def test_files_and_socket_are_for_their_owner_only(terminals: Terminals, pods: Pods) -> None:
    launch = pods.launch("sh", "-c", "echo x; sleep 60")
    await terminals.start(launch)
    await output_until(terminals, launch, b"x")
    for path in (launch.run_dir, launch.transcript_dir):
        assert path.stat().st_mode & 0o777 == 0o700
        for file in path.iterdir():
            assert file.stat().st_mode & 0o777 == 0o600, file


async def test_the_program_has_plain_signals_mask_and_descriptors(
    terminals: Terminals, pods: Pods
) -> None:
    program = "import os; print(sorted(os.listdir('/proc/self/fd')), oct(os.umask(0)));"
    program += "print([l.strip() for l in open('/proc/self/status') if l[:3] == 'Sig'])"
    launch = pods.launch(sys.executable, "-I", "-S", "-c", program)
    await terminals.start(launch)
    said, _, _ = await all_output(terminals, launch)
    assert said.startswith(b"['0', '1', '2', '3'] 0o22")  # 3 reads the directory itself
    assert b"SigBlk:\\t0000000000000000" in said
    ignored = int(re.search(rb"SigIgn:\\t([0-9a-f]{16})", said)[1], 16)
    own = 0b11 << 31  # 32 and 33 are the C library's: who started the tests may have left them so
    assert ignored & ~own == 0x1001000  # what Python itself ignores: PIPE and XFSZ


async def test_descriptors_arrive_under_the_numbers_that_were_asked_for(
    terminals: Terminals, pods: Pods
) -> None:
    fours, nines = os.pipe(), os.pipe()
    launch = pods.launch(
        "sh", "-c", "echo four >&4; echo nine >&9", pass_fds={4: fours[1], 9: nines[1]}
    )
    await terminals.start(launch)
    os.close(fours[1])
    os.close(nines[1])
    await terminals.watch_exit(launch.run_dir)
    with os.fdopen(fours[0], "rb") as four, os.fdopen(nines[0], "rb") as nine:
        assert (four.read(), nine.read()) == (b"four\n", b"nine\n")


async def test_limits_hold_in_the_program(terminals: Terminals, pods: Pods) -> None:
    launch = pods.launch("sh", "-c", "ulimit -n", limits={"nofile": 77})
    await terminals.start(launch)
    assert (await all_output(terminals, launch))[0] == b"77\r\n"


@pytest.mark.parametrize(
    ("argv", "changes", "reason", "told"),
    [
        pytest.param(
            ("no-such-agent",), {}, "CommandNotFound", "PATH (/usr/bin:/bin)", id="not in PATH"
        ),
        pytest.param(("/no/such",), {}, "CommandNotFound", "/no/such", id="no such file"),
        pytest.param(
            ("/etc/passwd",), {}, "CommandNotExecutable", "/etc/passwd", id="not executable"
        ),
        pytest.param(("./script",), {}, "CommandNotFound", "interpreter", id="no interpreter"),
        pytest.param(("./garbage",), {}, "CommandNotExecutable", "garbage", id="no program"),
        pytest.param(
            ("ls", "x" * 200_000), {}, "CommandTooLong", "too long", id="argument too long"
        ),
        pytest.param(("ls", "a\0b"), {}, "BadArgument", "NUL", id="NUL in an argument"),
        pytest.param(
            ("ls",), {"cwd": Path("/no/where")}, "WorkingDirectory", "/no/where", id="no cwd"
        ),
        pytest.param(("ls",), {"limits": {"nofile": -7}}, "ExecFailed", "nofile", id="bad limit"),
        pytest.param(("ls",), {"pass_fds": {70: 0}}, "BadArgument", "3 to 63", id="bad descriptor"),
    ],
)
async def test_a_program_that_cannot_be_executed_is_an_error_and_leaves_nothing(
    terminals: Terminals,
    pods: Pods,
    argv: tuple[str, ...],
    changes: dict[str, object],
    reason: str,
    told: str,
) -> None:
    (pods.root / "script").write_text("#!/no/such/interpreter\n")
    (pods.root / "script").chmod(0o755)
    (pods.root / "garbage").write_bytes(b"\x00\x01garbage")
    (pods.root / "garbage").chmod(0o755)
    launch = pods.launch(*argv, **changes)
    with pytest.raises(LaunchError) as caught:
        await terminals.start(launch)
    assert caught.value.reason == reason
    assert told in caught.value.message
    assert await terminals.observe(launch.run_dir) == Absent(died=False)
    assert [path.name for path in launch.run_dir.glob("*") if path.name != "lock"] == []
    await until(lambda: not marked(launch.uid), "no process is left")


async def test_what_failed_to_start_can_be_started_when_the_cause_is_gone(
    terminals: Terminals, pods: Pods
) -> None:
    launch = pods.launch("./agent")
    with pytest.raises(LaunchError):
        await terminals.start(launch)
    (pods.root / "agent").write_text("#!/bin/sh\necho here\n")
    (pods.root / "agent").chmod(0o755)
    await terminals.start(launch)
    assert (await all_output(terminals, launch))[0] == b"here\r\n"


async def test_a_run_directory_is_used_once(terminals: Terminals, pods: Pods) -> None:
    launch = pods.launch("sleep", "60")
    await terminals.start(launch)
    for _ in range(2):
        with pytest.raises(LaunchError) as caught:
            await terminals.start(launch)
        assert caught.value.reason == "AlreadyStarted"
        await terminals.stop(launch.run_dir, 0)
        await terminals.watch_exit(launch.run_dir)


async def test_two_daemons_that_start_the_same_run_start_it_once(
    terminals: Terminals, pods: Pods
) -> None:
    launch = pods.launch("sleep", "60")
    results = []
    async with Terminals() as other:
        for one in (terminals, other):
            try:
                results.append(await one.start(launch))
            except LaunchError as exc:
                results.append(exc.reason)
    assert isinstance(results[0], Alive)
    assert results[1] == "AlreadyStarted"
    assert len(marked(launch.uid)) == 1


async def test_an_unusable_run_directory_is_told(terminals: Terminals, pods: Pods) -> None:
    (pods.root / "pods").write_text("a file where a directory should be")
    launch = pods.launch("ls")
    pods.launches.clear()
    with pytest.raises(LaunchError) as caught:
        await terminals.start(launch)
    assert caught.value.reason == "RunDirectory"
    assert os.strerror(errno.ENOTDIR) in caught.value.message


async def test_stop_lets_a_program_end_by_itself(terminals: Terminals, pods: Pods) -> None:
    launch = pods.launch(
        "bash", "-c", "trap 'echo bye; exit 7' TERM; echo up; while :; do sleep 0.1; done"
    )
    started = await terminals.start(launch)
    await output_until(terminals, launch, b"up")
    await terminals.stop(launch.run_dir, 30)
    said, _, ended = await all_output(terminals, launch)
    assert b"bye" in said
    assert isinstance(ended.observed, Exited)
    assert ended.observed.exit_code == 7
    await until(lambda: gone(started), "shim and program are gone")


async def test_stop_kills_after_the_grace(terminals: Terminals, pods: Pods) -> None:
    launch = pods.python(IGNORES + "print('up', flush=True)\nwhile True: signal.pause()")
    await terminals.start(launch)
    await output_until(terminals, launch, b"up")
    await terminals.stop(launch.run_dir, 0.3)
    await terminals.stop(launch.run_dir, 60)  # the earlier deadline stands
    exited = await terminals.watch_exit(launch.run_dir)
    assert isinstance(exited, Exited)
    assert exited.signal == signal.SIGKILL


async def test_stop_leaves_no_process_of_programs_that_daemonise_and_ignore_signals(
    terminals: Terminals, pods: Pods
) -> None:
    program = IGNORES + DAEMONISES + "print('up', flush=True)\nwhile True: signal.pause()"
    launch = pods.python(program)
    started = await terminals.start(launch)
    await output_until(terminals, launch, b"up")
    await until(lambda: len(marked(launch.uid)) == 3, "the program and two daemons")
    await terminals.stop(launch.run_dir, 0.2)
    exited = await terminals.watch_exit(launch.run_dir)
    assert isinstance(exited, Exited)
    assert marked(launch.uid) == []
    await until(lambda: gone(started), "shim and program are gone")
    assert not (launch.run_dir / "shim.sock").exists()


async def test_what_a_program_leaves_behind_when_it_ends_is_ended(
    terminals: Terminals, pods: Pods
) -> None:
    launch = pods.python(DAEMONISES + "print('done')")
    await terminals.start(launch)
    said, _, ended = await all_output(terminals, launch)
    assert said == b"done\r\n"
    assert isinstance(ended.observed, Exited)
    assert ended.observed.exit_code == 0
    assert marked(launch.uid) == []


async def test_a_program_that_forks_without_end_is_ended(terminals: Terminals, pods: Pods) -> None:
    # one that leaves a child behind every 2 ms, and one that is another process every time
    program = """
import os, signal, time
if not os.fork():
    os.setsid()
    while True:
        if os.fork(): os._exit(0)
while True:
    time.sleep(0.002)
    if not os.fork():
        os.setsid()
        while True: signal.pause()
"""
    launch = pods.python(IGNORES + program)
    await terminals.start(launch)
    await until(lambda: len(marked(launch.uid)) > 20, "a crowd of processes")
    await terminals.stop(launch.run_dir, 0)
    assert isinstance(await terminals.watch_exit(launch.run_dir), Exited)
    assert marked(launch.uid) == []


async def test_inside_a_wrapper_the_program_is_asked_and_not_the_wrapper(
    terminals: Terminals, pods: Pods
) -> None:
    wrapper = pods.root / "wrapper"
    wrapper.write_bytes(Path("/bin/bash").read_bytes())
    wrapper.chmod(0o755)
    agent = "import signal, sys\nsignal.signal(15, lambda *_: (print('bye'), sys.exit(4)))\n"
    agent += "print('up')\nwhile True: signal.pause()"
    (pods.root / "agent.py").write_text(agent)
    script = f"{sys.executable} -I -S -u agent.py; exit $?"
    launch = pods.launch(str(wrapper), "-c", script, wrapper=True)
    await terminals.start(launch)
    await output_until(terminals, launch, b"up")
    await terminals.stop(launch.run_dir, 30)
    said, _, ended = await all_output(terminals, launch)
    assert b"bye" in said
    assert isinstance(ended.observed, Exited)
    assert ended.observed.exit_code == 4


async def test_a_terminated_shim_lets_its_program_end(terminals: Terminals, pods: Pods) -> None:
    launch = pods.launch("bash", "-c", "trap 'exit 5' TERM; echo up; while :; do sleep 0.1; done")
    started = await terminals.start(launch)
    await output_until(terminals, launch, b"up")
    for signum in (signal.SIGHUP, signal.SIGINT, signal.SIGQUIT):
        os.kill(started.pid, signum)
    assert (await terminals.state(launch.run_dir)).stopping is False
    os.kill(started.pid, signal.SIGTERM)
    exited = await terminals.watch_exit(launch.run_dir)
    assert isinstance(exited, Exited)
    assert exited.exit_code == 5


async def test_a_killed_shim_is_noticed_and_what_it_left_is_ended(
    terminals: Terminals, pods: Pods
) -> None:
    program = IGNORES + DAEMONISES + "print('up', flush=True)\nwhile True: signal.pause()"
    launch = pods.python(program)
    started = await terminals.start(launch)
    await output_until(terminals, launch, b"up")
    await until(lambda: len(marked(launch.uid)) == 3, "the program and two daemons")
    bystander = pods.launch("sleep", "60", pod="bystander")
    await terminals.start(bystander)
    os.kill(started.pid, signal.SIGKILL)
    assert await terminals.watch_exit(launch.run_dir) == Absent(died=True)
    with pytest.raises(NotRunning):
        await terminals.write(launch.run_dir, b"x")
    await terminals.stop(launch.run_dir, 5)
    await terminals.stop(launch.run_dir, 5)
    assert marked(launch.uid) == []
    assert isinstance(await terminals.observe(bystander.run_dir), Alive)


async def test_the_leftovers_of_one_run_are_not_the_next_run(
    terminals: Terminals, pods: Pods
) -> None:
    first = pods.launch("sleep", "60", restart=0)
    killed = await terminals.start(first)
    os.kill(killed.pid, signal.SIGKILL)
    assert await terminals.watch_exit(first.run_dir) == Absent(died=True)
    second = pods.launch("sleep", "60", restart=1)
    await terminals.start(second)
    await terminals.stop(first.run_dir, 0)
    assert isinstance(await terminals.observe(second.run_dir), Alive)
    await until(lambda: gone(killed), "shim and program are gone")


async def test_a_stuck_shim_is_no_obstacle_to_stopping(
    terminals: Terminals, pods: Pods, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("runner.drivers.terminal_client.ANSWER_SECONDS", 0.2)
    launch = pods.launch("sleep", "60")
    started = await terminals.start(launch)
    os.kill(started.pid, signal.SIGSTOP)
    await terminals.stop(launch.run_dir, 1)
    await until(lambda: gone(started), "shim and program are gone")
    assert await terminals.observe(launch.run_dir) == Absent(died=True)


async def test_nothing_ever_ran_in_a_directory_that_does_not_exist(
    terminals: Terminals, root: Path
) -> None:
    nowhere = root / "nowhere"
    assert await terminals.observe(nowhere) == Absent(died=False)
    assert await terminals.watch_exit(nowhere) == Absent(died=False)
    await terminals.stop(nowhere, 1)
    with pytest.raises(NotRunning):
        await terminals.state(nowhere)


async def test_a_machine_restart_is_a_death(terminals: Terminals, pods: Pods) -> None:
    launch = pods.launch("sleep", "60")
    started = await terminals.start(launch)
    os.kill(started.pid, signal.SIGKILL)
    await terminals.watch_exit(launch.run_dir)
    identity = launch.run_dir / "identity.json"
    identity.write_text(identity.read_text().replace('"boot_id": "', '"boot_id": "f'))
    assert await terminals.observe(launch.run_dir) == Absent(died=True)
    await terminals.stop(launch.run_dir, 0)  # numbers of another boot prove nothing


async def test_long_paths_work(terminals: Terminals, pods: Pods) -> None:
    deep = pods.root / ("d" * 120) / ("e" * 120)
    launch = pods.launch(
        "sh", "-c", "read line; echo got $line", run_dir=deep, transcript_dir=deep / "t"
    )
    await terminals.start(launch)
    await terminals.write(launch.run_dir, b"it\r")
    assert b"got it" in (await all_output(terminals, launch))[0]


async def test_history_is_read_without_a_shim(terminals: Terminals, pods: Pods) -> None:
    launch = pods.launch("echo", "history")
    await terminals.start(launch)
    await terminals.watch_exit(launch.run_dir)
    items = [item async for item in terminals.follow(launch.transcript_dir, None, 2)]
    assert items[0] == Chunk(2, b"story\r\n")
    assert items[1:] == [items[-1]]
    assert terminals.read(launch.transcript_dir, 0, 3) == Chunk(0, b"his")
