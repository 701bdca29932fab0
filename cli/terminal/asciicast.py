"""What was recorded of a terminal as asciicast v2, which players and converters read.

Sizes are ``r`` events. What is missing and where something was typed are markers: ``i`` events hold
what was typed, and that is not recorded, as it may be secret. Inputs shortly after one another are
one marker, so that players can go from one to the next. The format holds text: bytes that are none
become U+FFFD.
"""

import codecs
import json
from typing import Final

from meshwire.v1 import link_pb2

_TOGETHER_SECONDS: Final = 2.0
"""Typing with shorter pauses is one marker, where it begins."""

_LONGEST_SECONDS: Final = 10.0
_MOST_LINES: Final = 10_000
"""A marker is told at last after so long, or when so much waits behind it."""


class Asciicast:
    """Turns pieces into lines. ``finish`` comes last."""

    def __init__(self, title: str) -> None:
        self._title = title
        self._decoder = codecs.getincrementaldecoder("utf-8")(errors="replace")
        self._begun = False
        self._at = 0.0
        self._typed_at: float | None = None
        self._typed_last = 0.0
        self._typed_bytes = 0
        self._lines: list[str] = []
        self._mark = 0
        """Place of the marker among the lines, while something is typed."""

    def feed(self, piece: link_pb2.Recorded) -> bytes:
        """Return the lines that the next piece makes."""
        if not self._begun:
            self._header(piece)
        kind = piece.WhichOneof("event")
        self._at = max(self._at, piece.at_seconds)
        if self._is_typed_out():
            self._tell_typed()
        match kind:
            case "input_bytes":
                self._typed(piece.input_bytes)
            case "output":
                self._event("o", self._decoder.decode(piece.output))
            case "resize":
                self._event("r", f"{piece.resize.cols}x{piece.resize.rows}")
            case "gap":
                self._event("o", self._decoder.decode(b"", final=True))
                count = piece.gap.to_offset - piece.gap.from_offset
                self._event("m", f"{count} bytes of output are missing")
            case "marker":
                self._event("m", piece.marker)
            case _:
                pass  # of a newer runner
        return self._taken()

    def finish(self) -> bytes:
        """Return the lines that are left at the end."""
        self._tell_typed()
        self._event("o", self._decoder.decode(b"", final=True))
        return self._taken()

    def _header(self, piece: link_pb2.Recorded) -> None:
        header: dict[str, object] = {"version": 2, "width": 120, "height": 40}
        if piece.HasField("resize"):
            header |= {"width": piece.resize.cols, "height": piece.resize.rows}
            piece.ClearField("event")
        if piece.began_unix_ms:
            header["timestamp"] = piece.began_unix_ms // 1000
        header |= {"title": self._title, "env": {"TERM": "xterm-256color"}}
        self._lines.append(json.dumps(header))
        self._begun = True

    def _typed(self, count: int) -> None:
        if self._typed_at is None:
            self._typed_at, self._mark = self._at, len(self._lines)
        self._typed_last = self._at
        self._typed_bytes += count

    def _is_typed_out(self) -> bool:
        if self._typed_at is None:
            return False
        paused = self._at - self._typed_last > _TOGETHER_SECONDS
        long = self._at - self._typed_at > _LONGEST_SECONDS
        return paused or long or len(self._lines) - self._mark > _MOST_LINES

    def _tell_typed(self) -> None:
        """Mark where typing began."""
        if self._typed_at is not None:
            marker = json.dumps([round(self._typed_at, 3), "m", f"{self._typed_bytes} bytes typed"])
            self._lines.insert(self._mark, marker)
        self._typed_at, self._typed_bytes = None, 0

    def _event(self, code: str, data: str) -> None:
        if data:
            self._lines.append(json.dumps([round(self._at, 3), code, data], ensure_ascii=False))

    def _taken(self) -> bytes:
        if self._typed_at is not None:
            return b""  # the marker comes first
        text = "".join(f"{line}\n" for line in self._lines)
        self._lines.clear()
        return text.encode()
