"""Values as YAML, written so that every reader takes them for the same.

A text stands plain only where YAML 1.1, YAML 1.2 and our own dialect all take it for that text.
"""

import re
from collections.abc import Mapping, Sequence
from typing import Any, Final

Plain = str | int | bool | None

STEP: Final = 2
"""Columns that each level is indented further."""
_WIDTH: Final = 100
"""Lists that are longer than this on one line get a line for each item."""
_PLAIN: Final = re.compile(r"[^\W\d_](?:[\w./@+()-]|[;=?!'](?! *$)| (?! *$)|,(?=\w)){0,999}")
_PLAIN_IN_FLOW: Final = re.compile(r"[^\W\d_](?:[\w./@+()-]|[;='](?! *$)| (?! *$)){0,999}")
_MAX_PLAIN: Final = 1_000
_WORDS: Final = frozenset({"true", "false", "yes", "no", "on", "off", "y", "n", "null", "nan"})
_UNSAFE: Final = re.compile(
    "[^\x20-\x7e\xa0-\u2027\u202f-\u2065\u206a-\ud7ff\ue000-\ufefe\uff00-\ufffd"
    "\U00010000-\U0010ffff]"
)
"""What cannot stand in a line as it is, or turns around the order in which letters are shown."""
_UNSAFE_IN_BLOCK: Final = re.compile(
    "[^\t\n\x20-\x7e\xa0-\u2027\u202a-\ud7ff\ue000-\ufefe\uff00-\ufffd\U00010000-\U0010ffff]"
)
_SHORT: Final = {"\\": "\\\\", '"': '\\"', "\n": "\\n", "\t": "\\t", "\r": "\\r", "\0": "\\0"}
_QUOTED: Final = re.compile(f'{_UNSAFE.pattern}|["\\\\]')
_BYTE: Final = 0xFF
_PLANE: Final = 0xFFFF


def scalar(value: Plain, style: str = "", *, in_flow: bool = False) -> str:
    """Return a scalar on one line, in quotes of that style where it can have them."""
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int):
        return str(value)
    if style == "'" and not _UNSAFE.search(value):
        return "'" + value.replace("'", "''") + "'"
    if style != '"' and _is_plain(value, in_flow=in_flow):
        return value
    return '"' + _QUOTED.sub(_escape, value) + '"'


def flow(value: Any, style: str = "") -> str:
    """Return any value on one line, lists and mappings in brackets; texts in that style."""
    if isinstance(value, Mapping):
        pairs = (f"{scalar(k, style, in_flow=True)}: {flow(v, style)}" for k, v in value.items())
        return "{" + ", ".join(pairs) + "}"
    if isinstance(value, Sequence) and not isinstance(value, str):
        return "[" + ", ".join(flow(item, style) for item in value) + "]"
    return scalar(value, style, in_flow=True)


def entry(key: str, value: Any, indent: int, *, blocks: bool = True) -> list[str]:
    """Return the lines of a key and its value in a mapping whose keys stand in that column.

    *blocks*: texts of several lines may become blocks of text.
    """
    margin = " " * indent
    head = f"{margin}{scalar(key)}:"
    if isinstance(value, Mapping):
        if len(value) <= 1:
            return [f"{head} {flow(value)}"]
        inner = (entry(k, v, indent + STEP, blocks=blocks) for k, v in value.items())
        return [head, *(line for lines in inner for line in lines)]
    if isinstance(value, Sequence) and not isinstance(value, str):
        line = f"{head} {flow(value)}"
        if len(line) <= _WIDTH and not any(isinstance(item, Mapping) for item in value):
            return [line]
        return [head, *(f"{margin}{' ' * STEP}- {flow(item)}" for item in value)]
    if blocks and isinstance(value, str) and "\n" in value:
        lines = literal(value, indent + STEP, STEP)
        if lines is not None:
            return [f"{head} {lines[0]}", *lines[1:]]
    return [f"{head} {scalar(value)}"]


def item(value: Any, indent: int, *, block: bool) -> list[str]:
    """Return the lines of an item whose dash stands in that column; *block*: without braces."""
    margin = " " * indent
    if block and isinstance(value, Mapping) and value:
        lines = [line for k, v in value.items() for line in entry(k, v, indent + STEP)]
        return [f"{margin}- {lines[0].lstrip(' ')}", *lines[1:]]
    return [f"{margin}- {flow(value)}"]


def literal(text: str, indent: int, step: int) -> list[str] | None:
    """Return the lines of a block of text: header first; None: it cannot be written so.

    It stands in the column *indent*, which is *step* right of its key.
    """
    if _UNSAFE_IN_BLOCK.search(text) or not text.strip(" \t\n"):
        return None
    stripped = text.rstrip("\n")
    ends = len(text) - len(stripped)
    if ends > 1:
        return None  # blank lines at the end are too easily lost
    header = "|" if ends else "|-"
    if text[0] in " \n\t":
        header = f"|{step}{'' if ends else '-'}"
    margin = " " * indent
    return [header, *(margin + line if line else "" for line in stripped.split("\n"))]


def _is_plain(text: str, *, in_flow: bool) -> bool:
    pattern = _PLAIN_IN_FLOW if in_flow else _PLAIN
    return (
        len(text) <= _MAX_PLAIN
        and pattern.fullmatch(text) is not None
        and text.lower() not in _WORDS
        and not _UNSAFE.search(text)
    )


def _escape(found: re.Match[str]) -> str:
    letter = found.group()
    if letter in _SHORT:
        return _SHORT[letter]
    code = ord(letter)
    if code <= _BYTE:
        return f"\\x{code:02x}"
    return f"\\u{code:04x}" if code <= _PLANE else f"\\U{code:08x}"
