"""Checks what users name: repositories, refs, branches. Pure but for resolving local paths."""

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from gitaccess import places
from gitaccess.places import Location, PlaceError, branch_flaw, shown
from runner.git.errors import InvalidBranchError, NotAllowedError, RefNotFoundError

_UID: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9-]{3,63}")
_POD: Final = re.compile(r"[a-z0-9]([a-z0-9.-]{0,251}[a-z0-9])?")


def locate(url: str, allow_local: Sequence[Path]) -> Location:
    """Return where *url* leads, when this runner goes there.

    Raises:
        NotAllowedError: Another protocol, credentials in the URL, or a folder not allowed.
    """
    try:
        return places.locate(url, allow_local)
    except PlaceError as exc:
        raise NotAllowedError(str(exc)) from exc


def check_branch(name: str, field: str = "repositoryRef.worktree.branch") -> str:
    """Return *name* when git takes it for a branch.

    Source: git-check-ref-format(1), rules 1 to 10 and ``--branch``.

    Raises:
        InvalidBranchError: It does not; the message says which rule.
    """
    if why := branch_flaw(name):
        raise InvalidBranchError(f"{field} {shown(name)} is not a branch name: {why}.")
    return name


def check_ref(ref: str) -> str:
    """Return *ref* when it can be the name of a branch or tag, or a full commit.

    Raises:
        RefNotFoundError: No repository can have it.
    """
    if ref and (why := branch_flaw(ref)):
        raise RefNotFoundError(
            f"repositoryRef.ref {shown(ref)} cannot be a branch, tag or commit: {why}."
        )
    return ref


def check_pod(uid: str, pod: str) -> None:
    """Make sure that both can be parts of a path and of a ref.

    Raises:
        NotAllowedError: They cannot.
    """
    if not _UID.fullmatch(uid) or not _POD.fullmatch(pod) or branch_flaw(pod):
        raise NotAllowedError(f"The pod {shown(pod)} has a name or uid that is none.")


def default_branch(uid: str, pod: str) -> str:
    """Return the branch of a pod whose spec names none."""
    return f"agentsmesh/{own_name(uid, pod)}"


def own_name(uid: str, pod: str) -> str:
    """Return a name for things of the pod that no other pod has."""
    return f"{pod[:150].rstrip('.-')}-{uid.replace('-', '')[:8]}"
