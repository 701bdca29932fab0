"""Which files of a commit are looked at, and which never can be."""

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from controller.gitops.files.create import comment_path, ticket_path
from controller.gitops.files.select import Selection, TooManyFilesError, select
from controller.gitops.values import MAX_DEPTH, MAX_FILES, Entry, EntryType

FILE, LINK, MODULE = EntryType.FILE, EntryType.SYMLINK, EntryType.SUBMODULE


def entry(path: str, type_: EntryType = FILE, size: int = 10) -> Entry:
    return Entry(path, "b" * 40, size, type_)


def taken(*paths: str, folder: str = ".") -> list[str]:
    return [one.path for one in select("c1", map(entry, paths), folder).entries]


def test_markdown_and_yaml_are_looked_at_and_nothing_else() -> None:
    paths = ("b.md", "a.yaml", "x/c.yml", "d.json", "E.MD", "f", "md", "g.md.orig", "xyml")
    assert taken(*paths) == ["E.MD", "a.yaml", "b.md", "x/c.yml"]


def test_hidden_files_and_comments_are_not_looked_at() -> None:
    assert taken(".a.md", ".github/x.yaml", "t/.x/y.md", "tickets/tk-1/comments/01-a.md") == []
    assert taken("tickets/ab/tk-1ab/comments/01-a.md", "x/tickets/t-1/comments/a.md") == []
    assert taken("comments/a.md", "tickets/comments/a.md", "tickets/tk-1/a.md") == [
        "comments/a.md",
        "tickets/comments/a.md",
        "tickets/tk-1/a.md",
    ]


@pytest.mark.parametrize("folder", ["fleet", "fleet/", "/fleet"])
def test_only_what_lies_below_the_folder_counts(folder: str) -> None:
    assert taken("fleet/a.md", "fleets/b.md", "c.md", "x/fleet/d.md", folder=folder) == [
        "fleet/a.md"
    ]


@pytest.mark.parametrize(
    ("found", "reason"),
    [
        pytest.param(entry("a.md", LINK), "NotAFile", id="a symbolic link"),
        pytest.param(entry("a.md", EntryType.OTHER), "NotAFile", id="something else"),
        pytest.param(entry("vendor", MODULE), "NotAFile", id="a submodule"),
        pytest.param(entry("a.md", size=262_145), "TooLarge", id="a large file"),
        pytest.param(entry("a.md", size=1 << 30), "TooLarge", id="a file of 1 GiB"),
        pytest.param(entry("d/" * 9 + "a.md"), "TooDeep", id="a deep file"),
        pytest.param(entry("a\nb.md"), "InvalidName", id="a newline"),
        pytest.param(entry("a\x1b[2J.md"), "InvalidName", id="an escape"),
        pytest.param(entry("a\u202eb.md"), "InvalidName", id="letters turned around"),
        pytest.param(entry("a\\b.md"), "InvalidName", id="a backslash"),
        pytest.param(entry("caf\udce9.md"), "InvalidName", id="no UTF-8"),
        pytest.param(entry("../a.md"), "InvalidName", id="the folder above"),
        pytest.param(entry("x/../a.md"), "InvalidName", id="the folder above, further in"),
        pytest.param(entry("x/./a.md"), "InvalidName", id="a dot"),
        pytest.param(entry("x//a.md"), "InvalidName", id="no name"),
        pytest.param(entry(".git/a.md"), "InvalidName", id=".git"),
        pytest.param(entry("x/.GIT/a.md"), "InvalidName", id=".git in capitals"),
        pytest.param(entry("x/.git /a.md"), "InvalidName", id=".git and a blank, as on Windows"),
        pytest.param(entry("x/GIT~1/a.md"), "InvalidName", id=".git by its short name"),
        pytest.param(entry("x/.g\u200cit/a.md"), "InvalidName", id=".git as on a Mac"),
        pytest.param(entry("x/" + "n" * 300 + ".md"), "InvalidName", id="a long name"),
        pytest.param(entry("/".join(["n" * 200] * 6) + ".md"), "InvalidName", id="a long path"),
    ],
)
def test_what_never_can_be_read_is_a_problem_of_its_own(found: Entry, reason: str) -> None:
    tree = select("c1", [found, entry("good.md")], ".")
    assert [one.path for one in tree.entries] == ["good.md"]
    assert [one.reason for one in tree.problems] == [reason]
    assert tree.problems[0].message.isprintable()
    assert tree.problems[0].path.isprintable()
    assert (tree.commit, tree.total) == ("c1", 2)


def test_what_would_not_be_looked_at_is_no_problem() -> None:
    odd = [entry("link", LINK), entry("a\nb.txt"), entry("big.bin", size=1 << 40)]
    assert select("c1", [*odd, entry(".x.md", LINK)], ".").problems == ()


@pytest.mark.parametrize(
    ("one", "other"),
    [
        pytest.param("a/Fix.md", "a/fix.md", id="case"),
        pytest.param("Straße.md", "STRASSE.md", id="case beyond ASCII"),
        pytest.param("caf\u00e9.md", "cafe\u0301.md", id="an accent composed and not"),
    ],
)
def test_names_that_are_the_same_elsewhere_are_problems_both(one: str, other: str) -> None:
    tree = select("c1", [entry(one), entry(other), entry("b.md")], ".")
    assert [found.path for found in tree.entries] == ["b.md"]
    assert {found.path for found in tree.problems} == {one, other} or len(tree.problems) == 2
    assert {found.reason for found in tree.problems} == {"NameClash"}


def test_a_problem_names_the_path_as_git_has_it() -> None:
    tree = select("c1", [entry("no\xa0break.md", size=1 << 20)], ".")
    assert [one.path for one in tree.problems] == ["no\xa0break.md"]


def test_as_deep_as_allowed_is_read() -> None:
    path = "d/" * MAX_DEPTH + "a.md"
    assert taken(path) == [path]
    assert taken("root/" + path, folder="root") == ["root/" + path]


def test_too_many_files_are_refused_as_a_whole() -> None:
    files = [entry(f"t{number}.md") for number in range(MAX_FILES)]
    others = [entry(f"src/{number}.py") for number in range(1000)]
    assert len(select("c1", [*files, *others], ".").entries) == MAX_FILES
    with pytest.raises(TooManyFilesError, match="smaller folder"):
        select("c1", [*files, entry("one-more.md")], ".")


NAMES = st.text("abc-é日 .", min_size=1, max_size=20)
IDS = st.from_regex(r"\A[a-z]{1,4}-[a-z0-9]{1,12}\Z")


@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(IDS, NAMES, st.sampled_from([".", "fleet", "a/tickets", "tickets"]),
       st.sampled_from([0, 5_000]), NAMES)  # fmt: skip
def test_where_new_files_go_tickets_are_read_and_comments_are_not(
    ticket: str, title: str, folder: str, existing: int, author: str
) -> None:
    path = ticket_path(folder, ticket, title, existing)
    comment = comment_path(folder, path, ticket, "01ARZ3NDEKTSV4RRFFQ69G5FAV", author)
    assert taken(path, comment, folder=folder) == [path]
    elsewhere = comment_path(folder, "odd/place.md", ticket, "01ARZ3NDEKTSV4RRFFQ69G5FAV", author)
    assert taken(elsewhere, folder=folder) == []


PATHS = (
    "a.md",
    "A.md",
    "A.MD",
    "b/a.md",
    "B/a.md",
    "b",
    "t/é.md",
    "t/e\u0301.md",
    "x.txt",
    ".h.md",
)
TREES = st.dictionaries(
    st.sampled_from((*PATHS, "b/.git/x.md", "sub", "tickets/t/comments/c.md", "d\\e.md")),
    st.tuples(st.sampled_from("ab"), st.sampled_from((10, 300_000)), st.sampled_from(EntryType)),
)


@settings(max_examples=200, suppress_health_check=[HealthCheck.too_slow], deadline=None)
@given(st.lists(TREES, max_size=6), st.sampled_from((".", "b", "t")))
def test_what_is_selected_step_by_step_is_what_is_selected_at_once(
    history: list[dict[str, tuple[str, int, EntryType]]], folder: str
) -> None:
    selection = Selection(folder)
    for commit, tree in enumerate(history):
        entries = [Entry(path, blob, size, type_) for path, (blob, size, type_) in tree.items()]
        assert selection.tree(str(commit), entries) == select(str(commit), entries, folder)


def test_a_folder_that_held_too_many_files_is_selected_once_it_holds_fewer() -> None:
    entries = [entry(f"{number}.md") for number in range(MAX_FILES + 1)]
    selection = Selection(".")
    with pytest.raises(TooManyFilesError):
        selection.tree("c1", entries)
    assert selection.tree("c2", entries[1:]) == select("c2", entries[1:], ".")
