"""Where things are below the runner's data directory."""

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Final

_UID: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9-]{3,63}")
_RUN: Final = re.compile(r"([0-9]+)-([0-9]+)")


@dataclass(frozen=True, slots=True)
class Places:
    """The data directory; every path of ours is made here."""

    data_dir: Path

    @property
    def pods(self) -> Path:
        """Directory of all pods."""
        return self.data_dir / "pods"

    @property
    def journal(self) -> Path:
        """The journal's file."""
        return self.data_dir / "journal.db"

    @property
    def identity(self) -> Path:
        """Directory of key and certificate."""
        return self.data_dir / "identity"

    @property
    def connected(self) -> Path:
        """Empty; its time is that of the last session with the controller, 0: none since the start.

        A time is written also where the disk is full.
        """
        return self.data_dir / "connected"

    @property
    def trash(self) -> Path:
        """Where directories wait to be deleted."""
        return self.data_dir / "trash"

    @property
    def settings(self) -> Path:
        """Copies of the machine's settings that pods read."""
        return self.data_dir / "settings"

    @property
    def versions(self) -> Path:
        """Where programs are asked for their versions."""
        return self.data_dir / "versions"

    def pod(self, uid: str) -> Path:
        """Directory of one pod.

        Raises:
            ValueError: The uid could leave the directory of pods.
        """
        if _UID.fullmatch(uid) is None:
            raise ValueError(f"{uid!r} is no pod uid")
        return self.pods / uid

    def home(self, uid: str) -> Path:
        """The pod's private home."""
        return self.pod(uid) / "home"

    def tmp(self, uid: str) -> Path:
        """The pod's temporary files."""
        return self.pod(uid) / "tmp"

    def private(self, uid: str) -> Path:
        """Files of the runner's own about the pod."""
        return self.pod(uid) / "private"

    def transcript(self, uid: str) -> Path:
        """The pod's terminal output, over all runs."""
        return self.pod(uid) / "transcript"

    def run(self, uid: str, epoch: int, restart: int) -> Path:
        """Directory of one run; its name is the claim that this run was begun."""
        return self.pod(uid) / "runs" / f"{epoch}-{restart}"

    def runs(self, uid: str) -> list[tuple[int, int, Path]]:
        """Return (epoch, restart, directory) of every run that left one, oldest first."""
        return _runs_in(self.pod(uid) / "runs")

    def script(self, uid: str, number: int, attempt: int) -> Path:
        """Directory of one attempt to run one of the pod's setup scripts."""
        return self.pod(uid) / "setup" / f"{number}-{attempt}"

    def scripts(self, uid: str) -> list[tuple[int, int, Path]]:
        """Return (script, attempt, directory) of every attempt that left one, in their order."""
        return _runs_in(self.pod(uid) / "setup")

    def uids(self) -> list[str]:
        """Return the uid of every pod that has a directory."""
        if not self.pods.is_dir():
            return []
        return sorted(path.name for path in self.pods.iterdir() if _UID.fullmatch(path.name))


def _runs_in(directory: Path) -> list[tuple[int, int, Path]]:
    found = []
    for path in directory.iterdir() if directory.is_dir() else ():
        matched = _RUN.fullmatch(path.name)
        if matched is not None:
            found.append((int(matched[1]), int(matched[2]), path))
    return sorted(found)
