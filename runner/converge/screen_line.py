"""The line of the cursor as the program wrote it, for patterns that end in a blank. Pure."""


def typed_line(text: str, cursor: tuple[int, int]) -> str:
    """Return the row of the cursor with the blanks before it, which screens leave out.

    A prompt such as ``ready> `` ends in one, and people write their patterns after what the program
    prints. Empty where nothing was left out.
    """
    column, row = cursor
    rows = text.split("\n")
    line = rows[row] if row < len(rows) else ""
    return line.ljust(column) if line and len(line) < column else ""
