"""The part of YAML that files may be written in, parsed into nodes that know where they stand."""

from collections.abc import Sequence
from typing import Any


class DialectError(ValueError):
    """The text is not YAML, or uses what is not allowed."""

    def __init__(self, line: int, column: int, message: str) -> None:
        super().__init__(message)
        self.line = line
        """From 1, in the file."""
        self.column = column
        """From 1."""
        self.message = message


class Parsed:
    """One document."""

    value: Any
    """Mappings, lists, texts, whole numbers, booleans, None."""

    def line(self, path: Sequence[str | int]) -> int:
        """Return the line, from 1, of the key or item at *path*, or of what is nearest above."""
        raise NotImplementedError


def parse(text: str, first_line: int = 1) -> Parsed:
    """Return what the one document of *text* says, whose first line has that number in the file.

    Raises:
        DialectError: It cannot be used.
    """
    raise NotImplementedError
