"""Heads as strangers send them."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runner.mcpserver.admission import parsed, refused

HEAD = b"POST /mcp?x=1 HTTP/1.1\r\nHost: localhost:1\r\nAuthorization: \tBearer secret \r\n\r\n"


class Keeper:
    """Knows one token."""

    alive = True
    hears = True

    def knows(self, token: str) -> bool:
        return token == "secret"


def test_a_head_with_the_token_is_let_in() -> None:
    for head in (HEAD, HEAD.replace(b"\r\n", b"\n"), HEAD.replace(b"/mcp", b"/%6dcp")):
        read = parsed(head)
        assert read is not None
        assert refused(read, Keeper()) is None


@pytest.mark.parametrize(
    "head",
    [
        pytest.param(b"\r\n\r\n", id="nothing"),
        pytest.param(b"POST /mcp\r\n\r\n", id="no version"),
        pytest.param(b"POST  /mcp HTTP/1.1\r\n\r\n", id="two spaces"),
        pytest.param("POST /mcp/ö HTTP/1.1\r\n\r\n".encode(), id="a path that is no ASCII"),
        pytest.param(b"\x16\x03\x01\r\n\r\n", id="another protocol"),
        pytest.param(HEAD.replace(b"Host:", b"Host :"), id="a space before the colon"),
        pytest.param(HEAD.replace(b"\tBearer", b"\r\n Bearer"), id="a value on two lines"),
        pytest.param(HEAD.replace(b"Host: localhost:1", b"Host"), id="no colon"),
    ],
)
def test_what_is_no_head_is_told_from_one(head: bytes) -> None:
    assert parsed(head) is None


@given(st.integers(0, len(HEAD)), st.integers(0, len(HEAD)), st.binary(max_size=40))
def test_whatever_is_sent_is_read_or_refused(start: int, end: int, other: bytes) -> None:
    """And nothing without the token is let in."""
    head = parsed(HEAD[:start] + other + HEAD[end:])
    if head is not None and refused(head, Keeper()) is None:
        assert any(b"secret" in value for _, value in head["headers"])
