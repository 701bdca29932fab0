"""Decides where a worktree begins, from the refs that are known. Pure."""

import difflib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from gitaccess.places import is_commit
from runner.git.cache import REMOTE_HEAD, SINGLE, TAGS, UPSTREAM
from runner.git.errors import BranchConflictError, RefNotFoundError


@dataclass(frozen=True, slots=True)
class Wish:
    """What the pod asks for; names are checked already."""

    ref: str
    """Empty: the default branch."""
    default_branch: str
    """Empty: the remote's own."""
    branch: str
    named: bool
    """The branch is named by the spec, and not the runner's choice."""
    create: bool | None


@dataclass(frozen=True, slots=True)
class Start:
    """Where the worktree begins."""

    commit: str
    """A commit, or an annotated tag that leads to one."""
    branch: str
    follows: bool
    """The branch exists upstream."""
    note: str = ""
    base: str = ""
    """The ref of upstream at which it begins; empty where it begins at a tag or a commit."""


def choose(refs: Mapping[str, str], wish: Wish) -> Start:
    """Return where the worktree begins.

    Raises:
        BranchConflictError: The branch was to be new and is not.
        RefNotFoundError: There is no such branch, tag or commit.
    """
    upstream = refs.get(UPSTREAM + wish.branch) if wish.named else None
    if upstream is not None:
        if wish.create is True:
            raise BranchConflictError(
                f"The branch {wish.branch!r} exists in the repository already: name another in "
                "repositoryRef.worktree.branch, or set createBranch: false to continue it."
            )
        note = (
            f"The branch {wish.branch!r} exists upstream and is continued there; "
            f"repositoryRef.ref {wish.ref!r} was not used."
        )
        used = wish.ref in {"", wish.branch, f"refs/heads/{wish.branch}"}
        return Start(
            upstream,
            wish.branch,
            follows=True,
            note="" if used else note,
            base=UPSTREAM + wish.branch,
        )
    if wish.named and wish.create is False:
        raise RefNotFoundError(
            f"repositoryRef.worktree.branch {wish.branch!r} does not exist in the repository, and "
            f"createBranch is false{_similar(wish.branch, refs)}."
        )
    commit, note, base = _begin(refs, wish)
    return Start(commit, wish.branch, follows=False, note=note, base=base)


def _begin(refs: Mapping[str, str], wish: Wish) -> tuple[str, str, str]:
    """Return the commit, a note, and the ref of upstream that leads to it."""
    if wish.ref:
        if commit := find(refs, wish.ref):
            base = UPSTREAM + wish.ref.removeprefix("refs/heads/")
            return commit, "", base if refs.get(base) == commit else ""
        raise RefNotFoundError(
            f"repositoryRef.ref {wish.ref!r} is no branch, tag or commit of the repository"
            f"{_similar(wish.ref, refs)}."
        )
    if wish.default_branch and (commit := refs.get(UPSTREAM + wish.default_branch, "")):
        return commit, "", UPSTREAM + wish.default_branch
    if commit := refs.get(REMOTE_HEAD, ""):
        note = (
            f"The repository has no branch {wish.default_branch!r} (its defaultBranch): "
            "the remote's own default was taken."
        )
        return commit, note if wish.default_branch else "", REMOTE_HEAD
    raise RefNotFoundError(
        "The repository has no commit on its default branch: push one, or name another branch in "
        "repositoryRef.ref."
    )


def find(refs: Mapping[str, str], ref: str) -> str:
    """Return what *ref* names: a branch before a tag of the same name; empty when nothing."""
    if ref.startswith("refs/heads/"):
        return refs.get(UPSTREAM + ref.removeprefix("refs/heads/"), "")
    if ref.startswith(TAGS):
        return refs.get(ref, "")
    if is_commit(ref):
        return refs.get(SINGLE + ref, "") or refs.get(UPSTREAM + ref, "")
    return refs.get(UPSTREAM + ref) or refs.get(TAGS + ref, "")


def _similar(name: str, refs: Iterable[str]) -> str:
    """Return at most three names that were perhaps meant."""
    names = [
        ref.removeprefix(prefix) for ref in refs for prefix in (UPSTREAM, TAGS) if prefix in ref
    ]
    close = difflib.get_close_matches(name, names[:2000], n=3)
    return f"; similar ones are {', '.join(close)}" if close else ""
