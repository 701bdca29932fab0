import pytest
from meshwire.v1 import link_pb2

from runner.converge.prompt import submit_key, typed_text


def test_a_prompt_is_typed_as_text_and_not_submitted_with_it() -> None:
    assert typed_text('"it\'s" $(now) here', bracketed=False) == b'"it\'s" $(now) here'


def test_control_characters_of_a_prompt_are_no_keys() -> None:
    typed = typed_text("a\x03\x1b[201~b\x00\x9bc\td\x7f", bracketed=True)
    assert typed == b"\x1b[200~a[201~bc\td\x1b[201~"


def test_newlines_are_pasted_as_terminals_paste_them() -> None:
    assert typed_text("a\r\nb\n\nc\n", bracketed=True) == b"\x1b[200~a\rb\r\rc\x1b[201~"


@pytest.mark.parametrize("text", ["a\nb", "a \n\n\tb", "a\r\nb\n", "a\tb"])
def test_where_a_newline_would_submit_and_a_tab_complete_they_are_spaces(text: str) -> None:
    assert typed_text(text, bracketed=False) == b"a b"


@pytest.mark.parametrize(
    "text",
    ["read @README.md", "read\nthe file @src/x", "run /help", "@src", "a $skill", "me@example.com"],
)
def test_a_space_closes_the_list_of_what_the_last_word_may_become(text: str) -> None:
    assert typed_text(text, bracketed=True).endswith(b" \x1b[201~")
    assert typed_text(text, bracketed=False).endswith(text[-3:].encode() + b" ")
    assert typed_text(text, bracketed=False, line_mode=True).endswith(text[-3:].encode())


@pytest.mark.parametrize("text", ["/init", "!make/x", "ask @src about it", "done @src "])
def test_where_enter_runs_what_is_offered_or_nothing_is_there_is_no_space(text: str) -> None:
    assert typed_text(text, bracketed=False) == text.encode()


def test_the_submit_key_is_the_class_s_own_or_enter() -> None:
    spec = link_pb2.RunSpec(submit_keys="\x1b\r")
    assert submit_key(link_pb2.PodDesired(spec=spec)) == b"\x1b\r"
    assert submit_key(link_pb2.PodDesired()) == b"\r"
