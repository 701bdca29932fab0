"""``agentsmesh attach`` on a real terminal, against a controller that can be restarted."""

import contextlib
import os
import re
import select
import signal
import subprocess
import sys
import termios
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.process.cli.conftest import Site
from tests.process.cli.doubles import SCREEN

PROGRAM = str(Path(sys.executable).with_name("agentsmesh"))
DETACH = b"\x10\x11"


def until(claim: Callable[[], Any], what: str, seconds: float = 20) -> None:
    deadline = time.monotonic() + seconds
    while not claim():
        assert time.monotonic() < deadline, f"not within {seconds} s: {what}"
        time.sleep(0.02)


class Viewer:
    """The program on a pseudo-terminal of its own, started by a shell that goes on afterwards."""

    def __init__(self, site: Site, *arguments: str, pod: str = "pod") -> None:
        command = [PROGRAM, "attach", pod, "--kubeconfig", str(site.kubeconfig), *arguments]
        script = '"$@"; echo "ended with $?"; stty -a; exec sleep 60'
        self.fd, slave = os.openpty()
        self.resize(30, 100)
        # not by a fork of this process: the controller's gRPC has threads in it
        self.process = subprocess.Popen(
            ["setsid", "--ctty", "sh", "-c", script, "sh", *command],
            stdin=slave,
            stdout=slave,
            stderr=slave,
        )
        os.close(slave)
        self.before = termios.tcgetattr(self.fd)
        self.seen = b""

    def expect(self, text: bytes, seconds: float = 20) -> None:
        def arrived() -> bool:
            while select.select([self.fd], [], [], 0)[0]:
                self.seen += os.read(self.fd, 65536)
            return text in self.seen

        until(arrived, f"{text!r} in {self.seen!r}", seconds)

    def type(self, data: bytes) -> None:
        os.write(self.fd, data)

    def resize(self, rows: int, cols: int) -> None:
        termios.tcsetwinsize(self.fd, (rows, cols))

    def close(self) -> None:
        """Hang up: the shell and the program get SIGHUP."""
        os.close(self.fd)
        try:
            self.process.wait(10)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()

    def expect_the_end(self, exit_code: int) -> None:
        """Check how it ended and that the terminal is as it was before."""
        self.expect(b"ended with %d" % exit_code)
        self.expect(b"speed")
        until(lambda: termios.tcgetattr(self.fd) == self.before, "the terminal is as before")


@contextlib.contextmanager
def viewing(site: Site, *arguments: str, pod: str = "pod") -> Iterator[Viewer]:
    viewer = Viewer(site, *arguments, pod=pod)
    try:
        yield viewer
    finally:
        viewer.close()


def test_the_screen_comes_first_then_output_and_keys_go_to_the_agent(site: Site):
    site.terminal.write(b"what was there before\r\n")
    with viewing(site) as viewer:
        viewer.expect(SCREEN + b"what was there before")
        site.terminal.write(b"news\r\n")
        viewer.expect(b"news")
        viewer.type(b"\x03answer\r")  # Ctrl-C is the agent's
        until(lambda: site.terminal.typed == b"\x03answer\r", "the keys arrive")
        viewer.type(DETACH)
        viewer.expect(b"the agent goes on")
        viewer.expect_the_end(0)
    assert site.terminal.typed == b"\x03answer\r"


def test_the_keys_to_leave_with_are_told_once_the_pod_is_found(site: Site):
    with viewing(site) as viewer:
        viewer.expect(b"attached to pod; leave with ctrl-p,ctrl-q")
    with viewing(site, pod="nobody") as viewer:
        viewer.expect(b"there is no AgentPod nobody")
        viewer.expect_the_end(3)
    assert b"attached" not in viewer.seen


@pytest.mark.parametrize("arguments", [(), ("--read-only",)], ids=["typing", "looking"])
def test_a_suspended_pod_is_named_at_the_foot_of_the_screen(site: Site, arguments: tuple[str, ...]):
    site.terminal.write(b"asking")
    site.terminal.note("pod is suspended: it is frozen")
    with viewing(site, *arguments) as viewer:
        foot = b"\x1b7\x1b[30;1H\x1b[0;7m\x1b[2K[agentsmesh] %s\x1b[0m\x1b8"
        viewer.expect(SCREEN + b"asking" + foot % b"pod is suspended: it is frozen")
        site.terminal.note("pod goes on")
        viewer.expect(foot % b"pod goes on")


def test_without_a_terminal_a_suspended_pod_is_named_in_a_line(site: Site):
    site.terminal.note("pod is suspended: it is frozen")
    argv = [PROGRAM, "attach", "pod", "--kubeconfig", str(site.kubeconfig)]
    done = subprocess.run(argv, input=b"x", capture_output=True, check=False, timeout=40)
    assert (done.returncode, site.terminal.typed) == (0, b"x")
    assert b"[agentsmesh] pod is suspended: it is frozen\n" in done.stderr


def test_what_the_agent_showed_below_the_last_line_goes(site: Site):
    with viewing(site) as viewer:
        site.terminal.write(b"a long line of the agent\r\nand another\x1b[H")
        viewer.expect(b"another")
        viewer.type(DETACH)
        viewer.expect(b"\x1b[J[agentsmesh] detached from pod; the agent goes on")
        viewer.expect_the_end(0)


def test_a_lone_first_detach_key_reaches_the_agent(site: Site):
    with viewing(site) as viewer:
        viewer.expect(SCREEN)
        viewer.type(b"\x10")
        until(lambda: site.terminal.typed == b"\x10", "ctrl-p arrives by itself")


def test_other_detach_keys_can_be_chosen(site: Site):
    with viewing(site, "--detach-keys", "ctrl-]") as viewer:
        viewer.expect(SCREEN)
        viewer.type(DETACH)
        until(lambda: site.terminal.typed == DETACH, "the usual keys are the agent's now")
        viewer.type(b"\x1d")
        viewer.expect_the_end(0)


def test_the_size_is_told_at_the_start_and_when_it_changes(site: Site):
    with viewing(site) as viewer:
        viewer.expect(SCREEN)
        size = site.terminal.openings[0].size
        assert (size.cols, size.rows) == (100, 30)
        viewer.resize(20, 90)
        until(lambda: site.terminal.sizes == [(90, 20)], "the new size arrives")


def test_who_only_looks_types_and_resizes_nothing(site: Site):
    with viewing(site, "--read-only") as viewer:
        viewer.expect(SCREEN)
        assert site.terminal.openings[0].read_only
        assert not site.terminal.openings[0].HasField("size")
        viewer.type(b"hello\r")
        viewer.resize(20, 90)
        site.terminal.write(b"more\r\n")
        viewer.expect(b"more")
        viewer.type(b"\x03")
        viewer.expect_the_end(0)
    assert site.terminal.typed == b""
    assert site.terminal.sizes == []


def test_how_the_agent_ended_is_told(site: Site):
    with viewing(site) as viewer:
        viewer.expect(SCREEN)
        site.terminal.end(exit_code=3)
        viewer.expect(b"the agent ended with exit code 3")
        viewer.expect_the_end(0)


def test_modes_that_the_agent_left_on_are_switched_off(site: Site):
    with viewing(site) as viewer:
        viewer.expect(SCREEN)
        site.terminal.write(b"\x1b[?1049h\x1b[?1003h\x1b[?25l")
        viewer.expect(b"\x1b[?25l")
        viewer.type(DETACH)
        viewer.expect(b"\x1b[?1003l\x1b[?1049l\x1b[?25h")
        viewer.expect_the_end(0)


def test_the_terminal_comes_back_when_the_program_is_told_to_end(site: Site):
    with viewing(site) as viewer:
        viewer.expect(SCREEN)
        children = Path(
            f"/proc/{viewer.process.pid}/task/{viewer.process.pid}/children"
        ).read_text()
        os.kill(int(children.split()[0]), signal.SIGTERM)
        viewer.expect_the_end(0)


def test_a_restart_of_the_controller_loses_and_doubles_nothing(site: Site):
    lines = [b"line %d\r\n" % number for number in range(300)]
    with viewing(site) as viewer:
        viewer.expect(SCREEN)
        site.terminal.write(b"".join(lines[:100]))
        viewer.expect(lines[99])
        site.controller.stop()
        site.terminal.write(b"".join(lines[100:200]))
        site.controller.start()
        site.terminal.write(b"".join(lines[200:]))
        viewer.expect(lines[299])
        viewer.type(b"still here\r")
        until(lambda: site.terminal.typed == b"still here\r", "typing works again")
    numbers = [int(n) for n in re.findall(rb"line (\d+)\r\n", viewer.seen)]
    assert numbers == list(range(300))
    assert site.terminal.openings[1].start == 1  # from the offset


def test_input_may_come_from_a_pipe(site: Site):
    text = b"yes\r" * 20_000
    done = subprocess.run(
        [PROGRAM, "attach", "pod", "--kubeconfig", str(site.kubeconfig)],
        input=text,
        capture_output=True,
        check=False,
        timeout=30,
    )
    assert done.returncode == 0, done.stderr
    assert site.terminal.typed == text


def test_input_may_come_from_a_file(site: Site):
    path = site.folder / "input"
    path.write_bytes(b"from a file\r")
    with path.open("rb") as file:
        done = subprocess.run(
            [PROGRAM, "attach", "pod", "--kubeconfig", str(site.kubeconfig)],
            stdin=file,
            capture_output=True,
            check=False,
            timeout=30,
        )
    assert done.returncode == 0, done.stderr
    assert site.terminal.typed == b"from a file\r"


@pytest.mark.parametrize(("pod", "code"), [("pod", 0), ("nobody", 3)])
def test_there_may_be_no_input_at_all(site: Site, pod: str, code: int):
    done = subprocess.run(
        [PROGRAM, "attach", pod, "--kubeconfig", str(site.kubeconfig)],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        check=False,
        timeout=30,
    )
    assert done.returncode == code, done.stderr
    assert b"Traceback" not in done.stderr
    assert len(site.terminal.openings) == (code == 0)


@pytest.mark.parametrize("before", [True, False], ids=["before the verb", "behind the verb"])
def test_kubectl_finds_it_as_a_plugin(site: Site, *, before: bool):
    environment = {**os.environ, "PATH": f"{Path(PROGRAM).parent}:{os.environ['PATH']}"}
    site.terminal.write(b"by kubectl\r\n")
    where = ["-n", "default", "--kubeconfig", str(site.kubeconfig)]
    command = [*where, "logs", "pod"] if before else ["logs", "pod", *where]
    done = subprocess.run(
        ["kubectl", "mesh", *command],
        capture_output=True,
        check=False,
        env=environment,
        timeout=30,
    )
    assert (done.returncode, done.stdout) == (0, b"by kubectl\n"), done.stderr


@pytest.mark.parametrize("keys", ["ctrl-", "f1"])
def test_wrong_detach_keys_are_wrong_usage(site: Site, keys: str):
    done = subprocess.run(
        [PROGRAM, "attach", "pod", "--kubeconfig", str(site.kubeconfig), "--detach-keys", keys],
        capture_output=True,
        check=False,
        timeout=30,
    )
    assert done.returncode == 2
