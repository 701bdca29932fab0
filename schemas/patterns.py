"""Regular expressions of users, searched in text of others: in linear time, whatever both are.

The engine is the one that pydantic checks patterns with, Rust's ``regex``: no look-around, no back
references, and so nothing that could run away. Its syntax is otherwise that of Perl.
Source: https://docs.rs/regex, "Untrusted input".
"""

from collections.abc import Iterable
from typing import Final

from pydantic_core import SchemaError, SchemaValidator, core_schema

_LONGEST_PROBLEM: Final = 200


class PatternError(ValueError):
    """It is no pattern; the text says why, on one line."""


class Pattern:
    """One compiled pattern."""

    def __init__(self, text: str, *, by_lines: bool = False) -> None:
        """Compile it; *by_lines*: ``^`` and ``$`` are found at the ends of each line of a text.

        Raises:
            PatternError: It cannot be.
        """
        self.text = text
        self._validator = _compiled(f"(?m){text}" if by_lines else text)

    def is_in(self, text: str) -> bool:
        """Whether it is found anywhere in the text."""
        return self._validator.isinstance_python(text)


class Patterns:
    """Several, searched at once: as fast as one where none of them is found."""

    def __init__(self, texts: Iterable[str]) -> None:
        """Compile them.

        Raises:
            PatternError: One of them cannot be.
        """
        self._each = tuple(Pattern(text) for text in texts)
        self._any = (
            Pattern("|".join(f"(?:{one.text})" for one in self._each)) if self._each else None
        )

    def __bool__(self) -> bool:
        return self._any is not None

    def found(self, lines: Iterable[str]) -> str | None:
        """Return the text of a pattern that is in one of the lines; None: no one is."""
        if self._any is None:
            return None
        for line in lines:
            if self._any.is_in(line):
                return next((one.text for one in self._each if one.is_in(line)), None)
        return None


def problem(text: str) -> str:
    """Return why the text is no pattern; empty: it is one."""
    try:
        _compiled(text)
    except PatternError as exc:
        return str(exc)
    return ""


def _compiled(text: str) -> SchemaValidator:
    try:
        return SchemaValidator(core_schema.str_schema(pattern=text, regex_engine="rust-regex"))
    except SchemaError as exc:
        lines = [line.strip() for line in str(exc).splitlines()]
        why = next((line for line in lines if line.startswith("error:")), lines[-1])
        raise PatternError(why.removeprefix("error:").strip()[:_LONGEST_PROBLEM]) from None
