"""What one sees of a terminal, as it is told to others: the last lines, the screen, the cursor.

A line is a row as it is on the screen, so that a line which was too long is several, and all of
them end with the last row that holds text (see ``runner.drivers.screen``). Full-screen programs
have a screen of their own: while it is on, its rows are all there is.
"""

from typing import Final

from meshwire.v1 import link_pb2

from runner.terminals.emulator import Emulator, Question

MOST_LINES: Final = 10_000

MOST_BYTES: Final = 3 * 1024 * 1024
"""More does not fit into a message on the link."""

_FEW_LINES: Final = 500
_REMEMBERED: Final = 4
_REMEMBERED_BYTES: Final = 64 * 1024


class TooLargeError(ValueError):
    """There is more in the lines than can be sent; the text is one sentence for an agent."""


def question(look: link_pb2.Look) -> Question:
    """Return what is asked for, within its bounds."""
    return min(max(look.lines, 1), MOST_LINES), look.raw, look.include_screen


def is_quick(asked: Question, emulator: Emulator) -> bool:
    """Whether answering takes less than a millisecond."""
    return emulator.knows(asked) or asked[0] <= _FEW_LINES


def looked(asked: Question, emulator: Emulator) -> link_pb2.Looked:
    """Return what one sees; the same as last time while nothing changed.

    Raises:
        TooLargeError: It cannot be sent.
    """
    if emulator.knows(asked):
        return emulator.answers[asked]
    count, raw, include_screen = asked
    screen = emulator.screen()
    lines, total = screen.lines(count, raw=raw), screen.total_lines
    column, row = screen.cursor
    answer = link_pb2.Looked(
        output="\n".join(lines),
        screen=screen.text().rstrip("\n") if include_screen else "",
        cursor_x=column,
        cursor_y=row,
        total_lines=total,
        has_more=total > len(lines),
    )
    if answer.ByteSize() > MOST_BYTES:
        raise TooLargeError(
            f"{len(lines)} lines of this terminal are {answer.ByteSize()} bytes, and at most "
            f"{MOST_BYTES} can be sent: ask for fewer lines."
        )
    if len(emulator.answers) < _REMEMBERED and answer.ByteSize() <= _REMEMBERED_BYTES:
        emulator.answers[asked] = answer
    return answer
