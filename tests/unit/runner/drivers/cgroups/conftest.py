"""Groups of this machine, made below a root of their own; nothing of them survives a test."""

import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from runner.drivers.cgroups.cgroups import Cgroups
from runner.drivers.cgroups.hierarchies import hierarchies
from runner.drivers.cgroups.values import Version
from runner.shim.group import Group

OPENERS: dict[str, Callable[[Path], Cgroups]] = {
    "as found": Cgroups.open,
    "v1 alone": lambda path: Cgroups.open(
        path, [each for each in hierarchies() if each.version is Version.V1]
    ),
}


def offered() -> list[str]:
    """Return what can be had here: nothing for ordinary users of most machines."""
    if os.geteuid() != 0:
        return []
    v1 = any(each.version is Version.V1 for each in hierarchies())
    return list(OPENERS) if v1 else ["as found"]


@pytest.fixture(params=offered())
def cgroups(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Cgroups]:
    made = OPENERS[request.param](tmp_path)
    yield made
    for name in made.names():
        clear(made.group(name))
    made.close()
    assert not any(root.exists() for root in made.roots)


def clear(group: Group) -> None:
    """End what is in the group and remove it."""
    while not group.remove():
        group.kill()
