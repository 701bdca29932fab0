"""What a runner on this machine keeps of pods that are gone, read from its data directory."""

import json
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from cli.channel_text import printable
from cli.datadir import DataDir
from cli.errors import CommandError

SAVED: Final = "refs/agentsmesh/saved/"
OTHERS: Final = "refs/agentsmesh/saved-refs/"
"""Where the runner keeps a pod's uncommitted and unpushed work, and its other branches."""
_GIT_SECONDS: Final = 60.0
_FORMAT: Final = "%(refname) %(objectname) %(committerdate:iso-strict)"


@dataclass(frozen=True, slots=True)
class Entry:
    """One ref of one cache."""

    repository: Path
    owner: str
    """The pod's uid; in earlier releases its name and the first eight characters of its uid."""
    ref: str
    commit: str
    date: str
    pod: str = ""
    """Its name, where that was noted."""
    namespace: str = ""
    saved_ms: int = 0


@dataclass(frozen=True, slots=True)
class Files:
    """A folder with files of a pod that no commit could hold."""

    folder: Path
    uid: str = ""
    """Empty, as what follows, where nobody noted whose they are."""
    pod: str = ""
    namespace: str = ""
    saved_ms: int = 0

    def is_of(self, pod: str) -> bool:
        """Tell whether they are of the pod with this name or uid."""
        if self.uid:
            return pod in {self.uid, self.pod}
        return self.folder.name == pod or self.folder.name.startswith(f"{pod}-")


def kept_files(directory: Path) -> list[Files]:
    """Return every folder of files that a runner keeps, by their names."""
    owners = {
        str(note.get("files", "")): Files(
            Path(str(note.get("files", ""))),
            uid,
            str(note.get("pod", "")),
            str(note.get("namespace", "")),
            int(note.get("saved_ms", 0)),
        )
        for uid, note in _notes(directory / "saved").items()
    }
    folders = sorted(each for each in directory.glob("kept/*") if each.is_dir())
    return [owners.get(str(folder.resolve()), Files(folder)) for folder in folders]


def runner_directory(data_dir: DataDir) -> Path:
    """Return where caches are: of the runner of a mesh, or of a runner that stands by itself."""
    alone = data_dir.root
    return alone if (alone / "caches").is_dir() else data_dir.of("runner")


def entries(directory: Path) -> Iterator[Entry]:
    """Yield every ref that is kept, cache by cache, the newest first.

    Raises:
        CommandError: A cache cannot be read.
    """
    notes = _notes(directory / "saved")
    for repository in sorted(directory.glob("caches/*/repo.git")):
        for ref, commit, date in _refs(repository):
            owner = ref.removeprefix(SAVED).removeprefix(OTHERS).partition("/")[0]
            note = notes.get(owner, {})
            pod, namespace = str(note.get("pod", "")), str(note.get("namespace", ""))
            saved_ms = int(note.get("saved_ms", 0))
            yield Entry(repository, owner, ref, commit, date, pod, namespace, saved_ms)


def of_pod(directory: Path, pod: str) -> list[Entry]:
    """Return all that is kept of one pod: by uid, else of the latest of that name.

    Raises:
        CommandError: A cache cannot be read.
    """
    every = list(entries(directory))
    mine = [entry for entry in every if _is(entry, pod)]
    if not mine:
        return []
    latest = max(mine, key=lambda entry: (entry.owner == pod, entry.saved_ms, entry.date))
    return [entry for entry in mine if entry.owner == latest.owner]


def _is(entry: Entry, pod: str) -> bool:
    if entry.pod:
        return pod in {entry.owner, entry.pod}
    return pod in {entry.owner, entry.owner.rpartition("-")[0]}  # of an earlier release


def _notes(folder: Path) -> dict[str, dict[str, Any]]:
    found = {}
    for path in folder.glob("*.json"):
        try:
            fields = json.loads(path.read_text(encoding="utf-8"))
        except (OSError, ValueError):
            continue
        if isinstance(fields, dict):
            found[path.stem] = fields
    return found


def _refs(repository: Path) -> list[tuple[str, str, str]]:
    listing = (
        *("git", f"--git-dir={repository}", "for-each-ref", "--sort=-committerdate"),
        *(f"--format={_FORMAT}", SAVED, OTHERS),
    )
    try:
        done = subprocess.run(
            listing,
            capture_output=True,
            encoding="utf-8",
            errors="replace",
            check=False,
            timeout=_GIT_SECONDS,
        )
    except (OSError, subprocess.TimeoutExpired) as exc:
        raise CommandError(f"git cannot list the refs of {repository}: {exc}") from exc
    if done.returncode != 0:
        said = printable(" ".join(done.stderr.split()))
        raise CommandError(f"git cannot list the refs of {repository}: {said}")
    lines = (line.partition(" ") for line in done.stdout.splitlines())
    return [(ref, *_two(rest)) for ref, _, rest in lines]


def _two(text: str) -> tuple[str, str]:
    first, _, second = text.partition(" ")
    return first, second
