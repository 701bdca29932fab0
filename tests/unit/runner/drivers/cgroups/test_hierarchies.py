"""Where a process is in the hierarchies, from what the kernel says of mounts and groups."""

from pathlib import Path

from runner.drivers.cgroups.files import limit
from runner.drivers.cgroups.hierarchies import hierarchies
from runner.drivers.cgroups.values import GroupLimits, Version


def process(tmp_path: Path, mounts: list[str], groups: list[str]) -> Path:
    """Make a directory as /proc/PID has them."""
    folder = tmp_path / "proc"
    folder.mkdir()
    (folder / "mountinfo").write_text("\n".join(mounts) + "\n")
    (folder / "cgroup").write_text("\n".join(groups) + "\n")
    return folder


def mounted(root: str, at: Path, kind: str, options: str) -> str:
    where = str(at).replace(" ", "\\040")
    return f"30 24 0:26 {root} {where} rw,nosuid shared:9 - {kind} none rw,{options}"


def test_v2_is_found_with_the_controllers_of_our_group(tmp_path: Path) -> None:
    own = tmp_path / "cgroup" / "system.slice" / "runner.service"
    own.mkdir(parents=True)
    (own / "cgroup.controllers").write_text("cpu memory pids\n")
    mount = mounted("/", tmp_path / "cgroup", "cgroup2", "nsdelegate")
    [found] = hierarchies(process(tmp_path, [mount], ["0::/system.slice/runner.service"]))
    assert found.version is Version.V2
    assert found.own == own
    assert found.controllers == {"cpu", "memory", "pids"}


def test_controllers_of_v1_that_are_mounted_together_are_one_hierarchy(tmp_path: Path) -> None:
    at = tmp_path / "cpu,cpuacct"
    (at / "user.slice").mkdir(parents=True)
    mount = mounted("/", at, "cgroup", "cpu,cpuacct")
    [found] = hierarchies(process(tmp_path, [mount], ["4:cpu,cpuacct:/user.slice", "0::/"]))
    assert (found.version, found.own) == (Version.V1, at / "user.slice")
    assert found.controllers == {"cpu"}


def test_a_container_sees_its_own_part_as_the_whole(tmp_path: Path) -> None:
    at = tmp_path / "memory"
    at.mkdir()
    mount = mounted("/docker/abc", at, "cgroup", "memory")
    [found] = hierarchies(process(tmp_path, [mount], ["7:memory:/docker/abc"]))
    assert found.own == at


def test_a_place_with_a_space_in_its_name_is_found(tmp_path: Path) -> None:
    at = tmp_path / "my groups"
    (at / "mine").mkdir(parents=True)
    mount = mounted("/", at, "cgroup", "pids")
    [found] = hierarchies(process(tmp_path, [mount], ["7:pids:/mine"]))
    assert found.own == at / "mine"


def test_hierarchies_of_no_use_and_other_mounts_are_left_out(tmp_path: Path) -> None:
    mounts = [
        mounted("/", tmp_path / "devices", "cgroup", "devices"),
        mounted("/", tmp_path / "systemd", "cgroup", "name=systemd"),
        mounted("/", tmp_path / "tmp", "tmpfs", "mode=755"),
    ]
    groups = ["5:devices:/", "9:name=systemd:/", "0::/"]
    assert hierarchies(process(tmp_path, mounts, groups)) == []


def test_a_process_that_cannot_be_looked_at_has_none(tmp_path: Path) -> None:
    assert hierarchies(tmp_path / "gone") == []


def test_limits_are_written_in_the_words_of_v2(tmp_path: Path) -> None:
    for name in ("memory.max", "memory.swap.max", "memory.oom.group", "cpu.max", "pids.max"):
        (tmp_path / name).touch()
    assert limit([str(tmp_path)], GroupLimits(1 << 30, 1500, 99)) == frozenset()
    said = {path.name: path.read_text() for path in tmp_path.iterdir()}
    assert said == {
        "memory.max": str(1 << 30),
        "memory.swap.max": "0",
        "memory.oom.group": "1",
        "cpu.max": "150000 100000",
        "pids.max": "99",
    }
