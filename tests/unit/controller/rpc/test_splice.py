"""Splicing gives byte for byte what taking apart and putting together would."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from meshwire.v1 import link_pb2

from controller.rpc.splice import RawOutput, read_up, write_out

Up, Output = link_pb2.TerminalUp, link_pb2.Output

numbers = st.integers(0, 2**64 - 1)


@given(numbers, numbers, st.binary(min_size=1, max_size=300))
def test_an_output_is_passed_on_as_it_is(view: int, offset: int, data: bytes) -> None:
    wire = Up(view=view, output=Output(offset=offset, data=data)).SerializeToString()
    raw = read_up(wire)
    assert isinstance(raw, RawOutput)
    assert (raw.view, raw.offset, raw.length) == (view, offset, len(data))
    out = link_pb2.AttachOut.FromString(write_out(raw.attach_out()))
    assert out == link_pb2.AttachOut(output=Output(offset=offset, data=data))


@pytest.mark.parametrize(
    "up",
    [
        pytest.param(Up(hello=link_pb2.TerminalHello(instance_id="i")), id="hello"),
        pytest.param(Up(view=1, opened=link_pb2.ViewOpened(screen=b"x")), id="opened"),
        pytest.param(Up(view=1, gap=link_pb2.Gap(to_offset=3)), id="gap"),
        pytest.param(Up(view=300, ended=link_pb2.ViewEnded(reason="Exited")), id="ended"),
        pytest.param(Up(view=1, output=Output(offset=4)), id="an output without data"),
        pytest.param(Up(), id="nothing"),
    ],
)
def test_everything_else_is_parsed(up: link_pb2.TerminalUp) -> None:
    assert read_up(up.SerializeToString()) == up


@given(numbers, st.binary(min_size=1, max_size=100))
def test_an_unusual_encoding_means_the_same(offset: int, data: bytes) -> None:
    """The view behind the output, and an unknown field: both are legal protobuf."""
    output = Up(output=Output(offset=offset, data=data)).SerializeToString()
    view = Up(view=7).SerializeToString()
    for wire in (output + view, view + output + b"\xfa\x3f\x01z"):
        raw = read_up(wire)
        assert isinstance(raw, RawOutput)
        assert (raw.view, raw.offset, raw.length) == (7, offset, len(data))


@given(st.binary(max_size=60))
def test_rubbish_is_read_as_protobuf_reads_it(wire: bytes) -> None:
    try:
        expected = Up.FromString(wire)
    except Exception:  # noqa: BLE001 - whatever protobuf raises, we raise
        with pytest.raises(Exception):  # noqa: B017, PT011
            read_up(wire)
        return
    found = read_up(wire)
    if isinstance(found, RawOutput):
        assert found.view == expected.view
        assert found.length == len(expected.output.data)
        out = link_pb2.AttachOut.FromString(found.attach_out())
        assert (out.output.offset, out.output.data) == (
            expected.output.offset,
            expected.output.data,
        )
    else:
        assert found == expected
