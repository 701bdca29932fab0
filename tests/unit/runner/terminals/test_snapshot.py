"""A snapshot and the stream behind it draw what all bytes draw, wherever the output is cut."""

import json
import tempfile
from pathlib import Path

import pyte
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from runner.drivers.screen import Screen
from runner.shim.transcript import Transcript
from runner.terminals.emulator import HISTORY_LINES, Emulator, Subject

RECORDINGS = Path(__file__).parents[3] / "recordings"
NAMES = sorted(path.stem for path in RECORDINGS.glob("*.bin"))
MODES = [1, 5, 6, 7, 12, 25, 45, 47, 66, 69, 1000, 1002, 1003, 1004, 1006, 1007]
MODES += [1015, 1016, 1036, 1047, 1048, 1049, 2004, 2026, 2027, 2031]

WORDS = [
    *(b"hello", b"\xe4\xbd\xa0", b"\xcc\x81e", b"\r\n", b"\n", b"\r", b"\t", b"y" * 20, b"z" * 40),
    *(b"\x1b[3;5H", b"\x1b[H", b"\x1b[A", b"\x1b[5D", b"\x1b7", b"\x1b8", b"\x1bH", b"\x1b[3g"),
    *(b"\x1b[2;5r", b"\x1b[r", b"\x1b[?6h", b"\x1b[?6l", b"\x1bM", b"\x1bD", b"\x1b[2L", b"\x1b[M"),
    *(b"\x1b[31m", b"\x1b[1;44m", b"\x1b[7m", b"\x1b[0m", b"\x1b(0", b"\x1b(B", b"\x0e", b"\x0f"),
    *(b"\x1b[>1u", b"\x1b[<u", b"\x1b]0;a title\x07", b"\x1bP1$r0m\x1b\\", b"\x1b[?2004h"),
    *(b"\x1b[?1000h", b"\x1b[?25l", b"\x1b[4h", b"\x1b[4l", b"\x1b[K", b"\x1b[J", b"\x1b[?1049h"),
]
"""What programs that draw on terminals say."""


def recording(name: str) -> tuple[bytes, int, int]:
    about = json.loads((RECORDINGS / f"{name}.json").read_text(encoding="utf-8"))
    return (RECORDINGS / f"{name}.bin").read_bytes(), about["cols"], about["rows"]


def seen(screen: Screen) -> tuple[object, ...]:
    return screen.text(), screen.cursor, [screen.mode(mode) for mode in MODES]


def joined(data: bytes, cut: int, cols: int, rows: int) -> tuple[Screen, bytes]:
    """Return the screen that a snapshot and the rest draw, and the bytes that drew it."""
    first = Screen(cols, rows)
    first.feed(data[:cut])
    drawn, at = first.redraw(), cut - len(first.held)
    first.close()
    second = Screen(cols, rows)
    second.feed(drawn)
    second.feed(data[at:])
    return second, drawn + data[at:]


@pytest.mark.parametrize("name", NAMES)
def test_a_snapshot_and_the_rest_are_the_whole(name: str) -> None:
    data, cols, rows = recording(name)
    whole = Screen(cols, rows)
    whole.feed(data)

    @settings(max_examples=25, deadline=None)
    @given(cut=st.integers(0, len(data)))
    def check(cut: int) -> None:
        screen, _ = joined(data, cut, cols, rows)
        assert seen(screen) == seen(whole)
        screen.close()

    check()


@given(before=st.lists(st.sampled_from(WORDS)), behind=st.lists(st.sampled_from(WORDS)))
def test_whatever_was_set_before_a_snapshot_counts_behind_it(
    before: list[bytes], behind: list[bytes]
) -> None:
    data = b"".join(before) + b"".join(behind)
    whole = Screen(20, 8)
    whole.feed(data)
    screen, _ = joined(data, len(b"".join(before)), 20, 8)
    assert screen.text().rstrip() == whole.text().rstrip()
    assert seen(screen)[1:] == seen(whole)[1:]


def test_another_emulator_sees_the_same() -> None:
    data, cols, rows = recording("gemini")  # pyte knows neither other screens nor newer sequences

    def displayed(drawn: bytes) -> tuple[list[str], int, int]:
        screen = pyte.Screen(cols, rows)
        pyte.ByteStream(screen).feed(drawn)
        return screen.display, screen.cursor.x, screen.cursor.y

    whole = Screen(cols, rows)
    whole.feed(data)
    _, drawn = joined(data, len(data) * 2 // 3, cols, rows)
    assert displayed(drawn) == displayed(whole.redraw())


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("part", [3, 7, 9])
def test_a_checkpoint_and_the_rest_are_the_whole(name: str, part: int, tmp_path: Path) -> None:
    data, cols, rows = recording(name)
    transcript = Transcript(str(tmp_path), floor=0, segment_bytes=1 << 20, transcript_bytes=8 << 20)
    transcript.sized(cols, rows, begins=True)
    cut = len(data) * part // 10
    transcript.append([data[:cut]])
    transcript.append([data[cut:]])
    transcript.close()
    subject = Subject("pod", tmp_path, 9, 9)
    whole = built(subject)
    Emulator(subject).save(cut)
    again = Emulator(subject)
    again.look()
    again.screen()
    assert again.offset == cut
    again.advance(1 << 30)
    assert seen(again.screen()) == seen(whole.screen())
    assert again.screen().lines(HISTORY_LINES) == whole.screen().lines(HISTORY_LINES)
    assert again.knows_sizes


def built(subject: Subject) -> Emulator:
    made = Emulator(subject)
    made.look()
    made.advance(1 << 30)
    return made


def test_a_size_behind_a_checkpoint_counts_behind_it(tmp_path: Path) -> None:
    transcript = Transcript(str(tmp_path), floor=0, segment_bytes=1 << 20, transcript_bytes=8 << 20)
    transcript.sized(30, 5, begins=True)
    transcript.append([b"".join(b"line %d\r\n" % number for number in range(50))])
    cut = transcript.head
    transcript.append([b"more\r\n"])
    transcript.sized(60, 9)
    transcript.append([b"wide"])
    transcript.close()
    subject = Subject("pod", tmp_path, 9, 9)
    whole = built(subject)
    Emulator(subject).save(cut)
    again = built(subject)
    assert again.screen().size == (60, 9)
    assert again.screen().lines(100) == whole.screen().lines(100)


@settings(deadline=None)
@given(damage=st.integers(0, 200))
def test_a_damaged_checkpoint_is_none(damage: int) -> None:
    with tempfile.TemporaryDirectory() as folder:
        directory = Path(folder)
        transcript = Transcript(folder, floor=0, segment_bytes=1 << 20, transcript_bytes=8 << 20)
        transcript.sized(30, 5, begins=True)
        transcript.append([b"one\r\ntwo"])
        transcript.close()
        subject = Subject("pod", directory, 9, 9)
        Emulator(subject).save(5)
        (path,) = directory.glob("*.screen.gz")
        content = bytearray(path.read_bytes())
        content[damage % len(content)] ^= 0x55
        path.write_bytes(content)
        assert built(subject).screen().text() == "one\ntwo"
