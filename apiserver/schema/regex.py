"""Regular expressions with the meaning that Go gives them, and never slow.

Kubernetes matches with RE2: linear time, ``$`` only at the very end. Python's ``re`` is ten times
faster to call from here but backtracks, so it serves only patterns that cannot run away (no
repeated group, few repetitions) on short texts; everything else goes to RE2 inside the CEL library.
"""

import re
from collections.abc import Callable
from functools import cache
from typing import Final

_SHORT: Final = 512
"""Texts up to this length may go to Python: with at most three repetitions that stays quick."""

_MAX_REPETITIONS: Final = 3

_PLAIN: Final = re.compile(
    r"""(?P<escape> \\(?:[.\\+*?()|\[\]{}^$/\-_:@dw]|x[0-9a-fA-F]{2}) )
      | (?P<set> \[\^?(?:(?!--)[^\[\]\\&~|]|\\(?:[.\\+*?()|\[\]{}^$/\-_:@dw]|x[0-9a-fA-F]{2}))+\] )
      | (?P<repeat> [*+?] | \{\d{1,3}(?:,\d{0,3})?\} )
      | (?P<open> \((?:\?:)?(?!\?) )
      | (?P<close> \) )
      | (?P<other> [^\\\[\](){}*+?] )
    """,
    re.VERBOSE,
)


class Pattern:
    """A Go regular expression."""

    def __init__(self, text: str) -> None:
        self.text = text
        translated = to_python(text)
        self._fast = None if translated is None else re.compile(translated, re.ASCII).search
        self._linear: Callable[[str], bool] | None = None

    def found_in(self, value: str) -> bool:
        """Say whether the expression matches somewhere in *value*.

        An expression that RE2 refuses matches nothing; CRDs with such are not admitted.
        """
        if self._fast is not None and len(value) <= _SHORT:
            return self._fast(value) is not None
        if self._linear is None:
            self._linear = _re2(self.text)
        return self._linear(value)


def to_python(text: str) -> str | None:
    """Return *text* for Python's ``re``, None if it might be slow or mean something else there."""
    position, repetitions, depth = 0, 0, 0
    parts: list[str] = []
    previous = "start"
    while position < len(text):
        token = _PLAIN.match(text, position)
        if token is None:
            return None
        kind, piece = str(token.lastgroup), token.group()
        position = token.end()
        if kind == "repeat":
            if previous in {"start", "open", "repeat"} or (previous == "close" and piece != "?"):
                return None
            repetitions += piece != "?"
        depth += (kind == "open") - (kind == "close")
        if depth < 0:
            return None
        parts.append(r"\Z" if piece == "$" else piece)
        previous = kind
    plain = depth == 0 and repetitions <= _MAX_REPETITIONS
    return "".join(parts) if plain and _compiles("".join(parts)) else None


def _compiles(text: str) -> bool:
    try:
        re.compile(text, re.ASCII)
    except re.error:
        return False
    return True


@cache
def _re2(text: str) -> Callable[[str], bool]:
    from apiserver.schema import cel  # the CEL library costs 20 MB: only when needed

    return cel.matcher(text)
