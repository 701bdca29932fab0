"""What a terminal's output says beside its text: titles, bells, notifications, marks. Pure."""

import re
from dataclasses import dataclass
from typing import Final

from runner.converge.activity import EXECUTING, IDLE, WAITING, Sign
from schemas.patterns import Patterns

_SEQUENCE: Final = re.compile(rb"\x1b(?:\]([^\x07\x1b]*)|[PX^_][^\x07\x1b]*)(?:\x07|\x1b\\)|\x07")
"""An OSC, another string, a bell. Source: ECMA-48, 8.3; XTerm's control sequences."""

_UNFINISHED: Final = re.compile(rb"\x1b(?:[\]PX^_][^\x07\x1b]*\x1b?)?\Z")
_LONGEST: Final = 4096
"""A sequence that is longer is not waited for."""

_COMMAND: Final = re.compile(rb"\d+(;|$)")
"""Behind OSC 9: another command of ConEmu's, no notification."""

_TEXT_CHARACTERS: Final = 256

_ASKING: Final = Patterns(
    (r"(?i)permission|approv|confirm|\ballow\b|question|\banswer|\bchoose|needs? (your|input)",)
)
"""Said in a notification, somebody is asked; else something is done."""


@dataclass(slots=True)
class Notices:
    """The latest of each. Fed with all output, in pieces as they come."""

    title: str = ""
    attention: Sign | None = None
    """The last bell or notification."""
    marked: Sign | None = None
    """What the last mark of a shell, or of progress, said."""
    _rest: bytes = b""

    def feed(self, data: bytes, now: float) -> None:
        """Take output."""
        if self._rest:
            data, self._rest = self._rest + data, b""
        if b"\x07" not in data and b"\x1b" not in data:
            return
        for found in _SEQUENCE.finditer(data):
            if found[0] == b"\x07":
                self.attention = Sign(IDLE, "it rang the bell and fell silent", now)
            elif found[1] is not None:
                self._told(found[1], now)
        cut = _UNFINISHED.search(data, max(0, len(data) - _LONGEST))
        self._rest = data[cut.start() :] if cut else b""

    def _told(self, content: bytes, now: float) -> None:
        number, _, text = content.partition(b";")
        match number:
            case b"0" | b"2":
                self.title = _text(text)
            case b"9" if text.startswith(b"4;"):
                self._progress(text, now)
            case b"9" if _COMMAND.match(text):
                return
            case b"9" | b"777":
                self._notified(_text(text), now)
            case b"99":
                about, _, said = text.partition(b";")
                if said and b"p=?" not in about:
                    self._notified(_text(said), now)
            case b"133":
                self._mark(text[:1], now)
            case _:
                return

    def _notified(self, text: str, now: float) -> None:
        word = WAITING if _ASKING.found((text,)) else IDLE
        what = "asks for somebody" if word == WAITING else "says that it is done"
        self.attention = Sign(word, f"a notification of it {what}", now)

    def _progress(self, text: bytes, now: float) -> None:
        """Source: ConEmu, OSC 9;4: 0 none, 1 so much, 2 error, 3 some, 4 paused."""
        running = text[2:3] in (b"1", b"3")
        self.marked = Sign(EXECUTING, "it shows progress to the terminal", now) if running else None

    def _mark(self, letter: bytes, now: float) -> None:
        """Source: FinalTerm's marks, OSC 133: A prompt, B behind it, C command, D its end."""
        if letter == b"C":
            self.marked = Sign(EXECUTING, "its shell has begun a command (OSC 133)", now)
        elif letter in (b"A", b"B", b"D") and (self.marked is None or self.marked.word != IDLE):
            self.marked = Sign(IDLE, "its shell is at the prompt (OSC 133)", now)


def _text(data: bytes) -> str:
    text = data[: 4 * _TEXT_CHARACTERS].decode(errors="replace")
    return "".join(c for c in text if c.isprintable())[:_TEXT_CHARACTERS]
