"""What agents a runner finds, how often it looks, and how often it asks for a version."""

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from pathlib import Path

import pytest
from meshwire.v1 import link_pb2

from runner.converge.agents_found import AgentsFound

pytestmark = pytest.mark.anyio


class Versions:
    """Answers with the program's text, once it may."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, tuple[str, ...]]] = []
        self.may = asyncio.Event()
        self.may.set()

    async def ask(self, program: Path, args: Sequence[str]) -> str:
        self.asked.append((program.name, tuple(args)))
        await self.may.wait()
        return program.read_text()


class Machine:
    """A search path, and the looking."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.versions = Versions()
        self.agents = AgentsFound((folder,), self.versions, every_seconds=0.05)
        self.changed = asyncio.Condition()

    def install(self, name: str, text: str) -> None:
        place = self.folder / f"{name}.new"
        place.write_text(text)
        place.chmod(0o755)
        place.rename(self.folder / name)

    def seen(self) -> list[tuple[str, bool, str]]:
        found = self.agents.found()
        return [
            (each.looked_for.name, bool(each.path), each.version)
            for each in (found.agents if found else ())
        ]

    async def until(self, claim: Callable[[], bool]) -> None:
        async with asyncio.timeout(10):
            while not claim():
                await asyncio.sleep(0.01)


@pytest.fixture
async def machine(tmp_path: Path) -> AsyncIterator[Machine]:
    made = Machine(tmp_path)
    async with asyncio.TaskGroup() as tasks:
        running = tasks.create_task(made.agents.run())
        yield made
        running.cancel()


def program(name: str, executable: str, *args: str) -> link_pb2.AgentProgram:
    return link_pb2.AgentProgram(name=name, executable=executable, version_args=args)


def catalogue(*programs: link_pb2.AgentProgram) -> link_pb2.AgentCatalogue:
    return link_pb2.AgentCatalogue(agents=programs)


async def test_what_is_there_is_told_with_its_path_and_what_is_not_with_the_reason(
    machine: Machine,
) -> None:
    machine.install("one", "1.0")
    assert machine.agents.found() is None
    machine.agents.look_for(catalogue(program("a", "one", "-V"), program("b", "two", "-V")))
    await machine.until(lambda: machine.seen() == [("a", True, "1.0"), ("b", False, "")])
    found = machine.agents.found()
    assert found is not None
    one, two = found.agents
    assert (one.path, one.problem) == (str(machine.folder / "one"), "")
    assert two.problem == (
        f"The executable 'two' was not found on this runner (searched {machine.folder}): install "
        "it, or place the pod on a runner that has it."
    )
    assert one.looked_for == program("a", "one", "-V")


async def test_that_it_is_there_need_not_wait_for_its_version(machine: Machine) -> None:
    machine.install("one", "1.0")
    machine.versions.may.clear()
    machine.agents.look_for(catalogue(program("a", "one", "-V")))
    await machine.until(lambda: machine.seen() == [("a", True, "")])
    machine.versions.may.set()
    await machine.until(lambda: machine.seen() == [("a", True, "1.0")])


async def test_a_program_is_asked_once_until_it_changes(machine: Machine) -> None:
    machine.install("one", "1.0")
    machine.agents.look_for(catalogue(program("a", "one", "-V"), program("b", "one", "-V")))
    await machine.until(lambda: machine.seen() == [("a", True, "1.0"), ("b", True, "1.0")])
    machine.agents.look_for(catalogue(program("b", "one", "-V"), program("c", "none")))
    await machine.until(lambda: machine.seen() == [("b", True, "1.0"), ("c", False, "")])
    assert machine.versions.asked == [("one", ("-V",))]
    machine.install("one", "2.0.0")
    await machine.until(lambda: machine.seen() == [("b", True, "2.0.0"), ("c", False, "")])
    assert machine.versions.asked == [("one", ("-V",))] * 2


async def test_a_class_without_a_version_command_has_nothing_run(machine: Machine) -> None:
    machine.install("one", "1.0")
    machine.agents.look_for(catalogue(program("a", "one")))
    await machine.until(lambda: machine.seen() == [("a", True, "")])
    assert machine.versions.asked == []


async def test_what_is_installed_and_taken_away_later_is_noticed(machine: Machine) -> None:
    machine.agents.look_for(catalogue(program("a", "one")))
    await machine.until(lambda: machine.seen() == [("a", False, "")])
    told: list[None] = []
    close = machine.agents.subscribe(lambda: told.append(None))
    machine.install("one", "1.0")
    await machine.until(lambda: machine.seen() == [("a", True, "")])
    assert len(told) == 1
    close()
    (machine.folder / "one").unlink()
    await machine.until(lambda: machine.seen() == [("a", False, "")])
    assert len(told) == 1


async def test_a_name_that_cannot_be_one_is_a_problem_and_no_end(machine: Machine) -> None:
    machine.agents.look_for(catalogue(program("a", "x" * 5000), program("b", "/" + "y/" * 5000)))
    await machine.until(lambda: machine.seen() == [("a", False, ""), ("b", False, "")])
    found = machine.agents.found()
    assert found is not None
    assert all(0 < len(each.problem) <= 1024 for each in found.agents)


async def test_a_program_that_does_not_answer_is_asked_again_and_not_for_ever(
    machine: Machine,
) -> None:
    machine.install("mute", "")
    machine.agents.look_for(catalogue(program("m", "mute", "-V")))
    await machine.until(lambda: len(machine.versions.asked) == 5)
    machine.install("other", "1.0")
    machine.agents.look_for(catalogue(program("m", "mute", "-V"), program("o", "other", "-V")))
    await machine.until(lambda: ("o", True, "1.0") in machine.seen())
    assert [name for name, _ in machine.versions.asked].count("mute") == 5
