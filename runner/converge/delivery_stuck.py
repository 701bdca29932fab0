"""A prompt that was typed, not submitted, and is in the input of its run still: as remembered.

It outlives the runner: nothing may be typed behind it, whoever was restarted meanwhile.
"""

import json
from dataclasses import dataclass
from typing import Any, Self

from runner.converge.delivery_screen import Look, Mark


@dataclass(frozen=True, slots=True)
class Stuck:
    """Where it stands, and in which run."""

    run: tuple[int, int]
    """epoch, restart."""
    mark: Mark

    def written(self) -> str:
        """Return it as text for the journal."""
        mark, shown = self.mark, self.mark.shown
        said = {
            "run": self.run,
            "needle": mark.needle,
            "above": mark.above,
            "sign_tells": mark.sign_tells,
            "anywhere": mark.anywhere,
            "text": shown.text,
            "cursor": (shown.column, shown.row),
            "size": shown.size,
            "offset": shown.offset,
        }
        return json.dumps(said)

    @classmethod
    def read(cls, text: str) -> Self:
        """Return what ``written`` wrote."""
        said: dict[str, Any] = json.loads(text)
        (column, row), (cols, rows), (epoch, restart) = said["cursor"], said["size"], said["run"]
        shown = Look(said["text"], column, row, (cols, rows), offset=said["offset"])
        mark = Mark(said["needle"], shown, said["above"], said["sign_tells"], said["anywhere"])
        return cls((epoch, restart), mark)
