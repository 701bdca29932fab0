"""Accounts of pods: one each, kept by who owns the home, given away whole."""

import os
import threading
from pathlib import Path

import pytest

from runner.drivers.sandbox.accounts import (
    DEFAULT,
    Accounts,
    NoAccountError,
    Range,
    hand_over,
    may_read,
    may_write,
    open_up,
    parse,
)

only_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root gives files away")
FEW = Range(2_000_000_000, 2_000_000_002)


def home(pods: Path, uid: str) -> Path:
    place = pods / uid / "home"
    place.mkdir(parents=True)
    return place


@only_root
def test_a_pod_keeps_its_account_and_shares_it_with_none(tmp_path: Path) -> None:
    homes = [home(tmp_path, str(number)) for number in range(3)]
    given = [Accounts(tmp_path, FEW).of(each) for each in homes]
    assert sorted(given) == [2_000_000_000, 2_000_000_001, 2_000_000_002]
    assert [Accounts(tmp_path, FEW).of(each) for each in homes] == given


@only_root
def test_an_account_is_free_when_its_home_is_gone_and_others_come_first(tmp_path: Path) -> None:
    accounts = Accounts(tmp_path, FEW)
    first = home(tmp_path, "a")
    number = accounts.of(first)
    first.rmdir()
    assert accounts.of(home(tmp_path, "b")) != number
    accounts.of(home(tmp_path, "c"))
    assert accounts.of(home(tmp_path, "d")) == number
    with pytest.raises(NoAccountError, match="--pod-uid-range"):
        accounts.of(home(tmp_path, "e"))


@only_root
def test_what_was_in_a_home_before_goes_along(tmp_path: Path) -> None:
    place = home(tmp_path, "a")
    (place / "settings").write_text("x")
    number = Accounts(tmp_path, FEW).of(place)
    assert (place / "settings").stat().st_uid == number


@only_root
def test_pods_that_start_at_once_get_different_accounts(tmp_path: Path) -> None:
    accounts = Accounts(tmp_path)
    homes = [home(tmp_path, str(number)) for number in range(30)]
    threads = [threading.Thread(target=accounts.of, args=(each,)) for each in homes]
    for each in threads:
        each.start()
    for each in threads:
        each.join()
    assert len({each.stat().st_uid for each in homes}) == 30


@only_root
def test_all_is_handed_over_and_no_link_is_followed(tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "file").touch()
    tree = tmp_path / "tree"
    (tree / "a/b").mkdir(parents=True)
    (tree / "a/b/file").touch()
    (tree / "link").symlink_to(outside)
    (tree / "a/to-file").symlink_to(outside / "file")
    os.mkfifo(tree / "fifo")
    hand_over(tree, FEW.first)
    assert {each.lstat().st_uid for each in (tree, *tree.rglob("*"))} == {FEW.first}
    assert outside.stat().st_uid == (outside / "file").stat().st_uid == os.geteuid()


@only_root
def test_what_was_handed_over_is_looked_at_again_only_when_asked_to(tmp_path: Path) -> None:
    tree = tmp_path / "tree"
    tree.mkdir()
    hand_over(tree, FEW.first)
    (tree / "new").touch()
    hand_over(tree, FEW.first)
    assert (tree / "new").stat().st_uid == os.geteuid()
    hand_over(tree, FEW.first, whole=True)
    assert (tree / "new").stat().st_uid == FEW.first


@only_root
def test_a_folder_that_a_link_replaced_is_not_handed_over(tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(tmp_path)
    with pytest.raises(OSError, match="link"):
        hand_over(tmp_path / "link", FEW.first)


@only_root
def test_folders_that_are_nested_beyond_measure_are_refused(tmp_path: Path) -> None:
    at = os.open(tmp_path, os.O_RDONLY)
    for _ in range(450):
        os.mkdir("d", dir_fd=at)
        inner = os.open("d", os.O_RDONLY, dir_fd=at)
        os.close(at)
        at = inner
    os.close(at)
    with pytest.raises(OSError, match="nested"):
        hand_over(tmp_path, FEW.first)


def test_others_can_read_what_was_opened_up(tmp_path: Path) -> None:
    pack = tmp_path / "objects/pack/pack-1.pack"
    pack.parent.mkdir(mode=0o700, parents=True)
    pack.touch(mode=0o400)
    open_up(tmp_path / "objects")
    assert pack.stat().st_mode & 0o777 == 0o404
    assert pack.parent.stat().st_mode & 0o005 == 0o005


def test_a_program_that_is_closed_to_others_is_noticed(tmp_path: Path) -> None:
    file = tmp_path / "agent"
    file.touch()
    found = set()
    for mode in (0o700, 0o755, 0o644, 0o600, 0o711):
        file.chmod(mode)
        if may_read(file):
            found.add(mode)
    assert found == {0o755, 0o644}


def test_a_folder_is_writable_for_its_account_or_for_all(tmp_path: Path) -> None:
    assert may_write(tmp_path, os.geteuid())
    assert not may_write(tmp_path, FEW.first)
    tmp_path.chmod(0o1777)
    assert may_write(tmp_path, FEW.first)


def test_the_default_range_can_be_said_and_people_are_no_pods() -> None:
    assert parse(f"{DEFAULT.first}-{DEFAULT.last}") == DEFAULT
    for wrong in ("", "5", "a-b", "0-10", "500-2000", "3000-2000", "2000-99999999999", "-5-10"):
        with pytest.raises(ValueError, match=r"FIRST-LAST|between"):
            parse(wrong)
