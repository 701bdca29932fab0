"""The groups of one runner: one for each run, below one of ours named after the data directory.

So two runners on one machine have nothing in common, and what an earlier one left is found by its
name. Blocking; every call is short.
"""

import hashlib
import json
import logging
import os
import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Final

from runner.drivers.cgroups.base import base, pass_on
from runner.drivers.cgroups.claims import claim, name_of, sweep
from runner.drivers.cgroups.files import limit, usage
from runner.drivers.cgroups.hierarchies import hierarchies
from runner.drivers.cgroups.values import (
    FREEZER,
    WANTED,
    CgroupError,
    GroupLimits,
    Hierarchy,
    Made,
    Usage,
    Version,
)
from runner.shim.group import Group

logger = logging.getLogger(__name__)

_NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,199}")
_ROOTS_FILE: Final = "cgroups.json"
_ROOTS_REMEMBERED: Final = 64


class Cgroups:
    """What this runner can do with control groups; may be nothing."""

    def __init__(
        self, roots: Iterable[Path], kept: Mapping[str, str], claims: Iterable[int] = ()
    ) -> None:
        self._claims = list(claims)
        self.roots = tuple(roots)
        """Our directory in each hierarchy."""
        self.kept: Mapping[str, str] = MappingProxyType(dict(kept))
        """Which of memory, cpu and pids a group keeps, and by what: cgroup2 or cgroup1."""

    @classmethod
    def none(cls) -> "Cgroups":
        """Return those of a machine on which nothing of the kind can be had."""
        return cls((), {})

    @classmethod
    def open(cls, data_dir: Path, among: Sequence[Hierarchy] | None = None) -> "Cgroups":
        """Find out what works here, by making our group in each hierarchy that is of use.

        *among* are the hierarchies to choose from; None: those of this machine.

        Raises:
            OSError: The data directory cannot be read or written.
        """
        name = name_of(_digest(data_dir))
        roots: list[Path] = []
        claims: list[int] = []
        kept: dict[str, str] = {}
        done: set[str] = set()
        for hierarchy in hierarchies() if among is None else among:
            if hierarchy.version is Version.V1 and hierarchy.controllers <= done:
                continue
            try:
                root, controllers, held = _rooted(hierarchy, name)
            except OSError as exc:
                note = {"mount": str(hierarchy.mount), "error": exc.strerror}
                logger.info("control groups cannot be made", extra=note)
                continue
            roots.append(root)
            claims.append(held)
            sweep(root.parent)
            done |= controllers
            for controller in controllers & frozenset(WANTED):
                kept.setdefault(controller, hierarchy.version)
        _remember(data_dir, roots)
        return cls(roots, kept, claims)

    def __bool__(self) -> bool:
        return bool(self.roots)

    def group(self, name: str) -> Group:
        """Return the group of that name, whether it stands or not.

        Raises:
            ValueError: It could be no directory of ours.
        """
        if _NAME.fullmatch(name) is None:
            raise ValueError(f"{name!r} cannot name a group")
        return Group([str(root / name) for root in self.roots])

    def make(self, name: str, limits: GroupLimits) -> Made:
        """Return the group, made and limited, with nothing in it. What it cannot keep is said.

        Raises:
            CgroupError: It cannot be made, or something is in it.
        """
        group = self.group(name)
        try:
            if group.pids():
                raise CgroupError(f"The control group {name} is in use.")
            group.remove()
            for directory in group.directories:
                Path(directory).mkdir(mode=0o755)
            return Made(group, limit(group.directories, limits))
        except OSError as exc:
            place = f" ({exc.filename})" if exc.filename else ""
            text = f"The control group {name} cannot be made: {exc.strerror or exc}{place}."
            raise CgroupError(text) from exc

    def usage(self, name: str) -> Usage:
        """Return what the group uses."""
        return usage(self.group(name))

    def names(self) -> list[str]:
        """Return the names of all groups that stand, also of those that an earlier runner made."""
        found = set()
        for root in self.roots:
            for path in root.iterdir() if root.is_dir() else ():
                if path.is_dir() and _NAME.fullmatch(path.name):
                    found.add(path.name)
        return sorted(found)

    def close(self) -> None:
        """Give our own group up, and remove it if no run is left in it. Idempotent."""
        for root in self.roots:
            try:
                root.rmdir()
            except OSError:
                continue  # runs go on there
        while self._claims:
            os.close(self._claims.pop())


def elsewhere(data_dir: Path, cgroups: Cgroups) -> list[Group]:
    """Return groups of ours that an earlier runner made where this one makes none.

    It was started from another group then: by another session, or as another service.
    """
    found = []
    for root in _remembered(data_dir):
        if root in cgroups.roots or not root.is_dir():
            continue
        found += [Group([str(path)]) for path in root.iterdir() if path.is_dir()]
        found.append(Group([str(root)]))
    return found


def _rooted(hierarchy: Hierarchy, name: str) -> tuple[Path, frozenset[str], int]:
    """Make our group in the hierarchy; return it, what the groups below it can do, our claim."""
    parent, controllers = base(hierarchy)
    root = parent / name
    held = claim(root)
    try:
        if not os.access(root / "cgroup.procs", os.W_OK):
            raise PermissionError(13, "its processes cannot be set")
        if hierarchy.version is Version.V2:
            controllers = pass_on(root) | {FREEZER}
    except BaseException:
        os.close(held)
        raise
    return root, controllers, held


def _digest(data_dir: Path) -> str:
    """Return what tells this data directory from others on the machine."""
    about = data_dir.stat()
    text = f"{data_dir.resolve()} {about.st_dev} {about.st_ino}"
    return hashlib.sha256(text.encode("utf-8", "surrogateescape")).hexdigest()[:12]


def _remember(data_dir: Path, roots: Iterable[Path]) -> None:
    """Note where our groups are, before there are any."""
    known = dict.fromkeys([*map(str, roots), *map(str, _remembered(data_dir))])
    kept = [each for each in known if Path(each).is_dir()][:_ROOTS_REMEMBERED]
    path = data_dir / _ROOTS_FILE
    fresh = path.with_suffix(".new")
    fresh.write_text(json.dumps(kept), encoding="utf-8")
    fresh.replace(path)


def _remembered(data_dir: Path) -> list[Path]:
    name = name_of(_digest(data_dir))
    try:
        listed = json.loads((data_dir / _ROOTS_FILE).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return []
    paths = [Path(each) for each in listed if isinstance(each, str)]
    return [path for path in paths if path.name == name and path.is_absolute()]
