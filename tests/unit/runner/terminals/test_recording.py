import json
from collections.abc import Callable
from pathlib import Path

import pytest
from meshwire.v1 import link_pb2

from cli.terminal.asciicast import Asciicast
from runner.drivers.screen import Screen
from runner.shim import gaps, records, times
from runner.shim.transcript import Transcript
from runner.terminals.archive import archive
from runner.terminals.emulator import Subject
from runner.terminals.recording import recorded

RECORDINGS = Path(__file__).parents[3] / "recordings"
NAMES = sorted(path.stem for path in RECORDINGS.glob("*.bin"))


@pytest.fixture
def sleep(monkeypatch: pytest.MonkeyPatch) -> Callable[[int], None]:
    """Return what lets milliseconds pass, for the shim's clocks alone."""
    now = [1_000_000]
    monkeypatch.setattr(times, "_now_ms", lambda: now[0])
    monkeypatch.setattr(records, "now", lambda: 1_700_000_000 + now[0] / 1000)

    def pass_by(milliseconds: int) -> None:
        now[0] += milliseconds

    return pass_by


def made(directory: Path, **changes: int) -> Transcript:
    settings = {"segment_bytes": 1 << 20, "transcript_bytes": 64 << 20} | changes
    return Transcript(str(directory), floor=0, **settings)


def told(directory: Path) -> list[tuple[float, str, object]]:
    found: list[tuple[float, str, object]] = []
    for each in recorded(directory, 120, 40):
        kind = str(each.WhichOneof("event"))
        value = getattr(each, kind)
        if kind == "resize":
            value = (value.cols, value.rows)
        elif kind == "gap":
            value = (value.from_offset, value.to_offset)
        found.append((each.at_seconds, kind, value))
    return found


def test_output_sizes_and_typing_come_with_their_times(
    tmp_path: Path, sleep: Callable[[int], None]
) -> None:
    t = made(tmp_path)
    t.sized(80, 24, begins=True)
    t.append([b"one"])
    sleep(1500)
    t.typed(3)
    sleep(20)
    t.append([b"two"])
    t.sized(100, 30)
    t.append([b"three"])
    t.close()
    assert told(tmp_path) == [
        (0.0, "resize", (80, 24)),
        (0.0, "output", b"one"),
        (1.5, "input_bytes", 3),
        (1.52, "output", b"two"),
        (1.52, "resize", (100, 30)),
        (1.52, "output", b"three"),
    ]
    assert {each.began_unix_ms for each in recorded(tmp_path, 1, 1)} == {1_700_001_000_000}


def test_a_second_run_is_marked(tmp_path: Path, sleep: Callable[[int], None]) -> None:
    for word in (b"one", b"two"):
        t = made(tmp_path)
        t.sized(80, 24, begins=True)
        t.append([word])
        t.close()
        sleep(60_000)
    assert told(tmp_path) == [
        (0.0, "resize", (80, 24)),
        (0.0, "output", b"one"),
        (60.0, "marker", "the agent is started again"),
        (60.0, "output", b"two"),
    ]


def test_what_was_dropped_and_what_was_lost_are_gaps(tmp_path: Path) -> None:
    t = made(tmp_path, segment_bytes=100, transcript_bytes=400)
    t.sized(90, 20, begins=True)
    for number in range(10):
        t.append([b"%02d" % number * 50])
    kept = min(int(path.stem) for path in tmp_path.glob("*.log"))
    t._gaps.lose(1000, 1050)
    t.close()
    found = told(tmp_path)
    assert found[0][1:] == ("resize", (90, 20))
    assert found[1][1:] == ("gap", (0, kept))
    assert found[-1][1:] == ("gap", (1000, 1050))
    assert (tmp_path / gaps.NAME).exists()


def test_a_transcript_without_times_is_told_without_them(tmp_path: Path) -> None:
    t = made(tmp_path)
    t.append([b"output"])
    t.close()
    for path in tmp_path.glob("*.times"):
        path.unlink()
    assert told(tmp_path) == [(0.0, "resize", (120, 40)), (0.0, "output", b"output")]


@pytest.mark.parametrize("name", NAMES)
def test_an_asciicast_played_back_ends_with_the_same_screen(name: str, tmp_path: Path) -> None:
    data = (RECORDINGS / f"{name}.bin").read_bytes()
    about = json.loads((RECORDINGS / f"{name}.json").read_text(encoding="utf-8"))
    cols, rows = about["cols"], about["rows"]
    t = made(tmp_path, segment_bytes=20_000)
    t.sized(cols, rows, begins=True)
    for start in range(0, len(data), 777):  # letters are cut, too
        t.append([data[start : start + 777]])
        t.typed(1)
    t.close()
    archive(Subject("pod", tmp_path, cols, rows), checkpoint=False)
    text = cast(tmp_path)
    header, *events = [json.loads(line) for line in text.splitlines()]
    assert (header["version"], header["width"], header["height"]) == (2, cols, rows)
    assert [at for at, _, _ in events] == sorted(at for at, _, _ in events)
    played, whole = Screen(cols, rows), Screen(cols, rows)
    whole.feed(data)
    for _, code, value in events:
        if code == "o":
            played.feed(value.encode())
    assert played.redraw() == whole.redraw()
    assert any(value.endswith("bytes typed") for _, code, value in events if code == "m")


def cast(directory: Path) -> str:
    writer = Asciicast("acme/pod")
    lines = b"".join(writer.feed(each) for each in recorded(directory, 120, 40))
    return (lines + writer.finish()).decode()


def test_pieces_are_small_enough_to_be_sent(tmp_path: Path) -> None:
    t = made(tmp_path)
    t.append([b"x" * 300_000])
    t.close()
    assert max(each.ByteSize() for each in recorded(tmp_path, 120, 40)) < 80_000
    assert link_pb2.Recorded(output=b"").WhichOneof("event") == "output"
