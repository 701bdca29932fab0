"""How full write-back may make a folder: what it adds never takes a source to its limits. Pure.

A source with too many files stalls as a whole, for everybody. Pods stop first, so that people can
still make tickets; both stop before what somebody else pushes at the same time can matter.
"""

from typing import Final

from controller.gitops.values import MAX_FILES, MAX_LISTED

_PODS_PERCENT: Final = 90
_PEOPLE_PERCENT: Final = 95


def full(folder: str, total: int, listed: int, *, person: bool) -> str:
    """Return why no ticket can be added, as one sentence; empty: it can.

    *total*: files that the source counts; *listed*: files of any name.
    """
    if total >= _share(MAX_FILES, person=person):
        return _sentence(folder, total, MAX_FILES, "files", person=person)
    return full_beside(folder, listed, person=person)


def full_beside(folder: str, listed: int, *, person: bool) -> str:
    """Return why no file can be added that the source passes over; empty: it can."""
    if listed >= _share(MAX_LISTED, person=person):
        return _sentence(folder, listed, MAX_LISTED, "files of any name", person=person)
    return ""


def _share(most: int, *, person: bool) -> int:
    return most * (_PEOPLE_PERCENT if person else _PODS_PERCENT) // 100


def _sentence(folder: str, have: int, most: int, what: str, *, person: bool) -> str:
    where = "the repository" if folder.strip("/") in {"", "."} else f"the folder {folder}"
    kept = "" if person else "; the rest is kept for people"
    return (
        f"{where} holds {have:,} of {most:,} {what} that a GitSource may have{kept}: nothing was"
        " changed; move or remove files of tickets that are done"
    )
