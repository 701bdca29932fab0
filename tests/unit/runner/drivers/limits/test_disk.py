import os
from pathlib import Path

from runner.drivers.limits.disk import measure

MIB = 1024 * 1024


def put(path: Path, size: int) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(os.urandom(size))
    return path


def test_what_was_used_is_told_place_by_place(tmp_path: Path) -> None:
    put(tmp_path / "home" / "deep" / "er" / "file", 2 * MIB)
    put(tmp_path / "tmp" / "file", MIB)
    measured = measure({"home": [tmp_path / "home"], "tmp": [tmp_path / "tmp"]})
    assert 2 * MIB <= measured.by_place["home"] < 2 * MIB + 64 * 1024
    assert MIB <= measured.by_place["tmp"] < MIB + 64 * 1024
    assert measured.total == sum(measured.by_place.values())


def test_a_file_with_several_names_counts_once(tmp_path: Path) -> None:
    file = put(tmp_path / "home" / "one", MIB)
    (tmp_path / "tree").mkdir()
    (tmp_path / "tree" / "two").hardlink_to(file)
    measured = measure({"home": [tmp_path / "home"], "worktree": [tmp_path / "tree"]})
    assert measured.total < MIB + 64 * 1024


def test_links_are_not_followed(tmp_path: Path) -> None:
    put(tmp_path / "elsewhere" / "file", 4 * MIB)
    home = tmp_path / "home"
    home.mkdir()
    (home / "folder").symlink_to(tmp_path / "elsewhere")
    (home / "file").symlink_to(tmp_path / "elsewhere" / "file")
    assert measure({"home": [home]}).total < 64 * 1024


def test_a_hole_takes_no_room(tmp_path: Path) -> None:
    with (tmp_path / "sparse").open("wb") as file:
        file.truncate(1024 * MIB)
    assert measure({"home": [tmp_path]}).total < 64 * 1024


def test_a_deleted_file_counts_as_long_as_it_is_open(tmp_path: Path) -> None:
    path = put(tmp_path / "gone", MIB)
    with path.open("rb"):
        path.unlink()
        assert measure({"home": [tmp_path]}).total < 64 * 1024
        assert measure({"home": [tmp_path]}, [os.getpid()]).total >= MIB
    assert measure({"home": [tmp_path]}, [os.getpid()]).total < 64 * 1024


def test_what_is_not_there_takes_no_room(tmp_path: Path) -> None:
    assert measure({"worktree": [tmp_path / "none"]}).by_place == {"worktree": 0}
