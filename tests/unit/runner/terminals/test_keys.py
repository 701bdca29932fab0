import string

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runner.terminals.keys import KEYS, OFFERED, UnknownKeyError, press, presses


@pytest.mark.parametrize(
    ("name", "sent"),
    [
        ("enter", b"\r"),
        ("escape", b"\x1b"),
        ("tab", b"\t"),
        ("shift+tab", b"\x1b[Z"),
        ("backspace", b"\x7f"),
        ("delete", b"\x1b[3~"),
        ("insert", b"\x1b[2~"),
        ("up", b"\x1b[A"),
        ("down", b"\x1b[B"),
        ("right", b"\x1b[C"),
        ("left", b"\x1b[D"),
        ("home", b"\x1b[H"),
        ("end", b"\x1b[F"),
        ("pageup", b"\x1b[5~"),
        ("pagedown", b"\x1b[6~"),
        ("space", b" "),
        ("f1", b"\x1bOP"),
        ("f4", b"\x1bOS"),
        ("f5", b"\x1b[15~"),
        ("f12", b"\x1b[24~"),
        ("ctrl+a", b"\x01"),
        ("ctrl+c", b"\x03"),
        ("ctrl+z", b"\x1a"),
        ("Ctrl+C", b"\x03"),
        ("PageDown", b"\x1b[6~"),
        ("x", b"x"),
        ("X", b"X"),
        (" ", b" "),
        ("+", b"+"),
        ("é", "é".encode()),
        ("你", "你".encode()),
        ("alt+x", b"\x1bx"),
        ("alt+X", b"\x1bX"),
        ("ALT+enter", b"\x1b\r"),
        ("alt+backspace", b"\x1b\x7f"),
        ("alt+up", b"\x1b[1;3A"),
        ("alt+f1", b"\x1b[1;3P"),
        ("alt+delete", b"\x1b[3;3~"),
        ("alt+ctrl+c", b"\x1b\x03"),
        ("alt+é", "\x1bé".encode()),
        ("alt++", b"\x1b+"),
    ],
)
def test_a_key_sends_what_xterm_sends(name: str, sent: bytes) -> None:
    assert press(name) == sent


@pytest.mark.parametrize(
    ("name", "sent"),
    [
        ("up", b"\x1bOA"),
        ("down", b"\x1bOB"),
        ("right", b"\x1bOC"),
        ("left", b"\x1bOD"),
        ("home", b"\x1bOH"),
        ("end", b"\x1bOF"),
        ("alt+up", b"\x1b[1;3A"),
        ("delete", b"\x1b[3~"),
        ("f1", b"\x1bOP"),
    ],
)
def test_application_cursor_keys_change_those_six_only(name: str, sent: bytes) -> None:
    assert press(name, application_cursor=True) == sent


NO_KEYS = [
    *("", "return", "ctrl+1", "ctrl+", "ctrl+é", "f0", "f13", "alt+", "alt+alt+x", "alt+f13"),
    *("xy", "shift+up", "ctrl+enter", "\n", "\x1b", "\x03", "alt+\r", "\x7f", "\u200b", "enter "),
]


@pytest.mark.parametrize("name", NO_KEYS)
def test_what_is_no_key_is_refused_by_its_name(name: str) -> None:
    with pytest.raises(UnknownKeyError) as refused:
        presses(["enter", name, "x"])
    assert f"no key {name!a}" in str(refused.value)
    assert OFFERED in str(refused.value)


EVERY_KEY = """
enter escape tab shift+tab backspace delete insert up down left right home end pageup pagedown space
"""


def test_every_key_on_offer_is_there() -> None:
    expected = {*EVERY_KEY.split(), *(f"f{number}" for number in range(1, 13))}
    assert expected | {f"ctrl+{letter}" for letter in string.ascii_lowercase} == KEYS
    names = {name.strip() for name in OFFERED.split(",")}
    assert {"f1 to f12", "ctrl+a to ctrl+z", "alt+<key>"} <= names
    assert {name for name in names if " " not in name and "<" not in name} <= KEYS


def test_keys_are_written_in_one_piece() -> None:
    assert presses(["l", "s", "enter"]) == [b"ls\r"]


def test_what_follows_an_escape_is_not_taken_for_alt() -> None:
    assert presses(["escape", "escape", ":", "q", "enter"]) == [b"\x1b", b"\x1b", b":q\r"]


@given(
    names=st.lists(st.sampled_from(sorted(KEYS)), min_size=1, max_size=64),
    application=st.booleans(),
)
def test_pieces_are_the_keys_in_their_order(*, names: list[str], application: bool) -> None:
    one_by_one = [press(name, application_cursor=application) for name in names]
    assert b"".join(presses(names, application_cursor=application)) == b"".join(one_by_one)
    assert len({press(f"alt+{name}") for name in KEYS}) >= len(KEYS) - 3  # ctrl+i is tab
