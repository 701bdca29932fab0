"""One pod's terminal, rebuilt from its transcript and the sizes beside it.

What it shows follows from these files alone. So it may be given up at any time and built again,
and two looks at the same output are the same, whatever happened to it in between.
"""

import os
from collections import deque
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from meshwire.v1 import link_pb2

from runner.drivers.screen import Screen
from runner.drivers.terminal_transcript import Reader, size
from runner.drivers.terminal_values import Gap
from runner.shim.sizes import NAME, Size, parsed
from runner.terminals.checkpoint import latest, save

HISTORY_LINES: Final = 10_000
"""Lines above the screen that can be looked at."""

_PIECE_BYTES: Final = 256 * 1024

Question = tuple[int, bool, bool]
"""A look: lines, raw, include_screen."""


@dataclass(frozen=True, slots=True)
class Subject:
    """The terminal that is looked at."""

    uid: str
    transcript_dir: Path
    cols: int
    rows: int
    """The size, while the transcript does not tell one."""


class Emulator:
    """Not for several threads at once. ``look`` first, then ``advance`` while it is behind."""

    def __init__(self, subject: Subject) -> None:
        self._directory = subject.transcript_dir
        self._unsized = subject.cols, subject.rows
        self._screen: Screen | None = None
        self._inode = 0
        self._sizes_stamp = (0, 0)
        self._sizes: deque[Size] = deque()
        """Those not taken yet."""
        self._taken = 0
        """Number of the last one that was taken."""
        self._newest = 0
        """Number of the last one there is."""
        self._answered = (0, 0)
        """End and newest size that the answers are about, while it is at rest."""
        self._offset = 0
        self._end = 0
        self.uses = 0
        """Grows whenever the live terminal was needed."""
        self.answers: dict[Question, link_pb2.Looked] = {}
        """What was answered to looks since it last changed."""

    @property
    def behind_bytes(self) -> int:
        """Output that it does not show yet, as of the last look."""
        return self._end - self._offset

    @property
    def is_current(self) -> bool:
        """Whether it is live and shows all that there was at the last look."""
        return self._screen is not None and not self.behind_bytes and not self._sizes

    def knows(self, question: Question) -> bool:
        """Whether this was answered before, and nothing changed since, as of the last look."""
        if question not in self.answers:
            return False
        at_rest = self.knows_sizes and self._answered == (self._end, self._newest)
        return self.is_current or at_rest

    @property
    def offset(self) -> int:
        """How far it shows the output; what the screen holds back included."""
        return self._offset

    def save(self, offset: int) -> None:
        """Make a checkpoint before the byte at the offset, and be at rest.

        Raises:
            OSError: The transcript cannot be read, or the checkpoint not be written.
        """
        self.look()
        self._end = min(self._end, offset)  # as if nothing had come behind it
        self._sizes = deque(each for each in self._sizes if each.offset <= offset)
        while self.behind_bytes or self._screen is None:
            self.advance(_PIECE_BYTES * 16)
        save(self._directory, offset, self._taken, self.screen())
        self.drop()

    @property
    def knows_sizes(self) -> bool:
        """Whether the transcript tells sizes; those of older shims do not."""
        return bool(self._newest)

    @property
    def live_bytes(self) -> int:
        """Memory it takes while it is live."""
        return self._screen.size_bytes if self._screen else 0

    def look(self) -> None:
        """See how far the transcript is, and which sizes it tells.

        Raises:
            OSError: It cannot be read.
        """
        inode = _inode(self._directory)
        if inode != self._inode:  # made anew: another pod's life under the same uid
            self.drop()
            self._inode = inode
        self._look_at_sizes()  # first: what they name is in the transcript then
        self._end = size(self._directory)
        if self._end < self._offset:
            self.drop()
            self._look_at_sizes()
            self._end = size(self._directory)

    def advance(self, at_most_bytes: int) -> None:
        """Show so much more of the output, as of the last look.

        Raises:
            OSError: It cannot be read.
        """
        screen = self.screen()
        self.answers.clear()
        until = min(self._end, self._offset + at_most_bytes)
        with Reader(self._directory) as reader:
            self._take_sizes(screen)
            while self._offset < until:
                stop = min(until, self._sizes[0].offset) if self._sizes else until
                self._read(reader, screen, stop)
                self._take_sizes(screen)
        if self._offset == self._end:
            while self._sizes:  # output between was lost: the disk was full
                self._take_size(screen)

    def assume(self, cols: int, rows: int) -> None:
        """Have this size, which the transcript does not tell."""
        self._unsized = cols, rows
        screen = self.screen()
        if screen.size != self._unsized:
            screen.resize(cols, rows)
            self.answers.clear()

    def screen(self) -> Screen:
        """Return the live screen; when there was none, that of a checkpoint or an empty one."""
        self.uses += 1
        if self._screen is None:
            self._screen = self._begun()
        return self._screen

    def _begun(self) -> Screen:
        found = latest(self._directory, self._end, HISTORY_LINES)
        if found is None:
            return Screen(*self._unsized, HISTORY_LINES)
        self._offset, self._taken = found.offset, found.sizes_taken
        self._sizes = deque(each for each in self._sizes if each.number > self._taken)
        return found.screen

    def rest(self) -> None:
        """Take no memory until it is needed again; what was answered stays."""
        if self.is_current:
            answers, answered = dict(self.answers), (self._end, self._newest)
            self.drop()
            self.answers, self._answered = answers, answered
        elif self._screen is not None:
            self.drop()

    def drop(self) -> None:
        """Forget all; it can be built again."""
        if self._screen is not None:
            self._screen.close()
        self._screen = None
        self._offset = self._end = self._taken = self._newest = 0
        self._answered = self._sizes_stamp = (0, 0)
        self._sizes.clear()
        self.answers.clear()

    def _read(self, reader: Reader, screen: Screen, stop: int) -> None:
        item = reader.read(self._offset, _PIECE_BYTES, stop)
        if item is None:
            raise OSError(f"the transcript ends at {self._offset} and not at {stop}")
        if isinstance(item, Gap):
            screen.skip()
        else:
            screen.feed(item.data)
        self._offset = item.end

    def _take_sizes(self, screen: Screen) -> None:
        while self._sizes and self._sizes[0].offset <= self._offset:
            self._take_size(screen)

    def _take_size(self, screen: Screen) -> None:
        told = self._sizes.popleft()
        if told.begins and self._offset:
            screen.begin()
        screen.resize(told.cols, told.rows)
        self._taken = told.number

    def _look_at_sizes(self) -> None:
        path = self._directory / NAME
        try:
            stat = path.stat()
            stamp = stat.st_mtime_ns, stat.st_ino
            if stamp == self._sizes_stamp:
                return
            told = parsed(path.read_bytes())
        except FileNotFoundError:
            return
        self._sizes_stamp = stamp
        self._newest = told[-1].number if told else 0
        self._sizes = deque(each for each in told if each.number > self._taken and each.cols)


def _inode(directory: Path) -> int:
    try:
        return os.stat(directory).st_ino  # noqa: PTH116  one call of a hot path
    except FileNotFoundError:
        return 0
