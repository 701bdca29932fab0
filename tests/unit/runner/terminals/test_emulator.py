from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from meshwire.v1 import link_pb2

from runner.drivers.screen import Screen
from runner.shim.transcript import Transcript
from runner.terminals.emulator import Emulator, Subject
from runner.terminals.look import MOST_BYTES, TooLargeError, looked

EVERYTHING = 2**40


@contextmanager
def written(
    directory: Path, *, segment_bytes: int = 8 << 20, transcript_bytes: int = 256 << 20
) -> Iterator[Transcript]:
    transcript = Transcript(
        str(directory), floor=0, segment_bytes=segment_bytes, transcript_bytes=transcript_bytes
    )
    try:
        yield transcript
    finally:
        transcript.close()


def emulator(directory: Path) -> Emulator:
    return Emulator(Subject("pod", directory, 40, 8))


def caught_up(made: Emulator, step: int = EVERYTHING) -> Emulator:
    made.look()
    while not made.is_current:
        made.advance(step)
    return made


def seen(made: Emulator, count: int = 10_000) -> link_pb2.Looked:
    return looked((count, True, True), made)


def test_a_pod_without_any_output_has_an_empty_terminal(tmp_path: Path) -> None:
    for directory in (tmp_path, tmp_path / "absent"):
        assert seen(caught_up(emulator(directory))) == link_pb2.Looked()


def test_sizes_are_taken_where_the_output_was_drawn_for_them(tmp_path: Path) -> None:
    made = emulator(tmp_path)
    with written(tmp_path) as transcript:
        transcript.sized(20, 5, begins=True)
        transcript.append([b"x" * 30 + b"\r\n"])
        caught_up(made)
        transcript.sized(10, 5)
        transcript.append([b"y" * 15 + b"\r\n"])
        transcript.sized(60, 6)
        transcript.append([b"z" * 50])
    expected = Screen(20, 5, 10_000)
    expected.feed(b"x" * 30 + b"\r\n")
    expected.resize(10, 5)
    expected.feed(b"y" * 15 + b"\r\n")
    expected.resize(60, 6)
    expected.feed(b"z" * 50)
    assert caught_up(made).screen().lines(99) == expected.lines(99)
    assert caught_up(emulator(tmp_path)).screen().lines(99) == expected.lines(99)
    assert made.screen().size == (60, 6)


def test_a_size_without_output_behind_it_is_taken_as_well(tmp_path: Path) -> None:
    made = emulator(tmp_path)
    with written(tmp_path) as transcript:
        transcript.sized(20, 5, begins=True)
        transcript.append([b"a"])
        caught_up(made)
        transcript.sized(30, 6)
        assert caught_up(made).screen().size == (30, 6)
        transcript.sized(31, 7)
        assert caught_up(made).screen().size == (31, 7)


def test_a_run_begins_on_an_empty_screen_with_its_own_modes(tmp_path: Path) -> None:
    with written(tmp_path) as transcript:
        transcript.sized(20, 5, begins=True)
        transcript.append([b"first\r\n\x1b[?1h\x1b[?1049h\x1b[Hfull"])
    with written(tmp_path) as transcript:
        transcript.sized(20, 5, begins=True)
        transcript.append([b"second"])
    made = caught_up(emulator(tmp_path))
    assert (made.screen().text(), made.screen().mode(1)) == ("second", False)
    assert made.screen().lines(9) == ["first", "second"]


def test_output_that_was_dropped_is_left_out(tmp_path: Path) -> None:
    made = emulator(tmp_path)
    with written(tmp_path, segment_bytes=1000, transcript_bytes=4000) as transcript:
        transcript.sized(40, 8, begins=True)
        for number in range(2000):
            transcript.append([b"%d\r\n" % number])
    screen = caught_up(made).screen()
    assert screen.lines(1) == ["1999"]
    assert 300 < screen.total_lines < 1000


def test_a_transcript_that_was_made_anew_is_read_anew(tmp_path: Path) -> None:
    directory, made = tmp_path / "transcript", emulator(tmp_path / "transcript")
    for text in (b"one", b"other and longer", b"short"):
        directory.mkdir()
        with written(directory) as transcript:
            transcript.sized(40, 8, begins=True)
            transcript.append([text])
        assert caught_up(made).screen().lines(9) == [text.decode()]
        directory.rename(tmp_path / text.decode())


def test_a_look_answers_the_same_while_nothing_changed_also_at_rest(tmp_path: Path) -> None:
    made = emulator(tmp_path)
    with written(tmp_path) as transcript:
        transcript.sized(40, 8, begins=True)
        transcript.append([b"text"])
        first = seen(caught_up(made))
        assert seen(caught_up(made)) is first
        made.rest()
        made.look()
        assert seen(made) is first
        assert made.live_bytes == 0
        assert seen(caught_up(made), 1) == first
        made.rest()
        transcript.append([b" more"])
        assert seen(caught_up(made)).output == "text more"


def test_what_is_too_large_to_be_sent_is_refused_with_a_way_out(tmp_path: Path) -> None:
    with written(tmp_path) as transcript:
        transcript.sized(1000, 40, begins=True)
        transcript.append([b"x" * 1000] * 5000)
    made = caught_up(emulator(tmp_path))
    with pytest.raises(TooLargeError, match="ask for fewer lines"):
        seen(made)
    fewer = seen(made, 3000)
    assert fewer.ByteSize() < MOST_BYTES
    assert (fewer.total_lines, fewer.has_more) == (5000, True)


def test_more_lines_are_told_of_exactly(tmp_path: Path) -> None:
    with written(tmp_path) as transcript:
        transcript.append([b"%d\r\n" % number for number in range(50)])
    made = caught_up(emulator(tmp_path))
    for asked in (1, 49, 50, 51, 10_000):
        answer = seen(made, asked)
        assert len(answer.output.split("\n")) == min(asked, 50)
        assert (answer.total_lines, answer.has_more) == (50, asked < 50)
        assert (answer.cursor_x, answer.cursor_y) == (0, 7)
        assert answer.screen == "\n".join(str(number) for number in range(43, 50))


TEXT = st.sampled_from(
    [
        *(b"text\r\n", b"x" * 77, b"\r\n" * 12, b"\x1b[31mred", b"\x1b[?1049h", b"\x1b[?1049l"),
        *(
            b"\x1b[2J\x1b[H",
            "你好".encode(),
            b"\xe4",
            b"\xbd\xa0",
            b"\x1b[",
            b"4m",
            b"\x1b]0;",
            b"t\x07",
        ),
    ]
)
STEPS = st.lists(
    st.one_of(
        TEXT,
        st.tuples(st.integers(2, 60), st.integers(1, 12)),
        st.sampled_from(["look", "look a little", "ask", "rest", "drop", "run"]),
    ),
    max_size=40,
)


@settings(max_examples=80, deadline=None)
@given(steps=STEPS, piece=st.integers(1, 50))
def test_what_happens_between_looks_does_not_change_what_is_seen(
    *, steps: list[bytes | tuple[int, int] | str], piece: int
) -> None:
    with TemporaryDirectory() as name, written(Path(name)) as transcript:
        transcript.sized(40, 8, begins=True)
        made = emulator(Path(name))
        for step in steps:
            match step:
                case bytes():
                    transcript.append([step])
                case (cols, rows):
                    transcript.sized(int(cols), int(rows))
                case "look":
                    caught_up(made, piece)
                case "look a little":
                    made.look()
                    made.advance(piece)
                case "ask":
                    made.look()
                    if not made.knows((10_000, True, True)):
                        caught_up(made)
                    assert seen(made) == seen(caught_up(emulator(Path(name))))
                case "rest":
                    made.rest()
                case "drop":
                    made.drop()
                case _:
                    transcript.sized(40, 8, begins=True)
        assert seen(caught_up(made, piece)) == seen(caught_up(emulator(Path(name))))
