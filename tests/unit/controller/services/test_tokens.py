"""Join tokens: one form, compared by hash, never shown."""

import hashlib

import pytest

from controller.services.tokens import is_name, is_object_name, read_token

SECRET = "A" * 43


def test_a_token_knows_its_enrolment_and_its_hash() -> None:
    token = read_token(f"amjt_gpu-1.{SECRET}")
    assert token is not None
    assert token.enrollment == "gpu-1"
    assert token.matches(hashlib.sha256(f"amjt_gpu-1.{SECRET}".encode()).hexdigest())
    assert not token.matches(hashlib.sha256(f"amjt_gpu-2.{SECRET}".encode()).hexdigest())
    assert not token.matches(None)
    assert not token.matches("")
    assert SECRET not in repr(token)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "amjt_",
        f"amjt_.{SECRET}",
        f"amjt_gpu.{SECRET}A",
        f"amjt_gpu.{SECRET[1:]}",
        f"amjt_gpu.{SECRET}\n",
        f"amjt_GPU.{SECRET}",
        f"amjt_../a.{SECRET}",
        f"amjt_a.b.{SECRET}",
        f"other_gpu.{SECRET}",
        f"amjt_{'a' * 64}.{SECRET}",
    ],
)
def test_what_has_not_the_form_is_no_token(text: str) -> None:
    assert read_token(text) is None


@pytest.mark.parametrize(
    ("text", "good"),
    [("a", True), ("a-1", True), ("a" * 63, True), ("a" * 64, False), ("-a", False),
     ("a-", False), ("A", False), ("", False), ("a\n", False), ("a.b", False)],
)  # fmt: skip
def test_names_are_those_of_kubernetes(text: str, *, good: bool) -> None:
    assert is_name(text) is good


@pytest.mark.parametrize(
    ("text", "good"),
    [("a", True), ("fix.9", True), ("a" * 253, True), ("a" * 254, False), ("a..b", False),
     (".a", False), ("a.", False), ("a.-b", False), ("a/b", False), ("", False), ("a\n", False)],
)  # fmt: skip
def test_an_object_may_have_dots_in_its_name(text: str, *, good: bool) -> None:
    assert is_object_name(text) is good
