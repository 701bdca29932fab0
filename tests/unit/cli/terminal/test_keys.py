"""Detach keys are found in what is typed, and nothing else is lost."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cli.errors import Usage
from cli.terminal.keys import DetachKeys, parse


@pytest.mark.parametrize(
    ("text", "keys"),
    [
        pytest.param("ctrl-p,ctrl-q", b"\x10\x11", id="the usual ones"),
        pytest.param("ctrl-]", b"\x1d", id="a control character that is no letter"),
        pytest.param("ctrl-\\", b"\x1c", id="backslash"),
        pytest.param("a,ctrl-B", b"a\x02", id="a letter, and a capital after ctrl"),
        pytest.param("", b"", id="none at all"),
    ],
)
def test_keys_are_written_as_docker_writes_them(text: str, keys: bytes):
    assert parse(text) == keys


@pytest.mark.parametrize("text", ["ctrl-", "alt-x", "ctrl-5", "escape", ",", "ctrl-p,"])
def test_an_unknown_key_is_refused_by_name(text: str):
    with pytest.raises(Usage, match="--detach-keys"):
        parse(text)


@pytest.mark.parametrize(
    ("pieces", "passed", "left"),
    [
        pytest.param([b"\x10\x11"], b"", True, id="both in one read"),
        pytest.param([b"\x10", b"\x11"], b"", True, id="one after the other"),
        pytest.param([b"ls\r\x10\x11rest"], b"ls\r", True, id="after other keys"),
        pytest.param([b"\x10x"], b"\x10x", False, id="the first, then another"),
        pytest.param([b"\x10\x10\x11"], b"\x10", True, id="the first twice"),
        pytest.param([b"\x11\x11"], b"\x11\x11", False, id="only the second"),
    ],
)
def test_the_keys_are_picked_out(pieces: list[bytes], passed: bytes, *, left: bool):
    keys = DetachKeys(b"\x10\x11")
    out = b""
    for piece in pieces:
        more, gone = keys.feed(piece)
        out += more
        if gone:
            break
    assert (out, gone) == (passed, left)


def test_a_first_key_without_its_second_is_handed_out_on_request():
    keys = DetachKeys(b"\x10\x11")
    assert keys.feed(b"a\x10") == (b"a", False)
    assert keys.holding
    assert keys.release() == b"\x10"
    assert not keys.holding


@given(st.binary(max_size=60), st.sampled_from([b"\x10\x11", b"aab", b"abab", b"z"]))
def test_everything_up_to_the_keys_reaches_the_agent(data: bytes, wanted: bytes):
    keys = DetachKeys(wanted)
    passed, left = keys.feed(data)
    at = data.find(wanted)
    assert left == (at >= 0)
    assert (passed + keys.release()) == (data[:at] if at >= 0 else data)


def test_without_keys_everything_passes():
    assert DetachKeys(b"").feed(b"\x10\x11") == (b"\x10\x11", False)
