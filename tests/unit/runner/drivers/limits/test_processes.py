import os
import subprocess
import sys

from runner.drivers.limits.processes import crowd, memory_bytes

MIB = 1024 * 1024
HOLD = "import sys; held = bytearray(int(sys.argv[1])); print('held', flush=True); input()"


def test_memory_is_looked_at_closely_only_when_it_could_be_too_much() -> None:
    pipe = subprocess.PIPE
    argv = [sys.executable, "-c", HOLD, str(64 * MIB)]
    with subprocess.Popen(argv, stdin=pipe, stdout=pipe) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"held\n"
        one = (process.pid,)
        assert memory_bytes(one, 1) > 64 * MIB
        assert memory_bytes(one, 1) <= memory_bytes(one, 1 << 40)
        process.communicate(b"\n")


def test_a_process_that_is_gone_uses_nothing() -> None:
    done = subprocess.Popen(["true"])
    done.wait()
    assert memory_bytes((done.pid,), 1) == 0


def test_all_living_processes_below_count_with_their_threads() -> None:
    script = "sleep 300 & sleep 300 & echo up; wait"
    with subprocess.Popen(["sh", "-c", script], stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        process.stdout.readline()
        found = crowd(process.pid)
        assert len(found.pids) == 2
        assert found.threads == 2
        for pid in (*found.pids, process.pid):
            os.kill(pid, 9)
