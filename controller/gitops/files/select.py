"""Which files of a commit are read, and which never can be."""

import re
import unicodedata
from collections import defaultdict
from collections.abc import Iterable
from typing import Final

from controller.gitops.files.read import TOO_LARGE, printable, problem, style_of
from controller.gitops.values import (
    MAX_DEPTH,
    MAX_FILE_BYTES,
    MAX_FILES,
    Entry,
    EntryType,
    Problem,
    Tree,
)

INVALID_NAME: Final = "InvalidName"
NAME_CLASH: Final = "NameClash"
NOT_A_FILE: Final = "NotAFile"
TOO_DEEP: Final = "TooDeep"

_COMMENT: Final = re.compile(r"(?:^|/)tickets/(?:[^/]{1,2}/)?[^/]+/comments/")
"""Below a ticket's folder: see ``create.comment_path``."""
_UNUSABLE: Final = re.compile(
    r"[\x00-\x1f\x7f-\x9f\\\u2028-\u202e\u2066-\u2069\ufeff\ufffe\uffff\ud800-\udfff]"
)
"""Also what turns around the order in which letters are shown."""
_GIT: Final = re.compile(r"\.git[. ]*|git~[0-9]+", re.IGNORECASE)
"""What file systems of other machines take for ``.git``."""
_MAX_PATH: Final = 1024
_MAX_NAME_BYTES: Final = 255


class TooManyFilesError(ValueError):
    """The folder has more files than a source may have: none of them is read."""


def select(commit: str, entries: Iterable[Entry], folder: str) -> Tree:
    """Return the files below *folder* (``spec.path``) that are to be read, and those that cannot.

    Looked at: ``*.md``, ``*.markdown``, ``*.yaml`` and ``*.yml``, also in capitals; no names that
    begin with a dot, no comments (``tickets/<id>/comments/``). Other files are no concern of ours.

    Raises:
        TooManyFilesError: There are more than ``MAX_FILES``.
    """
    prefix = "" if folder.strip("/") in {"", "."} else folder.strip("/") + "/"
    taken: list[Entry] = []
    problems: list[Problem] = []
    for entry in entries:
        if not entry.path.startswith(prefix) or not (
            style_of(entry.path) is not None or entry.type is EntryType.SUBMODULE
        ):
            continue
        wrong = _wrong(entry, entry.path[len(prefix) :])
        if wrong is not None:
            problems.append(wrong)
        elif not _passed_over(entry.path[len(prefix) :], entry.path):
            taken.append(entry)
        if len(taken) + len(problems) > MAX_FILES:
            raise TooManyFilesError(
                f"{folder} holds more than {MAX_FILES} files: give the source a smaller folder"
            )
    usable, clashes = _apart(taken)
    problems += clashes
    return Tree(
        commit=commit,
        entries=tuple(sorted(usable)),
        problems=tuple(sorted(problems, key=lambda one: one.path)),
        total=len(usable) + len(problems),
    )


def _passed_over(below: str, path: str) -> bool:
    """Whether the file is hidden, or a comment."""
    hidden = below.startswith(".") or "/." in below
    return hidden or _COMMENT.search(path) is not None


def _wrong(entry: Entry, below: str) -> Problem | None:
    """Return why an entry of our names, or a submodule, can never be read."""
    if entry.type is EntryType.SUBMODULE:
        return problem(
            printable(entry.path)[:_MAX_PATH],
            NOT_A_FILE,
            "is a submodule: nothing in it is read; commit the files here",
        )
    name = _wrong_name(entry.path)
    if name is not None:
        return problem(printable(entry.path)[:_MAX_PATH], INVALID_NAME, name)
    if _passed_over(below, entry.path):
        return None
    if entry.type is not EntryType.FILE:
        what = "a symbolic link" if entry.type is EntryType.SYMLINK else "no ordinary file"
        return problem(
            entry.path, NOT_A_FILE, f"is {what}, which is never followed: commit the file itself"
        )
    if below.count("/") > MAX_DEPTH:
        return problem(entry.path, TOO_DEEP, f"lies deeper than {MAX_DEPTH} folders: move it up")
    if entry.size > MAX_FILE_BYTES:
        return problem(
            entry.path, TOO_LARGE, f"is larger than {MAX_FILE_BYTES // 1024} KiB: make it smaller"
        )
    return None


def _wrong_name(path: str) -> str | None:
    if _UNUSABLE.search(path):
        return "its name holds control characters, a backslash or what is no UTF-8: rename it"
    if len(path) > _MAX_PATH:
        return f"its path is longer than {_MAX_PATH} characters: move it up"
    for part in path.split("/"):
        if part in {"", ".", ".."}:
            return "its path holds '..', '.' or an empty name: move it"
        if _GIT.fullmatch(_visible(part)):
            return "its path holds a folder that other machines take for .git: move it"
        if len(part.encode()) > _MAX_NAME_BYTES:
            return f"its name is longer than {_MAX_NAME_BYTES} bytes: shorten it"
    return None


def _visible(name: str) -> str:
    """Return the name without what some file systems ignore."""
    if name.isascii():
        return name
    return "".join(letter for letter in name if unicodedata.category(letter) != "Cf")


def _apart(entries: list[Entry]) -> tuple[list[Entry], list[Problem]]:
    """Return the entries whose names differ on every machine, and the problems of the others."""
    by_name: dict[str, list[Entry]] = defaultdict(list)
    for entry in entries:
        by_name[_folded(entry.path)].append(entry)
    usable: list[Entry] = []
    problems: list[Problem] = []
    for same in by_name.values():
        if len(same) == 1:
            usable += same
            continue
        for at, entry in enumerate(same):
            other = same[1 if at == 0 else 0].path
            problems.append(
                problem(
                    entry.path,
                    NAME_CLASH,
                    f"is the same name as {other} where case or accents do not count: rename one",
                )
            )
    return usable, problems


def _folded(path: str) -> str:
    if path.isascii():
        return path.lower()
    return unicodedata.normalize("NFC", unicodedata.normalize("NFC", path).casefold())
