"""Terminal output becomes text."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cli.terminal.plain import Plain


def plain(data: bytes, *, colours: bool = False) -> bytes:
    reader = Plain(colours=colours)
    return reader.feed(data) + reader.finish()


@pytest.mark.parametrize(
    ("data", "text"),
    [
        pytest.param(b"one\r\ntwo\r\n", b"one\ntwo\n", id="line ends of a terminal"),
        pytest.param(b"\x1b[1;32mgreen\x1b[0m", b"green", id="colours"),
        pytest.param(b"\x1b]0;title\x07x\x1b]52;c;cGF5\x1b\\y", b"xy", id="titles and clipboards"),
        pytest.param(b"\x1bP+q544e\x1b\\x", b"x", id="device control strings"),
        pytest.param(b"\x1b(B\x1b7\x1b8\x1b=ok", b"ok", id="character sets and modes"),
        pytest.param(b"\x1b[2J\x1b[10;20Hthere", b"there", id="moving about"),
        pytest.param(b"10%\r20%\r\n", b"10%\n20%\n", id="a progress line"),
        pytest.param("smörgås\t✓".encode(), "smörgås\t✓".encode(), id="UTF-8 and tabs"),
        pytest.param(b"a\x00b\x07c", b"abc", id="control characters"),
        pytest.param(b"end\r", b"end\n", id="a carriage return at the end"),
        pytest.param(b"cut \x1b[3", b"cut ", id="a sequence that never ends"),
        pytest.param("a\x9b31mb\x9d52;c;x\x9cc".encode(), b"a31mb52;c;xc", id="C1 in UTF-8"),
        pytest.param(b"a\x9b31mb", b"a31mb", id="C1 in eight bits"),
        pytest.param("ѐ囜🛛".encode(), "ѐ囜🛛".encode(), id="such bytes in letters"),
        pytest.param(
            b"a\x1b\x00]52;c;x\x1b\x00\\b", b"a]52;c;x\\b", id="an escape that a NUL parts"
        ),
        pytest.param(
            b"a\x1b]52;c;" + b"x" * 70_000 + b"\x07b", b"ab", id="a clipboard of many bytes"
        ),
    ],
)
def test_only_text_remains(data: bytes, text: bytes):
    assert plain(data) == text


def test_colours_remain_where_they_are_wanted_and_nothing_else_does():
    data = b"\x1b[1;32mgreen\x1b[0m\x1b[2J\x1b]0;t\x07"
    assert plain(data, colours=True) == b"\x1b[1;32mgreen\x1b[0m"


@given(
    st.lists(
        st.sampled_from(
            [
                b"a",
                b"\r\n",
                b"\r",
                b"\x1b[31m",
                b"\x1b]0;t\x07",
                b"\x1bP1\x1b\\",
                b"\xc3\xa4",
                b"\n",
            ]
        ),
        max_size=20,
    ),
    st.data(),
)
def test_where_the_output_is_cut_does_not_matter(pieces: list[bytes], data: st.DataObject):
    whole = b"".join(pieces)
    cut = data.draw(st.integers(0, len(whole)))
    reader = Plain(colours=False)
    assert reader.feed(whole[:cut]) + reader.feed(whole[cut:]) + reader.finish() == plain(whole)


def test_a_sequence_beyond_all_bounds_is_dropped_to_its_end():
    reader = Plain(colours=True)
    shown = reader.feed(b"before\x1b]52;c;")
    for _ in range(100):
        shown += reader.feed(b"eHh4" * 1000)
    shown += reader.feed(b"eHh4\x1b")
    shown += reader.feed(b"\\after\x1b[")
    for _ in range(100):
        shown += reader.feed(b"1;" * 1000)
    shown += reader.feed(b"mend\n")
    assert shown + reader.finish() == b"beforeafterend\n"


@given(
    pieces=st.lists(
        st.one_of(
            st.binary(max_size=12),
            st.sampled_from(
                [b"\x1b", b"]52;c;", b"\x1b\\", b"\xc2", b"\x9b", b"\x07", b"[3", b"m"]
            ),
        ),
        max_size=30,
    ),
    colours=st.booleans(),
)
def test_nothing_that_a_terminal_obeys_comes_through(*, pieces: list[bytes], colours: bool):
    reader = Plain(colours=colours)
    shown = b"".join(reader.feed(piece) for piece in pieces) + reader.finish()
    shown = re.sub(rb"\x1b\[[0-9;:]*m", b"", shown) if colours else shown
    assert not re.search(rb"[\x00-\x07\x0b-\x1f\x7f]", shown)
    assert not re.search(r"[\x80-\x9f]", shown.decode(errors="replace"))
    assert shown == b"".join(
        re.findall(rb"[\x00-\x7f\xa0-\xff]|(?<=[\xa0-\xff])[\x80-\x9f]+", shown)
    )
