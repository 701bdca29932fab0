"""A real repository that people push to, and where things are."""

import os
import subprocess
from collections.abc import Callable
from pathlib import Path

from runner.drivers.worktree_values import WorktreeRequest

Requests = Callable[..., WorktreeRequest]

PERSON = {
    "GIT_AUTHOR_NAME": "Ada",
    "GIT_AUTHOR_EMAIL": "ada@acme.example",
    "GIT_COMMITTER_NAME": "Ada",
    "GIT_COMMITTER_EMAIL": "ada@acme.example",
    "GIT_CONFIG_GLOBAL": "/dev/null",
    "GIT_CONFIG_NOSYSTEM": "1",
    "PATH": os.environ["PATH"],
}


def git(folder: Path, *args: str, check: bool = True) -> str:
    done = subprocess.run(
        ["git", *args], cwd=folder, env=PERSON, capture_output=True, text=True, check=check
    )
    return done.stdout.strip()


class Upstream:
    """A repository that people push to."""

    def __init__(self, path: Path) -> None:
        self.path = path
        path.mkdir(parents=True)
        git(path, "init", "-q", "-b", "main")
        self.commit("README.md", "hello\n")

    def commit(self, name: str, text: str) -> str:
        file = self.path / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
        git(self.path, "add", "-A")
        git(self.path, "commit", "-q", "-m", f"change {name}")
        return git(self.path, "rev-parse", "HEAD")


def uid(number: int = 1) -> str:
    return f"{number:08d}-1111-2222-3333-444444444444"


def cache(data_dir: Path) -> Path:
    (found,) = (data_dir / "caches").iterdir()
    return found / "repo.git"
