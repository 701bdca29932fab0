"""Markdown with front matter, taken apart and put together again byte for byte."""

import re
from dataclasses import dataclass
from typing import Final

from controller.gitops.files.leftover import conflict_line, late_front

_BOM: Final = b"\xef\xbb\xbf"
_WIDE: Final = (b"\xff\xfe", b"\xfe\xff")
"""Byte order marks of UTF-16, and of UTF-32 in the commoner order."""
_FENCE: Final = re.compile(rb"---[ \t]*(?:\r?\n|\Z)")
_CLOSING: Final = re.compile(r"^---[ \t]*(?:\r?\n|\Z)", re.MULTILINE)
_KEY: Final = re.compile(r"^(?:id|title)[ \t]*:", re.MULTILINE)


class TextError(ValueError):
    """The bytes are no text of ours."""

    def __init__(self, line: int, reason: str, message: str) -> None:
        super().__init__(message)
        self.line = line
        """From 1."""
        self.reason = reason
        """CamelCase."""
        self.message = message


@dataclass(frozen=True, slots=True)
class Document:
    """One file: its parts in order are the whole of it."""

    bom: bool
    """Whether it begins with a byte order mark."""
    opening: str
    """The line that begins the front matter, with its newline."""
    front: str
    """What stands between the lines, in YAML."""
    closing: str
    """The line that ends the front matter; its newline may be missing at the end of the file."""
    body: str
    """All that follows, as it is."""

    @property
    def newline(self) -> str:
        """How lines end: as the first does."""
        first = self.opening or self.front
        return "\r\n" if first.find("\r\n") == first.find("\n") - 1 >= 0 else "\n"

    @property
    def body_line(self) -> int:
        """The number, from 1, of the body's first line."""
        return 2 + self.front.count("\n") + self.closing.count("\n")

    def data(self) -> bytes:
        """Return the file."""
        text = f"{self.opening}{self.front}{self.closing}{self.body}"
        return (_BOM if self.bom else b"") + text.encode()


def split(data: bytes) -> Document | None:
    """Return the parts of a Markdown file; None: it has no front matter.

    Raises:
        TextError: It has, but cannot be read.
    """
    if data.startswith(_WIDE):
        if _looks_wide(data):
            raise _not_utf8(1)
        return None
    bom = data.startswith(_BOM)
    rest = data[len(_BOM) :] if bom else data
    refuse_conflict(rest, fences=True)
    opening = _FENCE.match(rest)
    if opening is None or not opening.group().endswith(b"\n"):
        if (line := late_front(rest)) is not None:
            raise TextError(
                line,
                "InvalidFrontMatter",
                "the front matter must begin in the first line: leave out what stands before it",
            )
        return None
    text = decode(rest)
    at = opening.end()
    closing = _CLOSING.search(text, at)
    if closing is None:
        if _KEY.search(text, at):
            raise TextError(
                1,
                "InvalidFrontMatter",
                "the front matter is not closed: add a line '---' behind it",
            )
        return None
    return Document(bom, text[:at], text[at : closing.start()], closing.group(),
                    text[closing.end() :])  # fmt: skip


def refuse_conflict(data: bytes, *, fences: bool) -> None:
    """Raise TextError where git marked a conflict that nobody solved."""
    if (line := conflict_line(data, fences=fences)) is not None:
        raise TextError(
            line,
            "ConflictMarkers",
            "git's marks of a merge conflict begin here: settle it and leave them out",
        )


def decode(data: bytes) -> str:
    """Return the text. Raises TextError: it is not UTF-8, or holds NUL."""
    if data.startswith(_WIDE):
        raise _not_utf8(1)
    nul = data.find(b"\0")
    if nul >= 0:
        line = 1 + data.count(b"\n", 0, nul)
        raise TextError(line, "InvalidEncoding", "holds a NUL character: leave it out")
    try:
        return data.decode()
    except UnicodeDecodeError as exc:
        raise _not_utf8(1 + data.count(b"\n", 0, exc.start)) from None


def without_bom(data: bytes) -> tuple[bool, bytes]:
    """Return whether there is a byte order mark, and what follows it."""
    bom = data.startswith(_BOM)
    return bom, data[len(_BOM) :] if bom else data


def with_bom(text: str, *, bom: bool) -> bytes:
    """Return the bytes of a text, with a byte order mark if it had one."""
    return (_BOM if bom else b"") + text.encode()


def _looks_wide(data: bytes) -> bool:
    """Whether front matter begins in the first line, were it UTF-8."""
    order = "utf-16-le" if data.startswith(_WIDE[0]) else "utf-16-be"
    return data[2:40].decode(order, errors="replace").replace("\0", "").startswith("---")


def _not_utf8(line: int) -> TextError:
    return TextError(line, "InvalidEncoding", "is not UTF-8: save the file as UTF-8")
