"""Markdown with front matter comes apart and together again byte for byte."""

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from controller.gitops.files.frontmatter import TextError, split


def test_a_file_comes_apart() -> None:
    document = split(b"\xef\xbb\xbf---  \r\nid: x\r\n--- \r\nbody\r\n")
    assert document is not None
    assert (document.bom, document.newline) == (True, "\r\n")
    assert (document.front, document.body) == ("id: x\r\n", "body\r\n")
    assert document.body_line == 4


@pytest.mark.parametrize(
    "data",
    [
        pytest.param(b"", id="an empty file"),
        pytest.param(b"# Title\n", id="a README"),
        pytest.param(b"---\n# Title\n", id="a line that parts, and nothing that closes it"),
        pytest.param(b"----\nid: x\n----\n", id="four dashes"),
        pytest.param(b"---", id="three dashes alone"),
        pytest.param(b"\n\n---\n\nsome text\n---\n", id="a rule further down"),
        pytest.param(b"caf\xe9 latin-1\n", id="a README that is no UTF-8"),
        pytest.param("# Wide".encode("utf-16"), id="a README in UTF-16"),
        pytest.param(b"+++\nid = 1\n+++\n", id="front matter in TOML"),
    ],
)
def test_what_has_no_front_matter_is_not_ours(data: bytes) -> None:
    assert split(data) is None


@pytest.mark.parametrize(
    ("data", "line", "word"),
    [
        pytest.param("---\nid: x\n---\n".encode("utf-16"), 1, "UTF-8", id="UTF-16"),
        pytest.param("\ufeff---\nid: x\n".encode("utf-16-be"), 1, "UTF-8", id="UTF-16, big end"),
        pytest.param("---\nid: x\n---\n".encode("utf-32"), 1, "UTF-8", id="UTF-32"),
        pytest.param(b"---\nid: x\ntitle: caf\xe9\n---\n", 3, "UTF-8", id="Latin-1"),
        pytest.param(b"---\nid: x\n---\nbody\n\xff\n", 5, "UTF-8", id="bytes in the body"),
        pytest.param(b"---\nid: x\n---\n\n a\0b\n", 5, "NUL", id="NUL in the body"),
        pytest.param(b"---\nid: x\ntitle: y\n", 1, "closed", id="front matter that is not closed"),
        pytest.param(b"\n---\nid: x\n---\n", 2, "first line", id="an empty line before it"),
    ],
)
def test_what_has_but_cannot_be_read_is_an_error_with_its_line(
    data: bytes, line: int, word: str
) -> None:
    with pytest.raises(TextError) as caught:
        split(data)
    assert (caught.value.line, word in caught.value.message) == (line, True)


PIECES = st.lists(
    st.sampled_from(["---", "---\n", "---\r\n", "id: x\n", "\n", "\r\n", "text", " ", "\r", "😀",
                     "\u2028", "...\n", "--- \n", "title: é\r\n"]),
    max_size=12,
).map("".join)  # fmt: skip


@settings(max_examples=250, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.sampled_from([b"", b"\xef\xbb\xbf"]), PIECES)
def test_its_parts_are_the_whole_of_it(bom: bytes, text: str) -> None:
    data = bom + text.encode()
    try:
        document = split(data)
    except TextError:
        return
    if document is not None:
        assert document.data() == data


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.binary(max_size=120), st.sampled_from([b"", b"---\n", b"---\nid: x\n---\n", b"\xff\xfe"]))
def test_any_bytes_are_taken_apart_or_refused(data: bytes, head: bytes) -> None:
    line, document = 1, None
    try:
        document = split(head + data)
    except TextError as exc:
        line = exc.line
    assert 1 <= line <= (head + data).count(b"\n") + 1
    assert document is None or document.data() == head + data
