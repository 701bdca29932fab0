import pytest
from hypothesis import given
from hypothesis import strategies as st

from runner.shim.frames import Decoder, FrameError, Kind, encode

frames = st.lists(st.tuples(st.sampled_from(Kind), st.binary(max_size=300)), max_size=8)


@given(frames, st.lists(st.integers(1, 40), min_size=1))
def test_frames_come_out_as_they_went_in_however_the_stream_is_cut(
    sent: list[tuple[Kind, bytes]], cuts: list[int]
) -> None:
    stream = b"".join(encode(kind, payload) for kind, payload in sent)
    decoder = Decoder()
    received, at, turn = [], 0, 0
    while at < len(stream):
        step = cuts[turn % len(cuts)]
        decoder.feed(stream[at : at + step])
        received += decoder.frames()
        at, turn = at + step, turn + 1
    assert received == sent


@given(st.binary(max_size=400))
def test_garbage_is_refused_or_waited_for_and_never_anything_else(garbage: bytes) -> None:
    decoder = Decoder()
    decoder.feed(garbage)
    try:
        frames = list(decoder.frames())
    except FrameError:
        return
    assert (
        b"".join(encode(*frame) for frame in frames)
        == garbage[: sum(5 + len(p) for _, p in frames)]
    )


@pytest.mark.parametrize(
    "stream",
    [
        pytest.param(b"\x00\x00\x00\x00\x00", id="kind zero"),
        pytest.param(b"\xff\x00\x00\x00\x00", id="a kind that does not exist"),
        pytest.param(b"\x01\xff\xff\xff\xff", id="a length of four gigabytes"),
        pytest.param(b"GET / HTTP/1.1\r\n\r\n", id="somebody speaking HTTP"),
    ],
)
def test_nonsense_is_refused_before_it_is_waited_for(stream: bytes) -> None:
    decoder = Decoder()
    decoder.feed(stream)
    with pytest.raises(FrameError):
        decoder.next()
