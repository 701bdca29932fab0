"""What git says about a push, as one of four outcomes."""

import logging
import re
from typing import Final

from controller.gitops.remote import (
    PUSH_REFUSED,
    REMOTE_UNREACHABLE,
    Declined,
    Outcome,
    Pushed,
    Rejected,
    Unreachable,
)
from gitaccess.command import GitRunError
from gitaccess.credentials import Credentials, redact
from gitaccess.explain import explain

logger = logging.getLogger(__name__)

_ELSEWHERE: Final = re.compile(
    r"fetch first|non-fast-forward|stale info|incorrect old value|cannot lock|failed to lock|"
    r"failed to update ref|reference already exists|needs force|lock ref"
)
"""Somebody else was faster. Source: git-push(1), Output; refs and receive-pack of git."""
_UNKNOWN: Final = re.compile(r"remote failure|failed to report|remote end hung up|unpacker error")


def settled(commit: str, output: bytes) -> Pushed:
    """Return that it landed. *output* is git's."""
    if any(flag == "*" for flag, _ in _lines(output)):
        logger.warning("the branch was deleted meanwhile, and is there again")
    return Pushed(commit)


def failed(error: GitRunError, credentials: Credentials | None) -> Outcome:
    """Return why a push failed, without secrets."""
    for flag, reason in _lines(error.output):
        if flag != "!":
            continue
        if _ELSEWHERE.search(reason):
            return Rejected("the branch has moved meanwhile")
        if _UNKNOWN.search(reason):
            text = (
                f"the server did not say whether it took the commit: {_told(reason, credentials)}"
            )
            return Unreachable(REMOTE_UNREACHABLE, text)
        said = _remark(error.stderr, credentials)
        text = f"{_told(reason, credentials)}: {said}" if said else _told(reason, credentials)
        return Declined(PUSH_REFUSED, f"the server does not take the commit: {text}")
    failure = explain(error, credentials)
    if error.code is None or failure.unreachable or _UNKNOWN.search(error.stderr):
        return Unreachable(failure.reason or REMOTE_UNREACHABLE, failure.sentence)
    return Declined(failure.reason or PUSH_REFUSED, failure.sentence)


def _lines(output: bytes) -> list[tuple[str, str]]:
    """Return flag and summary of each branch. Source: git-push(1), ``--porcelain``."""
    lines = (line.split("\t") for line in output.decode(errors="replace").splitlines())
    return [(parts[0], parts[2]) for parts in lines if len(parts) == 3]


def _remark(stderr: str, credentials: Credentials | None) -> str:
    """Return what the server said about it: its first line that is an error, or the first."""
    lines = [
        line.removeprefix("remote:").strip()
        for line in re.split(r"[\r\n]+", stderr)
        if line.startswith("remote:")
    ]
    telling = [line for line in lines if re.match(r"(error|fatal|GL|GH)", line)]
    return next((_told(line, credentials) for line in (*telling, *lines) if line), "")


def _told(text: str, credentials: Credentials | None) -> str:
    said = redact(text, credentials)
    return "".join(char if char.isprintable() else " " for char in said)[:200].strip()
