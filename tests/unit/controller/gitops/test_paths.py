"""Which paths of a repository are looked at, and which are written."""

import pytest

from controller.gitops.paths import folder, is_writable


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        (".", ""),
        ("", ""),
        ("tickets", "tickets"),
        ("./tickets//open/.", "tickets/open"),
        ("a b/\u00e4", "a b/\u00e4"),
        ("-x", "-x"),
        (":(top)", ":(top)"),
        (".github", ".github"),
        ("a/.gitignore.d", "a/.gitignore.d"),
        ("..", None),
        ("a/../..", None),
        ("/", None),
        ("/etc", None),
        (".git", None),
        ("a/.GIT/x", None),
        ("a\nb", None),
        ("a\0", None),
        ("a\\b", None),
        ("x" * 5000, None),
    ],
)
def test_a_folder_is_one_within_the_repository(given: str, expected: str | None) -> None:
    assert folder(given) == expected


@pytest.mark.parametrize(
    "path",
    [
        "../x", "a/../../x", "/x", "a//b", "a/", "./x", "", ".", ".git/config", "a/.GIT/hooks/x",
        ".git ", ".git.", "git~1/config", ".g\u200cit/config", ".git::$INDEX_ALLOCATION/x", "a\nb",
        "a\0b", "a\x1bb", "a\\b", "\ud800", "a\u202eb", "x" * 5000,
    ],
)  # fmt: skip
def test_no_file_is_written_where_it_would_harm_a_checkout(path: str) -> None:
    assert not is_writable(path)


@pytest.mark.parametrize(
    "path", ["tickets/tk-1-fix.md", "a b/\U0001f41b.md", "-x.md", ":(top)x", ".gitea/x", '"q".md']
)
def test_a_file_is_written_wherever_else(path: str) -> None:
    assert is_writable(path)
