"""What an agent switched on in the user's terminal is switched off again."""

from cli.terminal.modes import Modes


def test_modes_that_are_on_are_undone_and_others_left_alone():
    modes = Modes()
    modes.feed(b"\x1b[?1000;1006h text \x1b[?2004h\x1b[?2004l\x1b[?7h")
    undone = modes.undo()
    assert b"\x1b[?1000l" in undone
    assert b"\x1b[?1006l" in undone
    assert b"2004" not in undone
    assert b"?7" not in undone


def test_the_alternate_screen_is_left_last_and_the_cursor_shown():
    modes = Modes()
    modes.feed(b"\x1b[?1049h\x1b[?25l\x1b[?1h")
    undone = modes.undo()
    assert undone.index(b"\x1b[?1l") < undone.index(b"\x1b[?1049l") < undone.index(b"\x1b[?25h")


def test_a_sequence_cut_in_two_is_seen_once():
    modes = Modes()
    for piece in (b"\x1b[?10", b"49", b"h", b"x" * 100, b"\x1b[?104", b"9l"):
        modes.feed(piece)
    assert b"1049" not in modes.undo()


def test_an_agent_that_switched_nothing_leaves_screen_and_cursor_alone():
    modes = Modes()
    modes.feed(b"just text")
    assert b"?" not in modes.undo()
