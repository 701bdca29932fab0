import os
import select
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from runner.drivers.cgroups.cgroups import Cgroups, elsewhere
from runner.drivers.cgroups.values import CgroupError, GroupLimits, Version
from runner.shim.group import Group, bell

MIB = 1024 * 1024
Start = Callable[..., subprocess.Popen[bytes]]

FORKS = "while :; do setsid sleep 300 & done"
HELD = "import sys; held = bytearray(int(sys.argv[1])); print('held', flush=True); input()"


def until(true: Callable[[], object], what: str) -> None:
    deadline = time.monotonic() + 20
    while not true():
        assert time.monotonic() < deadline, what
        time.sleep(0.01)


@pytest.fixture
def start() -> Iterator[Start]:
    started: list[subprocess.Popen[bytes]] = []

    def run(group: Group, *argv: str) -> subprocess.Popen[bytes]:
        pipe = subprocess.PIPE
        started.append(
            subprocess.Popen(
                argv,
                preexec_fn=group.enter,  # noqa: PLW1509  there are no threads here
                stdin=pipe,
                stdout=pipe,
                stderr=subprocess.DEVNULL,
            )
        )
        return started[-1]

    yield run
    for process in started:
        process.kill()
        for pipe in (process.stdin, process.stdout):
            if pipe is not None:
                pipe.close()
        process.wait()


def test_what_is_started_in_a_group_stays_there_however_it_goes_away(
    cgroups: Cgroups, start: Start
) -> None:
    group = cgroups.make("pod.1-0", GroupLimits()).group
    start(group, "sh", "-c", "env -i setsid sleep 300 & setsid -f sleep 300; exit").wait()
    assert len(group.pids()) == 2
    assert group.kill()
    until(lambda: not group.pids(), "all of them dead")
    assert group.remove()


def test_a_fork_bomb_is_killed_whole(cgroups: Cgroups, start: Start) -> None:
    group = cgroups.make("pod.1-0", GroupLimits(pids=200)).group
    start(group, "sh", "-c", FORKS)
    until(lambda: len(group.pids()) > 50, "many")
    group.kill()
    until(lambda: not group.pids(), "all of them dead")
    assert group.remove()


def test_a_frozen_group_does_nothing_until_it_is_thawed(
    cgroups: Cgroups, start: Start, tmp_path: Path
) -> None:
    group, beat = cgroups.make("pod.1-0", GroupLimits()).group, tmp_path / "beat"
    start(group, "sh", "-c", f"while :; do echo >> {beat}; done")
    until(beat.exists, "its first sign")
    assert group.freeze()
    assert group.frozen
    size = beat.stat().st_size
    assert beat.stat().st_size == size
    assert group.thaw()
    assert not group.frozen
    until(lambda: beat.stat().st_size > size, "its next sign")


def test_a_frozen_group_can_be_killed(cgroups: Cgroups, start: Start) -> None:
    group = cgroups.make("pod.1-0", GroupLimits()).group
    process = start(group, "sleep", "300")
    assert group.freeze()
    assert group.kill()
    assert process.wait(20) == -9


def test_forks_fail_beyond_the_limit_and_only_inside(cgroups: Cgroups, start: Start) -> None:
    made = cgroups.make("pod.1-0", GroupLimits(pids=10))
    assert not made.unkept
    process = start(made.group, sys.executable, "-c", _COUNT_FORKS)
    assert process.stdout is not None
    assert process.stdout.readline() == b"9\n"
    process.kill()
    made.group.kill()
    assert subprocess.run(["true"], check=True).returncode == 0


_COUNT_FORKS = """
import os, time
n = 0
try:
    while n < 50:
        if not os.fork():
            time.sleep(300)
        n += 1
except BlockingIOError:
    print(n, flush=True)
"""


def test_who_takes_more_memory_than_the_limit_is_killed_and_the_bell_rings(
    cgroups: Cgroups, start: Start
) -> None:
    made = cgroups.make("pod.1-0", GroupLimits(memory_bytes=64 * MIB))
    assert not made.unkept
    told = bell(made.group)
    assert told is not None
    try:
        process = start(made.group, sys.executable, "-c", HELD, str(256 * MIB))
        assert process.wait(20) == -9
        assert _rang(told.fd, told.events)
        told.hear()
    finally:
        told.close()
    until(made.group.oom_kills, "the kernel's count")


def _rang(fd: int, events: int) -> bool:
    poll = select.epoll()
    poll.register(fd, events)
    try:
        return bool(poll.poll(10))
    finally:
        poll.close()


def test_who_stays_below_the_limit_is_left_alone(cgroups: Cgroups, start: Start) -> None:
    group = cgroups.make("pod.1-0", GroupLimits(memory_bytes=256 * MIB)).group
    process = start(group, sys.executable, "-c", HELD, str(64 * MIB))
    assert process.stdout is not None
    assert process.stdout.readline() == b"held\n"
    used = cgroups.usage("pod.1-0")
    assert used.memory_bytes is not None
    assert used.memory_bytes > 64 * MIB
    assert used.pids == 1
    assert used.oom_kills == 0


def test_a_processor_is_shared_out(cgroups: Cgroups) -> None:
    group = cgroups.make("pod.1-0", GroupLimits(cpu_millis=250)).group
    quotas = [
        text
        for directory in group.directories
        for name in ("cpu.max", "cpu.cfs_quota_us")
        if (Path(directory) / name).exists()
        for text in (Path(directory) / name).read_text().split()[:1]
    ]
    assert quotas == ["25000"]


def test_a_group_in_use_is_not_made_again(cgroups: Cgroups, start: Start) -> None:
    group = cgroups.make("pod.1-0", GroupLimits()).group
    start(group, "sleep", "300")
    with pytest.raises(CgroupError, match="in use"):
        cgroups.make("pod.1-0", GroupLimits())
    assert group.pids()


def test_an_empty_group_of_an_earlier_runner_is_made_anew(cgroups: Cgroups) -> None:
    cgroups.make("pod.1-0", GroupLimits(pids=5))
    group = cgroups.make("pod.1-0", GroupLimits()).group
    assert {
        (Path(directory) / "pids.max").read_text().strip()
        for directory in group.directories
        if (Path(directory) / "pids.max").exists()
    } == {"max"}


def test_groups_made_inside_a_group_go_with_it(cgroups: Cgroups, start: Start) -> None:
    group = cgroups.make("pod.1-0", GroupLimits()).group
    nested = Group([f"{directory}/deep/er" for directory in group.directories])
    for directory in nested.directories:
        Path(directory).mkdir(parents=True)
    start(nested, "sleep", "300")
    assert group.kill()
    until(lambda: not group.pids(), "all of them dead")
    assert group.remove()


@pytest.mark.parametrize("name", ["", "../other", "a/b", ".", "-", "a\nb"])
def test_only_names_of_runs_name_groups(name: str, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="cannot name a group"):
        Cgroups((tmp_path,), {}).group(name)


def test_two_data_directories_have_nothing_in_common(cgroups: Cgroups, tmp_path: Path) -> None:
    other_dir = tmp_path / "other"
    other_dir.mkdir()
    other = Cgroups.open(other_dir)
    try:
        cgroups.make("mine.1-0", GroupLimits())
        assert other.names() == []
    finally:
        other.close()


def test_groups_that_were_made_from_elsewhere_are_found_again(
    cgroups: Cgroups, tmp_path: Path
) -> None:
    cgroups.make("pod.1-0", GroupLimits())
    moved = Cgroups.open(tmp_path, [])  # as if this process had been started in another group
    found = {directory for group in elsewhere(tmp_path, moved) for directory in group.directories}
    assert found >= set(cgroups.group("pod.1-0").directories)
    assert elsewhere(tmp_path, cgroups) == []


def test_where_nothing_can_be_made_nothing_is_promised(tmp_path: Path) -> None:
    made = Cgroups.open(tmp_path, [])
    assert not made
    assert made.kept == {}
    assert not made.make("pod.1-0", GroupLimits()).group
    assert made.make("pod.1-0", GroupLimits(pids=3)).unkept == {"pids"}


@pytest.mark.skipif(os.geteuid() != 0, reason="root has the hierarchies of a machine")
def test_limits_are_kept_by_what_the_machine_has(cgroups: Cgroups) -> None:
    assert set(cgroups.kept) <= {"memory", "cpu", "pids"}
    assert set(cgroups.kept.values()) <= {Version.V1, Version.V2}
