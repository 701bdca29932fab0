"""Which agents of the controller's catalogue are on this machine, and in what version."""

import asyncio
import functools
import logging
import os
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Protocol

from meshwire.v1 import link_pb2

from runner.drivers import agents

logger = logging.getLogger(__name__)

_SECONDS: Final = 60.0
"""Programs come and go without a word: so often it is looked again."""
_ATTEMPTS: Final = 5
"""So often a program is asked for its version until it answers, once in each look."""
_LONGEST_PROBLEM: Final = 1024
"""Characters."""


class Versions(Protocol):
    """What is needed of ``runner.drivers.sandbox.version.VersionCommand``."""

    async def ask(self, program: Path, args: Sequence[str]) -> str:
        """Return the version; empty when it is not known."""
        ...


@dataclass(frozen=True, slots=True)
class _File:
    """A program, and by what it is seen to have changed; links followed."""

    path: Path
    changed_ns: int
    size: int


_Place = _File | str
"""The program, or one sentence on why there is none."""
_Asked = tuple[_File, tuple[str, ...]]


class AgentsFound:
    """Looks for agents when the catalogue changes, and now and then. ``run`` does it."""

    def __init__(
        self, search_path: Sequence[Path], versions: Versions, *, every_seconds: float = _SECONDS
    ) -> None:
        self._search_path = tuple(search_path)
        self._versions = versions
        self._every_seconds = every_seconds
        self._catalogue: link_pb2.AgentCatalogue | None = None
        self._found: link_pb2.AgentsFound | None = None
        self._said: dict[_Asked, str] = {}
        """What programs answered, also when that was nothing."""
        self._unanswered: dict[_Asked, int] = {}
        """How often one was asked that answered nothing: a busy machine may be the reason."""
        self._wake = asyncio.Event()
        self._listeners: dict[object, Callable[[], None]] = {}

    def look_for(self, catalogue: link_pb2.AgentCatalogue) -> None:
        """Take the newest catalogue; looked for in the background."""
        if catalogue != self._catalogue:
            self._catalogue = catalogue
            self._wake.set()

    def found(self) -> link_pb2.AgentsFound | None:
        """Return what was found last; None before the first look. Never changed afterwards."""
        return self._found

    def version(self, path: Path, args: Sequence[str], changed_ns: int) -> str:
        """Return what the program told when it was asked; empty: nothing, or not yet."""
        for (file, asked), told in tuple(self._said.items()):
            if (file.path, file.changed_ns, asked) == (path, changed_ns, tuple(args)):
                return told
        return ""

    def subscribe(self, wake: Callable[[], None]) -> Callable[[], None]:
        """Have *wake* called when something else is found; return what ends that."""
        key = object()
        self._listeners[key] = wake

        def close() -> None:
            self._listeners.pop(key, None)

        return close

    async def run(self) -> None:
        """Look until cancelled."""
        while True:
            try:
                async with asyncio.timeout(self._every_seconds):
                    await self._wake.wait()
            except TimeoutError:
                logger.debug("looking for agents again")
            self._wake.clear()
            if self._catalogue is not None:
                await self._look(tuple(self._catalogue.agents))

    async def _look(self, programs: tuple[link_pb2.AgentProgram, ...]) -> None:
        names = sorted({program.executable for program in programs})
        work = functools.partial(_places, names, self._search_path)
        places = await asyncio.get_running_loop().run_in_executor(None, work)
        wanted = list(dict.fromkeys(_asked(programs, places)))
        self._said = {key: self._said[key] for key in wanted if key in self._said}
        self._unanswered = {key: n for key, n in self._unanswered.items() if key in self._said}
        self._tell(programs, places)  # whether it is there need not wait for its version
        # those that did not answer come last: each may keep the others waiting for its whole time
        for key in sorted(wanted, key=lambda key: self._unanswered.get(key, 0)):
            if self._wake.is_set():
                return  # another catalogue came
            if not self._said.get(key) and self._unanswered.get(key, 0) < _ATTEMPTS:
                file, args = key
                self._said[key] = await self._versions.ask(file.path, args)
                if not self._said[key]:
                    self._unanswered[key] = self._unanswered.get(key, 0) + 1
                self._tell(programs, places)

    def _tell(self, programs: Iterable[link_pb2.AgentProgram], places: dict[str, _Place]) -> None:
        found = link_pb2.AgentsFound(
            agents=[self._answer(program, places[program.executable]) for program in programs]
        )
        if found == self._found:
            return
        self._found = found
        for wake in tuple(self._listeners.values()):
            wake()

    def _answer(self, program: link_pb2.AgentProgram, place: _Place) -> link_pb2.AgentFound:
        if isinstance(place, str):
            return link_pb2.AgentFound(looked_for=program, problem=place)
        version = self._said.get((place, tuple(program.version_args)), "")
        return link_pb2.AgentFound(looked_for=program, path=str(place.path), version=version)


def _asked(
    programs: Iterable[link_pb2.AgentProgram], places: dict[str, _Place]
) -> Iterable[_Asked]:
    for program in programs:
        place = places[program.executable]
        if program.version_args and not isinstance(place, str):
            yield place, tuple(program.version_args)


def _places(names: Iterable[str], search_path: Sequence[Path]) -> dict[str, _Place]:
    return {name: _place(name, search_path) for name in names}


def _place(name: str, search_path: Sequence[Path]) -> _Place:
    try:
        path = agents.resolve(name, search_path)
        about = os.stat(path)  # noqa: PTH116  one call, and a fake path would not have it
    except agents.ExecutableNotFoundError as exc:
        return exc.message[:_LONGEST_PROBLEM]
    except (OSError, ValueError) as exc:
        return f"The executable {name[:120]!r} cannot be looked at: {exc}."[:_LONGEST_PROBLEM]
    return _File(path, about.st_mtime_ns, about.st_size)
