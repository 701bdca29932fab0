"""Which program a pod was started from, and in what version, is told and not forgotten."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest
from meshwire.v1 import link_pb2

from runner.converge.agents_used import AgentsUsed, Used, condition
from runner.converge.places import Places
from runner.converge.states import Row, State

UID = "11111111-2222-3333-4444-555555555555"
RUNNING = Row(uid=UID, epoch=1, namespace="acme", name="fix", state=State.RUNNING, started_ms=5)


class Versions:
    """What programs told, by their paths."""

    def __init__(self) -> None:
        self.told: dict[str, str] = {}

    def version(self, path: Path, args: Sequence[str], changed_ns: int) -> str:
        assert list(args) == ["--version"]
        assert changed_ns
        return self.told.get(str(path), "")


class Machine:
    """A runner's data directory with a program."""

    def __init__(self, folder: Path) -> None:
        self.places, self.versions = Places(folder / "data"), Versions()
        self.places.private(UID).mkdir(parents=True)
        self.program = folder / "claude"
        self.program.touch()
        self.used = AgentsUsed(self.places, self.versions)

    def start(self) -> None:
        asked = link_pb2.RunSpec(executable="claude", version_args=["--version"])
        self.used.planned(UID, self.program, asked)

    def said(self, row: Row = RUNNING) -> tuple[bool, str, str]:
        (told,) = self.used.source(row).conditions
        assert told.type == "AgentFound"
        return told.status, told.reason, told.message


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    return Machine(tmp_path)


def test_program_and_version_are_told_once_it_has_started(machine: Machine) -> None:
    machine.versions.told[str(machine.program)] = "2.1.330 (Claude Code)"
    machine.start()
    assert not machine.used.source(replace(RUNNING, started_ms=0)).conditions
    text = f"claude is {machine.program}, version 2.1.330 (Claude Code)"
    assert machine.said() == (True, "Found", text)
    assert machine.used.source(RUNNING).agent_version == "2.1.330 (Claude Code)"


def test_a_version_that_is_told_later_is_added(machine: Machine) -> None:
    machine.start()
    status, reason, message = machine.said()
    assert (status, reason) == (False, "VersionUnknown")
    assert f"{machine.program} --version" in message
    assert machine.used.news() == []
    machine.versions.told[str(machine.program)] = "2.1"
    assert machine.used.news() == [UID]
    assert machine.used.news() == []
    assert machine.said()[1] == "Found"


def test_what_it_was_started_from_outlives_the_runner_and_the_program(machine: Machine) -> None:
    machine.versions.told[str(machine.program)] = "2.1.330"
    machine.start()
    machine.program.unlink()
    machine.used = AgentsUsed(machine.places, Versions())
    assert machine.used.source(RUNNING).agent_version == "2.1.330"


def test_a_program_that_is_not_there_is_told_with_where_it_was_looked_for(machine: Machine) -> None:
    text = "The executable 'claude' was not found on this runner (searched /usr/bin)"
    row = replace(
        RUNNING, state=State.FAILED, started_ms=0, reason="ExecutableNotFound", message=text
    )
    assert machine.said(row) == (False, "AgentNotFound", text)


def test_nothing_is_told_of_a_pod_that_nobody_planned(machine: Machine) -> None:
    assert machine.used.source(RUNNING) == link_pb2.PodObserved()


@pytest.mark.parametrize(
    ("version", "minimum", "reason"),
    [
        pytest.param("codex-cli 0.169.0", "", "Found", id="any will do"),
        pytest.param("codex-cli 0.169.0", "0.169", "Found", id="as old as allowed"),
        pytest.param("codex-cli 0.99.12", "0.169", "VersionTooOld", id="too old"),
        pytest.param("codex", "0.169", "VersionUnknown", id="no version in it"),
        pytest.param("", "0.169", "VersionUnknown", id="nothing told"),
    ],
)
def test_versions_are_compared_by_their_numbers(version: str, minimum: str, reason: str) -> None:
    used = Used("codex", "/bin/codex", 1, ("--version",), minimum, version)
    assert condition(used).reason == reason


def test_a_class_without_a_command_for_it_asks_for_no_version() -> None:
    said = condition(Used("sh", "/bin/sh", 1))
    assert (said.status, said.reason) == (True, "Found")
