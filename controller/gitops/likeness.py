"""Which resource a file that cannot be used was about before it was renamed. Pure."""

from collections import Counter
from collections.abc import Mapping
from typing import Final

from controller.gitops.values import Identity

_MOST: Final = 100
"""So many files are compared with as many."""


def renamed(lost: Mapping[Identity, bytes], strange: Mapping[str, bytes]) -> dict[Identity, str]:
    """Return the resources whose file, by what it said, goes on under another path, and that path.

    *lost* has what their files said, *strange* files that were never read. As git takes a file
    for renamed: at least half of the longer one is in the other. The likest counts.
    Source: gitdiffcore(7), "diffcore-rename".
    """
    olds = {identity: _lines(data) for identity, data in list(lost.items())[:_MOST]}
    news = {path: _lines(data) for path, data in list(strange.items())[:_MOST]}
    found: dict[Identity, str] = {}
    for identity, old in olds.items():
        shares = ((_share(old, new), path) for path, new in news.items())
        share, path = max(shares, default=(0.0, ""))
        if share >= 0.5:
            found[identity] = path
    return found


def _lines(data: bytes) -> Counter[bytes]:
    """Return the bytes of each line that is there, by line."""
    found: Counter[bytes] = Counter()
    for line in data.splitlines(keepends=True):
        found[line] += len(line)
    return found


def _share(one: Counter[bytes], other: Counter[bytes]) -> float:
    longer = max(one.total(), other.total())
    return (one & other).total() / longer if longer else 0.0
