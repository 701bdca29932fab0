"""Puts a value between the double quotes that a JSON or TOML text has around it. Pure."""

from enum import StrEnum
from typing import Final

_SHORT: Final = {'"': '\\"', "\\": "\\\\", "\n": "\\n", "\r": "\\r", "\t": "\\t"}


class TextFormat(StrEnum):
    """What a text is, and so how values are put into it."""

    TEXT = "text"
    JSON = "json"
    TOML = "toml"


def quoted(text: str, what: TextFormat) -> str:
    r"""Return *text* as it stands between double quotes in a text of that format.

    No value can end its string: quotes, backslashes and control characters are escaped.
    Source: RFC 8259, section 7; TOML 1.0, basic string (``\u007f`` is a control character there).
    """
    if what is TextFormat.TEXT:
        return text
    return "".join(map(_escaped, text))


def _escaped(char: str) -> str:
    code = ord(char)
    control = code < 0x20 or code == 0x7F or 0xD800 <= code <= 0xDFFF
    return _SHORT.get(char) or (f"\\u{code:04x}" if control else char)
