"""Finds the hierarchies of this machine, and where in them this process is.

Source: proc(5), /proc/PID/mountinfo; cgroups(7), /proc/PID/cgroup.
"""

import re
from pathlib import Path, PurePosixPath
from typing import Final

from runner.drivers.cgroups.values import CPU, FREEZER, MEMORY, PIDS, Hierarchy, Version

_USEFUL: Final = frozenset({MEMORY, CPU, PIDS, FREEZER})
_ESCAPE: Final = re.compile(r"\\([0-7]{3})")


def hierarchies(process: Path = Path("/proc/self")) -> list[Hierarchy]:
    """Return those of use, v2 first; a process in a container sees its part of them."""
    try:
        mounts = (process / "mountinfo").read_text(encoding="utf-8", errors="surrogateescape")
        places = (process / "cgroup").read_text(encoding="utf-8", errors="surrogateescape")
    except OSError:
        return []
    found: dict[tuple[Version, frozenset[str]], Hierarchy] = {}
    for line in mounts.splitlines():
        hierarchy = _mounted(line, _paths(places))
        if hierarchy is not None:  # a later mount of the same tree hides nothing
            found.setdefault((hierarchy.version, hierarchy.controllers), hierarchy)
    return sorted(found.values(), key=lambda each: (each.version is Version.V1, each.mount))


def _paths(places: str) -> dict[frozenset[str], str]:
    """Return the path of our group by the controllers of its hierarchy; none of them: v2."""
    paths = {}
    for line in places.splitlines():
        _, controllers, path = line.split(":", 2)
        paths[frozenset(controllers.split(",")) - {""}] = path
    return paths


def _mounted(line: str, paths: dict[frozenset[str], str]) -> Hierarchy | None:
    before, _, after = line.partition(" - ")
    kind, *rest = after.split(" ")
    if kind not in {"cgroup", "cgroup2"} or len(rest) < 2:  # noqa: PLR2004  source, options
        return None
    root, mount = (_unescaped(each) for each in before.split(" ")[3:5])
    if kind == "cgroup2":
        own = _below(Path(mount), root, paths.get(frozenset(), "/"))
        return Hierarchy(Version.V2, Path(mount), own, _controllers(own))
    for controllers, path in paths.items():
        if controllers and controllers <= frozenset(rest[1].split(",")):
            useful = controllers & _USEFUL
            own = _below(Path(mount), root, path)
            return Hierarchy(Version.V1, Path(mount), own, useful) if useful else None
    return None


def _below(mount: Path, root: str, path: str) -> Path:
    """Return the directory of *path* under a mount that shows the tree from *root* on."""
    try:
        inside = PurePosixPath(path).relative_to(root)
    except ValueError:
        return mount  # another namespace's path: what we see is mounted for us
    own = mount / inside
    return own if own.is_dir() else mount


def _controllers(directory: Path) -> frozenset[str]:
    try:
        text = (directory / "cgroup.controllers").read_text(encoding="ascii")
    except OSError:
        return frozenset()
    return frozenset(text.split())


def _unescaped(text: str) -> str:
    return _ESCAPE.sub(lambda found: chr(int(found[1], 8)), text)
