"""Where a pod's files are, and the record of what was made for it."""

import json
import os
from dataclasses import asdict, dataclass
from pathlib import Path

from runner.drivers.worktree_values import Finding


@dataclass(frozen=True, slots=True)
class PodFiles:
    """The directory of one pod, as far as git is concerned."""

    root: Path

    @property
    def worktree(self) -> Path:
        """The agent's files."""
        return self.root / "worktree"

    @property
    def repository(self) -> Path:
        """The pod's own repository."""
        return self.root / "repo.git"

    @property
    def building(self) -> Path:
        """Where both are made before they get their names."""
        return self.root / "building"

    @property
    def view(self) -> Path:
        """The runner's own git directory for looking at them."""
        return self.root / "inspect.git"

    @property
    def inner_views(self) -> Path:
        """The same for each submodule, by its number."""
        return self.root / "inspect-modules"

    @property
    def record(self) -> Path:
        """What was made."""
        return self.root / "worktree.json"

    @property
    def saved(self) -> Path:
        """Exists once ``save`` has gone through; holds its result."""
        return self.root / "saved.json"

    @property
    def unsaved(self) -> Path:
        """Exists where ``save`` could not keep all: the files must not be deleted."""
        return self.root / "unsaved"


@dataclass(frozen=True, slots=True)
class Submodule:
    """A submodule that the runner has checked out in a pod's worktree."""

    path: str
    """Of its files, below the worktree."""
    git_dir: str
    """Of its repository, below the pod's."""
    cache: str
    """Name of the folder of its cache."""
    commit: str


@dataclass(frozen=True, slots=True)
class Record:
    """What was made for a pod."""

    pod: str
    cache: str
    """Name of the cache's folder."""
    url: str
    """Where the cache is fetched from; no credentials."""
    local: bool
    """The url is a folder of this machine."""
    branch: str
    commit: str
    note: str = ""
    namespace: str = ""
    base: str = ""
    """The ref of upstream at which the branch began; empty for a tag or a commit."""
    named: bool = False
    """The branch was named by the pod's spec."""
    depth: int = 0
    """So many commits of the history were fetched; 0: all."""
    findings: tuple[Finding, ...] = ()
    """What it was made without, and why."""
    submodules: tuple[Submodule, ...] = ()
    """Outer before inner."""
    lfs: bool = False
    """Files that are kept with Git LFS were put in place of their pointers."""

    @property
    def caches(self) -> tuple[str, ...]:
        """Every cache that is borrowed from, each once."""
        return tuple(dict.fromkeys((self.cache, *(each.cache for each in self.submodules))))


def read_record(path: Path) -> Record | None:
    """Return the record; None when nothing was handed out."""
    try:
        fields = json.loads(path.read_text(encoding="utf-8"))
        findings = tuple(Finding(**each) for each in fields.pop("findings", ()))
        inner = tuple(Submodule(**each) for each in fields.pop("submodules", ()))
        return Record(**fields, findings=findings, submodules=inner)
    except FileNotFoundError:
        return None


def write_through(path: Path, value: object) -> None:
    """Write *value* (a dataclass) as JSON and through to the disk, then give it its name."""
    new = path.with_name(path.name + ".new")
    with new.open("w", encoding="utf-8") as file:
        json.dump(asdict(value), file)  # type: ignore[call-overload]  # any dataclass
        file.flush()
        os.fsync(file.fileno())
    new.replace(path)


def finish(files: PodFiles) -> None:
    """Give what was built its names, the record first. Safe to repeat after a crash."""
    for name in ("worktree.json", "repo.git", "worktree"):
        built = files.building / name
        if built.exists():
            built.rename(files.root / name)
    if files.building.exists():
        files.building.rmdir()
