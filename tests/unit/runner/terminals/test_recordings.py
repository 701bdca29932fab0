"""What is seen of real programs is what a reference emulator shows (see tests/recordings)."""

import json
from pathlib import Path
from typing import Any

import pytest
from meshwire.v1 import link_pb2

from runner.drivers.screen import Screen
from runner.shim.transcript import Transcript
from runner.terminals.emulator import Emulator, Subject
from runner.terminals.look import looked

RECORDINGS = Path(__file__).parents[3] / "recordings"
NAMES = sorted(path.stem for path in RECORDINGS.glob("*.bin"))


def recording(name: str) -> tuple[bytes, Any]:
    data = (RECORDINGS / f"{name}.bin").read_bytes()
    return data, json.loads((RECORDINGS / f"{name}.json").read_text(encoding="utf-8"))


def test_the_agents_were_recorded() -> None:
    assert {"claude", "codex", "gemini", "opencode"} <= set(NAMES)


@pytest.mark.parametrize("name", NAMES)
def test_every_look_shows_what_the_reference_shows(name: str, tmp_path: Path) -> None:
    data, expected = recording(name)
    cols, rows = expected["cols"], expected["rows"]
    transcript = Transcript(
        str(tmp_path), floor=0, segment_bytes=10_000, transcript_bytes=256 << 20
    )
    transcript.sized(cols, rows, begins=True)
    made, done, answer = Emulator(Subject("pod", tmp_path, cols, rows)), 0, link_pb2.Looked()
    for shown in expected["screens"]:
        transcript.append([data[done : shown["bytes"]]])
        done = shown["bytes"]
        answer = look(made)
        assert answer.screen == "\n".join(shown["rows"])
    transcript.close()
    assert answer.output == "\n".join(expected["lines"])
    assert answer.total_lines == len(expected["lines"])
    assert [answer.cursor_x, answer.cursor_y] == expected["cursor"]
    assert done == len(data)


def look(made: Emulator) -> link_pb2.Looked:
    made.look()
    made.advance(1 << 30)
    return looked((10_000, False, True), made)


@pytest.mark.parametrize("name", NAMES)
def test_raw_lines_shown_again_are_what_was_seen(name: str) -> None:
    data, expected = recording(name)
    first = Screen(expected["cols"], expected["rows"], 10_000)
    first.feed(data)
    again = Screen(expected["cols"], expected["rows"], 10_000)
    again.feed("\r\n".join(first.lines(10_000, raw=True)).encode())
    assert again.lines(10_000) == expected["lines"]
    assert again.lines(10_000, raw=True) == first.lines(10_000, raw=True)
