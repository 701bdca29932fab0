from runner.converge.prompt import keys


def test_a_prompt_is_typed_as_text_and_then_submitted() -> None:
    assert keys('say "it\'s" $(now)', "\r", bracketed=False) == b'say "it\'s" $(now)\r'


def test_control_characters_of_a_prompt_are_no_keys() -> None:
    assert keys("a\x03\x1b[201~b\x00\x9bc\td", "\r", bracketed=True) == (
        b"\x1b[200~a[201~bc\td\x1b[201~\r"
    )


def test_newlines_are_pasted_as_terminals_paste_them() -> None:
    assert keys("a\r\nb\nc", "\r", bracketed=True) == b"\x1b[200~a\rb\rc\x1b[201~\r"
    assert keys("a\nb", "\x0d", bracketed=False) == b"a\nb\r"
