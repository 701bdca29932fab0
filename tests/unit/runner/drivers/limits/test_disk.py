import mmap
import os
import stat
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from runner.drivers.limits.disk import measure

MIB = 1024 * 1024
ROOT = Path(measure.__code__.co_filename).parents[3]
OTHER = 12345

AS_USER = """
import os, sys
sys.path.insert(0, sys.argv[2])
from pathlib import Path
from runner.drivers.limits.disk import measure
if os.geteuid() == 0:
    os.setgroups([])
    os.setresgid(*[12345] * 3)
    os.setresuid(*[12345] * 3)
home = Path(sys.argv[1])
(home / "closed").chmod(int(sys.argv[3]))
found = measure({"home": [home]})
print(found.total, found.hidden)
"""


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


def test_a_deleted_file_counts_as_long_as_it_is_mapped(tmp_path: Path) -> None:
    path = put(tmp_path / "gone", MIB)
    with path.open("rb") as file:
        held = mmap.mmap(file.fileno(), MIB, prot=mmap.PROT_READ)
    script = "import mmap,os,sys\nf=os.open(sys.argv[1],0)\nm=mmap.mmap(f,4096,prot=1)\n"
    script += "os.close(f)\nprint(flush=True)\nsys.stdin.read()"
    with subprocess.Popen(
        [sys.executable, "-ISc", script, str(path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as other:
        assert other.stdout is not None
        other.stdout.readline()
        path.unlink()
        assert MIB <= measure({"home": [tmp_path]}, [os.getpid(), other.pid]).total < 2 * MIB
        assert measure({"home": [tmp_path]}, [other.pid]).by_place["home"] < 64 * 1024
        other.communicate()
    held.close()
    assert measure({"home": [tmp_path]}, [os.getpid()]).total < 64 * 1024


@pytest.fixture
def deep(tmp_path: Path) -> Iterator[Path]:
    home = tmp_path / "home"
    home.mkdir()
    yield home
    subprocess.run(["rm", "-rf", str(home)], check=True)


def dig(home: Path, folders: int, size: int) -> None:
    """Put a file at the bottom of so many folders."""
    here = os.open(home, os.O_RDONLY)
    for _ in range(folders):
        os.mkdir("n" * 250, dir_fd=here)
        below = os.open("n" * 250, os.O_RDONLY, dir_fd=here)
        os.close(here)
        here = below
    with open(os.open("big", os.O_CREAT | os.O_WRONLY, dir_fd=here), "wb") as file:
        file.write(os.urandom(size))
    os.close(here)


def test_what_lies_deeper_than_the_longest_path_counts(deep: Path) -> None:
    dig(deep, 40, MIB)
    measured = measure({"home": [deep]})
    assert measured.total >= MIB
    assert not measured.hidden


def test_what_lies_too_deep_to_be_counted_is_told(deep: Path) -> None:
    dig(deep, 1000, MIB)
    before = len(list(Path("/proc/self/fd").iterdir()))
    assert measure({"home": [deep]}).hidden
    assert len(list(Path("/proc/self/fd").iterdir())) <= before


@pytest.mark.parametrize("mode", [0o300, 0o400, 0o000])
def test_a_folder_that_its_owner_closed_is_counted(tmp_path: Path, mode: int) -> None:
    home = tmp_path / "home"
    put(home / "closed" / "deeper" / "big", MIB)
    if os.geteuid() == 0:
        for path in (home, *home.rglob("*")):
            os.chown(path, OTHER, OTHER)
        for path in tmp_path.parents[:-2]:
            path.chmod(stat.S_IMODE(path.stat().st_mode) | 0o011)
        tmp_path.chmod(0o711)
    argv = [sys.executable, "-c", AS_USER, str(home), str(ROOT), str(mode)]
    done = subprocess.run(argv, capture_output=True, text=True, check=True)
    total, hidden = done.stdout.split()
    assert int(total) >= MIB
    assert hidden == "False"
