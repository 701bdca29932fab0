"""A process of the runner's own that feeds what agents wrote to the emulator, and packs it.

What an agent writes is anybody's, and the emulator is a library in C: should it crash, it takes
this process and not the runner. One request at a time: a line of JSON on the standard input; the
answer is a line of JSON, then as many bytes as that says.
"""

import json
import os
from collections import OrderedDict
from pathlib import Path
from typing import Any, BinaryIO, Final

from runner.terminals.archive import archive
from runner.terminals.emulator import Emulator, Subject

LIVE_BYTES: Final = 64 * 1024 * 1024
"""Screens that were drawn last stay live within this, so that drawing them again costs little."""

_STEP_BYTES: Final = 4 * 1024 * 1024
_NICE: Final = 10


class Worker:
    """Answers requests."""

    def __init__(self) -> None:
        self._emulators: OrderedDict[str, Emulator] = OrderedDict()

    def answer(self, request: dict[str, Any]) -> tuple[dict[str, Any], bytes]:
        """Return the answer's head and content."""
        directory = Path(request["directory"])
        subject = Subject(str(directory), directory, request["cols"], request["rows"])
        try:
            if request["do"] == "archive":
                os.nice(max(0, _NICE - os.nice(0)))
                archive(subject, checkpoint=request["checkpoint"])
                return {}, b""
            return self._draw(subject)
        except OSError as exc:
            return {"error": f"{exc.strerror or exc}"}, b""

    def _draw(self, subject: Subject) -> tuple[dict[str, Any], bytes]:
        emulator = self._emulators.pop(subject.uid, None) or Emulator(subject)
        emulator.look()
        while not emulator.is_current:
            emulator.advance(_STEP_BYTES)
        self._emulators[subject.uid] = emulator
        screen = emulator.screen()
        cols, rows = screen.size
        offset = emulator.offset - len(screen.held)
        drawn = screen.redraw()
        self._make_room()
        return {"offset": offset, "cols": cols, "rows": rows}, drawn

    def _make_room(self) -> None:
        while sum(each.live_bytes for each in self._emulators.values()) > LIVE_BYTES:
            _, oldest = self._emulators.popitem(last=False)
            oldest.drop()


def serve(requests: BinaryIO, answers: BinaryIO) -> None:
    """Answer until nobody asks any more."""
    worker = Worker()
    for line in requests:
        head, content = worker.answer(json.loads(line))
        answers.write(json.dumps(head | {"bytes": len(content)}).encode() + b"\n")
        answers.write(content)
        answers.flush()
