import base64
from pathlib import Path

import pyte
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from runner.drivers.screen import Screen

TUI = (
    b"\x1b[?1049h\x1b[?2004h\x1b[?25l\x1b[?1000h\x1b[?1006h\x1b[2J\x1b[H"
    b"\x1b[1;32m title \x1b[0m\r\n\x1b[7m"
    + b"x" * 40
    + b"\x1b[0m\x1b[5;3H\xe6\xbc\xa2 ok\x1b[38;2;1;2;3m"
)


def screen(data: bytes, cols: int = 40, rows: int = 8) -> Screen:
    made = Screen(cols, rows)
    made.feed(data)
    return made


def test_text_is_what_one_sees() -> None:
    assert screen(b"one\r\n\x1b[31mtwo\x1b[0m\r\nthrXe\x1b[2De").text() == "one\ntwo\nthree"


def test_only_the_last_rows_are_on_the_screen() -> None:
    assert screen(b"".join(b"%d\r\n" % n for n in range(20))).text() == "\n".join(
        map(str, range(13, 20))
    )


@pytest.mark.parametrize(
    "data",
    [
        pytest.param(b"", id="nothing"),
        pytest.param(b"$ ls\r\nfile\r\n$ ", id="a shell"),
        pytest.param(TUI, id="a full-screen program"),
        pytest.param(b"x" * 40 * 8, id="every cell, the cursor about to wrap"),
        pytest.param(b"\x1b[3;5r\x1b[4;1Hin\x1b[?7l", id="a scrolling region without wrapping"),
        pytest.param(b"h", id="one letter that is also the end of a mode sequence"),
        pytest.param(b"\x1b[44m\x1b[2J\x1b[2;2Hblue", id="a coloured background"),
    ],
)
def test_a_redrawn_screen_is_the_same_and_goes_on_the_same(data: bytes) -> None:
    original = screen(data)
    copy = screen(original.redraw())
    assert copy.text() == original.text()
    assert copy.redraw() == original.redraw()
    for more in (b"and on", b"\r\n\x1b[Kmore\x1b[1;1H*"):
        original.feed(more)
        copy.feed(more)
        assert copy.text() == original.text()
        assert copy.redraw() == original.redraw()


def test_another_emulator_sees_the_same() -> None:
    data = b"plain\r\n\x1b[1mbold\x1b[0m\r\n\xc3\xa9t\xc3\xa9\x1b[6;10Hthere"
    other = pyte.Screen(40, 8)
    pyte.ByteStream(other).feed(screen(data).redraw())
    assert [line.rstrip() for line in other.display] == [
        "plain", "bold", "été", "", "", "         there", "", "",
    ]  # fmt: skip
    assert (other.cursor.y, other.cursor.x) == (5, 14)


def test_a_redraw_undoes_what_an_earlier_screen_left_on() -> None:
    dirty = screen(TUI)
    dirty.feed(screen(b"calm").redraw())
    assert dirty.text() == "calm"
    assert not any(dirty._terminal.mode(mode) for mode in (1049, 1000, 1006, 2004))
    assert dirty._terminal.mode(25)


def test_modes_are_carried_over() -> None:
    copy = screen(screen(TUI).redraw())
    assert all(copy._terminal.mode(mode) for mode in (1049, 1000, 1006, 2004))
    assert not copy._terminal.mode(25)


def test_a_redraw_asks_the_terminal_nothing() -> None:
    replies: list[bytes] = []
    viewer = Screen(40, 8)
    viewer._terminal.on_reply(replies.append)
    viewer.feed(screen(b"\x1b[6n\x1b[c\x1b]11;?\x07hello").redraw())
    assert viewer.text() == "hello"
    assert replies == []


SHELL = b"$ ls\r\n\x1b[34mgarden\x1b[0m\r\n$ \x1b[32mvim garden"
VIM = (
    b"\x1b[22;0;0t\x1b[?1h\x1b=\x1b[?2004h\x1b[1;8r\x1b[42m\x1b[H\x1b[2J"
    b"\x1b[4;4Htulips\x1b7\x1b[?25l"
)
VIM_LEAVES = b"\x1b[?25h\x1b[?1l\x1b>\x1b[?2004l\x1b[r"


@pytest.mark.parametrize("mode", [1049, 1047, 47])
@pytest.mark.parametrize("cut", [b"", b"\x1b]0;a title that is not", b"\x1b[3", b"\xe6\xbc"])
def test_what_a_full_screen_program_leaves_to_is_there_again(mode: int, cut: bytes) -> None:
    pod = screen(SHELL + b"\x1b7\x1b[?%dh" % mode + VIM + cut)
    viewer = screen(b"the viewer's own shell\r\n" * 9)
    viewer.feed(pod.redraw())
    assert viewer.text() == pod.text()
    assert "tulips" in viewer.text()
    for more in (b"\x07m\x1b[5;1Hmore", VIM_LEAVES + b"\x1b[?%dl\x1b8" % mode, b" left\r\n$ "):
        pod.feed(more)
        viewer.feed(more)
    assert pod.text().startswith("$ ls\ngarden\n$ vim garden")
    assert viewer.text() == pod.text()
    assert viewer.redraw() == pod.redraw()


def test_a_program_that_left_the_screen_of_another_is_drawn_alone() -> None:
    pod = screen(SHELL + b"\x1b[?1049h" + VIM + VIM_LEAVES + b"\x1b[?1049l")
    assert b"tulips" not in pod.redraw()


def test_resizing_keeps_the_text() -> None:
    resized = screen(b"hello world")
    resized.resize(60, 4)
    assert resized.text() == "hello world"


@settings(max_examples=50, deadline=None)
@given(st.lists(st.binary(max_size=60), max_size=6))
def test_no_bytes_whatever_break_it(pieces: list[bytes]) -> None:
    made = Screen(20, 5)
    for piece in pieces:
        made.feed(piece)
    assert isinstance(made.text(), str)
    Screen(20, 5).feed(made.redraw())


def history(data: bytes, cols: int = 40, rows: int = 8, keep: int = 10_000) -> Screen:
    made = Screen(cols, rows, keep)
    made.feed(data)
    return made


def numbered(count: int) -> bytes:
    return b"\r\n".join(b"line %d" % number for number in range(count))


@pytest.mark.parametrize(
    ("data", "lines"),
    [
        pytest.param(b"", [], id="nothing was written"),
        pytest.param(b"\r\n\r\n", [], id="only newlines"),
        pytest.param(b"  \t \r\n ", [], id="only blanks"),
        pytest.param(b"a", ["a"], id="one letter"),
        pytest.param(b"a\r\n", ["a"], id="the row of the cursor is no line without text"),
        pytest.param(b"\r\n\r\na\r\n\r\nb\r\n\r\n", ["", "", "a", "", "b"], id="blanks between"),
        pytest.param(b"a  \r\n", ["a"], id="blanks at the end of a row"),
        pytest.param(b"x" * 90, ["x" * 40, "x" * 40, "x" * 10], id="a long line is several"),
        pytest.param(b"x" * 40 + b"\r\ny", ["x" * 40, "y"], id="a full row is one"),
        pytest.param(b"\x1b[4;3Hz", ["", "", "", "  z"], id="written in the middle"),
        pytest.param(b"\x1b[44m\x1b[2J\x1b[2;1Hz", ["", "z"], id="coloured rows without text"),
        pytest.param("你好".encode() + b"\r\n", ["你好"], id="wide letters"),
    ],
)
def test_lines_end_with_the_last_row_that_holds_text(data: bytes, lines: list[str]) -> None:
    made = history(data)
    assert made.lines(10_000) == lines
    assert made.total_lines == len(lines)
    assert [plain(line) for line in made.lines(10_000, raw=True)] == lines


def plain(line: str) -> str:
    shown = Screen(200, 3)
    shown.feed(line.encode())
    return shown.text()


@pytest.mark.parametrize("asked", [1, 7, 8, 9, 50, 99, 100, 101, 10_000])
@pytest.mark.parametrize("raw", [False, True])
def test_exactly_the_lines_that_were_asked_for(asked: int, *, raw: bool) -> None:
    made = history(numbered(100))
    expected = [f"line {number}" for number in range(100)][-asked:]
    assert made.lines(asked, raw=raw) == expected
    assert made.total_lines == 100


def test_raw_lines_can_be_shown_alone_with_their_colours() -> None:
    made = history(b"\x1b[1;31mred\r\nstill\x1b[0m\r\nnot")
    first, second, third = made.lines(3, raw=True)
    assert "\x1b[38;5;1m" in first
    assert "\x1b[38;5;1m" in second
    assert second.endswith("\x1b[0m")
    assert third == "not"


@pytest.mark.parametrize("cols", [1, 2, 5, 10, 33, 80, 120, 200, 500, 1000])
def test_ten_thousand_lines_of_history_whatever_the_width(cols: int) -> None:
    made = Screen(cols, 40, 10_000)
    rows = b"".join(b"%d\r\n" % (number % 10) for number in range(1000))
    counted = set()
    for _ in range(24):
        made.feed(rows)
        counted.add(made.total_lines)
    assert max(counted) == 10_000 + 39  # the cursor's row is blank
    assert sorted(counted) == [*range(1000, 10_001, 1000), 10_039]
    assert made.lines(10_000) == [str(number % 10) for number in range(10_000)]


def test_history_stays_over_resizes() -> None:
    made = Screen(500, 40, 10_000)
    made.feed(b"a\r\n" * 12_000)
    made.resize(20, 10)
    made.feed(b"b\r\n" * 1000)
    assert made.total_lines == 10_000 + 9
    assert made.size == (20, 10)


def test_a_full_screen_program_has_no_history() -> None:
    made = history(numbered(100) + b"\x1b[?1049h\x1b[2J\x1b[Hfull\r\nscreen")
    assert made.lines(10_000) == ["full", "screen"]
    made.feed(b"\x1b[?1049l")
    assert made.total_lines == 100


def test_another_program_begins_on_an_empty_screen_below_the_history() -> None:
    made = history(
        numbered(20) + b"\x1b[?1049h\x1b[?1h\x1b[2;5r\x1b[31m\x1b[?2004h\x1b[5;5Hold\x1b["
    )
    made.begin()
    assert (made.text(), made.cursor) == ("", (0, 0))
    assert not any(made.mode(mode) for mode in (1, 2004, 1049))
    made.feed(b"new\r\n")
    assert made.lines(10_000, raw=True) == [f"line {number}" for number in range(20)] + ["new"]


def test_output_that_is_missing_breaks_off_a_sequence() -> None:
    made = history(b"one\x1b]0;a title that")
    made.skip()
    made.feed(b" two")
    assert made.lines(1) == ["one two"]


def test_no_image_is_read_from_a_file_of_this_machine(tmp_path: Path) -> None:
    image = tmp_path / "tty-graphics-protocol-image.rgb"
    image.write_bytes(b"\x01\x02\x03" * 100)
    name = base64.b64encode(str(image).encode()).decode()
    replies: list[bytes] = []
    for medium in "ft":
        made = Screen(40, 8)
        made._terminal.on_reply(replies.append)  # noqa: SLF001  the only witness there is
        made.feed(f"\x1b_Gi=31,s=10,v=10,a=T,f=24,t={medium};{name}\x1b\\".encode())
        assert made.text() == ""
    assert not any(b"OK" in reply for reply in replies)
    assert image.exists()
