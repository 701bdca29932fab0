"""``agentsmesh saved``: the work of pods that are gone, and how to have it back."""

import shlex
import subprocess
from argparse import Namespace
from pathlib import Path
from typing import Final

from cli.datadir import locate
from cli.errors import CommandError

_FOLDERS: Final = ("refs/agentsmesh/saved/", "refs/agentsmesh/saved-refs/")
"""Where the runner keeps a pod's uncommitted and unpushed work, and its other branches."""
_GIT_SECONDS: Final = 60.0


def saved(arguments: Namespace) -> int:
    """Print each saved ref of the runner on a data directory, with the command that fetches it."""
    caches = locate(arguments.data_dir).of("runner") / "caches"
    found = 0
    for repository in sorted(caches.glob("*/repo.git")):
        for ref, about in _refs(repository):
            found += 1
            print(f"{_printable(ref)}  {_printable(about)}")
            branch = ref.removeprefix("refs/agentsmesh/")
            command = ("git", "fetch", str(repository), f"{ref}:refs/heads/{branch}")
            print(f"  {_printable(shlex.join(command))}")
    if not found:
        print(f"nothing is saved below {caches}")
    return 0


def _refs(repository: Path) -> list[tuple[str, str]]:
    """Return the saved refs of one cache, each with its date and commit, the newest first."""
    listing = (
        *("git", f"--git-dir={repository}", "for-each-ref", "--sort=-committerdate"),
        *("--format=%(refname) %(committerdate:iso-strict) %(objectname:short)", *_FOLDERS),
    )
    try:
        done = subprocess.run(
            listing, capture_output=True, text=True, check=False, timeout=_GIT_SECONDS
        )
    except (OSError, subprocess.TimeoutExpired) as exc:
        raise CommandError(f"git cannot list the refs of {repository}: {exc}") from exc
    if done.returncode != 0:
        said = _printable(" ".join(done.stderr.split()))
        raise CommandError(f"git cannot list the refs of {repository}: {said}")
    lines = [line.partition(" ") for line in done.stdout.splitlines()]
    return [(ref, about) for ref, _, about in lines]


def _printable(text: str) -> str:
    """Return *text* without what would move the cursor: agents choose the names of branches."""
    return "".join(letter if letter.isprintable() else "?" for letter in text)
