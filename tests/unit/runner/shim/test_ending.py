"""How programs are asked to end, by what they have handlers for: real processes."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from runner.shim import ending, tree
from runner.shim.ending import Ending

_READY = "\nprint('up', flush=True)\nwhile True: signal.pause()"
_NOTES = """
import os, signal, sys
def note(n, _): os.write(1, signal.Signals(n).name.encode() + b"\\n")
"""


class Program:
    """A child of this process in a group of its own, with no terminal."""

    def __init__(self, *argv: str) -> None:
        self._process = subprocess.Popen(argv, stdout=subprocess.PIPE, start_new_session=True)
        self.pid = self._process.pid
        assert self.said() == "up"

    def groups(self) -> set[int]:
        return {self.pid}

    def said(self) -> str:
        assert self._process.stdout is not None
        return self._process.stdout.readline().decode().strip()

    def wait(self) -> int:
        return self._process.wait(timeout=30)

    def is_over(self) -> bool:
        return self._process.poll() is not None

    def close(self) -> None:
        self._process.kill()
        self._process.wait()
        if self._process.stdout is not None:
            self._process.stdout.close()


@pytest.fixture
def run() -> Iterator[Callable[..., Program]]:
    """Return a function that starts a program; all are gone afterwards."""
    started: list[Program] = []

    def start(*argv: str) -> Program:
        started.append(Program(*argv))
        return started[-1]

    yield start
    for each in started:
        each.close()


@pytest.fixture
def python(run: Callable[..., Program]) -> Callable[[str], Program]:
    return lambda text: run(sys.executable, "-I", "-S", "-c", _NOTES + text + _READY)


def ended(program: Program, grace_seconds: float) -> tuple[int, str]:
    """End the program as a shim does; return its exit code and the step that it ended at."""
    child: Any = program

    def kill() -> int:
        return tree.kill(program.pid) + int(tree.send(_process(program.pid), signal.SIGKILL))

    end = Ending(os.getpid(), child, kill, wrapper=False)
    end.ask(grace_seconds)
    deadline = time.monotonic() + 60
    while not program.is_over():
        assert time.monotonic() < deadline
        end.tick()
        time.sleep(min(0.02, end.wait_seconds() or 0.02))  # as its loop does
    return program.wait(), end.step


def _process(pid: int) -> tree.Process:
    found = tree.find(pid)
    assert found is not None
    return found


def test_who_knows_how_to_end_is_asked_and_not_interrupted(python: Any) -> None:
    program = python("signal.signal(signal.SIGTERM, lambda *_: sys.exit(7))")
    assert ended(program, 60) == (7, ending.TERMINATED)


def test_who_would_die_of_being_asked_is_interrupted_first(python: Any) -> None:
    program = python("signal.signal(signal.SIGINT, lambda *_: sys.exit(8))")
    assert ended(program, 60) == (8, ending.INTERRUPTED)


def test_who_is_interrupted_has_time_to_save_its_work(python: Any, tmp_path: Path) -> None:
    saved = tmp_path / "saved"
    save = f"""
import time
def save(*_):
    time.sleep(0.5)
    open({str(saved)!r}, "w").close()
    sys.exit(0)
signal.signal(signal.SIGINT, save)
"""
    assert ended(python(save), 60) == (0, ending.INTERRUPTED)
    assert saved.exists()


def test_who_does_not_heed_an_interrupt_is_asked_next(python: Any) -> None:
    program = python("signal.signal(signal.SIGINT, note)")
    assert ended(program, 4) == (-signal.SIGTERM, ending.TERMINATED)
    assert program.said() == "SIGINT"


def test_who_heeds_only_a_hang_up_gets_one(python: Any) -> None:
    program = python("for n in (signal.SIGINT, signal.SIGTERM): signal.signal(n, note)")
    assert ended(program, 6) == (-signal.SIGHUP, ending.HUNG_UP)
    assert program.said() == "SIGTERM"


def test_who_heeds_nothing_is_killed_when_its_grace_is_over(python: Any) -> None:
    heedless = "for n in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP): signal.signal(n, note)"
    program = python(heedless)
    assert ended(program, 2) == (-signal.SIGKILL, ending.KILLED)
    assert [program.said(), program.said()] == ["SIGTERM", "SIGHUP"]


def test_without_grace_it_is_killed_at_once(python: Any) -> None:
    program = python("for n in (signal.SIGINT, signal.SIGTERM): signal.signal(n, note)")
    assert ended(program, 0) == (-signal.SIGKILL, ending.KILLED)


def test_a_script_that_traps_only_its_end_is_not_interrupted(run: Any) -> None:
    script = "trap 'exit 7' TERM; echo up; while :; do sleep 0.05; done"
    assert ended(run("bash", "-c", script), 60) == (7, ending.TERMINATED)


def test_asked_again_with_less_grace_the_earlier_end_stands(python: Any) -> None:
    program = python("signal.signal(signal.SIGINT, note)")
    end = Ending(os.getpid(), program, lambda: 0, wrapper=False)
    end.ask(600)
    end.ask(1)
    end.ask(600)
    deadline = time.monotonic() + 60
    while not program.is_over():
        assert time.monotonic() < deadline
        end.tick()
        time.sleep(0.005)
    assert program.wait() < 0
