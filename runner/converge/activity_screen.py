"""What a screen says about an agent: signs of its class, questions, whether it moves. Pure."""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final, Protocol

from meshwire.v1 import link_pb2

from runner.converge.activity import EXECUTING, IDLE, WAITING
from runner.converge.screen_line import typed_line
from schemas.patterns import PatternError, Patterns

_CHOICE: Final = Patterns(
    (
        r"(?i)[\[(]\s*(y|yes)\s*/\s*(n|no)(/[a-z]+)*\s*[\])]",
        r"(?i)\((y)\)es/\((n)\)o\b.{0,60}: ?$",
    )
)
"""On the row of the cursor, before it: somebody is to say yes or no."""

_AT_CURSOR: Final = Patterns(
    (
        r"(?i)\b(pass(word|phrase|code)|username|login|pin|token|code)( for [^:]{1,120})?: ?$",
        r"(?i)\((yes/no|yes/no/\[fingerprint\])\)\?? ?$",
        r"\S\? ?$",
        r"(?i)\b(press|hit) (any key|enter|return|space|ctrl|q\b)",
        r"(?i)--more--|^\(END\)|lines \d+-\d+",
        r"^:$",
        r"(?i)\[(enter|return)\] ?$|\bselection ?: ?$|\bchoice( \[.{1,40}\])? ?[:?] ?$",
    )
)
"""On the row of the cursor, before it: somebody is asked."""

_MENU: Final = Patterns(
    (
        r"(?i)use (the )?(arrow|up|cursor)|arrow keys|↑ ?/? ?↓",
        r"(?i)\b(enter|return|⏎) to (select|confirm|submit|continue|accept|choose)",
        r"(?i)<space> to (select|toggle)",
    )
)
"""Anywhere near the end: a menu is open."""

_MENU_ROWS: Final = 14

_MOVES: Final = re.compile(
    r"[\d\s.\u00b7\u2022|/\\*=#>\u2013\u2014\u2217"
    r"\u2500-\u259f\u25a0-\u25ff\u2700-\u27bf\u2800-\u28ff-]+"  # boxes, shapes, dingbats, braille
)
"""Figures, and what spinners and bars are drawn with."""


class Screen(Protocol):
    """What is needed of ``runner.drivers.screen.Screen``."""

    @property
    def cursor(self) -> tuple[int, int]:
        """Column and row of the cursor."""
        ...

    def feed(self, data: bytes) -> None:
        """Take output."""
        ...

    def skip(self) -> None:
        """Take that some output is missing."""
        ...

    def resize(self, cols: int, rows: int) -> None:
        """Change the size."""
        ...

    def text(self) -> str:
        """Return what one sees."""
        ...

    def mode(self, number: int) -> bool:
        """Whether a mode is on."""
        ...

    def close(self) -> None:
        """Free its memory."""
        ...


@dataclass(frozen=True, slots=True)
class Rules:
    """What the class says of its agent."""

    waiting: Patterns
    executing: Patterns
    idle: Patterns
    idle_seconds: float
    stuck_seconds: float
    hooks: str = ""


@dataclass(frozen=True, slots=True)
class Seen:
    """What is on a screen."""

    word: str = ""
    """That the class's signs speak for."""
    evidence: str = ""
    question: str = ""
    """Evidence of a question where the cursor is; empty: there is none."""
    is_choice: bool = False
    """The question says that it takes a yes or a no."""
    stamp: int = 0
    """The same for screens on which nothing differs but figures, spinners and signs of work."""
    full_screen: bool = False


_ALTERNATE: Final = (1049, 1047, 47)

IDLE_SECONDS: Final = 10.0
STUCK_SECONDS: Final = 900.0


def rules(activity: link_pb2.Activity) -> Rules:
    """Return the class's rules; a pattern that this runner cannot search for is none."""
    return Rules(
        _patterns(activity.waiting),
        _patterns(activity.executing),
        _patterns(activity.idle),
        float(activity.idle_seconds or IDLE_SECONDS),
        float(activity.stuck_seconds or STUCK_SECONDS),
        activity.hooks,
    )


def seen(screen: Screen, title: str, wanted: Rules) -> Seen:
    """Return what there is to be seen."""
    text = screen.text()
    rows = text.split("\n")
    lines = [row for row in rows if row.strip()]
    typed = typed_line(text, screen.cursor)
    word, evidence = _sign([*lines, typed] if typed else lines, title, wanted)
    question, is_choice = _question(rows, screen.cursor)
    return Seen(
        word,
        evidence,
        question,
        is_choice,
        _stamp(lines, wanted),
        any(screen.mode(mode) for mode in _ALTERNATE),
    )


def _sign(lines: list[str], title: str, wanted: Rules) -> tuple[str, str]:
    for word, patterns in (
        (WAITING, wanted.waiting),
        (EXECUTING, wanted.executing),
        (IDLE, wanted.idle),
    ):
        if (pattern := patterns.found(lines)) is not None:
            return word, f"its screen matches {_short(pattern)} of the class"
        if title and (pattern := patterns.found((title,))) is not None:
            return word, f"its title matches {_short(pattern)} of the class"
    return "", ""


def _question(rows: list[str], cursor: tuple[int, int]) -> tuple[str, bool]:
    column, row = cursor
    line = rows[row][: column + 1].rstrip("█▌") if row < len(rows) else ""
    if _CHOICE.found((line,)) is not None:
        return "a question for yes or no stands at the cursor", True
    if _AT_CURSOR.found((line,)) is not None:
        return "a question stands at the cursor", False
    written = [each for each in rows if each.strip()][-_MENU_ROWS:]
    if _MENU.found(written) is not None:
        return "a menu is open", False
    return "", False


def _stamp(lines: list[str], wanted: Rules) -> int:
    kept = (line for line in lines if wanted.executing.found((line,)) is None)
    return hash("\n".join(_MOVES.sub("", line) for line in kept))


def _patterns(texts: Iterable[str]) -> Patterns:
    good = []
    for text in texts:
        try:
            Patterns((text,))
        except PatternError:
            continue  # the class's condition says so
        good.append(text)
    try:
        return Patterns(good)
    except PatternError:
        return Patterns(())  # all at once they are too large


def _short(pattern: str) -> str:
    return f'"{pattern}"' if len(pattern) <= 80 else f'"{pattern[:79]}…"'
