"""Three-way merge of texts, line by line: both sides' changes, or that they cannot be had."""

from collections.abc import Iterator
from difflib import SequenceMatcher
from itertools import pairwise
from typing import Final, NamedTuple

_MAX_LINES: Final = 1_000
"""Where more lines than this lie between the first and the last difference, all of them count as
one change: comparing them takes time with the square of their number."""


class _Hunk(NamedTuple):
    """Lines of the base that one side replaced."""

    start: int
    end: int
    lines: tuple[str, ...]


def weave(base: str, theirs: str, ours: str) -> str | None:
    """Return the text with what both sides changed; None: they changed the same lines differently.

    Changes of lines that stand next to each other are of the same lines: what lies between them
    is what tells where a change belongs.
    """
    if ours == theirs:
        return ours
    if base == theirs:
        return ours
    if base == ours:
        return theirs
    lines = base.splitlines(keepends=True)
    merged: list[str] = []
    at = 0
    for hunk in _both(lines, theirs, ours):
        if hunk is None:
            return None
        merged += [*lines[at : hunk.start], *hunk.lines]
        at = hunk.end
    return "".join([*merged, *lines[at:]])


def _both(base: list[str], theirs: str, ours: str) -> Iterator[_Hunk | None]:
    """Give the changes of both sides in order; None instead of one that they do not agree on."""
    left = _hunks(base, theirs.splitlines(keepends=True))
    right = _hunks(base, ours.splitlines(keepends=True))
    hunks = sorted({*left, *right})
    for before, after in pairwise(hunks):
        if after.start <= before.end:
            yield None
            return
    yield from hunks


def _hunks(base: list[str], side: list[str]) -> list[_Hunk]:
    start, base_end, side_end = _trimmed(base, side)
    if max(base_end, side_end) - start > _MAX_LINES:
        return [_Hunk(start, base_end, tuple(side[start:side_end]))]
    matcher = SequenceMatcher(None, base[start:base_end], side[start:side_end])
    return [
        _Hunk(start + a, start + b, tuple(side[start + c : start + d]))
        for what, a, b, c, d in matcher.get_opcodes()
        if what != "equal"
    ]


def _trimmed(base: list[str], side: list[str]) -> tuple[int, int, int]:
    """Return where the texts begin to differ, and behind which line of each they end to."""
    start = 0
    shorter = min(len(base), len(side))
    while start < shorter and base[start] == side[start]:
        start += 1
    base_end, side_end = len(base), len(side)
    while base_end > start and side_end > start and base[base_end - 1] == side[side_end - 1]:
        base_end -= 1
        side_end -= 1
    return start, base_end, side_end
