import dataclasses
from pathlib import Path

import pytest

from runner.drivers.cgroups.cgroups import Cgroups
from runner.drivers.limits.keeping import equipped, keepers, size, told
from runner.drivers.limits.values import DEFAULT_PIDS, Asked, Limit
from runner.drivers.terminal_values import Launch


def launch(tmp_path: Path, asked: Asked, account: int = 0) -> Launch:
    return Launch(
        uid="00000001-aaaa",
        epoch=1,
        restart=0,
        run_dir=tmp_path / "run",
        transcript_dir=tmp_path / "transcript",
        argv=("true",),
        environment={},
        cwd=tmp_path,
        limits={"core": 0},
        asked=asked,
        account=account,
    )


def test_without_groups_limits_are_watched_or_kept_by_rlimits(tmp_path: Path) -> None:
    made = equipped(launch(tmp_path, Asked(open_files=99)), Cgroups.none())
    assert made.kept == {
        "memory": "watched",
        "cpu": "none",
        "pids": "watched",
        "openFiles": "rlimit",
        "disk": "watched",
    }
    assert made.limits == {"core": 0, "nofile": 99}
    assert made.group == ()


def test_an_account_of_its_own_counts_its_processes(tmp_path: Path) -> None:
    made = equipped(launch(tmp_path, Asked(pids=7), account=2_000_000_001), Cgroups.none())
    assert made.limits["nproc"] == 7
    assert made.kept["pids"] == "rlimit"


def test_a_sandbox_can_count_processes_itself(tmp_path: Path) -> None:
    counting = dataclasses.replace(launch(tmp_path, Asked(pids=7)), counted=True)
    made = equipped(counting, Cgroups.none())
    assert "nproc" not in made.limits  # it would count all processes of the runner's account
    assert made.kept["pids"] == "rlimit"
    assert keepers(Cgroups.none(), counted=True)[Limit.PIDS] == "rlimit"


def test_a_machine_promises_what_its_groups_keep() -> None:
    promised = keepers(Cgroups((), {"memory": "cgroup2", "pids": "cgroup1"}))
    assert promised[Limit.MEMORY] == "cgroup2"
    assert promised[Limit.PIDS] == "cgroup1"
    assert promised[Limit.CPU] == "none"


def test_every_pod_has_a_limit_of_processes() -> None:
    assert Asked().most_pids == DEFAULT_PIDS
    assert 1024 <= DEFAULT_PIDS <= 4096
    assert Asked().limits() == ()  # but it did not ask for one


@pytest.mark.parametrize(
    ("asked", "kept", "expected"),
    [
        pytest.param(
            Asked(memory_bytes=1, pids=1),
            {"memory": "cgroup2", "pids": "cgroup2"},
            (True, "Enforced", "memory, pids: kept by cgroup2"),
            id="all by the kernel",
        ),
        pytest.param(
            Asked(cpu_millis=1, open_files=1),
            {"cpu": "none", "openFiles": "rlimit"},
            (
                False,
                "NotEnforced",
                "cpu: nothing on this runner can keep it; openFiles: kept by rlimit",
            ),
            id="one by nothing",
        ),
        pytest.param(
            Asked(disk_bytes=1),
            {"disk": "watched"},
            (
                True,
                "Watched",
                "disk: looked at now and then, and the pod is ended when it is over",
            ),
            id="one watched",
        ),
        pytest.param(
            Asked(memory_bytes=1),
            {},
            (False, "NotEnforced", "memory: nothing on this runner can keep it"),
            id="a pod of an older runner",
        ),
    ],
)
def test_what_keeps_the_limits_is_said(
    asked: Asked, kept: dict[str, str], expected: tuple[bool, str, str]
) -> None:
    assert told(asked, kept) == expected


@pytest.mark.parametrize(
    ("amount", "said"),
    [(0, "0 bytes"), (1536, "1.5 KiB"), (100 << 20, "100 MiB"), (4 << 30, "4 GiB")],
)
def test_amounts_are_said_as_people_do(amount: int, said: str) -> None:
    assert size(amount) == said
