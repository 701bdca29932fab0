"""The screen as it was before some offset of the output, on disk: so that none is drawn from far.

A checkpoint is terminal bytes, not a dump of the emulator: history, screen, then the beginning of
a sequence that had not ended. It is about the state before the byte it is named by.
"""

import contextlib
import gzip
import json
import os
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from runner.drivers.screen import Screen
from runner.shim.segments import SCREEN, file_name, files

_KEPT: Final = 2
"""So many are kept: should the newest be damaged, one before it does."""

_LEVEL: Final = 6
_MOST_BYTES: Final = 64 * 1024 * 1024
_BAD: Final = (OSError, EOFError, zlib.error, ValueError, KeyError, TypeError)


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """A screen, and what of the transcript it shows."""

    offset: int
    sizes_taken: int
    """Number of the last size that counts for it."""
    screen: Screen
    """The receiver closes it."""


def save(directory: Path, offset: int, sizes_taken: int, screen: Screen) -> None:
    """Write the checkpoint and remove older ones. The screen is of no use behind that.

    Raises:
        OSError: It cannot be written.
    """
    cols, rows = screen.size
    drawn, held = screen.redraw(), screen.held
    history = screen.take_history()
    head = {
        "cols": cols,
        "rows": rows,
        "sizes": sizes_taken,
        "lines": len(history),
        "drawn": len(drawn),
        "held": len(held),
    }
    lines = "\r\n".join(history).encode()
    content = json.dumps(head).encode() + b"\n" + drawn + held + lines
    path = directory / file_name(offset, SCREEN)
    beside = path.with_name(f"{path.name}.new")
    fd = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
    with os.fdopen(fd, "wb") as file:
        file.write(gzip.compress(content, _LEVEL, mtime=0))
        file.flush()
        os.fsync(file.fileno())
    beside.rename(path)
    for start in offsets(directory)[:-_KEPT]:
        with contextlib.suppress(FileNotFoundError):
            (directory / file_name(start, SCREEN)).unlink()


def offsets(directory: Path) -> list[int]:
    """Return where there are checkpoints, in order."""
    try:
        names = os.listdir(directory)  # noqa: PTH208  names are what is wanted
    except FileNotFoundError:
        return []
    return [file.start for file in files(names) if file.suffix == SCREEN]


def latest(directory: Path, until: int, history_lines: int) -> Checkpoint | None:
    """Return the newest checkpoint that shows nothing beyond *until*; None when there is none."""
    for offset in reversed(offsets(directory)):
        if offset <= until:
            with contextlib.suppress(*_BAD):  # then an older one does, or none
                return _load(directory, offset, history_lines)
    return None


def _load(directory: Path, offset: int, history_lines: int) -> Checkpoint:
    with gzip.open(directory / file_name(offset, SCREEN)) as file:
        content = file.read(_MOST_BYTES)
    line, _, rest = content.partition(b"\n")
    head = json.loads(line)
    cols, rows, lines = int(head["cols"]), int(head["rows"]), int(head["lines"])
    drawn = rest[: head["drawn"]]
    held = rest[len(drawn) : len(drawn) + head["held"]]
    sizes_taken = int(head["sizes"])
    screen = Screen(cols, rows, history_lines)
    if lines:
        screen.put_history(rest[len(drawn) + len(held) :], lines)
    screen.feed(drawn)
    screen.feed(held)
    return Checkpoint(offset, sizes_taken, screen)
