"""What an unfinished merge leaves in a file, and tickets that do not begin where they should.

Both would make a file that was a ticket look like anybody's text: it must be told, not passed over.
"""

import re
from typing import Final

_OURS: Final = re.compile(rb"<{7}(?: |\r?$)")
_MIDDLE: Final = re.compile(rb"={7}\r?$")
_THEIRS: Final = re.compile(rb">{7}(?: |\r?$)")
_FENCE: Final = re.compile(rb" {0,3}(```|~~~)")
_RULE: Final = re.compile(rb"---[ \t]*\r?$")
_ID: Final = re.compile(rb"id[ \t]*:")
_SKIPPED: Final = re.compile(rb"[ \t]*(#.*)?\r?$")
_NEAR: Final = 50
"""Lines within which a ticket's front matter is sought."""


def conflict_line(data: bytes, *, fences: bool) -> int | None:
    """Return the line, from 1, of the first conflict that git marked; None: there is none.

    *fences*: what stands in a fenced block of Markdown is an example, and does not count.
    """
    if b"<<<<<<<" not in data:
        return None
    wanted, start, inside = _OURS, 0, b""
    for number, line in enumerate(data.split(b"\n"), 1):
        if fences:
            inside = _within(inside, line)
        if inside or not wanted.match(line):
            continue
        if wanted is _THEIRS:
            return start
        if wanted is _OURS:
            start = number
        wanted = _MIDDLE if wanted is _OURS else _THEIRS
    return None


def late_front(data: bytes) -> int | None:
    """Return the line, from 1, where front matter with an id begins behind other text, if any."""
    lines, inside = data.split(b"\n", _NEAR + 1), b""
    for number, line in enumerate(lines[:_NEAR], 1):
        inside = _within(inside, line)
        if not inside and _RULE.match(line) and _begins_with_id(lines[number:]):
            return number
    return None


def _begins_with_id(lines: list[bytes]) -> bool:
    said = next((line for line in lines if not _SKIPPED.match(line)), b"")
    return _ID.match(said) is not None


def _within(inside: bytes, line: bytes) -> bytes:
    """Return the mark of the fenced block that the next line stands in; empty: none."""
    fence = _FENCE.match(line)
    if fence is None:
        return inside
    if not inside:
        return fence.group(1)
    return b"" if fence.group(1) == inside else inside
