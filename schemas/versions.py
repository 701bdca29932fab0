"""Finds and compares versions in what programs print. Pure."""

import re
from typing import Final

_VERSION: Final = re.compile(r"[0-9]+(?:\.[0-9]+)+")
_LONGEST_NUMBER: Final = 18


def is_older(said: str, minimum: str) -> bool | None:
    """Whether what a program *said* is an older version than *minimum*; None: it said none.

    A version is the first number with a dot in it: in ``codex-cli 0.169.0`` it is 0.169.0. What
    follows its numbers, such as ``-beta``, does not count.
    """
    found = _VERSION.search(said)
    if found is None:
        return None
    have, want = _numbers(found[0]), _numbers(minimum)
    length = max(len(have), len(want))
    return have + [0] * (length - len(have)) < want + [0] * (length - len(want))


def _numbers(version: str) -> list[int]:
    return [int(each[:_LONGEST_NUMBER]) for each in version.split(".")]
