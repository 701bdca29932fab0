"""What shims are made of lies together: nothing else is loaded in between."""

import subprocess
import sys
from pathlib import Path

import ptyprocess

from runner.shim import boot

ROOT = Path(boot.__file__).parents[2]
PATHS = [str(ROOT), str(Path(ptyprocess.__file__).parents[1])]
LOADED = """
import sys
sys.path += sys.argv[1:]
from runner.shim import boot
for name in boot._OTHERS:
    __import__(name)
before = set(sys.modules)
import runner.shim.zygote
print(*sorted(name for name in set(sys.modules) - before if not name.startswith("runner.")))
"""
LOOKED = """
import os, sys
sys.path += sys.argv[2:]
from runner.shim import boot
for name in boot._OTHERS:
    __import__(name)
import runner.shim.zygote
from runner.shim import records, tree
from runner.shim.group import Group
before = set(sys.modules)
group, me = Group([sys.argv[1]]), os.getpid()
print(group.frozen, group.oom_kills(), group.full_pids(), len(group.pids()))
records.boot_id(), records.start_time(me), records.load(records.EXIT)
tree.descendants(me), tree.name(me)
print(*sorted(set(sys.modules) - before))
"""
ROOM = """
import sys
sys.path += sys.argv[1:]
from runner.shim import boot
kept = boot._filled()
print(*sorted({-(-sys.getsizeof(each) // 16) * 16 for each in kept}))
"""


def said(code: str, *arguments: str) -> list[str]:
    done = subprocess.run(
        [sys.executable, "-I", "-S", "-X", "utf8", "-c", code, *arguments, *PATHS],
        capture_output=True,
        text=True,
        check=True,
    )
    return done.stdout.split()


def test_all_that_is_not_ours_is_loaded_before_our_modules() -> None:
    assert said(LOADED) == []


def test_a_shim_that_looks_around_loads_nothing_more(tmp_path: Path) -> None:
    files = {"cgroup.freeze": "1", "memory.events": "oom_kill 2", "cgroup.procs": "1\n2\n"}
    files |= {"pids.max": "7", "pids.events": "max 3"}
    for name, text in files.items():
        (tmp_path / name).write_text(f"{text}\n")
    assert said(LOOKED, str(tmp_path)) == ["True", "2", "7", "2"]


def test_room_of_every_size_is_filled() -> None:
    assert said(ROOM) == [str(size) for size in range(16, 513, 16)]
