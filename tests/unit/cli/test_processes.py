"""A process is known by its pid and its start."""

import os
import signal
import subprocess
import sys

from cli import processes
from cli.processes import Process


def _sleeper(*code: str) -> "subprocess.Popen[bytes]":
    return subprocess.Popen(
        [sys.executable, "-c", *(code or ("import time; time.sleep(60)",))], stdout=subprocess.PIPE
    )


def test_a_running_process_is_alive_and_a_finished_one_is_not():
    with _sleeper() as running:
        found = processes.find(running.pid)
        assert found is not None
        assert found.alive()
        running.kill()
        assert found.wait(10)
        assert not found.alive()  # not waited for: a zombie


def test_somebody_else_with_the_same_pid_is_left_alone():
    me = processes.me()
    other = Process(me.pid, "another time")
    assert not other.alive()
    assert not other.signal(signal.SIGKILL)
    assert not other.end(1)


def test_a_stubborn_process_is_ended_by_force():
    code = (
        "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN);"
        "print('set', flush=True); time.sleep(60)"
    )
    with _sleeper(code) as stubborn:
        assert stubborn.stdout is not None
        assert stubborn.stdout.readline() == b"set\n"
        found = processes.find(stubborn.pid)
        assert found is not None
        assert found.end(0.1)
        assert stubborn.wait(10) == -signal.SIGKILL


def test_what_is_written_down_is_read_back():
    me = processes.me()
    assert Process.of(me.document()) == me
    assert Process.of({"pid": os.getpid()}) is None
    assert Process.of({"pid": 0, "started": ""}) is None
    assert Process.of("nonsense") is None
