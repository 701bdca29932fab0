"""A terminal inside a sandbox is a whole one: job control, and ^C to who is in front."""

import contextlib
import os
import pty
import select
import shutil
import signal
import time

import psutil
import pytest

from runner.drivers.sandbox.values import Capabilities
from tests.unit.runner.drivers.sandbox.conftest import Pod
from tests.unit.runner.drivers.sandbox.starting import command

BASH = shutil.which("bash", path="/usr/bin:/bin")


class Terminal:
    """A pseudo-terminal with a sandboxed program on it, as the shim makes one."""

    def __init__(self, pod: Pod, level: Capabilities, *argv: str) -> None:
        environment = {**pod.request.environment, "PS1": "ready> "}
        prepared = pod.prepared(level, *argv, environment=environment)
        with command(prepared) as (line, fds):
            self.pid, self.fd = pty.fork()
            if self.pid == 0:
                os.chdir(pod.request.cwd)
                for fd in fds:
                    os.set_inheritable(fd, True)
                os.execve(line[0], line, dict(prepared.environment))  # noqa: S606  a child of our own
        self.seen = ""

    def type(self, text: str) -> None:
        os.write(self.fd, text.encode())

    def until(self, text: str) -> str:
        """Return all that was shown up to *text*, and forget it."""
        deadline = time.monotonic() + 20
        while text not in self.seen:
            ready, _, _ = select.select([self.fd], [], [], deadline - time.monotonic())
            assert ready, f"{text!r} did not come: {self.seen!r}"
            self.seen += os.read(self.fd, 65536).decode(errors="replace")
        before, _, self.seen = self.seen.partition(text)
        return before

    def close(self) -> None:
        os.kill(self.pid, signal.SIGKILL)
        os.waitpid(self.pid, 0)
        os.close(self.fd)


@pytest.mark.skipif(BASH is None, reason="bash is not installed")
@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")
def test_job_control_works(pod: Pod, level: Capabilities) -> None:
    terminal = Terminal(pod, level, str(BASH), "--norc", "--noprofile", "-i")
    try:
        assert "no job control" not in terminal.until("ready> ")
        terminal.type("sleep 321\n")
        terminal.until("\n")
        _wait_for_front(terminal)
        terminal.type("\x1a")  # ^Z
        terminal.until("Stopped")
        terminal.until("ready> ")
        terminal.type("fg\n")
        terminal.until("sleep 321\r\n")
        _wait_for_front(terminal)
        terminal.type("\x03")  # ^C
        terminal.until("ready> ")
        terminal.type("echo status $?; tty; stty size\n")
        shown = terminal.until("ready> ")
        assert "status 130" in shown
        assert "not a tty" not in shown
    finally:
        terminal.close()


def _wait_for_front(terminal: Terminal) -> None:
    """Wait until the shell has put sleep in front of its terminal."""
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline:
        front = os.tcgetpgrp(terminal.fd)
        for process in psutil.process_iter(["name"]):
            with contextlib.suppress(OSError):
                if process.info["name"] == "sleep" and os.getpgid(process.pid) == front:
                    return
        time.sleep(0.01)
    raise AssertionError("sleep never came to the front")


def test_ctrl_c_reaches_an_agent_that_does_not_use_job_control(
    pod: Pod, level: Capabilities
) -> None:
    script = "trap 'echo caught; exit 5' INT; echo up; while :; do sleep 0.05; done"
    terminal = Terminal(pod, level, "/bin/sh", "-c", script)
    terminal.until("up")
    terminal.type("\x03")
    terminal.until("caught")
    _, status = os.waitpid(terminal.pid, 0)
    os.close(terminal.fd)
    assert os.waitstatus_to_exitcode(status) == 5
