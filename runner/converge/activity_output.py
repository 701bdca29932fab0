"""Follows one run's output in its transcript, as far as it is worth being looked at. Blocking."""

import os
import time
from collections import deque
from contextlib import suppress
from pathlib import Path
from typing import Final

from runner.clock import wall_seconds
from runner.converge.activity_pod import PodActivity
from runner.drivers.terminal_transcript import Reader
from runner.drivers.terminal_values import Gap
from runner.shim.sizes import NAME, Size, parsed

_HISTORY_BYTES: Final = 1024 * 1024
"""So much of the end of the output draws the screen as it is."""

_PIECE_BYTES: Final = 64 * 1024
"""More than this since the last look is not read: it prints, that is all one needs to know."""


class Output:
    """Where the look at a run's output has come to."""

    def __init__(self, transcript: Path, begin: int, size: int) -> None:
        """*begin* is where the run's output begins, *size* where it ends now."""
        self._directory = transcript
        self._begin = begin
        self._offset = max(begin, size - _HISTORY_BYTES)
        self._history_end = size if size > begin else 0
        """Up to here it was there before anybody looked."""
        self._sizes: deque[Size] = deque()
        self._stamp = (0, 0)
        self._taken = -1
        self._is_torn = False
        """Some was left out: the screen has to be drawn anew."""

    def feed(self, activity: PodActivity, size: int, budget_bytes: int, now: float) -> int:
        """Give what is new to *activity*; return how many bytes that were.

        Raises:
            OSError: It cannot be read.
        """
        if size < self._offset:  # made anew
            self._offset, self._begin = size, 0
        if self._history_end:
            return self._begin_with_history(activity, budget_bytes, now)
        if size - self._offset > _PIECE_BYTES:
            self._offset, self._is_torn = size, True
            activity.skipped(now)
            return 0
        mended = self._mend(activity, budget_bytes, now) if self._is_torn else 0
        return mended + (self._read(activity, size, now) if size > self._offset else 0)

    def _begin_with_history(self, activity: PodActivity, budget_bytes: int, now: float) -> int:
        end = self._history_end
        if budget_bytes < end - self._offset:
            return 0
        self._history_end = 0
        return self._read(activity, end, now - self._age_seconds(), is_history=True)

    def _mend(self, activity: PodActivity, budget_bytes: int, now: float) -> int:
        """Draw the screen anew from the end of the output, now that less comes."""
        end = self._offset
        start = max(self._begin, end - _HISTORY_BYTES)
        if budget_bytes < end - start:
            return 0
        self._is_torn, self._offset, self._taken, self._stamp = False, start, -1, (0, 0)
        activity.redraw()
        return self._read(activity, end, activity.output_at or now, is_history=True)

    def _read(
        self, activity: PodActivity, end: int, now: float, *, is_history: bool = False
    ) -> int:
        self._look_at_sizes()
        start = self._offset
        take = activity.history if is_history else activity.output
        with Reader(self._directory) as reader:
            while self._offset < end:
                self._resize(activity)
                stop = min(end, self._sizes[0].offset) if self._sizes else end
                item = reader.read(self._offset, _PIECE_BYTES, stop)
                if item is None:
                    break
                if isinstance(item, Gap):
                    activity.lost()
                else:
                    take(item.data, now)
                self._offset = item.end
        self._resize(activity)
        return self._offset - start

    def _resize(self, activity: PodActivity) -> None:
        while self._sizes and self._sizes[0].offset <= self._offset:
            told = self._sizes.popleft()
            activity.resize(told.cols, told.rows)
            self._taken = told.number

    def _look_at_sizes(self) -> None:
        path = self._directory / NAME
        with suppress(FileNotFoundError):
            stat = path.stat()
            stamp = stat.st_mtime_ns, stat.st_ino
            if stamp != self._stamp:
                self._stamp = stamp
                told = parsed(path.read_bytes())
                self._sizes = deque(
                    each for each in told if each.number > self._taken and each.cols
                )

    def _age_seconds(self) -> float:
        """Return how long ago the last output was written, as the files tell."""
        newest = 0.0
        with suppress(OSError), os.scandir(self._directory) as entries:
            newest = max((each.stat().st_mtime for each in entries), default=0.0)
        return min(max(0.0, wall_seconds() - newest), time.monotonic()) if newest else 0.0
