"""Real processes on a real terminal, as the sampler sees them."""

import os
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from runner.converge.activity import Processes
from runner.converge.activity_process import Sampler, Terminal
from runner.shim import tree


@dataclass
class Pod:
    """Something that stands for the shim, an agent below it, and the terminal's other end."""

    root: int
    agent: int
    master: int

    def type(self, text: str) -> None:
        os.write(self.master, text.encode())


@contextmanager
def pod(*argv: str) -> Iterator[Pod]:
    master, slave = os.openpty()
    script = 'exec 3<&0; setsid -c "$@" <&3 3<&- & wait'  # else it would read from nowhere
    shim = subprocess.Popen(
        ["sh", "-c", script, "sh", *argv], stdin=slave, stdout=slave, stderr=slave
    )
    try:
        agent = until(lambda: next((p.pid for p in tree.descendants(shim.pid)), None))
        yield Pod(shim.pid, agent, master)
    finally:
        tree.kill(shim.pid)
        shim.kill()
        shim.wait()
        os.close(master)
        os.close(slave)


def until(found: Callable[[], int | None]) -> int:
    deadline = time.monotonic() + 30
    while (value := found()) is None:
        assert time.monotonic() < deadline
        time.sleep(0.01)
    return value


def sampled(of: Pod, wanted: Callable[[Processes], bool]) -> Processes:
    """Look again and again until it is as wanted."""
    sampler = Sampler(of.root, of.agent)
    deadline = time.monotonic() + 30
    found = None
    while time.monotonic() < deadline:
        found = sampler.look(time.monotonic(), Terminal())
        if found is not None and wanted(found):
            return found
        time.sleep(0.2)
    raise AssertionError(found)


SHELL = ("bash", "--norc", "--noprofile", "-i")


def test_who_uses_the_processor_is_named() -> None:
    with pod("sh", "-c", "while :; do :; done") as of:
        found = sampled(of, lambda seen: bool(seen.busy))
        assert found.busy == "sh"
        assert found.busy_since <= found.at


def test_short_lived_children_count_as_well() -> None:
    with pod("sh", "-c", "while :; do ls / >/dev/null; done") as of:
        assert sampled(of, lambda seen: bool(seen.busy)).busy


def test_a_shell_at_its_prompt_is_the_agent_and_not_another_program() -> None:
    with pod(*SHELL) as of:
        found = sampled(of, lambda seen: not seen.busy)
        assert (found.foreground, found.line_reader, found.is_unsure) == ("", "", False)


def test_a_command_that_does_not_wait_for_the_terminal_is_told_from_one_that_does() -> None:
    with pod(*SHELL) as of:
        of.type("sleep 1000\n")
        found = sampled(of, lambda seen: bool(seen.foreground))
        assert (found.foreground, found.line_reader) == ("sleep", "")
    with pod(*SHELL) as of:
        of.type("cat\n")
        found = sampled(of, lambda seen: bool(seen.line_reader))
        assert (found.foreground, found.line_reader) == ("", "cat")


def test_a_line_without_echo_is_told_by_the_terminal() -> None:
    with pod("sleep", "1000") as of:
        sampler = Sampler(of.root, of.agent)
        sampler.look(1.0, Terminal())
        hidden = sampler.look(2.0, Terminal(line_mode=True, echo=False))
        assert hidden is not None
        assert hidden.hides_input
        raw = sampler.look(3.0, Terminal(line_mode=False, echo=False))
        assert raw is not None
        assert not raw.hides_input


def test_nothing_is_told_of_a_pod_that_is_gone_or_was_not_looked_at_before() -> None:
    with pod("sleep", "1000") as of:
        assert Sampler(of.root, of.agent).look(1.0, Terminal()) is None
    gone = Sampler(of.root, of.agent)
    assert gone.look(1.0, Terminal()) is None
    assert gone.look(2.0, Terminal()) is None
    nobody = Sampler(0, 0)
    assert nobody.look(1.0, Terminal()) is None
    assert nobody.look(2.0, Terminal()) is None
