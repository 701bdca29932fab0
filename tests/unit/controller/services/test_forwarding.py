"""The window of a forwarded connection: nothing beyond it, and all of it comes back."""

import grpc
import pytest
from hypothesis import given
from hypothesis import strategies as st

from controller.rpc.refusal import Refusal
from controller.services.forwarding import WINDOW_BYTES, Sending


def test_a_client_may_send_a_window_and_not_a_byte_more() -> None:
    sending = Sending()
    sending.piece(b"x" * WINDOW_BYTES)
    with pytest.raises(Refusal) as refused:
        sending.piece(b"x")
    assert refused.value.code is grpc.StatusCode.RESOURCE_EXHAUSTED


def test_nothing_comes_behind_the_end() -> None:
    sending = Sending()
    assert sending.end()
    assert not sending.end()
    with pytest.raises(Refusal, match="behind the end"):
        sending.piece(b"x")


@given(st.lists(st.integers(1, 70_000), max_size=40), st.randoms(use_true_random=False))
def test_when_all_was_taken_the_whole_window_is_there_again(
    sizes: list[int], order: object
) -> None:
    sending, room, under_way = Sending(), WINDOW_BYTES, []
    for size in sizes:
        while room < size:
            room += sending.taken(under_way.pop(0))
        under_way.append(sending.piece(b"x" * size).seq)
        room -= size
        if under_way and order.random() < 0.4:  # type: ignore[attr-defined]
            room += sending.taken(under_way.pop(0))
    for seq in under_way:
        room += sending.taken(seq)
    assert room == WINDOW_BYTES
