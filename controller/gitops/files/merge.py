"""Three-way merge of a ticket's fields: what one side changed never undoes what another did."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Merged:
    """What is to be changed, and what is not."""

    changes: Mapping[str, Any]
    """For ``edit``: fields of the spec that are to be other than in *theirs*; None removes."""
    conflicts: tuple[str, ...] = ()
    """Fields of ours that were not taken, as theirs was changed too: ``state``, ``body``,
    ``acceptance.a1.text``."""
    overruled: tuple[str, ...] = ()
    """Fields of theirs that were changed and gave way, because ours is a person's."""
    comment: str | None = None
    """Our body, if it conflicts: it becomes a comment file, so that it is not lost."""


def merge(
    base: Mapping[str, Any] | None,
    theirs: Mapping[str, Any],
    ours: Mapping[str, Any],
    *,
    ours_wins: bool = False,
) -> Merged:
    """Return how *ours* (changed fields, None removes) goes into *theirs* (the spec in git now).

    *base*: the fields as whoever asks saw them; None: whatever is there is replaced. Where both
    sides changed a field differently theirs stays and ours is a conflict; with *ours_wins* (a
    person asks, and theirs is not a person's) it is the other way round. labels, assignees and
    dependsOn merge as sets, acceptance by id and field, the body by lines. ``x-status`` is always
    ours.
    """
    raise NotImplementedError
