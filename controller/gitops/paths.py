"""Which paths within a repository are looked at and written. Pure."""

import re
import unicodedata
from typing import Final

_LONGEST: Final = 4096
_IGNORED_BY_FILE_SYSTEMS: Final = re.compile("[\u200c-\u200f\u202a-\u202e\u206a-\u206f\ufeff]")
"""Source: git's utf8.c, ``is_hfs_dotgit``: what HFS+ leaves out of names."""
_DOT_GIT: Final = re.compile(r"(\.git|git~[0-9]+)[ .]*(:.*)?", re.IGNORECASE)
"""Source: git's path.c, ``is_ntfs_dotgit``."""


def folder(path: str) -> str | None:
    """Return the folder without needless parts, empty for the root; None if it can be none."""
    parts = [part for part in path.split("/") if part not in {"", "."}]
    if path.startswith("/") or not all(_is_name(part) for part in parts):
        return None
    whole = "/".join(parts)
    return whole if len(whole) <= _LONGEST else None


def is_writable(path: str) -> bool:
    """Tell whether a file may be written there: a plain relative path, nothing of git's own."""
    parts = path.split("/")
    return (
        len(path) <= _LONGEST
        and all(_is_name(part) and part != "." for part in parts)
        and all(unicodedata.category(char)[0] != "C" for char in path)
    )


def _is_name(part: str) -> bool:
    if part in {"", ".."} or re.search(r"[\x00-\x1f\x7f\\]", part):
        return False
    return _DOT_GIT.fullmatch(_IGNORED_BY_FILE_SYSTEMS.sub("", part)) is None
