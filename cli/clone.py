"""The git clone that a user is in: what it has, and new refs in it. None is overwritten."""

import os
import re
import subprocess
from pathlib import Path
from typing import Final

from cli.channel_text import printable
from cli.errors import CommandError, Usage

_GIT_SECONDS: Final = 600.0
_MOST_HAVE: Final = 1000
_NONE: Final = "0" * 40
_OBJECT: Final = re.compile(r"[0-9a-f]{40}|[0-9a-f]{64}")
"""Names of objects, as a runner must give them: what else it says could be an option of git."""
_COMMIT: Final = "%(if)%(*objectname)%(then)%(*objectname)%(else)%(objectname)%(end)"


class Clone:
    """A clone of the user's own, with the user's git."""

    def __init__(self, folder: Path) -> None:
        """Find the clone.

        Raises:
            Usage: There is none.
        """
        self.folder = folder
        if self._ask("rev-parse", "--git-dir") is None:
            raise Usage(
                f"{folder} is not in a git clone: go into a clone of the repository, or name one "
                "with -C"
            )

    def have(self) -> list[str]:
        """Return commits that are here with all that is before them."""
        if self._ask("rev-parse", "--is-shallow-repository") != "false":
            return []  # what is before them is not here
        listed = self._ask(
            "for-each-ref", f"--format={_COMMIT}", "--sort=-creatordate", f"--count={_MOST_HAVE}"
        )
        head = self._ask("rev-parse", "--verify", "--quiet", "HEAD^{commit}")
        return list(dict.fromkeys([*([head] if head else []), *(listed or "").split()]))

    def commit_of(self, ref: str) -> str:
        """Return what *ref* names; empty when nothing."""
        return self._ask("rev-parse", "--verify", "--quiet", ref) or ""

    def holds(self, commit: str, later: str) -> bool | None:
        """Tell whether *later* has *commit* in its history; None: it is not known here."""
        if not all(self.commit_of(f"{each}^{{commit}}") for each in (commit, later)):
            return None
        if self._ask("merge-base", "--is-ancestor", commit, later) is not None:
            return True
        # in a shallow clone what is between them may be missing
        return None if self._ask("rev-parse", "--is-shallow-repository") != "false" else False

    def check_branch(self, name: str) -> None:
        """Raise Usage unless git takes *name* for a branch."""
        if self._ask("check-ref-format", "--branch", name) is None:
            raise Usage(f"--branch: {printable(name)} is not a branch name")

    def unbundle(self, bundle: Path) -> None:
        """Take the commits of a bundle. Raises CommandError."""
        self._do("take the bundle", "bundle", "unbundle", str(bundle))

    def fetch(self, repository: Path, refs: list[str]) -> None:
        """Take the commits of a repository on this machine. Raises CommandError."""
        options = ("--quiet", "--no-tags", "--no-write-fetch-head", "--no-recurse-submodules")
        self._do("read the runner's copy", "fetch", *options, "--", str(repository), *refs)

    def create(self, ref: str, commit: str) -> None:
        """Make a ref that is not there, or leads there already. Raises CommandError."""
        if _OBJECT.fullmatch(commit) is None or not self._is_ref(ref):
            raise CommandError(
                f"the runner names {printable(repr(ref))[:200]}, {printable(repr(commit))[:80]}: "
                "no ref and commit; nothing more was made of its answer"
            )
        if self.commit_of(ref) == commit:
            return
        options = ("update-ref", "--create-reflog", "--no-deref", "--")
        self._do(f"make {printable(ref)}", *options, ref, commit, _NONE)

    def _is_ref(self, name: str) -> bool:
        if not name.startswith("refs/"):
            return False
        return self._ask("check-ref-format", name) is not None

    def _ask(self, *args: str) -> str | None:
        done = self._run(args)
        return done.stdout.strip() if done.returncode == 0 else None

    def _do(self, what: str, *args: str) -> None:
        done = self._run(args)
        if done.returncode != 0:
            said = printable(" ".join(done.stderr.split()))[-400:]
            raise CommandError(f"git cannot {what}: {said}")

    def _run(self, args: tuple[str, ...]) -> "subprocess.CompletedProcess[str]":
        try:
            return subprocess.run(
                ("git", "-C", str(self.folder), *args),
                capture_output=True,
                encoding="utf-8",
                errors="replace",
                check=False,
                timeout=_GIT_SECONDS,
                stdin=subprocess.DEVNULL,
                env={**os.environ, "LC_ALL": "C"},
            )
        except (OSError, subprocess.TimeoutExpired) as exc:
            raise CommandError(f"git cannot be run: {exc}") from exc
