"""Tells from two looks at a screen whether a typed text still waits in the input line: pure.

The end of the text is sought on the screen, whatever frame, prompt sign or wrapping is around
it. While it stands where it stood, relative to the cursor, the input holds it; once it does
not, the program has taken it. Programs that show a long paste as a note (``[Pasted text]``)
are known by that note: by what the paste brought onto the screen.
"""

import re
from collections import Counter
from dataclasses import dataclass, field
from enum import Enum
from typing import Final

from runner.converge.prompt import plain

_NEEDLES: Final = (48, 24, 12)
"""Characters of the text's end that are sought: the longest that is found counts."""

_NEAR_ROWS: Final = 3
_UNSEEN: Final = re.compile(r"[\s\u2500-\u259f]+")
"""Blanks, frames and blocks: what a program puts around and into a text that it shows."""


@dataclass(frozen=True, slots=True)
class Look:
    """A screen at one moment."""

    text: str
    column: int = 0
    """Of the cursor, from 0."""
    row: int = 0
    size: tuple[int, int] = (120, 40)
    bracketed: bool = False
    """Whether the program asked for pastes to be marked."""
    line_mode: bool = False
    """Whether the terminal collects whole lines for the program."""
    offset: int = 0
    """Length of the transcript that it shows."""
    is_blank: bool = False
    """Whether the run has written nothing at all yet."""
    at: float = 0.0
    """Monotonic, as all times here."""
    changed_at: float = 0.0
    """When there was output last."""
    sign_at: float | None = None
    """Since when the sign of readiness is shown; None when it is not."""
    others_at: float = float("-inf")
    """When somebody else, a person or another agent, typed last."""
    unread_at: float = float("-inf")
    """When the program was last known not to have read all input; ``at``: it has not still."""
    flat: str = field(init=False, default="", compare=False)
    """The text without what is not seen."""
    ends: tuple[int, ...] = field(init=False, default=(), compare=False)
    """Length of ``flat`` at the end of each row."""

    def __post_init__(self) -> None:
        ends, flat = [], ""
        for line in self.text.split("\n"):
            flat += squeezed(line)
            ends.append(len(flat))
        object.__setattr__(self, "flat", flat)
        object.__setattr__(self, "ends", tuple(ends))

    @property
    def calm_seconds(self) -> float:
        """How long there was no output."""
        return self.at - self.changed_at

    @property
    def is_unread(self) -> bool:
        """Whether something that was typed is not read by the program yet."""
        return self.unread_at >= self.at

    def rows(self) -> "Counter[str]":
        """Return the rows on which something is to be seen."""
        return Counter(line for line in map(squeezed, self.text.split("\n")) if line)

    def row_of(self, flat_offset: int) -> int:
        """Return the row on which the character before an offset into ``flat`` stands."""
        return next((row for row, end in enumerate(self.ends) if end >= flat_offset), 0)


class Verdict(Enum):
    """What became of a text after its submit key."""

    HELD = "held"
    """It is in the input still."""
    TAKEN = "taken"
    """It left the input."""
    UNKNOWN = "unknown"
    """Nothing can be told."""


@dataclass(frozen=True, slots=True)
class Mark:
    """Where a text stands in the input."""

    needle: str
    """What is sought on the screen; empty when the program shows nothing of what is typed."""
    shown: Look
    above: int = 0
    """Rows from the needle's end to the cursor."""
    sign_tells: bool = False
    """Whether the sign of readiness was there before the text and is not with it."""
    anywhere: bool = False
    """Whether it was not read when it was last seen to: it may stand anywhere on the screen."""


def squeezed(text: str) -> str:
    """Return the text without what is not seen."""
    return _UNSEEN.sub("", text)


def is_echoed(text: str, before: Look | None, look: Look) -> bool:
    """Whether the end of the text came onto the screen, or stands at the cursor."""
    return bool(_needle(text, before, look))


def mark(text: str, before: Look | None, shown: Look) -> Mark:
    """Return where the text stands on a screen that shows it in the input."""
    needle = _needle(text, before, shown) or _brought(before, shown)
    tells = before is not None and before.sign_at is not None and shown.sign_at is None
    above = shown.row - _nearest_row(needle, shown) if needle else 0
    return Mark(needle, shown, above, tells)


def unread_mark(text: str, shown: Look) -> Mark:
    """Return where a text will stand that the program has not read yet."""
    return Mark(squeezed(plain(text))[-_NEEDLES[1] :], shown, anywhere=True)


def verdict(held: Mark, look: Look) -> Verdict:
    """Return whether the text is where it was; *look* is later than the mark's."""
    if look.offset <= held.shown.offset:
        return Verdict.HELD if held.needle else Verdict.UNKNOWN
    if held.anywhere:
        return Verdict.HELD if held.needle in look.flat else Verdict.TAKEN
    if held.sign_tells and look.sign_at is not None:
        return Verdict.TAKEN
    if look.size != held.shown.size:
        return Verdict.TAKEN if held.needle and held.needle not in look.flat else Verdict.UNKNOWN
    if not held.needle:
        return Verdict.TAKEN
    return Verdict.HELD if _is_in_place(held, look) or _is_longer(held, look) else Verdict.TAKEN


def _is_in_place(held: Mark, look: Look) -> bool:
    if look.column != held.shown.column:
        return False
    return any(row == look.row - held.above for row in _rows_of(held.needle, look))


def _is_longer(held: Mark, look: Look) -> bool:
    """Whether the key only made the input a line longer, as in an editor.

    Not asked of programs that take no marked pastes: there a moved cursor may be all that
    taking a line looks like.
    """
    if not look.bracketed or held.needle not in look.flat:
        return False
    return look.rows() == held.shown.rows()


def _needle(text: str, before: Look | None, look: Look) -> str:
    """Return what of the text's end is seen in the input."""
    flat = squeezed(plain(text))
    for length in _NEEDLES:
        needle = flat[-length:]
        count = look.flat.count(needle) if needle else 0
        if not count:
            continue
        is_new = before is None or count > before.flat.count(needle)
        if is_new or 0 <= look.row - _nearest_row(needle, look) < _NEAR_ROWS:
            return needle
    return ""


def _brought(before: Look | None, shown: Look) -> str:
    """Return the row nearest to the cursor that the paste brought."""
    if before is None:
        return ""
    known = before.rows()
    lines = enumerate(shown.text.split("\n"))
    new = [(abs(row - shown.row), squeezed(line)) for row, line in lines]
    new = [(far, line) for far, line in new if line and line not in known]
    return min(new, key=lambda each: each[0])[1] if new else ""


def _nearest_row(needle: str, look: Look) -> int:
    rows = _rows_of(needle, look)
    return min(rows, key=lambda row: abs(look.row - row)) if rows else 0


def _rows_of(needle: str, look: Look) -> list[int]:
    """Return the rows on which the needle ends."""
    found, at = [], look.flat.find(needle)
    while at >= 0:
        found.append(look.row_of(at + len(needle)))
        at = look.flat.find(needle, at + 1)
    return found
