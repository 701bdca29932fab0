"""Draws the present screen of a terminal from the tail of its output."""

from runner.drivers.screen import Screen


def draw(output: list[bytes], cols: int, rows: int) -> bytes:
    """Return VT bytes that draw the screen which *output* leaves behind."""
    screen = Screen(cols, rows)
    try:
        for piece in output:
            screen.feed(piece)
        return screen.redraw()
    finally:
        screen.close()
