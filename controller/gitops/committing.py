"""Makes commits in a bare mirror without a checkout: one process for any number of them."""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from controller.gitops import paths
from controller.gitops.remote import FETCH_FAILED, PATH_INVALID, MirrorError, RefusedError
from controller.gitops.values import Author
from gitaccess.command import Call, Git, Limits
from gitaccess.places import shown

_REF: Final = "refs/agentsmesh/made"
"""Keeps what is made from being thrown away before it is pushed."""
_TREE: Final = "040000"
_PLAIN: Final = "100644"
_FILES: Final = frozenset({_PLAIN, "100755", "100664"})
_LITERALLY: Final = {"GIT_LITERAL_PATHSPECS": "1"}
_LONGEST_NAME: Final = 200


@dataclass(frozen=True, slots=True)
class Draft:
    """A commit to be made."""

    files: Mapping[str, bytes | None] = field(repr=False)
    """By path from the root of the repository; None deletes."""
    author: Author
    committer: Author
    message: str
    """Subject, body and trailers."""
    at: int
    """Seconds since 1970: when it is authored and committed."""


class Committer:
    """Makes commits in one bare repository; one call at a time."""

    def __init__(self, repository: Path, git: Git, limits: Limits) -> None:
        self._repository = repository
        self._git = git
        self._limits = limits

    async def make(self, parent: str, drafts: Sequence[Draft]) -> list[str]:
        """Make one commit for each draft, each on the one before, the first on *parent*.

        Raises:
            RefusedError: A path that must not be written, or something else is in its way.
            GitRunError: It cannot be done.
        """
        if not drafts:
            return []
        touched = list(dict.fromkeys(path for draft in drafts for path in draft.files))
        for path in touched:
            if not paths.is_writable(path):
                raise RefusedError(PATH_INVALID, f"{shown(path)} cannot be the path of a file")
        modes = await self._modes(parent, touched)
        stream = b"".join(_stream(parent, drafts, modes))
        with suppress(FileNotFoundError):  # of the last time, on another parent
            (self._repository / _REF).unlink()
        call = Call(
            ("fast-import", "--quiet", "--done"), self._repository, None, {}, stream, self._limits
        )
        made = (await self._git.run(call)).decode().split()
        if len(made) != len(drafts) or not all(re.fullmatch("[0-9a-f]{40}", id_) for id_ in made):
            raise MirrorError(FETCH_FAILED, "git made other commits than it was told to")
        return made

    async def _modes(self, parent: str, touched: Sequence[str]) -> dict[str, str]:
        """Return the modes of what is there already, folders on the way among it.

        Raises:
            RefusedError: ``PathInvalid``: what is there is no file, or no folder.
        """
        asked = list(dict.fromkeys(each for path in touched for each in _on_the_way(path)))
        args = ("ls-tree", "-z", "-t", "--full-tree", "--", parent, *asked)
        call = Call(args, self._repository, None, _LITERALLY, b"", self._limits)
        modes = {}
        for line in (await self._git.run(call)).split(b"\0"):
            head, _, name = line.partition(b"\t")
            modes[name.decode(errors="surrogateescape")] = head.partition(b" ")[0].decode()
        for path in touched:
            if modes.get(path, _PLAIN) not in _FILES:
                raise RefusedError(
                    PATH_INVALID, f"{shown(path)} is a folder, a link or a submodule"
                )
            for above in _above(path):
                if modes.get(above, _TREE) != _TREE:
                    raise RefusedError(PATH_INVALID, f"{shown(above)} is not a folder")
        return modes


def _above(path: str) -> Iterator[str]:
    """Yield the folders that the file is in."""
    parts = path.split("/")
    for length in range(1, len(parts)):
        yield "/".join(parts[:length])


def _on_the_way(path: str) -> Iterator[str]:
    """Yield what to list, to see the file and the folders that it is in; a folder by its content.

    A tree with many files is listed once, however many of them are asked for.
    """
    folders = list(_above(path))
    yield from folders
    yield f"{folders[-1]}/" if folders else path


def _stream(parent: str, drafts: Sequence[Draft], modes: Mapping[str, str]) -> Iterator[bytes]:
    """Yield the commands. Source: git-fast-import(1), Input Format."""
    yield b"feature done\nfeature get-mark\n"
    for number, draft in enumerate(drafts, 1):
        yield f"commit {_REF}\nmark :{number}\n".encode()
        for role, who in (("author", draft.author), ("committer", draft.committer)):
            yield f"{role} {_identity(who)} {draft.at} +0000\n".encode()
        yield _data((_clean(draft.message) + "\n").encode(errors="replace"))
        if number == 1:
            yield f"from {parent}\n".encode()
        for path, content in draft.files.items():
            if content is None:
                yield b"D " + _quoted(path) + b"\n"
            else:
                mode = modes.get(path, _PLAIN)
                mode = mode if mode == "100755" else _PLAIN
                yield f"M {mode} inline ".encode() + _quoted(path) + b"\n" + _data(content)
        yield b"\n"
    yield from (f"get-mark :{number}\n".encode() for number in range(1, len(drafts) + 1))
    yield b"done\n"


def _data(content: bytes) -> bytes:
    return f"data {len(content)}\n".encode() + content + b"\n"


def _quoted(path: str) -> bytes:
    """Return the path in quotes, as in C. Source: git-fast-import(1), ``<path>``."""
    return b'"' + b"".join(_escaped(path.encode(errors="surrogateescape"))) + b'"'


def _escaped(raw: bytes) -> Iterable[bytes]:
    for byte in raw:
        plain = 0x20 <= byte < 0x7F and byte not in b'"\\'
        yield bytes([byte]) if plain else f"\\{byte:03o}".encode()


def _identity(who: Author) -> str:
    name = _word(who.name).strip(" .,:;'\"") or "unknown"
    email = _word(who.email).replace(" ", "")
    return f"{name} <{email}>"


def _word(text: str) -> str:
    plain = text.encode(errors="replace").decode()[:_LONGEST_NAME]
    return "".join(char for char in plain if char.isprintable() and char not in "<>").strip()


def _clean(message: str) -> str:
    return message.replace("\0", "").replace("\r\n", "\n").strip("\n")
