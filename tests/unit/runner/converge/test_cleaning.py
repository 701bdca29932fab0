"""A runner that starts clears what an earlier one left, and nothing that is not its own."""

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from runner.converge.cleaning import clean_groups
from runner.converge.places import Places
from runner.drivers.cgroups.cgroups import Cgroups
from runner.drivers.cgroups.values import GroupLimits
from runner.shim.group import Group

RUN = "00000001-aaaa.1-0"

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="others can make no groups")


@pytest.fixture
def cgroups(tmp_path: Path) -> Iterator[Cgroups]:
    made = Cgroups.open(tmp_path)
    yield made
    clean_groups(Places(tmp_path), made)
    made.close()


def started(cgroups: Cgroups, name: str) -> Group:
    """Leave a process, whose parent has gone, in a new group."""
    group = cgroups.make(name, GroupLimits()).group
    subprocess.run(["setsid", "-f", "sleep", "300"], preexec_fn=group.enter, check=True)  # noqa: PLW1509  no threads
    assert group.pids()
    return group


def test_what_is_left_of_a_run_that_is_over_is_killed(cgroups: Cgroups, tmp_path: Path) -> None:
    left = started(cgroups, RUN)
    cgroups.make("00000002-bbbb.1-0", GroupLimits())
    assert clean_groups(Places(tmp_path), cgroups) == [RUN, "00000002-bbbb.1-0"]
    assert not left.pids()
    assert cgroups.names() == []


def test_groups_of_another_runner_stay(cgroups: Cgroups, tmp_path: Path) -> None:
    other_dir = tmp_path / "other"
    other_dir.mkdir()
    other = Cgroups.open(other_dir)
    theirs = started(other, RUN)
    assert clean_groups(Places(tmp_path), cgroups) == []
    assert theirs.pids()
    assert clean_groups(Places(other_dir), other) == [RUN]
    other.close()


def test_groups_that_were_made_from_another_session_are_cleared(
    cgroups: Cgroups, tmp_path: Path
) -> None:
    left = started(cgroups, RUN)
    moved = Cgroups.open(tmp_path, [])
    assert RUN in clean_groups(Places(tmp_path), moved)
    assert not left.pids()
    assert cgroups.names() == []
