"""Puts together what was recorded of a pod's terminal: output, sizes and typing, with times.

Output without a time of its own, as of shims of older runners, counts as come with that before it.
"""

import os
from collections.abc import Iterator
from itertools import chain
from pathlib import Path
from typing import Final

from meshwire.v1 import link_pb2

from runner.drivers.packed import unpacked
from runner.drivers.terminal_transcript import Reader, size
from runner.drivers.terminal_values import Chunk, Gap
from runner.shim import sizes, times
from runner.shim.segments import PACKED_TIMES, TIMES, file_name, files
from runner.shim.times import Moment

_CHUNK_BYTES: Final = 64 * 1024
_MOST_ASIDE: Final = 100_000
"""So many sizes and inputs without output between them are told; nobody watches the others."""


def recorded(directory: Path, cols: int, rows: int) -> Iterator[link_pb2.Recorded]:
    """Give all that there is by now. The size is that before one was recorded.

    Raises:
        OSError: It cannot be read.
    """
    return _Recording(directory, cols, rows).told()


class _Recording:
    def __init__(self, directory: Path, cols: int, rows: int) -> None:
        self._directory = directory
        self._end = size(directory)
        self._size = cols, rows
        self._offset = 0
        self._now_ms = 0
        self._began_ms = 0
        self._begun = False

    def told(self) -> Iterator[link_pb2.Recorded]:
        aside: list[Moment] = []
        moments = self._moments()
        first = next(moments, None)
        if first is not None:
            self._began_ms = self._now_ms = first.at_ms
        with Reader(self._directory) as reader:
            yield from self._beginning(reader)
            for moment in chain([first] if first else [], moments):
                if moment.kind != times.OUTPUT:
                    if len(aside) < _MOST_ASIDE:
                        aside.append(moment)
                    continue
                yield from self._output(reader, min(moment.value, self._end))
                yield from self._others(aside)
                self._now_ms = max(self._now_ms, moment.at_ms)
            yield from self._output(reader, self._end)
            yield from self._others(aside)

    def _beginning(self, reader: Reader) -> Iterator[link_pb2.Recorded]:
        """Give what was dropped, and the size from where it is kept on."""
        oldest = reader.read(0, 1)
        at = oldest.end if isinstance(oldest, Gap) else 0
        for told in self._sizes():
            if told.offset <= at and told.cols:
                self._size = told.cols, told.rows
        yield self._event(resize=_wire(self._size))
        yield from self._output(reader, at)

    def _moments(self) -> Iterator[Moment]:
        names = os.listdir(self._directory)  # noqa: PTH208  names are what is wanted
        starts = {each.start for each in files(names) if each.suffix in {TIMES, PACKED_TIMES}}
        for start in sorted(starts):
            yield from times.parsed(start, self._times(start), self._now_ms)

    def _times(self, start: int) -> bytes:
        try:
            return (self._directory / file_name(start, TIMES)).read_bytes()
        except FileNotFoundError:
            pass  # packed
        try:
            return unpacked(self._directory / file_name(start, PACKED_TIMES))
        except FileNotFoundError:
            return b""  # dropped

    def _sizes(self) -> list[sizes.Size]:
        try:
            return sizes.parsed((self._directory / sizes.NAME).read_bytes())
        except FileNotFoundError:
            return []

    def _output(self, reader: Reader, until: int) -> Iterator[link_pb2.Recorded]:
        while self._offset < until:
            item = reader.read(self._offset, _CHUNK_BYTES, until)
            if item is None:
                return
            self._offset = item.end
            if isinstance(item, Chunk):
                yield self._event(output=item.data)
            else:
                yield self._event(gap=link_pb2.Gap(from_offset=item.start, to_offset=item.end))

    def _others(self, aside: list[Moment]) -> Iterator[link_pb2.Recorded]:
        for moment in aside:
            self._now_ms = max(self._now_ms, moment.at_ms)
            if moment.kind == times.TYPED:
                yield self._event(input_bytes=moment.value)
            elif moment.kind == times.SIZED and moment.size != self._size:
                self._size = moment.size
                yield self._event(resize=_wire(moment.size))
            elif moment.kind == times.CLOCK and moment.value:
                if self._begun:
                    yield self._event(marker="the agent is started again")
                self._begun = True
        aside.clear()

    def _event(self, **what: object) -> link_pb2.Recorded:
        began = self._began_ms
        return link_pb2.Recorded(
            at_seconds=(self._now_ms - began) / 1000,
            began_unix_ms=began,
            **what,  # type: ignore[arg-type]  # fields of the message
        )


def _wire(cols_rows: tuple[int, int]) -> link_pb2.TerminalSize:
    return link_pb2.TerminalSize(cols=cols_rows[0], rows=cols_rows[1])
