"""What one file declares, or why it cannot be used."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from controller.gitops.values import Declared, Problem, Style


@dataclass(frozen=True, slots=True)
class Rules:
    """What the files of one source may be."""

    namespace: str
    """Of the source: a manifest names it, or none."""
    kinds: frozenset[str]
    """``spec.kinds``."""


def style_of(path: str) -> Style | None:
    """Return how a file of that name is written; None: it is not ours, whatever it holds."""
    raise NotImplementedError


def read_file(path: str, blob: str, data: bytes, rules: Rules) -> Declared | Problem | None:
    """Return what the file declares, or why it cannot be used; None: it is not ours.

    Not ours is Markdown without front matter, such as a README.
    """
    raise NotImplementedError


def read_x_status(data: bytes, style: Style) -> Mapping[str, Any] | None:
    """Return what the controller last wrote into the file; None: nothing, or it cannot be read."""
    raise NotImplementedError
