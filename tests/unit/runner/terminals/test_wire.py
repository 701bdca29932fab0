"""Output written by hand is what protobuf writes."""

from hypothesis import given
from hypothesis import strategies as st
from meshwire.v1 import link_pb2

from runner.terminals.wire import encoded

_NUMBERS = st.one_of(st.integers(0, 300), st.integers(0, 2**64 - 1))


@given(view=_NUMBERS, offset=_NUMBERS, data=st.binary(min_size=1, max_size=40_000))
def test_output_is_written_as_protobuf_writes_it(view: int, offset: int, data: bytes) -> None:
    output = link_pb2.Output(offset=offset, data=data)
    expected = link_pb2.TerminalUp(view=view, output=output).SerializeToString()
    assert encoded(view, offset, memoryview(data)) == expected
