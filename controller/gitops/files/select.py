"""Which files of a commit are read, and which never can be."""

import re
import unicodedata
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
_PLAIN: Final = re.compile(r"(?:\w[\w.-]{0,99}/)*\w[\w.-]{0,99}", re.ASCII)
"""Paths with which nothing can be wrong but their length: most are such."""
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
    return Selection(folder).tree(commit, entries)


class Selection:
    """Selects again and again: only entries that differ from those of the last time are judged.

    Not for two threads at once.
    """

    def __init__(self, folder: str) -> None:
        """*folder* is ``spec.path``."""
        self._folder = folder
        self._prefix = "" if folder.strip("/") in {"", "."} else folder.strip("/") + "/"
        self._entries: dict[str, Entry] = {}
        """All that is there, by path, as it was judged last."""
        self._wrong: dict[str, Problem] = {}
        self._named: dict[str, tuple[str, ...]] = {}
        """Paths that are taken, by what they are where case and accents do not count."""
        self._clashes: dict[str, list[Problem]] = {}
        self._usable: dict[str, Entry] = {}
        self._listed: tuple[Entry, ...] | None = ()

    def tree(self, commit: str, entries: Iterable[Entry]) -> Tree:
        """Return what ``select`` would.

        Raises:
            TooManyFilesError: There are more than ``MAX_FILES``.
        """
        before, now = self._entries, {entry.path: entry for entry in entries}
        gone = before.keys() - now.keys()
        changed = [entry for path, entry in now.items() if before.get(path) != entry]
        self._entries = now
        again: set[str] = set()
        for path in (*gone, *(entry.path for entry in changed if entry.path in before)):
            self._drop(path, again)
        for entry in changed:
            self._judge(entry, again)
        for name in again:
            self._part(name)
        return self._tree(commit)

    def _drop(self, path: str, again: set[str]) -> None:
        """Forget an entry; *again* gets the name that others may have, too."""
        self._wrong.pop(path, None)
        name = _folded(path)
        same = self._named.get(name, ())
        if path in same:
            self._named[name] = tuple(other for other in same if other != path)
            self._leave(path)
            again.add(name)

    def _judge(self, entry: Entry, again: set[str]) -> None:
        """Take an entry or not; *again* gets the name that others may have, too."""
        path = entry.path
        ours = style_of(path) is not None or entry.type is EntryType.SUBMODULE
        if not ours or not path.startswith(self._prefix):
            return
        below = path[len(self._prefix) :]
        hidden = _passed_over(below, path)
        wrong = _wrong(entry, below, hidden=hidden)
        if wrong is not None:
            self._wrong[path] = wrong
        elif not hidden:
            name = _folded(path)
            self._named[name] = (*self._named.get(name, ()), path)
            again.add(name)

    def _part(self, name: str) -> None:
        """Find out which entries of that name are usable."""
        self._clashes.pop(name, None)
        same = self._named[name]
        if len(same) == 1:
            self._usable[same[0]] = self._entries[same[0]]
            self._listed = None
            return
        for path in same:
            self._leave(path)
        if same:
            self._clashes[name] = _clashing(sorted(same))
        else:
            del self._named[name]

    def _leave(self, path: str) -> None:
        if self._usable.pop(path, None) is not None:
            self._listed = None

    def _tree(self, commit: str) -> Tree:
        clashing = [problem for problems in self._clashes.values() for problem in problems]
        problems = [*self._wrong.values(), *clashing]
        total = len(self._usable) + len(problems)
        if total > MAX_FILES:
            text = f"{self._folder} holds more than {MAX_FILES} files"
            raise TooManyFilesError(f"{text}: give the source a smaller folder")
        if self._listed is None:
            self._listed = tuple(self._usable[path] for path in sorted(self._usable))
        return Tree(
            commit=commit,
            entries=self._listed,
            problems=tuple(sorted(problems, key=lambda one: one.path)),
            total=total,
        )


def _passed_over(below: str, path: str) -> bool:
    """Whether the file is hidden, or a comment."""
    hidden = below.startswith(".") or "/." in below
    return hidden or _COMMENT.search(path) is not None


def _wrong(entry: Entry, below: str, *, hidden: bool) -> Problem | None:
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
    if hidden:
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
    if len(path) <= _MAX_PATH and _PLAIN.fullmatch(path):
        return None
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


def _clashing(same: list[str]) -> list[Problem]:
    """Return the problems of files whose names do not differ on every machine."""
    return [
        problem(
            path,
            NAME_CLASH,
            f"is the same name as {same[1 if at == 0 else 0]} where case or accents do not count: "
            "rename one",
        )
        for at, path in enumerate(same)
    ]


def _folded(path: str) -> str:
    if path.isascii():
        return path.lower()
    return unicodedata.normalize("NFC", unicodedata.normalize("NFC", path).casefold())
