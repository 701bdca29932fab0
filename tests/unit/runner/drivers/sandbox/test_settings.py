"""One copy of the machine's settings serves all pods, and is never behind the machine."""

import os
from pathlib import Path

import pytest

from runner.drivers.sandbox import settings
from runner.drivers.sandbox.settings import shared_etc


@pytest.fixture
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Have another folder stand for ``/etc``."""
    etc = tmp_path / "etc"
    (etc / "profile.d").mkdir(parents=True)
    (etc / "profile.d/10-path.sh").write_text("PATH=/a")
    (etc / "profile.d/link.sh").symlink_to("10-path.sh")
    (etc / "certs").mkdir()
    for number in range(40):
        (etc / "certs" / f"{number}.pem").write_text("pem")
    (etc / "zone").write_text("UTC")
    (etc / "localtime").symlink_to("zone")
    (etc / "large").write_text("x" * 100_000)
    monkeypatch.setattr(settings, "_ETC", etc)
    monkeypatch.setattr(settings, "ACCOUNTS", (f"{etc}/passwd", f"{etc}/group"))
    return etc


def _wanted(machine: Path) -> tuple[str, ...]:
    names = ("profile.d", "certs", "localtime", "large", "absent")
    return tuple(f"{machine}/{name}" for name in names)


def test_small_settings_are_copied_and_large_ones_bound(machine: Path, tmp_path: Path) -> None:
    etc, bound = shared_etc(tmp_path / "copies", _wanted(machine))
    assert bound == (f"{machine}/certs", f"{machine}/large")
    assert (etc / "profile.d/10-path.sh").read_text() == "PATH=/a"
    assert (etc / "profile.d/link.sh").readlink() == Path("10-path.sh")
    assert (etc / "localtime").read_text() == "UTC"
    assert not (etc / "localtime").is_symlink()
    assert {path.name for path in etc.iterdir()} == {
        *("profile.d", "localtime", "certs", "large", "passwd", "group")
    }
    assert list((etc / "certs").iterdir()) == []
    assert (etc / "large").read_bytes() == b""


def test_pods_share_one_copy(machine: Path, tmp_path: Path) -> None:
    first = shared_etc(tmp_path / "copies", _wanted(machine))
    assert shared_etc(tmp_path / "copies", _wanted(machine)) == first
    assert len(list((tmp_path / "copies").iterdir())) == 1


def test_a_changed_setting_is_seen_by_the_next_pod_and_not_by_the_last(
    machine: Path, tmp_path: Path
) -> None:
    before, _ = shared_etc(tmp_path / "copies", _wanted(machine))
    (machine / "profile.d/10-path.sh").write_text("PATH=/b/longer")
    after, _ = shared_etc(tmp_path / "copies", _wanted(machine))
    assert (before / "profile.d/10-path.sh").read_text() == "PATH=/a"
    assert (after / "profile.d/10-path.sh").read_text() == "PATH=/b/longer"


def test_the_target_of_a_link_is_watched_too(machine: Path, tmp_path: Path) -> None:
    shared_etc(tmp_path / "copies", _wanted(machine))
    (machine / "zone").write_text("Europe")
    after, _ = shared_etc(tmp_path / "copies", _wanted(machine))
    assert (after / "localtime").read_text() == "Europe"


def test_what_is_no_file_is_bound_and_not_read(machine: Path, tmp_path: Path) -> None:
    os.mkfifo(machine / "profile.d/pipe")
    _, bound = shared_etc(tmp_path / "copies", _wanted(machine))
    assert f"{machine}/profile.d" in bound


def test_names_are_looked_up_as_the_machine_does_it_now(tmp_path: Path) -> None:
    _, bound = shared_etc(tmp_path / "copies")
    assert {"/etc/hosts", "/etc/resolv.conf"} & set(bound) == {
        name for name in ("/etc/hosts", "/etc/resolv.conf") if Path(name).exists()
    }
